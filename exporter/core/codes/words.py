"""The capital words in commands that only the reader knows, each with the place that has its value."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from types import MappingProxyType

WORDS: Mapping[str, str] = MappingProxyType(
    {
        "TARGET": "name of a target, then --config.file FILE",
        "CLIENT_ID": "client_id of the credential, or the first 32 digits of SECRET",
        "OBJECT_ID": "object id of the principal, not its client id: az ad sp show --id CLIENT_ID --query id",
        "CRED": "name in sys.credentials",
        "SECRET_FILE": "path in the configuration",
        "VAULT": "name of the vault: credential_identity in sys.credentials",
        "VAULT_ID": "output of az keyvault show --name VAULT --query id",
        "OTHER_PERMISSIONS": "the principal's other key permissions; leave it out if there are none",
        "OTHER_OPERATIONS": "the key's other permitted operations; leave it out if there are none",
        "NEW_EXPIRY": "the new date, such as 2027-06-30T00:00:00Z",
        "SUBSCRIPTION": "name or id of the vault's subscription",
        "DNS_GROUP": "resource group of the private DNS zone",
        "PERIMETER": "name of the network security perimeter that the vault is associated with",
        "PROFILE": "name of its profile that the vault is associated with",
        "SUBNET_ID": "resource id of the subnet: az network vnet subnet show --query id",
        "KEY": "name of the key, before the version in KeyUri",
        "DNS_ZONE": "private DNS zone of the vaults: privatelink.vaultcore.azure.net in the public cloud",
        "VERSION": "end of KeyUri in the registry",
        "HOST": "host name of the vault, or the sign-in host at step token",
        "PROXY": "host:port of the proxy",
        "ADDRESS": "public address of the SQL Server host",
        "DB": "name of the database",
        "PROVIDER": "name in sys.cryptographic_providers",
        "GROUP": "resource group of the VM",
        "VM": "name of the VM in Azure",
        "PATH": "full path of the connector's DLL",
        "EKM_KEY": "name of the asymmetric key in SQL Server",
        "EKM_LOGIN": "name of the login that is made from that key",
        "THUMBPRINT": "number after thumbprint in the message: 0x...",
        "PASSWORD": "password of the database master key",
    }
)
_SPAN = re.compile(r"`([^`]*)`")
# A word in capitals right after another one is of SQL: ASYMMETRIC KEY, BY PASSWORD.
START_OF_WORD, END_OF_WORD = r"(?<![\w-])(?<![A-Z] )", r"(?![\w-])"
_ANY_WORD = re.compile(START_OF_WORD + "(?:" + "|".join(WORDS) + ")" + END_OF_WORD)


def words_in(texts: Iterable[str], commands: Iterable[str] = ()) -> tuple[tuple[str, str], ...]:
    """Return the words of the commands in `texts` and of whole `commands`, each with its meaning."""
    spans = " ".join((*(span for text in texts for span in _SPAN.findall(text)), *commands))
    found = set(_ANY_WORD.findall(spans))
    return tuple((word, meaning) for word, meaning in WORDS.items() if word in found)

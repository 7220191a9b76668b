"""Actions for a vault that refuses a request, by reason."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from exporter.core.codes import BY_CODE
from exporter.core.codes.advice_texts import (
    AGAIN,
    ASSIGNEE,
    CAUSE_IS_ELSEWHERE,
    FIND_OBJECT_ID,
    PROBE,
    REPEAT,
    SHOW_KEYS_ANSWER,
    SHOW_TENANT,
    STATUS_PAGE,
)
from exporter.core.codes.shared import DO_NOT_RESTART, FIND_INTERCEPTION, SUPPORT
from exporter.core.faults import Reason

_ATTRIBUTES = "az keyvault key set-attributes --vault-name VAULT --name KEY --version VERSION"
_CREATE = "az keyvault key create --vault-name VAULT --name NEW_KEY --kty RSA --size 2048"
_OPEN = (
    "CREATE ASYMMETRIC KEY [EKM_KEY] FROM PROVIDER [PROVIDER] "
    "WITH PROVIDER_KEY_NAME = 'NEW_KEY', CREATION_DISPOSITION = OPEN_EXISTING;"
)
_READ = "Read the vault's sentence in the detail of the probe: it names what is refused."
_ROLE = "Key Vault Crypto Service Encryption User"
_HSM_SERVICE_ROLE = "Managed HSM Crypto Service Encryption User"
_SCOPE = (
    "VAULT_ID is the output of `az keyvault show --name VAULT --query id --output tsv`. The role takes minutes to become active."
)

_COMPARE_HOSTS = f"Run {PROBE} on the SQL Server host: the firewall may allow that host although it blocks this one."
# An IP rule cannot name a private address: the request came through a service endpoint or an own network.
PRIVATE_FIREWALL: tuple[str, ...] = (
    _COMPARE_HOSTS,
    "The vault saw the private address `SEEN_ADDRESS`. IP rules take public addresses only, so permit the network instead.",
    "For a virtual network with the service endpoint Microsoft.KeyVault: `az keyvault network-rule add --name VAULT --subnet SUBNET_ID`.",
    "Or use a private endpoint, which the vault's firewall does not filter.",
    DO_NOT_RESTART,
)

_PERMIT = "`az keyvault network-rule add --name VAULT --ip-address ADDRESS`"
_FIREWALL = (_COMPARE_HOSTS, f"If the vault refuses there too, allow the address that the probe shows there: {_PERMIT}.")
FIREWALL_OF_THE_EXPORTER: tuple[str, ...] = (
    *_FIREWALL,
    "`SEEN_ADDRESS` is the address of this exporter, not of SQL Server: a rule for it repairs the monitoring only.",
    DO_NOT_RESTART,
)
FIREWALL_OF_THIS_HOST: tuple[str, ...] = (
    f"Allow the address of this host: {_PERMIT}.",
    f"Another node can have another address: run {PROBE} there too.",
    DO_NOT_RESTART,
)

VAULT: Mapping[Reason, tuple[str, ...]] = MappingProxyType(
    {
        Reason.FORBIDDEN: (
            _READ,
            "Without a sentence, another device may have responded. Compare with another network.",
            *BY_CODE[3077].actions[1:],
        ),
        # A vault that lacks a key names it, with a code of its own.
        Reason.NOT_FOUND: (
            "Read the response in the detail of the probe. If it names no key, another server may have responded.",
            SHOW_KEYS_ANSWER,
            *BY_CODE[3076].actions,
        ),
        Reason.BAD_REQUEST: (
            "Read the response in the detail of the probe: it names what is refused.",
            "Compare the name letter by letter with `az keyvault key list --vault-name VAULT`.",
            "Show type and size of the key: `az keyvault key show --vault-name VAULT --name KEY --query key`. The connector needs RSA.",
            *AGAIN,
        ),
        Reason.FORBIDDEN_RBAC: (
            (
                "Assign the role to the principal on the vault: "
                f'`az role assignment create --role "{_ROLE}" {ASSIGNEE} --scope VAULT_ID`.'
            ),
            _SCOPE,
            FIND_OBJECT_ID,
            *AGAIN,
        ),
        Reason.FORBIDDEN_POLICY: (
            (
                "Set the key permissions of the principal, and include its other ones, because this replaces them all: "
                "`az keyvault set-policy --name VAULT --object-id OBJECT_ID --key-permissions get wrapKey unwrapKey`."
            ),
            FIND_OBJECT_ID,
            *AGAIN,
        ),
        Reason.FORBIDDEN_FIREWALL: (*_FIREWALL, DO_NOT_RESTART),
        Reason.FORBIDDEN_CONNECTION: (
            (
                "The vault only accepts private endpoints. On the SQL Server host, check that its name resolves to a private "
                "address: `Resolve-DnsName VAULT.vault.azure.net`."
            ),
            "If it is public, link the private DNS zone of the endpoint to this network.",
            DO_NOT_RESTART,
        ),
        Reason.FORBIDDEN_NSP: (
            "Add this network to an inbound access rule of the network security perimeter, or use a private endpoint.",
            "Trusted Azure services are blocked too: the perimeter overrides that exception.",
            *AGAIN,
        ),
        Reason.KEY_DISABLED: (
            f"Enable the key version: `{_ATTRIBUTES} --enabled true`.",
            REPEAT,
            "Find out who disabled it: the vault's audit log names the caller.",
            DO_NOT_RESTART,
        ),
        Reason.KEY_EXPIRED: (
            f"Extend its expiry: `{_ATTRIBUTES} --expires 2030-01-01T00:00:00Z`. An expired key still unwraps but does not wrap.",
            REPEAT,
            "Then plan the rotation to a new key version. Rotation fails until the expiry is extended.",
            DO_NOT_RESTART,
        ),
        Reason.KEY_NOT_YET_VALID: (
            f"Set an earlier start: `{_ATTRIBUTES} --not-before 2020-01-01T00:00:00Z`. Until then the key unwraps but does not wrap.",
            *AGAIN,
        ),
        Reason.KEY_OPERATION_FORBIDDEN: (
            (
                "Permit both operations, and include the key's other ones, because this replaces them all: "
                f"`{_ATTRIBUTES} --ops wrapKey unwrapKey`."
            ),
            "Show the present ones: `az keyvault key show --vault-name VAULT --name KEY --version VERSION --query key.keyOps`.",
            "Change no role and no access policy: they are not the cause.",
            *AGAIN,
        ),
        Reason.KEY_SOFT_DELETED: (
            "Recover the key with all versions: `az keyvault key recover --vault-name VAULT --name KEY`.",
            REPEAT,
            "Find out who deleted it: the vault's audit log names the caller.",
            DO_NOT_RESTART,
        ),
        Reason.KEY_NAME_TOO_LONG: (
            f"Create a key with at most 26 letters, digits and hyphens in its name: `{_CREATE}`.",
            f"Then move SQL Server to it: `{_OPEN}`.",
            *BY_CODE[2049].actions[1:],
        ),
        Reason.KEY_UNSUPPORTED: (
            f"Create an RSA key of 2048 or 3072 bits and move SQL Server to it: `{_CREATE}`.",
            "A Managed HSM has `--kty RSA-HSM` only, which requires the connector of November 2020 or later.",
            *BY_CODE[3].actions[3:],
        ),
        Reason.SERVER_ERROR: (
            STATUS_PAGE,
            "If the detail of the probe is a page or a text, a proxy or gateway on the route may have failed: compare with another network.",
            DO_NOT_RESTART,
            SUPPORT,
        ),
        Reason.CONFLICT: (
            _READ,
            "If a change to the key or vault is in progress, wait a minute.",
            "If the key is deleted, recover it: `az keyvault key recover --vault-name VAULT --name KEY`.",
            *AGAIN,
            SUPPORT,
        ),
        Reason.BYTES_DIFFER: (
            "Encrypt nothing with this key, and rotate no key, until support has examined it.",
            REPEAT,
            FIND_INTERCEPTION,
            "Open a support request with both request ids from the probe (wrap and unwrap).",
            DO_NOT_RESTART,
        ),
        Reason.TOKEN_REJECTED: (
            "Read the vault's sentence in the detail of the step. If it names no cause, retry in ten minutes.",
            STATUS_PAGE,
            *AGAIN,
        ),
        Reason.TOKEN_WRONG_ISSUER: (
            SHOW_TENANT,
            "Compare it with `tenant_id` of the credential, and correct that one if it differs.",
            "Use an application in the vault's tenant. Show whether this one is there: `az ad sp show --id CLIENT_ID --query appId`.",
            "After a subscription move, update the vault's tenant and assign the permissions again.",
            DO_NOT_RESTART,
        ),
        Reason.TOKEN_UNVERIFIABLE: (
            "Wait some minutes: the vault could not fetch the keys that verify tokens.",
            STATUS_PAGE,
            *AGAIN,
        ),
        Reason.TOKEN_WRONG_AUDIENCE: (
            "Check that the vault's host name belongs to this cloud, and that no proxy rewrites the vault's 401.",
            SHOW_KEYS_ANSWER,
            *AGAIN,
        ),
    }
)
_HSM_ROLE = (
    "Assign the role to the principal: `az keyvault role assignment create --hsm-name VAULT "
    f'--role "{_HSM_SERVICE_ROLE}" {ASSIGNEE} --scope /keys`.'
)
# No page of Microsoft's names the application of Managed HSM. The id is that of public listings of tenants.
_HSM_PRINCIPAL = (
    "Show the service principal of Managed HSM, by the id of public listings: `az ad sp show --id 589d5083-6f11-4d30-a62a-a4b316a14abf`.",
    "If it is missing or disabled, let the Entra ID administrator create or enable it. No page of Microsoft names this id.",
    CAUSE_IS_ELSEWHERE,
    *AGAIN,
)
# A Managed HSM has roles of its own and no access policies.
ON_HSM: Mapping[Reason, tuple[str, ...]] = MappingProxyType(
    {
        Reason.FORBIDDEN_RBAC: (_HSM_ROLE, FIND_OBJECT_ID, *AGAIN),
        Reason.FORBIDDEN_POLICY: (_HSM_ROLE, FIND_OBJECT_ID, *AGAIN),
        **dict.fromkeys((Reason.RESOURCE_PRINCIPAL_MISSING, Reason.RESOURCE_PRINCIPAL_DISABLED), _HSM_PRINCIPAL),
        Reason.FORBIDDEN: (
            _READ,
            f"If no role allows it: {_HSM_ROLE[0].lower()}{_HSM_ROLE[1:]}",
            FIND_OBJECT_ID,
            "If the firewall of the HSM blocks the caller: `az keyvault network-rule add --hsm-name VAULT --ip-address ADDRESS`.",
            "If the key version is disabled: `az keyvault key set-attributes --hsm-name VAULT --name KEY --version VERSION --enabled true`.",
            *AGAIN,
        ),
    }
)

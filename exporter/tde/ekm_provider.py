"""Which EKM provider is Microsoft's connector, and which one is of another key store.

SQL Server serves the modules of Thales, Utimaco and others through the same views. Only a provider with no sign of Azure Key Vault
is foreign: a key that counts as foreign by mistake would not be tested.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

# In the name of the provider or the path of its DLL: Microsoft.AzureKeyVaultService.EKM.dll, AzureKeyVault_EKM_Prov.
_CONNECTOR = re.compile(r"azure|akv|key[ _-]?vault", re.IGNORECASE)
_VAULT_IDENTITY = re.compile(r"managed identity|.*\.(?:vault|managedhsm)\..*", re.IGNORECASE)


def is_foreign(name: str, dll_path: str, identities: Iterable[str], *, has_key_uri: bool) -> bool:
    """Return whether nothing of a provider points to Azure Key Vault.

    `identities` are those of its credentials; `has_key_uri`: the connector's registry knows one of its keys.
    """
    if not dll_path or has_key_uri or _CONNECTOR.search(f"{name}\n{dll_path}"):
        return False
    return not any(_VAULT_IDENTITY.fullmatch(identity.strip()) for identity in identities)

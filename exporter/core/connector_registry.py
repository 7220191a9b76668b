r"""The connector's Windows registry key, and the commands that show and grant the right to it.

Microsoft's setup page creates `SQL Server Cryptographic Provider`, grants Full Control of it, restarts the service, and adds it to
the checkpoints of a failover cluster. The connector creates the subkeys, which inherit that right.
"""

from __future__ import annotations

REGISTRY_KEY = r"SOFTWARE\Microsoft\SQL Server Cryptographic Provider"
ENTRIES = rf"{REGISTRY_KEY}\Azure Key Vault"  # below it: the vault, the thumbprint, and the value KeyUri
_DRIVE = rf"HKLM:\{REGISTRY_KEY}"

SHOW_RIGHTS = f"(Get-Acl '{_DRIVE}').Access | Format-List 'IdentityReference', 'RegistryRights'"
# New-Item with -Force would replace an existing key and its entries.
GRANT_RIGHT: tuple[str, ...] = (
    f"$key = '{_DRIVE}'",
    r"$account = 'NT SERVICE\MSSQLSERVER'",
    "if (-not (Test-Path $key)) { New-Item -Path $key }",
    "$rule = [Security.AccessControl.RegistryAccessRule]::new(",
    "    $account, 'FullControl', 'ContainerInherit', 'None', 'Allow')",
    "$acl = Get-Acl $key",
    "$acl.AddAccessRule($rule)",
    "Set-Acl -Path $key -AclObject $acl",
)
ADD_CHECKPOINT: tuple[str, ...] = (
    f"$key = '{REGISTRY_KEY}'",
    "$resource = 'SQL Server (SQLPRD01)'",
    "Add-ClusterCheckpoint -ResourceName $resource -RegistryCheckpoint $key",
)

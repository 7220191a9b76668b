"""The fix of a check that did not pass: T-SQL, role assignments and commands.

A line that starts with two blanks is a command; the others are sentences. `select_fix` fills in the known words in capitals
with an underscore; the reader fills in the others. No text contains a secret.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from exporter.core.checks.fixes_thumbprint import COMPARE_PUBLIC_KEY
from exporter.core.checks.table import CHECKS
from exporter.core.codes.advice_texts import ASSIGNEE, CRED_AND_STRING
from exporter.core.connector_registry import ADD_CHECKPOINT, GRANT_RIGHT, REGISTRY_KEY, SHOW_RIGHTS

Lines = tuple[str, ...]

ALTER: Lines = (
    "Give SQL Server the secret that Entra accepts, on every replica:",
    "  ALTER CREDENTIAL [CRED] WITH IDENTITY = 'VAULT_IDENTITY', SECRET = 'STRING';",
    CRED_AND_STRING,
    "Run the check again. A restart proves the new secret, and so does a backup that starts two hours after the change.",
)
_NEW_SECRET: Lines = (
    "Create a new secret, keep the old one, and put the new one into the exporter's secret file first:",
    "  az ad app credential reset --id CLIENT_ID --append",
)
_EXPIRY = "  az ad app credential list --id CLIENT_ID --query [].endDateTime --output tsv"
REAL_EXPIRY: Lines = ("List the real expiry of the secret, and correct the configured one:", _EXPIRY)
REAL_CERTIFICATE_EXPIRY: Lines = ("List the real expiry of the certificate, and correct the configured one:", f"{_EXPIRY} --cert")
ROLE: Lines = (
    "Assign the role to the principal. It takes minutes to become active:",
    "  az keyvault show --name VAULT_NAME --query id --output tsv",
    "  az ad sp show --id CLIENT_ID --query id --output tsv",
    f'  az role assignment create --role "Key Vault Crypto Service Encryption User" {ASSIGNEE} --scope VAULT_ID',
    "VAULT_ID is the output of the first command, the object id that of the second. The portal shows that of a managed identity.",
)
_REPLACES = "Name every {}, because this replaces them all:"
_ATTRIBUTES = "  az keyvault key set-attributes --vault-name VAULT_NAME --name KEY_NAME --version KEY_VERSION"
_INSPECTED = "A proxy on the network path inspects TLS. Exempt {} from the inspection."
_OTHER_HOST: Lines = (
    "Or a search domain with a wildcard record answers with another host. Compare the addresses, here and with a final dot:",
    "  nslookup {0}",
    "  nslookup {0}.",
)
_TRUST: Lines = (
    "Or add the inspecting authority to the trusted roots of the SQL Server host:",
    "  certutil -addstore Root AUTHORITY.cer",
)
_SEE_CERTIFICATE = "Show the certificate here and on another network. Compare its dates, name and chain:"
_RESOLVE = "Resolve the name on the SQL Server host too:"
_PROXY: Lines = (
    "SQL Server uses the proxy of its service account from its first connection on: see service_proxy.",
    "Check `proxy` in the module: URL, no_proxy, user and password.",
)

FIXES: Mapping[str, Lines] = MappingProxyType(
    {
        "proxy_vault": (*_PROXY, "A private endpoint is reached without the proxy: add the vault to no_proxy."),
        "proxy_entra": _PROXY,
        "dns_vault": (
            _RESOLVE,
            "  Resolve-DnsName VAULT_HOST",
            "If the name does not exist there either, a private DNS zone lacks the record, or the vault was purged:",
            "  az keyvault list-deleted --query \"[?name=='VAULT_NAME']\"",
        ),
        "dns_entra": (_RESOLVE, "  Resolve-DnsName ENTRA_HOST"),
        "tcp_vault": (
            "Open port 443 to the vault in every firewall. Test from the SQL Server host:",
            "  Test-NetConnection VAULT_HOST -Port 443",
        ),
        "tcp_entra": (
            "Open port 443 to Entra in every firewall. Test from the SQL Server host:",
            "  Test-NetConnection ENTRA_HOST -Port 443",
        ),
        **{
            f"issuer_{host.lower()}": (
                _INSPECTED.format(f"{host}_HOST"),
                *_TRUST,
                *(line.format(f"{host}_HOST") for line in _OTHER_HOST),
            )
            for host in ("VAULT", "ENTRA")
        },
        "tls_vault": (_SEE_CERTIFICATE, "  openssl s_client -connect VAULT_HOST:443 -servername VAULT_HOST -showcerts"),
        "tls_entra": (_SEE_CERTIFICATE, "  openssl s_client -connect ENTRA_HOST:443 -servername ENTRA_HOST -showcerts"),
        "revocation": (
            "Allow outbound port 80 to these hosts. Windows queries them for each certificate, and connections wait for the response.",
        ),
        "path": (
            "On the SQL Server host, resolve the name and compare the address with that of the private endpoint:",
            "  Resolve-DnsName VAULT_HOST",
            "A private address requires that the zone privatelink.vaultcore.azure.net is linked to this network.",
        ),
        "clock": ("Synchronise the clock with the domain's time service:", "  w32tm /resync", "  w32tm /query /status"),
        "challenge": (
            "Another server may respond instead of the vault. Show its response:",
            '  curl -i "https://VAULT_HOST/keys?api-version=7.4"',
        ),
        "tenant": (
            "SQL Server signs in at the tenant that the vault names. Create the application there, or correct tenant_id:",
            "  az keyvault show --name VAULT_NAME --query properties.tenantId --output tsv",
            "  az ad app show --id CLIENT_ID --query appId --output tsv",
        ),
        "secret": (
            "Check the secret file: its path in the configuration, its content, and read permission for the exporter's service account.",
        ),
        "credential_string": (
            "Write the credential again: the client id without hyphens, followed by the secret's value:",
            *ALTER[1:],
        ),
        "audience": (
            "The token is for another service or tenant. Check the application, and that no proxy changes responses of Entra or the vault:",
            "  az ad app show --id CLIENT_ID --query appId --output tsv",
        ),
        "firewall": (
            "Run this check on the SQL Server host. If the vault refuses there too, allow its address:",
            "  az keyvault network-rule add --name VAULT_NAME --ip-address ADDRESS",
        ),
        "key_name": (
            "Create a key with at most 26 letters, digits and hyphens in its name, and move to it:",
            "  az keyvault key create --vault-name VAULT_NAME --name NEW_KEY --kty RSA --size 2048",
            "  CREATE ASYMMETRIC KEY [EKM_KEY] FROM PROVIDER [PROVIDER_NAME]",
            "    WITH PROVIDER_KEY_NAME = 'NEW_KEY', CREATION_DISPOSITION = OPEN_EXISTING;",
        ),
        "key_version": (
            "List the versions, and the one that SQL Server uses:",
            "  az keyvault key list-versions --vault-name VAULT_NAME --name KEY_NAME --query [].kid --output tsv",
            "  SELECT DB_NAME(database_id) AS name, encryptor_thumbprint FROM sys.dm_database_encryption_keys;",
            "If the key was purged, restore it with its own name:",
            "  az keyvault key restore --vault-name VAULT_NAME --file BACKUP_FILE",
        ),
        "key_type": (
            "Create an RSA key of 2048 or 3072 bits and move to it. RSA-HSM requires the connector of November 2020 or later:",
            "  az keyvault key create --vault-name VAULT_NAME --name NEW_KEY --kty RSA --size 2048",
        ),
        "key_enabled": ("Enable the key version:", f"{_ATTRIBUTES} --enabled true"),
        "key_dates": (
            "Extend the dates, or rotate. An expired key still unwraps, so databases open. Not every connector build was tested.",
            f"{_ATTRIBUTES} --expires 2030-01-01T00:00:00Z",
        ),
        "key_ops": (
            "Allow both operations on the key.",
            _REPLACES.format("operation that the key is used for"),
            f"{_ATTRIBUTES} --ops wrapKey unwrapKey",
        ),
        "permission_get": ROLE,
        "permission_wrap": ROLE,
        "permission_unwrap": ROLE,
        "permission_list": (
            "The connector does not need `list`. Under access policies, it can be added.",
            "The object id of the principal:",
            "  az ad sp show --id CLIENT_ID --query id --output tsv",
            _REPLACES.format("permission that the application needs"),
            "  az keyvault set-policy --name VAULT_NAME --object-id OBJECT_ID --key-permissions get list wrapKey unwrapKey",
        ),
        "round_trip": (
            "Do not encrypt anything with this key until support has examined it. Keep the request ids:",
            "  PROBE_AGAIN",
        ),
        "retained_versions": (
            "Old backups need these versions. Enable or restore them, and keep the role on their vault:",
            "  az keyvault key list-versions --vault-name VAULT_NAME --name KEY_NAME --output table",
        ),
        "newest_version": (
            "No action is urgent: SQL Server keeps the version of its asymmetric key. Do not disable or delete that version.",
            "To move to the newest, create a credential for the login of the new key.",
            "Then on every replica, while that credential is assigned to your own login:",
            "  CREATE ASYMMETRIC KEY [NEW_EKM_KEY] FROM PROVIDER [PROVIDER_NAME]",
            "    WITH PROVIDER_KEY_NAME = 'KEY_NAME/NEWEST_VERSION', CREATION_DISPOSITION = OPEN_EXISTING;",
            "  CREATE LOGIN [NEW_EKM_LOGIN] FROM ASYMMETRIC KEY [NEW_EKM_KEY];",
            "  ALTER LOGIN [YOUR_LOGIN] DROP CREDENTIAL [NEW_CREDENTIAL];",
            "  ALTER LOGIN [NEW_EKM_LOGIN] ADD CREDENTIAL [NEW_CREDENTIAL];",
            "When every replica is done, on the primary, in each database:",
            "  ALTER DATABASE ENCRYPTION KEY ENCRYPTION BY SERVER ASYMMETRIC KEY [NEW_EKM_KEY];",
            "Keep the old key and its login in SQL Server, and the old version enabled in the vault. Existing backups need them.",
            "Then write the new version into `key` of the target, and back up the databases.",
        ),
        "thumbprint": COMPARE_PUBLIC_KEY,
        "credential_expiry": (*_NEW_SECRET, *ALTER),
        "key_expiry": ("Rotate before that date, or extend it:", f"{_ATTRIBUTES} --expires 2030-01-01T00:00:00Z"),
        "connector_version": (
            "In SQL Server. `is_enabled` must be 1, and `file_version` is the DLL that runs:",
            "  SELECT p.name, p.version, p.dll_path, p.is_enabled, m.file_version FROM sys.cryptographic_providers AS p",
            "    LEFT JOIN sys.dm_os_loaded_modules AS m ON m.name = p.dll_path;",
            "On the host, in PowerShell, with that path:",
            '  Get-Item "DLL_PATH" | Select-Object LastWriteTime, @{n="FileVersion";e={$_.VersionInfo.FileVersion}}',
            "Expected: 15.0.2000.440, DLL of 9 November 2024. 15.0.300.96, DLL of 30 January 2018, also calls itself 1.0.5.0.",
            "Build and path must be equal on all nodes. `version` in the catalog may be that from before an upgrade.",
        ),
        "vc_runtime": (
            "In PowerShell. Expected for connector 1.0.5.0: 2015 (or 2015-2022) for SQL Server 2016 to 2025, 2013 for older ones:",
            (
                r"  Get-ItemProperty HKLM:\SOFTWARE\Microsoft\Windows\CurrentVersion\Uninstall\* |"
                " Where-Object DisplayName -like '*Visual C++*' | Select-Object DisplayName, DisplayVersion"
            ),
        ),
        "ekm_enabled": (
            "In SQL Server. Expected: 1:",
            "  SELECT name, value_in_use FROM sys.configurations WHERE name = 'EKM provider enabled';",
            "To turn it on:",
            "  EXEC sp_configure 'show advanced options', 1; RECONFIGURE;",
            "  EXEC sp_configure 'EKM provider enabled', 1; RECONFIGURE;",
        ),
        "registry_rights": (
            "In PowerShell. The service account must have FullControl of this key; the connector's subkeys inherit it:",
            f"  {SHOW_RIGHTS}",
            "To grant it, as an administrator, with your service account. Restart the SQL Server service later, when no check fails:",
            *(f"  {line}" for line in GRANT_RIGHT),
        ),
        "cluster_checkpoint": (
            f"In PowerShell, on a node of a failover cluster. Expected: {REGISTRY_KEY}:",
            "  Get-ClusterCheckpoint -RegistryCheckpoint",
            "To add it, with your resource's name:",
            *(f"  {line}" for line in ADD_CHECKPOINT),
        ),
        "windows_tls": (
            "In PowerShell. TLS 1.2 is enabled if the key is missing or Enabled is not 0:",
            (r"  Get-ItemProperty 'HKLM:\SYSTEM\CurrentControlSet\Control\SecurityProviders\SCHANNEL\Protocols\TLS 1.2\Client'"),
        ),
        "service_proxy": (
            "In PowerShell. Expected: the `proxy` of the module. SQL_SERVICE is for example NT SERVICE\\MSSQLSERVER:",
            ("  $sid = ([Security.Principal.NTAccount]'SQL_SERVICE').Translate([Security.Principal.SecurityIdentifier]).Value"),
            (
                r'  Get-ItemProperty "Registry::HKEY_USERS\$sid\Software\Microsoft\Windows\CurrentVersion\Internet Settings" |'
                " Select-Object ProxyEnable, ProxyServer, ProxyOverride, AutoConfigURL"
            ),
            "To set it, in the same session, with your proxy. Restart the SQL Server service later, when no check fails:",
            r'  $key = "Registry::HKEY_USERS\$sid\Software\Microsoft\Windows\CurrentVersion\Internet Settings"',
            "  Set-ItemProperty -Path $key -Name 'ProxyServer' -Value 'proxy.example.com:3128'",
            "  Set-ItemProperty -Path $key -Name 'ProxyEnable' -Value 1 -Type DWord",
        ),
        "sql_credential": (
            "In SQL Server. The identity must be VAULT_IDENTITY:",
            (
                "  SELECT name, credential_identity, modify_date FROM sys.credentials"
                " WHERE target_type = 'CRYPTOGRAPHIC PROVIDER';"
            ),
        ),
        "event_log": (
            "In PowerShell:",
            (
                "  Get-WinEvent -MaxEvents 20 -FilterHashtable @{LogName='Application';"
                " ProviderName='SQL Server Connector for Microsoft Azure Key Vault'}"
            ),
        ),
    }
)

# A warning of these checks needs less than a failure.
WARNED: Mapping[str, Lines] = MappingProxyType(
    {
        **{
            f"issuer_{host}": (
                "If a proxy inspects TLS, exempt the host. SQL Server connects only if Windows trusts that authority:",
                "  certutil -store Root",
            )
            for host in ("vault", "entra")
        },
        **{
            f"tls_{host}": (
                "Azure renews its certificates weeks before expiry. This one may belong to a proxy: check its issuer.",
            )
            for host in ("vault", "entra")
        },
    }
)
# Commands for results that are unknown here.
UNKNOWN: Mapping[str, Lines] = MappingProxyType(
    {
        "credential_expiry": (
            "Read the expiry, then set `expires_on` in the configuration:",
            _EXPIRY,
        ),
        **{check.name: FIXES[check.name] for check in CHECKS if check.on_host},
        "thumbprint": COMPARE_PUBLIC_KEY,
    }
)

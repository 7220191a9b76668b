"""What to do about a check that did not pass: T-SQL, role assignments and commands, as literal tables.

For: lines for people. One that starts with two blanks is a command to be copied; the others are sentences. Words in capitals with
an underscore are filled in where they are known (see `select_fix`); CLIENT_ID, CREDENTIAL_NAME and others stay for the reader.
Not for: what a code means (see `core.codes`). No text here can hold a secret: where one belongs, the text says which.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from exporter.core.checks.table import CHECKS
from exporter.core.faults import Reason

Lines = tuple[str, ...]

ALTER: Lines = (
    "Give SQL Server the secret that Entra takes, on every replica:",
    "  ALTER CREDENTIAL [CREDENTIAL_NAME]",
    "    WITH IDENTITY = 'VAULT_IDENTITY',",
    "    SECRET = '<client id without hyphens><secret>';",
    "It takes effect with the next start of the service; check again before you restart it.",
)
_NEW_SECRET: Lines = (
    "Make a new secret beside the old one, and put it into the exporter's secret file first:",
    "  az ad app credential reset --id CLIENT_ID --append",
)
_ENDS = "  az ad app credential list --id CLIENT_ID --query [].endDateTime --output tsv"
STILL_TAKEN: Lines = ("See when the secret that Entra takes really ends, and correct what says otherwise:", _ENDS)
ROLE: Lines = (
    "Assign the role to the application; it takes minutes to work:",
    "  az keyvault show --name VAULT_NAME --query id --output tsv",
    '  az role assignment create --role "Key Vault Crypto Service Encryption User" --assignee CLIENT_ID --scope VAULT_ID',
    "VAULT_ID is what the first command prints.",
)
HSM_ROLE: Lines = (
    "Assign the role to the application:",
    (
        '  az keyvault role assignment create --hsm-name VAULT_NAME --role "Managed HSM Crypto Service Encryption User"'
        " --assignee CLIENT_ID --scope /keys"
    ),
)
_REPLACES = "Name every {}, for this replaces them all:"
POLICY: Lines = (
    "The vault uses access policies.",
    _REPLACES.format("permission that the application needs"),
    "  az keyvault set-policy --name VAULT_NAME --spn CLIENT_ID --key-permissions get wrapKey unwrapKey",
    "A vault that uses roles takes this instead:",
    *ROLE[1:],
)
_ATTRIBUTES = "  az keyvault key set-attributes --vault-name VAULT_NAME --name KEY_NAME --version KEY_VERSION"
_INSPECTED = "Somebody on the way ends TLS and begins it anew. Exempt {} from that inspection."
_TRUST: Lines = (
    "Or put the inspecting authority among the trusted roots of the SQL Server host:",
    "  certutil -addstore Root AUTHORITY.cer",
)
_SEE_CERTIFICATE = "See what is shown: the date, name or chain is wrong for everybody, or for this network alone?"
_RESOLVE = "Ask the resolver of the SQL Server host, too:"
_PROXY: Lines = (
    "SQL Server uses the proxy of its own service account, cached at its first connection: see service_proxy.",
    "Check `proxy` in the module: URL, no_proxy, user and password.",
)

FIXES: Mapping[str, Lines] = MappingProxyType(
    {
        "proxy_vault": (*_PROXY, "A private endpoint is reached past the proxy: add the vault to no_proxy."),
        "proxy_entra": _PROXY,
        "dns_vault": (
            _RESOLVE,
            "  Resolve-DnsName VAULT_HOST",
            "If nobody knows the name, the vault may be deleted, or a private DNS zone lacks its record:",
            "  az keyvault list-deleted --query \"[?name=='VAULT_NAME']\"",
        ),
        "dns_entra": (_RESOLVE, "  Resolve-DnsName ENTRA_HOST"),
        "tcp_vault": (
            "Open port 443 to the vault in every firewall on the way; from the SQL Server host:",
            "  Test-NetConnection VAULT_HOST -Port 443",
        ),
        "tcp_entra": (
            "Open port 443 to Entra in every firewall on the way; from the SQL Server host:",
            "  Test-NetConnection ENTRA_HOST -Port 443",
        ),
        "issuer_vault": (_INSPECTED.format("VAULT_HOST"), *_TRUST),
        "issuer_entra": (_INSPECTED.format("ENTRA_HOST"), *_TRUST),
        "tls_vault": (_SEE_CERTIFICATE, "  openssl s_client -connect VAULT_HOST:443 -servername VAULT_HOST -showcerts"),
        "tls_entra": (_SEE_CERTIFICATE, "  openssl s_client -connect ENTRA_HOST:443 -servername ENTRA_HOST -showcerts"),
        "revocation": (
            "Let port 80 to these hosts out. Windows asks them before it trusts a certificate; unanswered, each connection waits.",
        ),
        "path": (
            "On the SQL Server host, see which address the name leads to, and compare with the private endpoint's:",
            "  Resolve-DnsName VAULT_HOST",
            "A private address needs the zone privatelink.vaultcore.azure.net linked to this network.",
        ),
        "clock": ("Set the clock by the domain's time service:", "  w32tm /resync", "  w32tm /query /status"),
        "challenge": (
            "Something else than a vault may answer. See what it is:",
            '  curl -i "https://VAULT_HOST/keys?api-version=7.4"',
        ),
        "tenant": (
            "SQL Server signs in where the vault says. Make the application in the vault's tenant, or correct tenant_id:",
            "  az keyvault show --name VAULT_NAME --query properties.tenantId --output tsv",
            "  az ad app show --id CLIENT_ID --query appId --output tsv",
        ),
        "secret": ("Put the secret where the configuration says that it is, readable for the exporter alone.",),
        "credential_string": (
            "Write the credential anew, the client id without its hyphens directly before the secret's value:",
            *ALTER[1:],
        ),
        "audience": (
            "The application, or something on the way to Entra, gives tokens for another service or tenant.",
            "  az ad app show --id CLIENT_ID --query appId --output tsv",
        ),
        "firewall": (
            "Run this on the SQL Server host: only if the vault refuses there too is SQL Server in danger. Then let its address in:",
            "  az keyvault network-rule add --name VAULT_NAME --ip-address ADDRESS",
        ),
        "key_name": (
            "Make a key with a shorter, plain name and move to it:",
            "  az keyvault key create --vault-name VAULT_NAME --name NEW_KEY --kty RSA --size 2048",
            "  CREATE ASYMMETRIC KEY [EKM_KEY] FROM PROVIDER [PROVIDER_NAME]",
            "    WITH PROVIDER_KEY_NAME = 'NEW_KEY', CREATION_DISPOSITION = OPEN_EXISTING;",
        ),
        "key_version": (
            "See which versions there are, and which one SQL Server uses:",
            "  az keyvault key list-versions --vault-name VAULT_NAME --name KEY_NAME --query [].kid --output tsv",
            "  SELECT DB_NAME(database_id) AS name, encryptor_thumbprint FROM sys.dm_database_encryption_keys;",
            "If the key is gone, restore it under its own name:",
            "  az keyvault key restore --vault-name VAULT_NAME --file BACKUP_FILE",
        ),
        "key_type": (
            "Make an RSA key of 2048 or 3072 bits and move to it; RSA-HSM needs the connector of November 2020 or later:",
            "  az keyvault key create --vault-name VAULT_NAME --name NEW_KEY --kty RSA --size 2048",
        ),
        "key_enabled": ("Enable the version again:", f"{_ATTRIBUTES} --enabled true"),
        "key_dates": (
            "Move the dates, or rotate. An expired key still unwraps, so databases open; whether every connector does is not known.",
            f"{_ATTRIBUTES} --expires 2030-01-01T00:00:00Z",
        ),
        "key_ops": (
            "Allow both operations.",
            _REPLACES.format("operation that the key is used for"),
            f"{_ATTRIBUTES} --ops wrapKey unwrapKey",
        ),
        "permission_get": ROLE,
        "permission_wrap": ROLE,
        "permission_unwrap": ROLE,
        "permission_list": (
            "Nothing needs to be done for the connector. Under access policies, `list` can be added.",
            _REPLACES.format("permission that the application needs"),
            "  az keyvault set-policy --name VAULT_NAME --spn CLIENT_ID --key-permissions get list wrapKey unwrapKey",
        ),
        "round_trip": (
            "Do not encrypt anything under this key before support has seen it; keep the request ids:",
            "  PROBE_AGAIN",
        ),
        "retained_versions": (
            "Old backups cannot be restored without these versions. Enable or restore them, and keep the role on their vault:",
            "  az keyvault key list-versions --vault-name VAULT_NAME --name KEY_NAME --output table",
        ),
        "newest_version": (
            "SQL Server stays with the version that its key was made from. To move to the newest, make a credential for its login.",
            "Then on every replica, while that credential is your own login's:",
            "  CREATE ASYMMETRIC KEY [NEW_EKM_KEY] FROM PROVIDER [PROVIDER_NAME]",
            "    WITH PROVIDER_KEY_NAME = 'KEY_NAME/NEWEST_VERSION', CREATION_DISPOSITION = OPEN_EXISTING;",
            "  CREATE LOGIN [NEW_EKM_LOGIN] FROM ASYMMETRIC KEY [NEW_EKM_KEY];",
            "  ALTER LOGIN [YOUR_LOGIN] DROP CREDENTIAL [NEW_CREDENTIAL];",
            "  ALTER LOGIN [NEW_EKM_LOGIN] ADD CREDENTIAL [NEW_CREDENTIAL];",
            "When no replica is missing, on the primary, in each database:",
            "  ALTER DATABASE ENCRYPTION KEY ENCRYPTION BY SERVER ASYMMETRIC KEY [NEW_EKM_KEY];",
            "Keep the old key and its login in SQL Server, and the old version enabled in the vault: backups made until now need them.",
        ),
        "credential_expiry": (*_NEW_SECRET, *ALTER),
        "key_expiry": ("Rotate before that day, or move it:", f"{_ATTRIBUTES} --expires 2030-01-01T00:00:00Z"),
        "connector_version": (
            "In SQL Server:",
            "  SELECT name, version, dll_path, is_enabled FROM sys.cryptographic_providers;",
            "On the host, in PowerShell, with that path:",
            '  (Get-Item "DLL_PATH").VersionInfo | Select-Object FileVersion, ProductVersion',
        ),
        "vc_runtime": (
            "In PowerShell:",
            (
                r"  Get-ItemProperty HKLM:\SOFTWARE\Microsoft\Windows\CurrentVersion\Uninstall\* |"
                " Where-Object DisplayName -like '*Visual C++*' | Select-Object DisplayName, DisplayVersion"
            ),
        ),
        "ekm_enabled": (
            "In SQL Server:",
            "  SELECT name, value_in_use FROM sys.configurations WHERE name = 'EKM provider enabled';",
            "To turn it on:",
            "  EXEC sp_configure 'show advanced options', 1; RECONFIGURE;",
            "  EXEC sp_configure 'EKM provider enabled', 1; RECONFIGURE;",
        ),
        "registry_rights": (
            "In PowerShell; the account of the service must have FullControl:",
            r'  (Get-Acl "HKLM:\SOFTWARE\Microsoft\SQL Server Cryptographic Provider\Azure Key Vault").Access',
        ),
        "cluster_checkpoint": ("In PowerShell, on a node of a failover cluster:", "  Get-ClusterCheckpoint -RegistryCheckpoint"),
        "windows_tls": (
            "In PowerShell; no key, or Enabled other than 0, means that TLS 1.2 is on:",
            (r"  Get-ItemProperty 'HKLM:\SYSTEM\CurrentControlSet\Control\SecurityProviders\SCHANNEL\Protocols\TLS 1.2\Client'"),
        ),
        "service_proxy": (
            "In PowerShell; SQL_SERVICE is such as NT SERVICE\\MSSQLSERVER:",
            ("  $sid = ([Security.Principal.NTAccount]'SQL_SERVICE').Translate([Security.Principal.SecurityIdentifier]).Value"),
            (
                r'  Get-ItemProperty "Registry::HKEY_USERS\$sid\Software\Microsoft\Windows\CurrentVersion\Internet Settings" |'
                " Select-Object ProxyEnable, ProxyServer, ProxyOverride, AutoConfigURL"
            ),
        ),
        "sql_credential": (
            "In SQL Server; the identity must be VAULT_IDENTITY:",
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

# Where the reason says more than the check does.
BY_REASON: Mapping[Reason, Lines] = MappingProxyType(
    {
        Reason.FORBIDDEN_POLICY: POLICY,
        Reason.SECRET_EXPIRED: (*_NEW_SECRET, *ALTER),
        Reason.SECRET_WRONG: (
            "The secret's value is wanted, not its id. If it is lost, make a new one:",
            _NEW_SECRET[1],
            *ALTER,
        ),
        Reason.CREDENTIALS_REFUSED: (*_NEW_SECRET, *ALTER),
        Reason.FORBIDDEN_CONNECTION: (
            "The vault takes private endpoints alone. From the SQL Server host its name must lead to a private address:",
            "  Resolve-DnsName VAULT_HOST",
        ),
        Reason.KEY_SOFT_DELETED: (
            "The key is deleted and can be recovered:",
            "  az keyvault key recover --vault-name VAULT_NAME --name KEY_NAME",
        ),
        Reason.KEY_NOT_YET_VALID: ("Move the date:", f"{_ATTRIBUTES} --not-before 2020-01-01T00:00:00Z"),
    }
)
# A warning of these checks asks for less than a failure does.
WARNED: Mapping[str, Lines] = MappingProxyType(
    {
        **{
            f"issuer_{host}": (
                "If TLS is inspected on the way, have the host exempted. SQL Server gets through only if Windows trusts that authority:",
                "  certutil -store Root",
            )
            for host in ("vault", "entra")
        },
        **{
            f"tls_{host}": (
                "Azure renews its certificates weeks before they end. This one may be somebody else's: see its issuer.",
            )
            for host in ("vault", "entra")
        },
    }
)
# What is not known from here is looked up elsewhere; other checks have nothing to look up.
UNKNOWN: Mapping[str, Lines] = MappingProxyType(
    {
        "credential_expiry": (
            "Look it up, then declare it:",
            _ENDS,
        ),
        **{check.name: FIXES[check.name] for check in CHECKS if check.on_host},
    }
)

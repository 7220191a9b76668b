"""Each page states its facts about Azure and SQL Server, and no disproved statement."""

import re
from pathlib import Path

import pytest

from exporter.knowledge.checks import BY_NAME
from exporter.knowledge.code_row import ADD_CHECKPOINT, ENTRIES, GRANT_RIGHT, REGISTRY_KEY, SHOW_RIGHTS
from exporter.knowledge.codes import BY_CODE

ROOT = Path(__file__).parents[3]
# page: its required sentences, with any line breaks.
STATED = {
    "docs/private-endpoints.md": (
        "Most often the private DNS zone is not linked to this network",
        "This network has no link to the private zone, or its resolver does not forward to a network that has one",
        "The public name stays resolvable after public access is off | 3077 (3113), `forbidden_connection`",
        "The zone is linked, but has no record for this vault | 3900",
        "conditional forwarders for `vault.azure.net` **and** `vaultcore.azure.net`",
        "Azure keeps the DNS record of a soft-deleted vault for the retention time, 7 to 90 days",
        "`ForbiddenByNsp`",
        "A search domain with a wildcard record",
    ),
    "docs/recovery.md": (
        "no failover in West US 3, Brazil South and Brazil Southeast, or in a region without a pair",
        "with private link within about 20 minutes",
        "Read-only time does not count against Azure's service level",
        "**A recovered vault has lost its role assignments** and Event Grid subscriptions",
        "a new vault cannot take the name of a soft-deleted one",
        "more than 500 old versions cannot be backed up",
        "fail with **2057**",
        "With a managed identity**, the credential's name is the vault",
        "Backup-AzKeyVaultKey -VaultName",
        "Restore-AzKeyVaultKey -VaultName",
    ),
    "docs/connector-upgrade.md": (
        "| 15.0.300.96 | 30 January 2018 | 1.0.5.0 | supported |",
        "| 15.0.2000.440 | 9 November 2024 | 1.0.5.0 | supported |",
        "| up to 1.0.0.440 | | 1.0.0.x | unsupported |",
        "`FROM FILE` disables the provider, checks signature and GUID of the DLL, and updates the version in the catalog",
        "sys.dm_os_loaded_modules",
        "the same build at the same path",
        "SQL Server on Linux (2022 CU12 and later) has the connector built in",
        "https://www.microsoft.com/download/details.aspx?id=45344",
        "https://www.microsoft.com/download/details.aspx?id=48145",
        "https://www.microsoft.com/download/details.aspx?id=40784",
        "Older versions of the SQL Server Connector",
        "delete the folder of the other connector, if you renamed it",
        "| 15.0.2000.367 | September 2020 | 1.0.5.0 | supported |",
        "| 15.0.2000.440 | 11 September 2020 | 1.0.5.0 | supported | **no managed identity**: 37576 |",
        "since March 2026 it installs 1.0.5.0",
        "**`DISABLE` ends all open sessions of the provider**",
    ),
    "docs/sql-host.md": (
        "2015 (or 2015-2022) for SQL Server 2016 to 2025, 2013 for older ones",
        "SQL Server 2022 CU12 and later on Linux has EKM with Key Vault built in",
        "restarts the SQL Server service after that",
        "No old server is needed: Microsoft's KB4470999",
        "a group policy with Internet settings",
        "Set-ItemProperty -Path $key -Name 'ProxyServer'",
        "Msg 37576, *The connector does not support managed identities*",
        "2. Restart the SQL Server service",
        "3. `CREATE ASYMMETRIC KEY … WITH PROVIDER_KEY_NAME = …, CREATION_DISPOSITION = OPEN_EXISTING` under 1.0.4.0",
        "Without it, 33111 stays",
        "6. Register the new DLL in the same way, and restart the service again. 7. Move the database",
        ".NET Framework 4.5.1",
        "on Windows Server 2008 R2, it is then off",
        "Windows may load lists of revoked certificates through WinHTTP's",
    ),
    "docs/managed-identity.md": (
        "| 2022 CU17 (16.0.4175.1) and later | Azure VM with the SQL Server IaaS Agent extension |",
        "| 2025 | server connected by Azure Arc |",
        "one for all instances",
        "Hybrid agent extension applications",
        "AppRoleAssignment.ReadWrite.All",
        "A move to another vault is therefore a new credential, never `ALTER CREDENTIAL`",
        "ALTER LOGIN [tde_login] DROP CREDENTIAL",
        "| 37563 |",
        "Without trace flag 4675, `CREATE CREDENTIAL` reports no error if the primary identity is missing",
        "turn it off afterwards",
        "`User.Read.All`, `GroupMember.Read.All` and `Application.Read.All`",
        "A failover cluster instance cannot use it",
        "nothing, unless [a list closes IMDS]",
        "[Metadata Security Protocol][msp]",
        "IMDS takes the only user-assigned one. Threads dispute that",
        "for production, Microsoft recommends the three permissions",
        "has the same number and answers 37576, so compare the date too",
    ),
    "docs/rollover.md": ("A client secret lives one or two years",),
    "docs/permissions.md": (
        "RBAC is the default of new vaults and Microsoft discourages access policies",
        "from API version 2026-02-01 on. Older control-plane versions end on 2027-02-27",
        "`set-policy` does not exist for a Managed HSM",
        "Make the wanted directory the *Startup directory*",
        "No page of Microsoft's names it; public listings of tenants show `589d5083-6f11-4d30-a62a-a4b316a14abf`",
    ),
    "docs/clouds.md": (
        "403 with the error code `AccessDenied` and no inner code",
        "SQL Server also needs the HSM's bypass for trusted services",
        "SQL Server's EKM is *Extensible Key Management*",
    ),
    "docs/key-rotation.md": (
        "Microsoft recommends `CREATE ASYMMETRIC KEY` with the bare name",
        "If a thumbprint differs, drop that replica's key",
        "RESTORE FILELISTONLY",
        "TDEThumbprint",
        "SET OFFLINE",
        "OPEN_EXISTING",
        "does not prove",
        "Never add `REMOVE PROVIDER KEY`",
    ),
    "docs/placement.md": ("| SaturationShoebox | used share of the vault's capacity, in percent, averaged over one minute |",),
    "docs/production.md": (
        "Azure's SQL IaaS extension installed 1.0.4.0 in 2022 and 1.0.5.0 since March 2026",
        "for each key version in each vault",
        "`alter-credential.sql` on every node. [A proof on request]",
    ),
    "docs/what-needs-the-vault.md": (
        "`OPEN SYMMETRIC KEY … DECRYPTION BY ASYMMETRIC KEY` with an EKM key",
        "33028 with provider error code 5, then 9001 and 3314",
        "on a secondary replica, it shows the recovery model and the time of the last log backup alone",
    ),
    "docs/codes.md": ("An Azure network made since 31 March 2026 has no way out by default",),
    "docs/expiry.md": ("A client secret lives one or two years",),
    "docs/azure-monitor.md": ("az extension add --name amg", "az extension add --name alertsmanagement"),
}
# Statements that were disproved.
WRONG = (
    "until 2022 at least",
    "TLS 1.2 is enabled if the key is missing or Enabled is not 0",
    "and `Application.Read.All`, or Entra ID's role",
    "the zone `privatelink.vaultcore.azure.net` is not linked to this network, or lacks the record",
    "not documented: install the newest that the installer accepts",
    "Where its region has a pair, Key Vault fails over by itself",
    "Trace flag 4675 logs",
    "No restart is needed.",
    "az ad app list --all",
    "forbids the SHA-1 hash that connector",
    "A backup made with 1.0.4.0 needs a server with 1.0.4.0",
    "so a new installation is `current`",
    "which every new installation has",
    "Every connector downloaded since 2018",
    "a running node needs no token",
    "Once that secret ends",
    "No data is lost",
    "SELECT name, version, dll_path FROM sys.cryptographic_providers;`",
    'Get-Acl "HKLM:\\SOFTWARE\\Microsoft\\SQL Server Cryptographic Provider\\Azure Key Vault"',
)
# Every text that a user reads: pages, runbooks, scripts, and the texts of the product.
TEXTS = sorted(
    str(path.relative_to(ROOT))
    for folder, kinds in (
        ("", "README.md"),
        ("docs", "*.md"),
        ("alerts", "*.md"),
        ("alerts", "*.yml"),
        ("deploy", "*.md"),
        ("deploy", "*.sql"),
        ("deploy", "*.ps1"),
        ("exporter", "*.py"),
    )
    for path in ((ROOT / folder).rglob(kinds) if folder else (ROOT / kinds,))
)


def words(page: str) -> str:
    return " ".join((ROOT / page).read_text(encoding="utf-8").split())


@pytest.mark.parametrize(("page", "fact"), [(page, fact) for page, facts in STATED.items() for fact in facts])
def test_page_states_the_fact(page, fact):
    assert fact in words(page)


@pytest.mark.parametrize("statement", WRONG)
def test_no_text_has_a_disproved_statement(statement):
    assert [page for page in TEXTS if statement in words(page)] == []


def test_registry_key_is_the_same_everywhere():
    """The right belongs to the key of Microsoft's setup page; the connector's entries are below it."""
    page = (ROOT / "docs/sql-host.md").read_text(encoding="utf-8")
    assert [lines for lines in ((SHOW_RIGHTS,), GRANT_RIGHT, ADD_CHECKPOINT) if f"\n{chr(10).join(lines)}\n" not in page] == []
    doctor = "".join(text for name in ("registry_rights", "cluster_checkpoint") for text in BY_NAME[name].actions)
    assert [lines for lines in ((SHOW_RIGHTS,), GRANT_RIGHT, ADD_CHECKPOINT) if f"`{chr(10).join(lines)}`" not in doctor] == []
    assert "Set-ItemProperty -Path $key -Name 'ProxyEnable' -Value 1 -Type DWord" in "\n".join(BY_NAME["service_proxy"].actions)
    assert BY_CODE[2058].commands == (*GRANT_RIGHT, *ADD_CHECKPOINT)
    named = {
        match.rstrip("\\").lower()
        for page in TEXTS
        for match in re.findall(
            r"SOFTWARE\\+Microsoft\\+SQL Server Cryptographic Provider(?:\\+Azure Key Vault)?", (ROOT / page).read_text("utf-8")
        )
    }
    assert {name.replace("\\\\", "\\") for name in named} == {REGISTRY_KEY.lower(), ENTRIES.lower()}

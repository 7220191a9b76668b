"""Each page states its facts about Azure and SQL Server, and no disproved statement."""

from __future__ import annotations

from pathlib import Path

import pytest

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
    ),
    "docs/connector-upgrade.md": (
        "| 15.0.300.96 | 30 January 2018 | 1.0.5.0 | supported |",
        "| 15.0.2000.440 | 9 November 2024 | 1.0.5.0 | supported |",
        "| up to 1.0.0.440 | | 1.0.0.x | unsupported |",
        "| 2016, 2017, 2019, 2022, 2025 | Visual C++ for Visual Studio 2015 |",
        "`FROM FILE` disables the provider, checks signature and GUID of the DLL, and updates the version in the catalog",
        "sys.dm_os_loaded_modules",
        "the same build at the same path",
        "Add-ClusterCheckpoint",
        "SQL Server on Linux (2022 CU12 and later) has the connector built in",
    ),
    "docs/rollover.md": (
        "| 2022 CU17 and later | Azure VM with the SQL Server IaaS Agent extension |",
        "| 2025 | server connected by Azure Arc |",
        "All instances of a VM share one primary identity",
        "A move to another vault is therefore a new credential, never `ALTER CREDENTIAL`",
        "ALTER LOGIN [tde_login] DROP CREDENTIAL",
        "| 37563 |",
        "| 37576 |",
        "Trace flag 4675",
    ),
    "docs/permissions.md": (
        "RBAC is the default of new vaults and Microsoft discourages access policies",
        "from API version 2026-02-01 on. Older control-plane versions end on 2027-02-27",
        "`set-policy` does not exist for a Managed HSM",
        "Hybrid agent extension applications",
    ),
    "docs/clouds.md": (
        "403 with the error code `AccessDenied` and no inner code",
        "SQL Server also needs the HSM's bypass for trusted services",
    ),
    "docs/key-rotation.md": (
        "Microsoft recommends `CREATE ASYMMETRIC KEY` with the bare name",
        "If a thumbprint differs, drop that replica's key",
    ),
    "docs/doctor.md": ("SQL Server 2022 CU12 and later on Linux has EKM with Key Vault built in",),
    "docs/modes.md": ("| SaturationShoebox | used share of the vault's capacity, in percent, averaged over one minute |",),
    "docs/first-vault.md": (
        "Every connector downloaded since 2018 is 1.0.5.0, so a new installation is `current`",
        "One for each key version in each vault",
        "`ALTER CREDENTIAL` on every node. A restart [proves it]",
    ),
    "docs/retiring-a-version.md": ("RESTORE FILELISTONLY", "TDEThumbprint", "SET OFFLINE", "OPEN_EXISTING", "does not prove"),
}
# Statements that were disproved.
WRONG = (
    "the zone `privatelink.vaultcore.azure.net` is not linked to this network, or lacks the record",
    "not documented: install the newest that the installer accepts",
    "Where its region has a pair, Key Vault fails over by itself",
)


def words(page: str) -> str:
    return " ".join((ROOT / page).read_text(encoding="utf-8").split())


@pytest.mark.parametrize(("page", "fact"), [(page, fact) for page, facts in STATED.items() for fact in facts])
def test_page_states_the_fact(page, fact):
    assert fact in words(page)


@pytest.mark.parametrize("page", sorted(path.name for path in (ROOT / "docs").glob("*.md")))
def test_page_has_no_disproved_statement(page):
    text = words(f"docs/{page}")
    assert [statement for statement in WRONG if statement in text] == []

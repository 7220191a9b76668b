"""Rules of the connector on its host: DLL, runtime, registry key and cluster."""

from dataclasses import replace

import pytest

from exporter.core.values import KeyReference
from exporter.doctor import host_rules
from exporter.doctor.host_rules import ConnectorFile, ConnectorKey, RuntimeLibrary, Unreadable
from exporter.knowledge.checks_vault import CheckOutcome, FailureMoment
from exporter.windows.rules import ADMINISTRATORS, SYSTEM
from tests.support.windows_facts import DLL, SID, a_key, an_instance, full

PASS, WARN, FAIL, UNKNOWN = CheckOutcome.PASS, CheckOutcome.WARN, CheckOutcome.FAIL, CheckOutcome.UNKNOWN
DENIED = Unreadable(denied=True)
WANTED = KeyReference("contosorsakey0", "A" * 32, "contoso-prod.vault.azure.net")
NEW, OLD = (15, 0, 2000, 440), (13, 0, 811, 168)
VC_2015, VC_2013 = (
    RuntimeLibrary("Visual C++ 2015 (x64)", (14, 0, 24215)),
    RuntimeLibrary("Visual C++ 2013 (x64)", (12, 0, 40664)),
)
OTHER_SERVICE = "S-1-5-80-1-2-3-4-5"
GROUP = "S-1-5-21-1-2-3-1001"


def a_file(version=NEW, **more):
    return ConnectorFile(path=DLL, version=version, **more)


@pytest.mark.parametrize(
    ("files", "outcome", "text"),
    [
        ((a_file(),), PASS, rf"15.0.2000.440 at {DLL}"),
        ((a_file((15, 0, 2100, 1)),), PASS, "15.0.2100.1"),
        ((a_file((15, 0, 300, 96)),), WARN, "older than 15.0.2000.440"),
        ((a_file((1, 0, 0, 440)),), WARN, "no longer supported"),
        ((a_file(()),), WARN, "without a version"),
        ((a_file(None),), WARN, "no Microsoft.AzureKeyVaultService.EKM.dll in the folder"),
        ((a_file(None, of_sql_server=True),), FAIL, rf"SQL Server lists {DLL}, but the file does not exist"),
        ((a_file(of_sql_server=True, loaded=OLD),), WARN, "13.0.811.168 is loaded, and the next start loads 15.0.2000.440"),
        ((a_file(OLD), a_file(of_sql_server=True, loaded=NEW)), PASS, "15.0.2000.440"),  # the other one is not in use
        (DENIED, UNKNOWN, "cannot be read: run elevated"),
    ],
)
def test_file_that_sql_server_loads_is_assessed(files, outcome, text):
    found = host_rules.connector_version(files)
    assert found.outcome is outcome
    assert text in found.detail
    assert found.code is None


@pytest.mark.parametrize(
    ("runtimes", "version", "major", "outcome", "text"),
    [
        ((VC_2015,), NEW, 16, PASS, "Visual C++ 2015 (x64), 14.0.24215"),
        ((VC_2015,), NEW, None, PASS, "2015"),
        ((VC_2013,), NEW, 16, FAIL, "Visual C++ 2015 for x64 is not installed"),
        ((VC_2015,), NEW, 12, FAIL, "Visual C++ 2013 for x64 is not installed"),
        ((VC_2013, VC_2015), NEW, 12, PASS, "2013"),
        ((VC_2015,), OLD, 16, FAIL, "2013"),
        ((VC_2015,), None, 16, PASS, "2015"),
        ((RuntimeLibrary("vcruntime140.dll", (14,), registered=False),), NEW, 16, WARN, "although vcruntime140.dll exists"),
        ((RuntimeLibrary("vcruntime140.dll", (14,), registered=False), VC_2015), NEW, 16, PASS, "14.0.24215"),
        ((), NEW, 16, FAIL, "not installed"),
        (DENIED, NEW, 16, UNKNOWN, "run elevated"),
    ],
)
def test_runtime_fits_connector_and_sql_server(runtimes, version, major, outcome, text):
    found = host_rules.vc_runtime(runtimes, (a_file(version),), (an_instance(major=major),))
    assert found.outcome is outcome
    assert text in found.detail


def test_two_sql_servers_may_need_two_runtimes():
    found = host_rules.vc_runtime((VC_2015,), (a_file(),), (an_instance(major=12), an_instance(major=16)))
    assert found.outcome is FAIL
    assert found.detail.startswith("Visual C++ 2013 for x64 is not installed; Visual C++ 2015")


@pytest.mark.parametrize(("files", "current"), [((a_file(),), True), ((a_file(OLD), a_file(None)), False), ((a_file(None),), None), (DENIED, None)])  # fmt: skip
def test_generation_is_that_of_the_newest_file(files, current):
    assert host_rules.is_current(files) is current


def rights(key, *instances, wanted=WANTED, current=True):
    return host_rules.registry_rights(key, instances or (an_instance(),), wanted, current=current)


def test_account_with_full_control_passes_with_its_name_and_state():
    found = rights(a_key())
    assert found.outcome is PASS
    assert found.detail == r"NT Service\MSSQLSERVER (MSSQLSERVER, running) has Full Control; 1 entry, of this key version too"


@pytest.mark.parametrize(
    ("key", "outcome", "text"),
    [
        (a_key(full(SYSTEM), full(ADMINISTRATORS)), FAIL, r"NT Service\MSSQLSERVER (MSSQLSERVER, running) lacks Full Control;"),
        (a_key(full(ADMINISTRATORS), groups={ADMINISTRATORS: "Administrators"}), FAIL, "lacks Full Control"),
        (a_key(full(OTHER_SERVICE), groups={OTHER_SERVICE: OTHER_SERVICE}), FAIL, "lacks Full Control"),
        (a_key(full(GROUP), groups={GROUP: r"CONTOSO\sql"}), WARN, r"lacks Full Control, unless it is a member of CONTOSO\sql"),
        (a_key(full(GROUP)), FAIL, "lacks Full Control"),
        (a_key(full(GROUP), members={GROUP: (SID,)}), PASS, "has Full Control"),
        (a_key(full(GROUP), groups={GROUP: GROUP}, members={GROUP: (SYSTEM,)}), WARN, "unless"),
        (a_key(full(below=False)), WARN, "keys below do not inherit it"),
        (DENIED, UNKNOWN, "run elevated"),
    ],
)
def test_right_of_the_service_account_is_assessed(key, outcome, text):
    found = rights(key)
    assert found.outcome is outcome
    assert text in found.detail


def test_lost_right_stops_databases_only_if_the_key_has_entries():
    assert rights(a_key(full(SYSTEM))).moment is FailureMoment.KEY
    assert rights(a_key(full(SYSTEM), uri="")).moment is None


def test_right_to_a_key_below_is_assessed_too():
    key = a_key()
    below = replace(key.entries[1], rights=(full(SYSTEM),))
    found = rights(replace(key, entries=(key.entries[0], below)))
    assert found.outcome is FAIL
    assert r"lacks Full Control of Azure Key Vault\vault\0A" in found.detail


def test_unknown_account_has_no_verdict():
    found = rights(a_key(), an_instance(account=r"GONE\sql", sid="", sids=frozenset()))
    assert found.outcome is UNKNOWN
    assert r"GONE\sql (MSSQLSERVER, running): this host cannot resolve the account" in found.detail
    assert "unknown account (" in rights(a_key(), an_instance(account="", sid="")).detail


@pytest.mark.parametrize(("current", "outcome"), [(True, FAIL), (False, WARN), (None, WARN)])
def test_missing_key_fails_for_connector_1_0_5_0(current, outcome):
    found = rights(ConnectorKey(entries=()), current=current)
    assert found.outcome is outcome
    assert r"HKLM\SOFTWARE\Microsoft\SQL Server Cryptographic Provider does not exist" in found.detail


@pytest.mark.parametrize(
    ("uri", "wanted", "current", "outcome", "text"),
    [
        (
            "https://contoso-prod.vault.azure.net/keys/ContosoRSAKey0/bbbb",
            WANTED,
            True,
            WARN,
            "1 entry, none of this key version: SQL",
        ),
        ("https://contoso-prod.vault.azure.net/keys/ContosoRSAKey0/bbbb", WANTED, False, PASS, "none of this key version"),
        ("https://contoso-prod.vault.azure.net/keys/ContosoRSAKey0/bbbb", WANTED._replace(version=None), True, PASS, "too"),
        ("https://other.vault.azure.net/keys/ContosoRSAKey0/" + "a" * 32, WANTED, True, WARN, "none"),
        ("https://no-key", WANTED, False, PASS, "none"),
        ("", WANTED, True, WARN, "0 entries"),
    ],
)
def test_entry_of_the_key_version_is_counted(uri, wanted, current, outcome, text):
    found = rights(a_key(uri=uri), wanted=wanted, current=current)
    assert found.outcome is outcome
    assert text in found.detail


@pytest.mark.parametrize(
    ("cluster_node", "clustered", "outcome", "text"),
    [
        (False, False, PASS, "not needed"),
        (True, False, PASS, "not needed"),
        (True, True, UNKNOWN, "needed for MSSQLSERVER"),
        (DENIED, True, UNKNOWN, "run elevated"),
    ],
)
def test_checkpoint_is_needed_only_for_a_clustered_instance(cluster_node, clustered, outcome, text):
    found = host_rules.cluster_checkpoint(cluster_node, (an_instance(clustered=clustered),))
    assert found.outcome is outcome
    assert text in found.detail

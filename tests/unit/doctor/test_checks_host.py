"""The checks of SQL Servers by their readings, and of their host by facts of Windows."""

from datetime import UTC, datetime

import pytest

from exporter.doctor.host_rules import ConnectorFile, TlsSettings, Unreadable
from exporter.doctor.run import as_data, as_text, assess_all
from exporter.knowledge.checks import CHECKS
from exporter.knowledge.checks_vault import CheckOutcome
from exporter.sqlserver.differences import DeclaredTargets
from exporter.sqlserver.document import Document, completed
from exporter.sqlserver.reading import SqlServerReading
from exporter.windows.rules import SYSTEM, WindowsResponse
from tests.support import sql_readings
from tests.support.doctor_simulated import VAULT
from tests.support.sql_inventory import rows_of
from tests.support.values import replace
from tests.support.windows_facts import ACCOUNT, DLL, a_key, event_xml, full, host_facts
from tests.unit.doctor.test_checks_vault import evidence, vault_at

N1 = {"sql_instance": "SQLPRD01", "host": "n1"}
DENIED = "message 229: The SELECT permission was denied on the object 'backupset'."
NO_LOG = "message 229: The EXECUTE permission was denied on the object 'xp_readerrorlog'."
IN_USE, OTHER = "0x2C56", "0x2C57"
CODE = {"code": "3303", "lines": 2, "first_utc": "2026-11-26T19:10:00", "last_utc": "2026-11-26T19:50:00"}
PASS, WARN, FAIL, SKIPPED, UNKNOWN = (getattr(CheckOutcome, name) for name in ("PASS", "WARN", "FAIL", "SKIPPED", "UNKNOWN"))


def a_reading(server="N1\\SQLPRD01", *, address="n1.contoso.com", errors=(), **changes):
    rows = rows_of(server)
    sections = {name: tuple(found) for name, found in rows.items() if name not in dict(errors)}
    document = completed(Document(address=address, sections=sections, errors=dict(errors)))
    known = {"sql_instance": "SQLPRD01", "host": server.partition("\\")[0].lower(), "document": document}
    read_at = dict.fromkeys(sections, 1.8e9)
    return SqlServerReading(address=address, attempted_at=1.8e9, read_at=read_at, **(known | changes))


def a_failure(text="port 1433 is closed: start the instance", *, refused=False, address="n2"):
    return SqlServerReading(address=address, sql_instance="", host="", attempted_at=1.8e9, failure=text, refused=refused)


CHECKED = ("sql_connection", "sql_login", "sql_rights", "sql_labels", "sql_keys")
REFUSED = a_failure("the login was refused (18456): check user and password", refused=True)


def results(*readings, instances=(N1,), thumbprint=IN_USE):
    target = replace(evidence().target, instances=instances, thumbprint=thumbprint)
    declared = DeclaredTargets([target])
    return {
        each.check: each for each in assess_all(evidence(target=target, sql_servers=readings, declared=declared), again="again")
    }


def test_login_that_is_refused_later_has_a_reason():
    found = results(a_reading(refused=True))["sql_login"]
    assert found.outcome is FAIL
    assert "n1.contoso.com: accepted, but refused when the connection was opened again" in found.detail


def outcomes(*readings, **more):
    return [result.outcome for name, result in results(*readings, **more).items() if name in CHECKED]


def test_target_without_a_reader_has_no_check_of_sql_servers():
    names = {each.check for each in assess_all(evidence(sql_servers=None), again="again")}
    assert names.isdisjoint({"sql_connection", "sql_login", "sql_rights", "sql_labels", "sql_keys", "sql_proof"})


@pytest.mark.parametrize(
    ("readings", "expected"),
    [
        ((), [SKIPPED] * 5),
        ((a_reading(),), [PASS] * 5),
        ((a_failure(),), [FAIL, SKIPPED, SKIPPED, SKIPPED, SKIPPED]),
        ((REFUSED,), [PASS, FAIL, SKIPPED, SKIPPED, SKIPPED]),
        ((a_failure(), a_reading()), [FAIL, PASS, PASS, PASS, PASS]),
        ((REFUSED, a_reading()), [PASS, FAIL, PASS, PASS, PASS]),
        ((REFUSED, a_failure()), [FAIL, FAIL, SKIPPED, SKIPPED, SKIPPED]),
        ((a_reading(errors={"backups": DENIED}),), [PASS, PASS, WARN, PASS, PASS]),
        ((a_reading(errors={"errors": NO_LOG}),), [PASS] * 5),
    ],
)  # fmt: skip
def test_each_check_reports_its_own_fault(readings, expected):
    assert outcomes(*readings) == expected


def test_missing_right_is_named_with_its_loss():
    found = results(a_reading(errors={"backups": DENIED, "loaded": "message 33029: Cannot load the library."}))["sql_rights"]
    assert found.detail == (
        "SQLPRD01 on n1: backups not readable; SQLPRD01 on n1: loaded not read: message 33029: Cannot load the library."
    )
    assert " ".join(found.fix).startswith(
        "`SELECT on msdb.dbo.backupset` is missing: run part 3 of `login.sql`. Without it, no backup"
    )


def test_fault_that_is_no_missing_right_has_a_fix():
    found = results(a_reading(errors={"logs": "message 1222: Lock request time out period exceeded."}))["sql_rights"]
    assert (found.outcome, found.fix) == (
        WARN,
        ("The message names the cause: `ekm-exporter explain NUMBER` has more about it.",),
    )


def with_proofs(**sections):
    return sql_readings.a_reading(sections=sections)


def test_credential_is_shown_from_the_reading():
    assert results(with_proofs())["sql_credential"].detail.startswith("SQLPRD01 on n1: [")
    assert results(a_failure())["sql_credential"].outcome is UNKNOWN


@pytest.mark.parametrize(
    ("changes", "instances", "detail"),
    [
        ({}, (N1,), None),
        ({}, ({"sql_instance": "SQLPRD01"},), None),
        ({"host": "N1"}, (N1,), None),
        ({"sql_instance": "PROD"}, (N1,), "n1.contoso.com is SQLPRD01 on n1, but sql_servers names it PROD on n1"),
        ({}, ({"sql_instance": "SQLPRD01", "host": "n1.contoso.com"},), None),
        ({}, ({"sql_instance": "SQLPRD01", "host": "n2"},), "the target's instances may name SQLPRD01 on n1, or another SQL Server"),
    ],
)  # fmt: skip
def test_labels_that_differ_are_a_warning(changes, instances, detail):
    found = results(a_reading(**changes), instances=instances)["sql_labels"]
    assert (found.outcome, found.detail) == (
        (PASS, f"SQLPRD01 on {changes.get('host', 'n1')}") if detail is None else (WARN, detail)
    )
    assert bool(found.fix) is (detail is not None)


def test_other_key_in_use_is_a_warning_with_the_lines_to_write():
    found = results(a_reading(), a_reading("N2\\SQLPRD01"), instances=(N1, N1 | {"host": "n2"}), thumbprint=OTHER)["sql_keys"]
    assert found.outcome is WARN
    assert "but SQLPRD01 on n1 uses the key of thumbprint 0x2C56 for 1 database, so" in found.detail
    assert "but SQLPRD01 on n2 uses" in found.detail
    assert found.fix[0].startswith('If the databases moved on purpose, write `key: KEYURI` and `thumbprint: "0x2C56"` to target ')


def test_other_target_of_the_server_is_not_this_targets_business():
    other = replace(evidence().target, name="elsewhere", instances=(N1,), thumbprint=OTHER)
    declared = DeclaredTargets([other])
    whole = assess_all(evidence(sql_servers=(a_reading(),), declared=declared), again="again")
    assert next(each for each in whole if each.check == "sql_keys").outcome is PASS


def test_failure_of_a_reading_affects_no_database():
    whole = list(results(a_failure()).values())
    alone = [each for each in whole if each.check.startswith("sql_")]
    text = " ".join(as_text(evidence().target, alone).split())
    assert text.endswith("SQL Server would show no code for this. The exporter reports nothing that this SQL Server alone can show, "
                         "such as its last backup. SQL Server itself is not affected.")  # fmt: skip


def disabled(reading, section, **values):
    rows = [dict(row) | values for row in reading.document.sections[section]]
    return replace(reading, document=replace(reading.document, sections={**reading.document.sections, section: tuple(rows)}))


def with_two_providers(reading, build="2.0"):
    """Return the reading with another provider than the connector."""
    sections = dict(reading.document.sections)
    for name, key, changes in (("providers", "name", {}), ("modules", "provider", {"file_version": build})):
        sections[name] = (*sections[name], {**sections[name][0], key: "AzureKV2", **changes})
    return replace(reading, document=replace(reading.document, sections=sections))


UNREAD = "message 300: denied"
N2 = a_reading("N2\\SQLPRD01")
TWO, TWO_OF_N2, OTHER_BUILD = with_two_providers(a_reading()), with_two_providers(N2), with_two_providers(N2, "2.1")
BUILDS = (
    "15.0.2000.440 (AzureKV of SQLPRD01 on n1), 2.0 (AzureKV2 of SQLPRD01 on n1), "
    "15.0.2000.440 (AzureKV of SQLPRD01 on n2), {} (AzureKV2 of SQLPRD01 on n2)"
)


@pytest.mark.parametrize(
    ("check", "readings", "outcome", "detail"),
    [
        ("sql_labels", (a_failure(),), SKIPPED, "because of: Connection to SQL Server"),
        ("sql_rights", (REFUSED,), SKIPPED, "because of: Login of SQL Server"),
        ("sql_login", (), SKIPPED, "none of the target's instances is under sql_servers"),
        ("sql_connection", (a_failure(), a_failure("no such name", address="n3"), a_reading()), FAIL, "n2: port 1433 is closed: start the instance; n3: no such name"),
        ("sql_connection", tuple(a_failure("gone", address=f"n{number}") for number in range(11)), FAIL, "; ".join(f"n{number}: gone" for number in range(8)) + " and 3 more"),
        ("sql_rights", (a_reading(errors={"errors": NO_LOG}),), PASS, "all that are needed; EXECUTE on sys.xp_readerrorlog (optional) is missing, so the codes of failed backups are unknown: only their absence shows"),
        ("sql_keys", (a_reading(errors={"keys": DENIED}),), UNKNOWN, "the login may not read which keys are in use"),
        ("sql_proof", (with_proofs(),), PASS, "SQLPRD01 on n1: 55 min ago, log backup of [sales]"),
        ("sql_proof", (with_proofs(errors=[CODE]),), FAIL, "SQLPRD01 on n1: 55 min ago, log backup of [sales]; its error log shows 3303 since 19:10 UTC"),
        ("sql_proof", (a_reading(),), WARN, "SQLPRD01 on n1: not proven since the credential was altered at 2026-01-02 03:04 UTC"),
        ("sql_proof", (with_proofs(keys=[], encryption=[]),), SKIPPED, "no key in use"),
        ("sql_proof", (a_failure(),), SKIPPED, "because of: Connection to SQL Server"),
        ("ekm_enabled", (a_reading(), N2), PASS, "enabled: SQLPRD01 on n1, SQLPRD01 on n2"),
        ("ekm_enabled", (a_reading(), disabled(N2, "configurations", value_in_use=0)), FAIL, "the option or the provider is disabled: SQLPRD01 on n2"),
        ("ekm_enabled", (disabled(a_reading(), "providers", is_enabled=0),), FAIL, "the option or the provider is disabled: SQLPRD01 on n1"),
        ("ekm_enabled", (a_failure(),), UNKNOWN, "visible only on the SQL Server host"),
        ("ekm_enabled", (a_reading(errors={"configurations": UNREAD}),), UNKNOWN, "visible only on the SQL Server host"),
        ("connector_version", (a_reading(),), PASS, "15.0.2000.440 (SQLPRD01 on n1)"),
        ("connector_version", (a_reading(), disabled(N2, "modules", file_version="15.0.300.96")), WARN, "different builds: 15.0.2000.440 (SQLPRD01 on n1), 15.0.300.96 (SQLPRD01 on n2)"),
        ("connector_version", (TWO, TWO_OF_N2), PASS, BUILDS.format("2.0")),
        ("connector_version", (TWO, OTHER_BUILD), WARN, "different builds: " + BUILDS.format("2.1")),
        ("connector_version", (a_reading(errors={"modules": UNREAD}),), UNKNOWN, "visible only on the SQL Server host"),
        ("connector_version", (), UNKNOWN, "visible only on the SQL Server host"),
    ],
)  # fmt: skip
def test_check_shows_what_readings_have(check, readings, outcome, detail):
    found = results(*readings)[check]
    assert (found.outcome, found.code, found.detail) == (outcome, None, detail)
    assert bool(found.fix) is (outcome in (WARN, FAIL) or detail.startswith("visible only"))


def with_closed(*codes):
    databases = [
        *sql_readings.sections_of()["databases"],
        sql_readings.sections_of()["databases"][0] | {"name": "claims", "state": "RECOVERY_PENDING"},
    ]
    errors = [{**CODE, "code": code} for code in codes]
    return with_proofs(databases=databases, errors=errors)


def test_closed_databases_fail_and_are_counted():
    found = results(with_closed("33111"))
    assert (found["sql_closed"].outcome, found["sql_closed"].detail) == (
        FAIL,
        "1 SQL Server has closed databases: [claims] of SQLPRD01 on n1 (RECOVERY PENDING)",
    )
    assert "its error log shows message 33111 since 19:10 UTC" in found["sql_proof"].detail
    assert any("explain 33111" in line for line in found["sql_proof"].fix)
    assert results(with_proofs())["sql_closed"].outcome is PASS
    assert results(a_failure())["sql_closed"].outcome is SKIPPED


@pytest.mark.parametrize(("code", "expected"), [("3303", True), ("3900", False)])
def test_new_secret_is_an_action_for_sign_in_codes_only(code, expected):
    fix = results(with_proofs(errors=[{**CODE, "code": code}]))["sql_proof"].fix
    assert any("alter-credential.sql" in line for line in fix) is expected


# The host, by facts of Windows.

ON_HOST = [check.name for check in CHECKS if check.on_host]
IN_SQL_SERVER = {"ekm_enabled", "sql_credential"}
TODAY = datetime(2026, 11, 24, 12, tzinfo=UTC).timestamp()


def results_on(host, **changes):
    given = {"now": TODAY, "vault": vault_at()} | changes
    found = assess_all(evidence(host=host, **given), again="again")
    return {result.check: result for result in found}


def test_healthy_host_passes_every_check_that_windows_shows():
    found = results_on(host_facts())
    assert {name: found[name].outcome for name in ON_HOST} == {
        name: UNKNOWN if name in IN_SQL_SERVER else PASS for name in ON_HOST
    }
    assert {found[name].detail for name in IN_SQL_SERVER} == {"visible only in SQL Server"}
    assert found["clock"].detail.endswith("; Windows Time is running: the domain is its source")


def test_without_a_look_up_the_host_is_unknown():
    found = results_on(None)
    assert {found[name].outcome for name in ON_HOST} == {UNKNOWN}
    assert {found[name].detail for name in ON_HOST} == {"visible only on the SQL Server host"}
    assert "Windows Time" not in found["clock"].detail


def test_host_without_sql_server_keeps_the_commands():
    here, elsewhere = results_on(host_facts(instances=())), results_on(None)
    assert {(found.outcome, found.detail) for name, found in here.items() if name in ON_HOST} == {
        (UNKNOWN, "no SQL Server on this host")
    }
    assert [here[name].fix for name in ON_HOST] == [elsewhere[name].fix for name in ON_HOST]


def test_unreadable_instances_are_named_with_the_commands():
    found = results_on(host_facts(instances=Unreadable(denied=True)))
    assert {found[name].detail for name in ON_HOST} == {"the instances of SQL Server: cannot be read: run elevated"}
    assert all(found[name].fix for name in ON_HOST)


@pytest.mark.parametrize(
    ("fact", "check"),
    [
        ("files", "connector_version"),
        ("runtimes", "vc_runtime"),
        ("key", "registry_rights"),
        ("cluster_node", "cluster_checkpoint"),
        ("tls", "windows_tls"),
        ("response", "windows_tls"),
        ("proxies", "service_proxy"),
        ("events", "event_log"),
    ],
)
def test_unreadable_fact_leaves_only_its_check_unknown(fact, check):
    healthy, found = results_on(host_facts()), results_on(host_facts(**{fact: Unreadable(denied=True)}))
    assert {name for name in found if found[name].outcome is not healthy[name].outcome} == {check}
    assert found[check].outcome is UNKNOWN
    assert "cannot be read: run elevated" in found[check].detail
    assert found[check].fix


def test_unreadable_time_service_is_a_part_of_the_clock():
    found = results_on(host_facts(time_service=Unreadable(denied=True)))["clock"]
    assert found.detail.endswith("; Windows Time cannot be read: run elevated")


def test_reading_of_sql_server_joins_the_file():
    found = results_on(host_facts(instances=()), sql_servers=(a_reading(),))
    assert found["connector_version"].outcome is PASS
    joined = results_on(host_facts(), sql_servers=(a_reading(),))
    assert joined["connector_version"].detail.startswith(f"15.0.2000.440 at {DLL}; loaded: ")
    assert joined["ekm_enabled"].outcome is PASS


def test_builds_of_readings_are_shown_without_the_files():
    readings = (a_reading(), disabled(N2, "modules", file_version="15.0.300.96"))
    found = results_on(host_facts(files=Unreadable(denied=True)), sql_servers=readings)["connector_version"]
    assert found.outcome is WARN
    assert found.detail.startswith("loaded: different builds: 15.0.2000.440 (SQLPRD01 on n1), 15.0.300.96")


def test_missing_dll_has_an_effect_and_no_code():
    found = results_on(host_facts(files=(ConnectorFile(path=DLL, version=None, of_sql_server=True),)))
    assert (found["connector_version"].outcome, found["connector_version"].code) == (FAIL, None)
    text = " ".join(as_text(evidence().target, [found["connector_version"]]).split())
    assert "At its next start, SQL Server loads no provider" in text


def test_lost_right_warns_of_a_restart():
    found = results_on(host_facts(key=a_key(full(SYSTEM))))["registry_rights"]
    assert (found.outcome, found.code) == (FAIL, 2058)
    assert f"{ACCOUNT} (MSSQLSERVER, running) lacks Full Control" in found.detail
    assert "do not restart" in as_text(evidence().target, [found])


@pytest.mark.parametrize(
    ("response", "outcome", "code", "text"),
    [
        (WindowsResponse(200), PASS, None, r"HTTP 200 as CONTOSO\dba"),
        (WindowsResponse(407), WARN, 3012, "requires a sign-in (HTTP 407)"),
        (WindowsResponse(None, 12045), FAIL, 3008, r"Windows error 12045 as CONTOSO\dba: the certificate"),
        (WindowsResponse(None, 12175), FAIL, 3008, "Windows error 12175"),
        (WindowsResponse(None, 12057), WARN, 3008, "could not check whether the certificate of the server is revoked"),
        (WindowsResponse(None, 12007), WARN, 3900, "the host name did not resolve"),
        (WindowsResponse(None, 12999), WARN, None, "its text is not in this table"),
        (WindowsResponse(None), WARN, None, "Windows error 0 as"),
        (None, PASS, None, "connect_to of the module redirects the vault"),
    ],
)
def test_request_of_windows_has_its_error_and_code(response, outcome, code, text):
    found = results_on(host_facts(response=response))["windows_tls"]
    assert (found.outcome, found.code) == (outcome, code)
    assert text in found.detail
    assert bool(found.fix) is (outcome is not PASS)


def test_disabled_tls_fails_although_the_request_succeeds():
    found = results_on(host_facts(tls=TlsSettings(enabled=0)))["windows_tls"]
    assert (found.outcome, found.code) == (FAIL, 3008)
    assert found.detail.startswith("TLS 1.2 is disabled for clients; Windows trusts")


@pytest.mark.parametrize(
    ("changes", "outcome"),
    [({}, PASS), ({"proxy": "http://user@p.example:3128"}, WARN), ({"proxy": "http://p:1", "redirected": "127.0.0.1:1"}, PASS)],
)
def test_proxy_of_the_account_is_compared_with_that_of_the_probe(changes, outcome):
    found = results_on(host_facts(), vault=replace(vault_at(), **changes))["service_proxy"]
    assert found.outcome is outcome
    assert "user@" not in found.detail


def test_recent_event_warns_with_its_code_and_count():
    events = (event_xml("error 3303"), event_xml("error 3303", at="2026-11-23T08:00:00Z"), event_xml("started"))
    found = results_on(host_facts(events=events))["event_log"]
    assert found.outcome is WARN
    assert found.detail == "3303: 2 times, last 2026-11-24 10:02 UTC"
    assert found.fix[:2] == ("More about it:", "  ekm-exporter explain 3303")
    assert any("Get-WinEvent" in line for line in found.fix)


@pytest.mark.parametrize(
    ("events", "text"),
    [
        ((), "no event of the connector"),
        ((event_xml("started"), "no XML"), "no error among the connector's last events: 1"),
        ((event_xml("error 3303", at="2026-11-01T08:00:00Z"),), "3303: once, last 2026-11-01 08:00 UTC"),
        ((event_xml("error 3303", at="?"),), "3303: once, last at an unknown time"),
        ((event_xml("Cannot find key with thumbprint in registry.", at="2026-11-01T08:00:00Z"),), "The registry has no entry"),
    ],
)
def test_old_or_missing_events_pass(events, text):
    found = results_on(host_facts(events=events))["event_log"]
    assert found.outcome is PASS
    assert text in found.detail


@pytest.mark.parametrize("events", [(), (event_xml("error 3303"),), (event_xml("error 3303", at="2026-11-01T08:00:00Z"),)])
def test_log_that_the_connector_does_not_write_proves_nothing(events):
    found = results_on(host_facts(events=events, log_level=2))["event_log"]
    assert found.outcome is WARN
    assert found.detail.endswith("it proves nothing: the connector writes no events (registry value `Level` is 2)")
    assert any(
        r'reg add "HKLM\SOFTWARE\Microsoft\SQL Server Cryptographic Provider\Azure Key Vault\Log" /v Level' in line
        for line in found.fix
    )


SILENT, STARTED = (), (event_xml("started"),)


@pytest.mark.parametrize(
    ("level", "events", "outcome"),
    [(0, SILENT, PASS), (1, SILENT, PASS), (Unreadable(denied=True), SILENT, UNKNOWN), (Unreadable(denied=True), STARTED, PASS)],
)
def test_empty_log_passes_only_if_the_connector_writes_errors(level, events, outcome):
    assert results_on(host_facts(log_level=level, events=events))["event_log"].outcome is outcome


def test_report_of_a_host_keeps_its_columns_and_fields():
    found = list(results_on(host_facts(key=a_key(full(SYSTEM)))).values())
    for line in as_text(evidence().target, found).splitlines():
        assert len(line) <= 80 or line.startswith(" " * 10), line
    data = as_data(evidence().target, found)
    assert set(data["checks"][0]) == {"check", "outcome", "code", "detail", "fix", "title"}
    assert VAULT in data["vault"]

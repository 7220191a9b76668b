"""The checks of SQL Servers, by readings of them."""

from dataclasses import replace

import pytest

from exporter.doctor.run import as_text, assess_all
from exporter.knowledge.checks_vault import CheckOutcome
from exporter.sqlserver.differences import DeclaredTargets
from exporter.sqlserver.document import Document, completed
from exporter.sqlserver.reading import SqlServerReading
from tests.support import sql_readings
from tests.support.sql_inventory import rows_of
from tests.unit.doctor.test_checks import evidence

N1 = {"sql_instance": "SQLPRD01", "host": "n1"}
DENIED = "message 229: The SELECT permission was denied on the object 'backupset'."
NO_LOG = "message 229: The EXECUTE permission was denied on the object 'xp_readerrorlog'."
IN_USE, OTHER = "0x2C56", "0x2C57"
CODE = {"code": "3303", "lines": 2, "first_utc": "2026-11-26T19:10:00", "last_utc": "2026-11-26T19:50:00"}
PASS, WARN, FAIL, SKIPPED = CheckOutcome.PASS, CheckOutcome.WARN, CheckOutcome.FAIL, CheckOutcome.SKIPPED


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
    declared = DeclaredTargets([target], ["SQLPRD01"])
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


def test_skipped_check_names_the_failed_one():
    assert results(a_failure())["sql_labels"].detail == "because of: Connection to SQL Server"
    assert results(REFUSED)["sql_rights"].detail == "because of: Login of SQL Server"
    assert results()["sql_login"].detail == "none of the target's instances is under sql_servers"


def test_failure_names_the_server_and_its_cause():
    found = results(a_failure(), a_failure("no such name", address="n3"), a_reading())["sql_connection"]
    assert found.detail == "n2: port 1433 is closed: start the instance; n3: no such name"
    assert (found.code, bool(found.fix)) == (None, True)


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


@pytest.mark.parametrize(
    ("readings", "outcome", "detail"),
    [
        ((with_proofs(),), PASS, "SQLPRD01 on n1: 55 min ago, log backup of [sales]"),
        (
            (with_proofs(errors=[CODE]),),
            FAIL,
            "SQLPRD01 on n1: 55 min ago, log backup of [sales]; its error log shows 3303 since 19:10 UTC",
        ),
        ((a_reading(),), WARN, "SQLPRD01 on n1: not proven since the credential was altered at 2026-01-02 03:04 UTC"),
        ((with_proofs(keys=[], encryption=[]),), SKIPPED, "no key in use"),
        ((a_failure(),), SKIPPED, "because of: Connection to SQL Server"),
    ],
)
def test_check_shows_what_sql_server_itself_proved(readings, outcome, detail):
    found = results(*readings)["sql_proof"]
    assert (found.outcome, found.detail) == (outcome, detail)


def test_credential_is_shown_from_the_reading():
    assert results(with_proofs())["sql_credential"].detail.startswith("SQLPRD01 on n1: [")
    assert results(a_failure())["sql_credential"].outcome is CheckOutcome.UNKNOWN


def test_missing_optional_right_is_part_of_a_pass():
    found = results(a_reading(errors={"errors": NO_LOG}))["sql_rights"]
    assert found.detail == (
        "all that are needed; EXECUTE on sys.xp_readerrorlog (optional) is missing, so the codes of failed backups are unknown: only "
        "their absence shows"
    )


@pytest.mark.parametrize(
    ("changes", "instances", "detail"),
    [
        ({}, (N1,), None),
        ({}, ({"sql_instance": "SQLPRD01"},), None),
        ({"host": "N1"}, (N1,), "the target's instances write SQLPRD01 on N1 in another way"),
        ({"sql_instance": "PROD"}, (N1,), "n1.contoso.com is SQLPRD01 on n1, but sql_servers names it PROD on n1"),
        (
            {},
            ({"sql_instance": "SQLPRD01", "host": "n1.contoso.com"},),
            "the target's instances write SQLPRD01 on n1 in another way",
        ),
    ],
)
def test_labels_that_differ_are_a_warning(changes, instances, detail):
    found = results(a_reading(**changes), instances=instances)["sql_labels"]
    assert (found.outcome, found.detail) == ((PASS, "SQLPRD01 on n1") if detail is None else (WARN, detail))
    assert bool(found.fix) is (detail is not None)


def test_other_key_in_use_is_a_warning_with_the_lines_to_write():
    found = results(a_reading(), a_reading("N2\\SQLPRD01"), instances=(N1, N1 | {"host": "n2"}), thumbprint=OTHER)["sql_keys"]
    assert found.outcome is WARN
    assert "but SQLPRD01 on n1 uses the key of thumbprint 0x2C56 for 1 database, so" in found.detail
    assert "but SQLPRD01 on n2 uses" in found.detail
    assert found.fix[0].startswith('If the databases moved on purpose, write `key: KEYURI` and `thumbprint: "0x2C56"` to target ')


def test_keys_of_a_server_without_the_right_are_unknown():
    found = results(a_reading(errors={"keys": DENIED}), thumbprint=OTHER)["sql_keys"]
    assert (found.outcome, found.detail) == (CheckOutcome.UNKNOWN, "the login may not read which keys are in use")


def test_other_target_of_the_server_is_not_this_targets_business():
    other = replace(evidence().target, name="elsewhere", instances=(N1,), thumbprint=OTHER)
    declared = DeclaredTargets([other], ["SQLPRD01"])
    whole = assess_all(evidence(sql_servers=(a_reading(),), declared=declared), again="again")
    assert next(each for each in whole if each.check == "sql_keys").outcome is PASS


def test_many_servers_make_one_line():
    found = results(*(a_failure("no such name", address=f"n{number}") for number in range(11)))["sql_connection"]
    assert found.detail.endswith("n7: no such name and 3 more")


def test_failure_of_a_reading_affects_no_database():
    whole = list(results(a_failure()).values())
    alone = [each for each in whole if each.check.startswith("sql_")]
    text = " ".join(as_text(evidence().target, alone).split())
    assert text.endswith("SQL Server would show no code for this. The exporter reports nothing that this SQL Server alone can show, "
                         "such as its last backup. SQL Server itself is not affected.")  # fmt: skip


def disabled(reading, section, **values):
    rows = [dict(row) | values for row in reading.document.sections[section]]
    return replace(reading, document=replace(reading.document, sections={**reading.document.sections, section: tuple(rows)}))


@pytest.mark.parametrize(
    ("readings", "outcome", "detail"),
    [
        ((a_reading(), a_reading("N2\\SQLPRD01")), PASS, "enabled: SQLPRD01 on n1, SQLPRD01 on n2"),
        (
            (a_reading(), disabled(a_reading("N2\\SQLPRD01"), "configurations", value_in_use=0)),
            FAIL,
            "the option or the provider is disabled: SQLPRD01 on n2",
        ),
        ((disabled(a_reading(), "providers", is_enabled=0),), FAIL, "the option or the provider is disabled: SQLPRD01 on n1"),
        ((a_failure(),), CheckOutcome.UNKNOWN, "visible only on the SQL Server host"),
        ((a_reading(errors={"configurations": "message 300: denied"}),), CheckOutcome.UNKNOWN, "visible only on the SQL Server host"),
    ],
)  # fmt: skip
def test_reading_shows_whether_the_provider_is_enabled(readings, outcome, detail):
    found = results(*readings)["ekm_enabled"]
    assert (found.outcome, found.code, found.detail) == (outcome, None, detail)
    assert bool(found.fix) is (outcome is not PASS)


def with_two_providers(reading, build="2.0"):
    """Return the reading with another provider than the connector."""
    sections = dict(reading.document.sections)
    for name, key, changes in (("providers", "name", {}), ("modules", "provider", {"file_version": build})):
        sections[name] = (*sections[name], {**sections[name][0], key: "AzureKV2", **changes})
    return replace(reading, document=replace(reading.document, sections=sections))


@pytest.mark.parametrize(
    ("readings", "outcome", "detail"),
    [
        ((a_reading(),), PASS, "15.0.2000.440 (SQLPRD01 on n1)"),
        (
            (a_reading(), disabled(a_reading("N2\\SQLPRD01"), "modules", file_version="15.0.300.96")),
            WARN,
            "different builds: 15.0.2000.440 (SQLPRD01 on n1), 15.0.300.96 (SQLPRD01 on n2)",
        ),
        (
            (with_two_providers(a_reading()), with_two_providers(a_reading("N2\\SQLPRD01"))),
            PASS,
            (
                "15.0.2000.440 (AzureKV of SQLPRD01 on n1), 2.0 (AzureKV2 of SQLPRD01 on n1), "
                "15.0.2000.440 (AzureKV of SQLPRD01 on n2), 2.0 (AzureKV2 of SQLPRD01 on n2)"
            ),
        ),
        (
            (with_two_providers(a_reading()), with_two_providers(a_reading("N2\\SQLPRD01"), "2.1")),
            WARN,
            (
                "different builds: 15.0.2000.440 (AzureKV of SQLPRD01 on n1), 2.0 (AzureKV2 of SQLPRD01 on n1), "
                "15.0.2000.440 (AzureKV of SQLPRD01 on n2), 2.1 (AzureKV2 of SQLPRD01 on n2)"
            ),
        ),
        ((a_reading(errors={"modules": "message 300: denied"}),), CheckOutcome.UNKNOWN, "visible only on the SQL Server host"),
        ((), CheckOutcome.UNKNOWN, "visible only on the SQL Server host"),
    ],
)
def test_reading_shows_the_builds_of_the_connector(readings, outcome, detail):
    found = results(*readings)["connector_version"]
    assert (found.outcome, found.detail) == (outcome, detail)


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

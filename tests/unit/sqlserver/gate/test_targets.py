"""What targets say, beside what SQL Servers proved themselves."""

import pytest

from exporter.sqlserver.gate.render import as_json, as_text
from tests.support.gate_factories import DAY, HOUR, NOW, answer, conditions, document, row, time_of
from tests.support.sql_inventory import altering
from tests.support.sql_readings import a_reading, sections_of
from tests.support.values import replace

TODAY = "2026-11-26T"
FAILING = row(vault_side_ready=False, code=3303, step="token")
OLD_FILE = document(change=altering("instance", read_at_utc="2026-11-20T00:00:00"))
WITHOUT_CREDENTIAL = [{name: value for name, value in sections_of()["keys"][0].items() if name != "credential"}]


def credential(modified):
    return [sections_of()["credentials"][0] | {"modified_utc": modified}]


def error(code, first, last):
    return {"code": code, "lines": 2, "first_utc": TODAY + first, "last_utc": TODAY + last}


def of(*rows, reading=None, inventory=(OLD_FILE,), **sections):
    """The answer after a reading of SQLPRD01 on n1 with these rows."""
    return answer(*rows, inventory=inventory, readings=[reading or a_reading(sections=sections)])


def test_proof_is_in_the_details():
    found = of()
    assert (found.verdict, conditions(found)) == ("ready", [])
    assert as_text(found).splitlines()[3] == "  SQL Server itself: 55 min ago, log backup of [sales]"
    assert as_json(found)["proofs"] == [
        {
            "instance": "N1\\SQLPRD01",
            "key_name": "key_2C56",
            "thumbprint": "0x2C56",
            "credential_altered_at": "2026-01-02T03:04:05.000Z",
            "proof_due": False,
            "proven_at": "2026-11-26T19:05:00.000Z",
            "proven_by": "log_backup",
            "database": "sales",
            "codes_since": [],
        }
    ]


def test_later_change_in_the_file_outdates_the_proof():
    later = document(change=altering("credentials", modified_utc=f"{TODAY}19:30:00"))
    old = replace(a_reading(), read_at=dict.fromkeys(a_reading().read_at, NOW - HOUR))
    assert conditions(of(reading=old, inventory=[later])) == ["credential_not_proven"]
    assert conditions(of(reading=old, inventory=[document()])) == []


@pytest.mark.parametrize(("age", "expected"), [(DAY, []), (HOUR, []), (HOUR - 301, ["proof_old"])])
def test_old_proof_is_not_known(age, expected):
    found = answer(inventory=[OLD_FILE], readings=[a_reading()], proof_age=age)
    assert conditions(found) == expected
    assert all(
        "proved key [key_2C56] last 55 min ago, log backup of [sales], longer ago than 54m59s" in one.text
        for one in found.reasons
    )


STAGED = row(vault_side_ready=False, code=3303, step="token", next_credential_usable=True, last_success=time_of(NOW - 3 * HOUR))
START = [{"started_utc": f"{TODAY}18:00:00"}]
OPENED = [sections_of()["opened"][0] | {"opened_utc": f"{TODAY}18:00:10"}]
PROMOTE = "SQL Server has the staged secret already. Promote the staged credential in the configuration (ekm-exporter docs rollover#4-promote-it-in-the-exporter)"
ALTER = "Run alter-credential.sql with the staged secret on N1\\SQLPRD01 (ekm-exporter docs rollover#3-node-by-node). Then promote the staged credential"


@pytest.mark.parametrize(
    ("changed", "sections", "fix"),
    [
        ({}, {}, PROMOTE),  # a backup two hours after the failure
        ({"last_success": time_of(NOW - 2.5 * HOUR)}, {}, ALTER),  # it may have used a token of the current secret
        ({"last_success": time_of(NOW - 2.5 * HOUR)}, {"start": START, "opened": OPENED, "backups": []}, PROMOTE),
        ({}, {"credentials": credential("2026-06-01T00:00:00"), "opened": [], "backups": []}, ALTER),  # due for months
        ({"last_success": None}, {}, ALTER),
        ({}, {"backups": []}, ALTER),
        ({"last_success": time_of(NOW - HOUR / 2)}, {"credentials": credential(f"{TODAY}19:45:00"), "backups": []}, PROMOTE),
        (
            {"last_success": time_of(NOW - HOUR / 2)},
            {"credentials": credential(f"{TODAY}18:00:00"), "backups": []},
            PROMOTE,
        ),  # due
        ({}, {"credentials": credential(""), "backups": [], "opened": []}, ALTER),
    ],
)
def test_staged_secret_alone_has_its_own_first_action(changed, sections, fix):
    found = of(STAGED | changed, **sections)
    (staged,) = (each for each in found.reasons if each.condition == "staged_only")
    assert (found.verdict, staged.known) == ("not_ready", True)
    assert staged.fix.startswith(fix)
    assert staged.text.startswith(
        "target contoso-key0 is ready only with its staged credential. The current one, tde, is not: 3303 at token; needed by N1\\SQLPRD01. "
    )


@pytest.mark.parametrize(("altered", "fix"), [("2026-11-26T18:00:00", PROMOTE), ("2026-11-20T00:00:00", ALTER)])
def test_staged_secret_without_readings_is_known_by_its_change(altered, fix):
    found = answer(STAGED, inventory=[document(change=altering("credentials", modified_utc=altered))])
    assert next(one for one in found.reasons if one.condition == "staged_only").fix.startswith(fix)


@pytest.mark.parametrize("usable", [False, None])
def test_staged_secret_that_is_refused_does_not_help(usable):
    assert conditions(of(STAGED | {"next_credential_usable": usable})) == ["not_ready"]

"""What SQL Servers proved themselves, and how long their logs have room."""

from dataclasses import replace

import pytest

from exporter.sqlserver.gate.conditions import Condition
from exporter.sqlserver.gate.render import as_json, as_text
from tests.support.gate_factories import DAY, HOUR, NOW, URIS, answer, conditions, document, row, time_of
from tests.support.sql_inventory import altering
from tests.support.sql_readings import a_reading, proof_rows, sections_of, with_growing_logs

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


def growing(*, sections=None, **changes):
    """A reading whose log grows by 1 MiB in five minutes, from 100 MiB of 2 GiB; log backups stopped hours ago."""
    logs = [proof_rows("sales")["logs"][0] | changes]
    backups = [{"database": "sales", "type": "L", "started_utc": f"{TODAY}16:00:00", "finished_utc": f"{TODAY}16:05:00"}]
    return with_growing_logs(a_reading(sections={"logs": logs, "backups": backups, **(sections or {})}))


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


def test_changed_credential_is_proven_by_a_later_backup():
    assert conditions(of(credentials=credential(f"{TODAY}12:00:00"))) == []
    # The file knows the start of the service alone.
    assert conditions(answer(inventory=[document(change=altering("credentials", modified_utc=f"{TODAY}12:00:00"))])) == [
        "credential_not_proven"
    ]


def test_proof_that_is_due_is_not_known():
    (found,) = of(credentials=credential(f"{TODAY}17:30:00")).reasons
    assert (found.condition, found.known) == (Condition.CREDENTIAL_NOT_PROVEN, False)
    assert found.text == (
        "N1\\SQLPRD01: key [key_2C56] is not proven since the credential was altered at 17:30 UTC; a backup finished at 19:05 UTC since, "
        "and one that begins at 19:30 UTC or later proves the key. "
        "SQL Server may not have signed in with it yet"
    )
    assert found.fix.startswith(
        "Two hours after the change, run on N1\\SQLPRD01, with @run set to 1: ekm-exporter script prove.sql"
    )
    assert found.fix.endswith("is an assumption. The next reading of the exporter shows it")


def test_key_without_any_known_event_is_not_known():
    found = of(credentials=credential(""), backups=[], opened=[])
    assert conditions(found) == ["credential_not_proven"]
    assert "is not proven: no start and no finished backup is known" in found.reasons[0].text


@pytest.mark.parametrize(
    "sections",
    [{"backups": None, "opened": None}, {"encryption": None, "backups": [], "opened": []}],
    ids=["backups", "databases"],
)
def test_reading_that_cannot_prove_leaves_it_to_the_start(sections):
    assert conditions(of(**sections)) == []
    found = of(credentials=credential(f"{TODAY}12:00:00"), **sections)
    assert (conditions(found), found.proofs) == (["credential_not_proven"], ())
    assert "not before the start of the service at 2026-11-01" in found.reasons[0].text


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


def aged(*sections, by, **changes):
    """A reading with sections that were read so many seconds before the others."""
    found = a_reading(**changes)
    return replace(found, read_at={**found.read_at, **dict.fromkeys(sections, NOW - by)})


@pytest.mark.parametrize(
    ("sections", "without", "named"),
    [
        (["backups"], None, "backups were"),
        (["errors"], None, "errors were"),
        (["backups", "errors", "opened"], None, "backups, errors were"),
        (["opened"], "backups", "opened were"),
        (["opened", "flags"], None, ""),
    ],
)
def test_old_reading_of_proofs_is_not_known(sections, without, named):
    reading = aged(*sections, by=HOUR + 60, sections={"errors": []} | ({without: None} if without else {}))
    reading = replace(
        reading, document=replace(reading.document, errors={} if without is None else {without: "message 300: denied"})
    )
    found = of(reading=reading)
    assert (conditions(found), found.verdict) == ((["reading_old"], "not_known") if named else ([], "ready"))
    assert conditions(answer(inventory=[OLD_FILE], readings=[reading], reading_age=2 * HOUR)) == []
    assert all(f"N1\\SQLPRD01: {named} read 1h1m ago, longer ago than 1h, so whether" in one.text for one in found.reasons)


def denied(section, **changes):
    """A reading without a section that the login may not read."""
    found = a_reading(**{**changes, "sections": {**changes.get("sections", {}), section: None}})
    return replace(found, document=replace(found.document, errors={section: "message 229: denied"}))


def test_refused_login_is_named_with_the_old_reading():
    old = aged(*a_reading().read_at, by=30 * DAY, failure="login was refused", refused=True)
    found = answer(inventory=[], readings=[replace(old, document=replace(old.document, key_uris=URIS))])
    assert conditions(found) == ["inventory_old", "reading_old"]
    assert found.reasons[1].text.endswith(
        "backups, errors were read 30d ago, longer ago than 1h, so whether backups fail now is "
        "not known. The last attempt failed: login was refused"
    )


def test_log_backups_that_stopped_are_not_known_without_codes():
    last = [{"database": "sales", "type": "L", "started_utc": "2026-11-06T20:00:00", "finished_utc": "2026-11-06T20:05:00"}]
    found = of(reading=denied("errors", sections={"backups": last}))
    assert (conditions(found), found.verdict) == (["proof_old"], "not_known")
    assert "last 19 d 23 h ago, log backup of [sales], longer ago than 1d" in found.reasons[0].text


def test_failing_backups_are_not_ready_although_the_vault_is():
    found = of(errors=[error("3303", "19:10:00", "19:50:00"), error("18204", "19:10:00", "19:50:00")])
    assert (conditions(found), found.verdict) == (["backups_fail"], "not_ready")
    assert found.reasons[0].text == (
        "N1\\SQLPRD01: SQL Server's error log shows 3303 ErrorGetTokenBadCredentials since 19:10 UTC, and backups fail, although the "
        "vault side is ready, so its databases stay closed at a restart or failover. While SQL Server cannot use the key, log backups fail, and each log grows until its limit or "
        "the end of its disk"
    )
    assert "explain 3303. A backup of its databases that proves the key ends this" in found.reasons[0].fix


def test_failing_backups_of_a_vault_that_is_not_ready_name_both():
    found = of(FAILING, errors=[error("3303", "19:10:00", "19:50:00"), error("9999", "19:10:00", "19:40:00")])
    assert conditions(found) == ["not_ready", "backups_fail"]
    assert "error log shows 3303 ErrorGetTokenBadCredentials and 9999 since 19:10 UTC, so its databases" in found.reasons[1].text


@pytest.mark.parametrize("code", ["x", "18204", "other"])
def test_lines_without_a_known_number_are_shown_or_ignored(code):
    found = of(errors=[error(code, "19:10:00", "19:50:00")])
    assert conditions(found) == (["backups_fail"] if code == "x" else [])


@pytest.mark.parametrize("message", ["33027", "33111"])
def test_message_without_a_code_is_not_ready_while_backups_fail(message):
    lines = [error(message, "19:10:00", "19:50:00"), error("3041", "19:10:00", "19:50:00")]
    found = of(errors=lines)
    assert (conditions(found), found.verdict) == (["backups_fail"], "not_ready")
    assert f"error log shows message {message} since 19:10 UTC, and backups fail, although" in found.reasons[0].text
    assert f"explain {message}." in found.reasons[0].fix
    assert as_json(found)["proofs"][0]["codes_since"] == [message]
    assert conditions(of(errors=lines[:1])) == []  # as a restore of another server's backup


def test_backups_that_fail_for_an_hour_without_a_code_are_not_known():
    stopped = [{"database": "sales", "type": "L", "started_utc": f"{TODAY}17:30:00", "finished_utc": f"{TODAY}17:35:00"}]
    found = of(errors=[error("3041", "17:45:00", "19:45:00")], backups=stopped)
    assert (conditions(found), found.verdict) == (["backups_fail_unexplained"], "not_known")
    assert "backups fail since 17:45 UTC without a number that names a cause" in found.reasons[0].text
    assert conditions(of(errors=[error("3041", "17:45:00", "18:44:00")], backups=stopped)) == []
    due = of(errors=[error("3041", "17:45:00", "19:45:00")], credentials=credential(f"{TODAY}17:40:00"), backups=[])
    assert conditions(due) == ["backups_fail_unexplained", "credential_not_proven"]


@pytest.mark.parametrize("section", ["backups", "errors"])
def test_section_that_arrived_damaged_is_not_known(section):
    read = a_reading(sections={section: None})
    damaged = replace(read, document=replace(read.document, errors={section: "lines were lost"}))
    found = of(reading=damaged)
    assert (conditions(found), found.verdict) == (["reading_old"], "not_known")
    assert f"N1\\SQLPRD01: {section} were read at an unknown time" in found.reasons[0].text


@pytest.mark.parametrize("section", ["backups", "errors"])
@pytest.mark.parametrize(
    ("message", "expected"),
    [
        ("message 229: denied", []),
        ("message 916: denied", []),
        ("message 22004: failed to open loopback connection", ["reading_old"]),
        ("message 1222: lock request time out", ["reading_old"]),
        ("message 701: insufficient memory", ["reading_old"]),
        (None, ["reading_old"]),
    ],
)
def test_missing_right_alone_excuses_a_section_that_was_not_read(section, message, expected):
    read = a_reading(sections={section: None})
    read = replace(read, document=replace(read.document, errors={} if message is None else {section: message}))
    found = of(reading=read)
    assert conditions(found) == expected
    note = f"N1\\SQLPRD01: the login may not read {section} (ekm-exporter script login.sql), so what that shows is not in this answer"
    assert (note in found.notes) == (not expected)


def node(name, *, sections=None):
    """A replica of AG7 that an exporter reads."""
    host = name.lower()
    group = [{"ag": "AG7", "server_name": f"{one}\\SQLPRD01"} for one in ("N1", "N2")]
    own = [sections_of()["instance"][0] | {"server_name": f"{name}\\SQLPRD01", "machine": name, "node": name}]
    member = [sections_of()["databases"][0] | {"in_group": 1, "ag": "AG7"}]
    both = {"instance": own, "replicas": group, "databases": member, **(sections or {})}
    read = a_reading(address=f"{host}\\SQLPRD01", host=host, sections=both)
    return replace(read, document=replace(read.document, key_uris=URIS))


IN_GROUP = row(instances=[{"sql_instance": "SQLPRD01", "host": host} for host in ("n1", "n2")])
NO_BACKUPS = {"backups": []}


def of_group(*nodes, rows=(IN_GROUP,), **question):
    return answer(*rows, inventory=[], readings=nodes, **question)


@pytest.mark.parametrize(("code", "condition"), [("3303", "backups_fail"), ("3041", "backups_fail_unexplained")])
def test_failing_replica_matters_although_it_does_not_restart(code, condition):
    lines = [error(code, "18:30:00", "19:55:00"), error("18204", "18:30:00", "19:55:00")]
    other = node("N2", sections={"errors": lines, **NO_BACKUPS})
    found = of_group(node("N1"), other, instances=("N1\\SQLPRD01",))
    assert conditions(found) == [condition]
    assert found.reasons[0].text.startswith("N2\\SQLPRD01 (a replica that does not restart): ")
    assert conditions(of_group(node("N1"), other, group="AG7")) == [condition]
    assert conditions(of_group(node("N1"), node("N2", sections=NO_BACKUPS), instances=("N1\\SQLPRD01",))) == []


def test_old_error_log_of_a_replica_is_not_known():
    other = node("N2", sections=NO_BACKUPS)
    old = replace(other, read_at={**other.read_at, "errors": NOW - 2 * HOUR})
    found = of_group(node("N1"), old, instances=("N1\\SQLPRD01",))
    assert conditions(found) == ["reading_old"]
    assert found.reasons[0].text.startswith("N2\\SQLPRD01 (a replica that does not restart): errors were read 2h ago")


REPAIRED = {"errors": [error("3303", "12:00:00", "13:50:00")], "credentials": credential(f"{TODAY}14:00:00")}


def test_node_that_half_a_repair_left_behind_is_not_known():
    repaired, left = node("N1", sections=REPAIRED), node("N2", sections=NO_BACKUPS)
    for question in ({"group": "AG7"}, {"instances": ("N1\\SQLPRD01",)}, {"instances": ("N2\\SQLPRD01",)}):
        found = of_group(repaired, left, **question)
        assert (conditions(found), found.verdict) == (["credential_left_behind"], "not_known")
        assert found.reasons[0].text.endswith(
            "its credential was altered at 2026-01-02 03:04 UTC, before Entra ID refused the secret of N1\\SQLPRD01 since 12:00 UTC, "
            "so it may have that secret too"
        )
    assert conditions(of_group(repaired, node("N2"), group="AG7")) == []  # its own backups used another token


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"credential": "tde"}, ["credential_left_behind"]),
        ({"credential": "other"}, []),
        ({"credential": "other", "client_id": "APP"}, ["credential_left_behind"]),  # one client id under two names
        ({"credential": "tde", "client_id": "another"}, []),
    ],
)
def test_instance_elsewhere_with_the_same_client_is_left_behind(changes, expected):
    """No group: another target, of another key, has the same client in the configuration."""
    own = [sections_of()["instance"][0] | {"server_name": "M1\\SQLPRD01", "machine": "M1", "node": "M1"}]
    elsewhere = a_reading(address="m1", host="m1", sections={"instance": own, **REPAIRED})
    elsewhere = replace(elsewhere, document=replace(elsewhere.document, key_uris=URIS))
    rows = (
        row(client_id="app" if "client_id" in changes else None),
        row(target="of-m1", **changes, instances=[{"sql_instance": "SQLPRD01", "host": "m1"}]),
    )
    left = a_reading(sections=NO_BACKUPS)
    left = replace(left, document=replace(left.document, key_uris=URIS))
    assert conditions(answer(*rows, inventory=[], readings=[left, elsewhere], instances=("N1\\SQLPRD01",))) == expected


def test_missing_credential_is_one_reason():
    assert conditions(of(keys=WITHOUT_CREDENTIAL)) == ["credential_missing"]


def test_time_until_the_log_is_full_is_in_the_reason():
    found = of(FAILING, reading=growing(limit_kb=102_400 + 1024 * 44))
    assert conditions(found) == ["not_ready", "log_fills"]
    assert found.reasons[0].text.endswith(
        "needed by N1\\SQLPRD01. Once log backups fail, at the present rate the log of [sales] of N1\\SQLPRD01 is full in 3 h 40 min; "
        "the next log file is due in about 5 h 20 min (trace flag 15025 is off)"
    )
    assert found.reasons[1].text == (
        "N1\\SQLPRD01: the log of [sales] is full in 3 h 40 min at the present rate, and its last log backup was 3 h 55 min ago"
    )
    assert as_json(found)["logs"] == [
        {
            "instance": "N1\\SQLPRD01",
            "database": "sales",
            "read_at": "2026-11-26T20:00:00.000Z",
            "full_in_seconds": 13200,
            "next_file_in_seconds": 19200,
        }
    ]


def test_failing_backups_fill_the_log_too():
    errors = [error("3303", "19:10:00", "19:50:00")]
    assert conditions(of(reading=growing(limit_kb=102_400 + 1024 * 44, sections={"errors": errors}))) == [
        "backups_fail",
        "log_fills",
    ]


@pytest.mark.parametrize("left", [48, 49])
def test_log_is_a_reason_from_four_hours_on(left):
    found = of(FAILING, reading=growing(limit_kb=102_400 + 1024 * left))
    assert ("log_fills" in conditions(found)) == (left == 48)


def test_log_that_backups_truncate_is_no_reason():
    near = 102_400 + 1024 * 44
    assert conditions(of(reading=growing(limit_kb=near))) == []
    recent = [{"database": "sales", "type": "L", "started_utc": f"{TODAY}19:35:00", "finished_utc": f"{TODAY}19:35:00"}]
    assert conditions(of(FAILING, reading=growing(limit_kb=near, sections={"backups": recent}))) == ["not_ready"]
    unknown = of(FAILING, reading=growing(limit_kb=near, sections={"backups": []}))
    assert "at the present rate, and no log backup is known" in unknown.reasons[1].text


def test_rate_of_hours_ago_is_none():
    reading = growing(limit_kb=102_400 + 1024 * 44)
    old = replace(
        reading, read_at={**reading.read_at, "logs": NOW - 2 * HOUR}, earlier_logs=(NOW - 3 * HOUR, reading.earlier_logs[1])
    )
    found = of(FAILING, reading=old)
    assert conditions(found) == ["not_ready"]
    assert "While SQL Server cannot use the key, log backups fail" in found.reasons[0].text


STAGED = row(vault_side_ready=False, code=3303, step="token", next_credential_usable=True, last_success=time_of(NOW - 3 * HOUR))
START = [{"started_utc": f"{TODAY}18:00:00"}]
OPENED = [{"database": "sales", "opened_utc": f"{TODAY}18:00:10"}]
PROMOTE = "SQL Server has the staged secret already. Promote the staged credential in the configuration (ekm-exporter docs rollover#4-promote-it-in-the-exporter)"
ALTER = "ALTER CREDENTIAL with the staged secret on N1\\SQLPRD01 (ekm-exporter docs rollover#3-node-by-node). Then promote the staged credential"


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
    assert (conditions(found)[0], found.verdict) == ("staged_only", "not_ready")
    assert found.reasons[0].fix.startswith(fix)
    assert found.reasons[0].text.startswith(
        "target contoso-key0 is ready only with its staged credential. The current one, tde, is not: 3303 at token; needed by N1\\SQLPRD01. "
    )


@pytest.mark.parametrize(("altered", "fix"), [("2026-11-26T18:00:00", PROMOTE), ("2026-11-20T00:00:00", ALTER)])
def test_staged_secret_without_readings_is_known_by_its_change(altered, fix):
    found = answer(STAGED, inventory=[document(change=altering("credentials", modified_utc=altered))])
    assert next(one for one in found.reasons if one.condition is Condition.STAGED_ONLY).fix.startswith(fix)


@pytest.mark.parametrize("usable", [False, None])
def test_staged_secret_that_is_refused_does_not_help(usable):
    assert conditions(of(STAGED | {"next_credential_usable": usable})) == ["not_ready"]

"""What is known of a SQL Server after attempts, what is stored of it, and read again."""

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.core.durations import known_time, moment
from exporter.core.secrets import remember
from exporter.sqlserver.document import Document, RegistryUri, completed, utc
from exporter.sqlserver.errors import lockout_after
from exporter.sqlserver.keys import REGISTRY
from exporter.sqlserver.last_reading import MOST_CHARACTERS, document_of, labelled, log_since, restored, unread, updated
from exporter.sqlserver.reading import united
from exporter.state.store import LARGEST
from tests.support.sql_inventory import rows_of
from tests.support.sql_monitors import a_document, a_server, failed
from tests.support.sql_readings import a_call
from tests.support.values import replace

SERVER = a_server()
FIRST, SECOND, THIRD = 1000.0, 1300.0, 1600.0


def after(*documents):
    """The reading after these documents, five minutes apart."""
    reading = unread(SERVER)
    for number, document in enumerate(documents):
        reading = updated(reading, SERVER, document, FIRST + 300.0 * number, refused=bool(document.refused_login))
    return reading


def logs_of(used):
    return [{"database": "sales", "used_kb": used}]


def test_good_reading_has_every_section_and_its_time():
    reading = after(a_document())
    assert reading.failure == ""
    assert reading.document.address == "n1"
    assert set(reading.read_at) == set(reading.document.sections)
    assert set(reading.read_at.values()) == {FIRST}
    assert (reading.sql_instance, reading.host) == ("SQLPRD01", "n1")


def test_refused_section_keeps_its_rows_and_time():
    reading = after(a_document(), a_document(errors=["keys", "logs"]))
    assert reading.document.sections["keys"] == a_document().sections["keys"]
    assert reading.document.errors["keys"] == "message 300: denied"
    assert (reading.read_at["keys"], reading.read_at["logs"]) == (FIRST, FIRST)
    assert reading.read_at["databases"] == SECOND
    assert reading.failure == ""


def test_section_that_was_never_read_has_no_time():
    reading = after(a_document(errors=["keys"]))
    assert "keys" not in reading.read_at
    assert "keys" not in reading.document.sections


def test_failure_keeps_every_section():
    reading = after(a_document(), failed())
    assert reading.failure == "does not answer"
    assert reading.attempted_at == SECOND
    assert reading.document.sections == after(a_document()).document.sections
    assert set(reading.read_at.values()) == {FIRST}
    assert reading.host == "n1"


def test_failure_before_the_first_reading_has_no_document():
    reading = after(failed("the login was refused", refused=18456))
    assert (reading.document, reading.failure, reading.refused) == (Document(), "the login was refused", True)
    assert (reading.sql_instance, reading.host) == ("", "")


def test_good_reading_ends_failure_and_refusal():
    reading = after(failed("the login was refused", refused=18456), a_document())
    assert (reading.failure, reading.refused) == ("", False)


def test_known_secret_is_hidden_in_a_failure():
    remember("hunter22-hunter22")
    assert "hunter22" not in after(failed("odd: hunter22-hunter22")).failure


def test_earlier_logs_are_those_of_the_reading_before():
    reading = after(a_document(logs=logs_of(1)), a_document(logs=logs_of(2)))
    assert reading.earlier_logs == (FIRST, tuple(logs_of(1)))
    assert reading.document.sections["logs"] == tuple(logs_of(2))


@pytest.mark.parametrize("missed", [failed(), a_document(errors=["logs"])])
def test_earlier_logs_stay_without_new_ones(missed):
    reading = after(a_document(logs=logs_of(1)), missed)
    assert reading.earlier_logs is None
    reading = after(a_document(logs=logs_of(1)), missed, a_document(logs=logs_of(3)))
    assert reading.earlier_logs == (FIRST, tuple(logs_of(1)))


def test_another_server_at_the_address_starts_anew():
    reading = after(a_document(), a_document("N2\\SQLPRD01", errors=["keys", "logs"]))
    assert reading.host == "n2"
    assert "keys" not in reading.document.sections
    assert "keys" not in reading.read_at
    assert reading.earlier_logs is None


def test_registry_has_a_time_once_it_has_entries():
    with_uris = replace(a_document(), key_uris=(RegistryUri("2C56", "https://v.vault.azure.net/keys/k/1"),))
    assert REGISTRY not in after(a_document()).read_at
    assert after(with_uris, a_document()).read_at[REGISTRY] == FIRST


def test_registry_is_read_once_provider_and_keys_are_gone():
    with_uris = replace(a_document(), key_uris=(RegistryUri("2C56", "https://v.vault.azure.net/keys/k/1"),))
    without_keys = after(with_uris, a_document(keys=[]))
    assert (without_keys.read_at[REGISTRY], without_keys.document.key_uris) == (FIRST, with_uris.key_uris)
    refused = after(with_uris, a_document(providers=[], errors=["keys"]))
    assert refused.read_at[REGISTRY] == FIRST
    removed = after(with_uris, a_document(providers=[], keys=[]))
    assert (removed.read_at[REGISTRY], removed.document.key_uris) == (SECOND, ())


def test_labels_of_the_configuration_win():
    reading = labelled(after(a_document()), a_server(sql_instance="PAY", host="node-a"))
    assert (reading.sql_instance, reading.host) == ("PAY", "node-a")


def test_default_instance_is_named_like_its_host():
    reading = after(a_document("N3"))
    assert (reading.sql_instance, reading.host) == ("N3", "n3")


LOCKOUT = lockout_after("ekm", b"hunter22-hunter22", FIRST)


def stored(reading, lockout=None):
    """The document, as it is after a restart."""
    return json.loads(json.dumps(document_of(reading, lockout)))


@pytest.mark.parametrize(
    "reading",
    [
        unread(SERVER),
        after(a_document()),
        after(a_document(), a_document()),
        after(a_document(), a_document(errors=["keys", "logs"])),
        after(a_document(), failed()),
        after(failed()),
        after(replace(a_document(), key_uris=(RegistryUri("2C56", "https://v.vault.azure.net/keys/k/1"),))),
    ],
)
def test_reading_is_the_same_after_a_restart(reading):
    assert restored(stored(reading), SERVER) == (reading, None)


def test_lockout_is_the_same_after_a_restart():
    reading = after(a_document(), failed("the login was refused", refused=18456))
    assert restored(stored(reading, LOCKOUT), SERVER) == (reading, LOCKOUT)
    assert "hunter22" not in json.dumps(stored(reading, LOCKOUT))


def test_labels_are_those_of_the_configuration_now():
    reading, _ = restored(stored(after(a_document())), a_server(host="node-a"))
    assert (reading.sql_instance, reading.host) == ("SQLPRD01", "node-a")


def many(count):
    return [{"name": f"database {number}", "state": "ONLINE", "is_encrypted": 1} for number in range(count)]


def test_largest_sections_are_left_out_of_a_large_document():
    uris = tuple(RegistryUri(f"{number:040x}", "https://v.vault.azure.net/" + "k" * 100) for number in range(5_000))
    large = a_document(databases=many(30_000), encryption=[{"database": row["name"]} for row in many(8_000)])
    before = after(replace(large, key_uris=uris))
    document = document_of(before, None)
    assert len(json.dumps(document)) < MOST_CHARACTERS + 100_000 < LARGEST
    reading, _ = restored(document, SERVER)
    assert "databases" not in reading.document.sections
    assert "databases" not in reading.read_at
    assert reading.document.key_uris == ()
    assert reading.document.sections["keys"] == before.document.sections["keys"]
    assert reading.read_at["encryption"] == FIRST


def test_large_earlier_logs_are_left_out():
    logs = [{"database": "d" * 100, "used_kb": number} for number in range(4_000)]
    before = after(a_document(logs=logs), a_document())
    assert before.earlier_logs is not None
    assert restored(stored(before), SERVER)[0].earlier_logs is None


@pytest.mark.parametrize(
    "damage",
    [
        {"read_at": [1]},
        {"read_at": None},
        {"lockout": {"account": "ekm"}},
        {"lockout": {"account": "ekm", "at": moment(FIRST), "salt": "x", "digest": "00"}},
    ],
)
def test_damaged_document_is_refused(damage):
    with pytest.raises(ValueError, match="is damaged"):
        restored(stored(after(a_document()), LOCKOUT) | damage, SERVER)


def test_document_without_a_lockout_is_refused():
    document = stored(after(a_document()))
    del document["lockout"]
    with pytest.raises(ValueError, match="is damaged"):
        restored(document, SERVER)


# What is remembered. Times are of the server's clock, which is that of the exporter unless a test says otherwise.

NOON = "2026-11-26T12:00:00"


def unix(text):
    return known_time(text)


def at(text, *, errors=None, read=None, backups=(), offset=None, **sections):
    """A whole reading at a time; `errors` are rows of the error log, which was read from `read` on."""
    rows = rows_of("N1\\SQLPRD01")
    own = rows["instance"][0] | {"read_at_utc": text} | ({} if offset is None else {"utc_offset_minutes": offset})
    log = {} if errors is None else {"errors": tuple(errors), "log": ({"since_utc": read or text, "until_utc": text},)}
    document = a_document(instance=[own], opened=[], backups=list(backups), **sections)
    return completed(replace(document, sections=document.sections | log))


def remembered(*documents, before=None, whole=True, ends=None):
    reading = before or unread(SERVER)
    for document in documents:
        began = (
            unix(document.sections["instance"][0]["read_at_utc"]) if document.failure is None else reading.attempted_at + 300.0
        )
        reading = updated(reading, SERVER, document, began, refused=False, whole=whole, ends=ends)
    return reading


def without(document, *names, errors=None):
    """The document with sections that were not read."""
    sections = {name: rows for name, rows in document.sections.items() if name not in names}
    return completed(replace(document, sections=sections, errors=errors or document.errors))


def line(code, last=NOON, first=None, **more):
    return {"code": code, "lines": 1, "first_utc": first or last, "last_utc": last, **more}


def a_backup(started, finished=None, kind="L", **more):
    return {"database": "sales", "type": kind, "started_utc": started, "finished_utc": finished or started, **more}


def section(reading, name):
    return reading.document.sections[name]


def codes(reading):
    return [row["code"] for row in section(reading, "errors")][1:]


def changes(reading, what):
    return [row for row in section(reading, "changes") if row["what"] == what]


def hours(text, count):
    return utc(unix(text) + 3600.0 * count)


def test_code_is_forgotten_once_every_key_is_proven_since():
    failed_at = at(NOON, errors=[line("3303")])
    proof = at(hours(NOON, 25), errors=[], read=NOON, backups=[a_backup(hours(NOON, 3))])
    assert codes(remembered(failed_at, proof)) == []
    older = at(hours(NOON, 25), errors=[], read=NOON, backups=[a_backup(hours(NOON, -3))])
    assert codes(remembered(failed_at, older)) == ["3303"]


def test_code_before_a_proof_is_shown_for_a_day():
    early = at(hours(NOON, 23), errors=[], read=NOON, backups=[a_backup(hours(NOON, 3))])
    assert codes(remembered(at(NOON, errors=[line("3303")]), early)) == ["3303"]


def test_code_stays_while_one_key_is_not_proven_or_a_database_is_closed():
    proof = [a_backup(hours(NOON, 3))]
    keys = [*rows_of()["keys"], rows_of(databases={"hr": "0x2C57"})["keys"][0]]
    databases = rows_of(databases={"sales": "0x2C56", "hr": "0x2C57"})
    two = {"keys": keys, "encryption": databases["encryption"], "databases": databases["databases"]}
    assert codes(remembered(at(NOON, errors=[line("3303")]), at(hours(NOON, 25), errors=[], backups=proof, **two))) == ["3303"]
    closed = [row | {"state": "RECOVERY_PENDING"} for row in rows_of()["databases"]]
    late = at(hours(NOON, 25), errors=[], backups=proof, databases=closed)
    assert codes(remembered(at(NOON, errors=[line("3303")]), late)) == ["3303"]


def test_code_is_forgotten_after_35_days():
    assert codes(remembered(at(NOON, errors=[line("3303")]), at(hours(NOON, 35 * 24), errors=[]))) == ["3303"]
    assert codes(remembered(at(NOON, errors=[line("3303")]), at(hours(NOON, 35 * 24 + 1), errors=[]))) == []


def test_1200_newer_lines_of_3041_push_no_3303_out():
    many = [line("3041", hours(NOON, 1), backup_of=f"d{number}") for number in range(1200)]
    reading = remembered(at(NOON, errors=[line("3303"), line("9999")]), at(hours(NOON, 1), errors=many))
    assert sorted(codes(reading))[-2:] == ["3303", "9999"]
    assert len(section(reading, "errors")) == 199
    (any_database,) = (row for row in section(reading, "errors") if row["code"] == "3041" and "backup_of" not in row)
    assert (any_database["first_utc"], any_database["last_utc"]) == (hours(NOON, 1), hours(NOON, 1))


def test_log_that_was_not_read_covers_no_longer_time():
    lost = without(at(hours(NOON, 2), errors=[], read=NOON), "errors", errors={"errors": "denied"})
    reading = remembered(at(NOON, errors=[line("3303")], read=hours(NOON, -5)), lost)
    assert section(reading, "log") == ({"since_utc": hours(NOON, -5), "until_utc": NOON},)
    assert codes(reading) == ["3303"]
    assert reading.read_at["errors"] == unix(NOON)


def test_gaps_of_backups_grow_between_searches():
    first = a_backup(NOON, gaps=3, longest_seconds=7200, second_seconds=3600)
    later = a_backup(hours(NOON, 5), gaps=0)
    searched = remembered(at(NOON, backups=[first]), at(hours(NOON, 5), backups=[later]))
    assert section(searched, "backups") == (later,)
    found = remembered(at(NOON, backups=[first]), at(hours(NOON, 5), backups=[later]), whole=False)
    assert section(found, "backups") == (later | {"gaps": 4, "longest_seconds": 5 * 3600, "second_seconds": 7200},)
    shorter = later | {"gaps": 19, "longest_seconds": 900, "second_seconds": 900}
    assert section(remembered(at(NOON, backups=[first]), at(hours(NOON, 5), backups=[shorter]), whole=False), "backups") == (
        later | {"gaps": 4, "longest_seconds": 7200, "second_seconds": 3600},
    )


def test_newest_backup_counts_whatever_msdb_still_has():
    known, purged = a_backup(NOON, gaps=3), a_backup(hours(NOON, -9), gaps=1)
    assert section(remembered(at(NOON, backups=[known]), at(hours(NOON, 1), backups=[purged])), "backups") == (known,)


def test_value_is_known_since_the_reading_that_first_saw_it():
    reading = remembered(at(NOON), at(hours(NOON, 1)))
    assert {row["what"] for row in section(reading, "changes")} == {"provider", "dll", "option", "mapping", "signers"}
    assert {(row["since_utc"], row["first"], row["node"]) for row in section(reading, "changes")} == {(NOON, 1, "n1")}
    assert reading.read_at["changes"] == unix(hours(NOON, 1))


@pytest.mark.parametrize(
    ("what", "changed"),
    [
        ("provider", {"providers": [rows_of()["providers"][0] | {"dll_path": "C:\\y.dll"}]}),
        ("dll", {"modules": [{"provider": "AzureKV", "file_version": "15.0.2000.441"}]}),
        ("option", {"configurations": [{"name": "EKM provider enabled", "value": 1, "value_in_use": 0}]}),
        ("mapping", {"credentials": [rows_of()["credentials"][0] | {"identity": "other"}]}),
        ("signers", {"credentials": [rows_of()["credentials"][0], rows_of()["credentials"][0] | {"name": "other"}]}),
        ("mapping", {"keys": [rows_of()["keys"][0] | {"login": "other"}]}),
    ],
)
def test_other_value_is_a_change(what, changed):
    reading = remembered(at(NOON), at(hours(NOON, 1), **changed), at(hours(NOON, 2), **changed))
    assert [(row["since_utc"], row["first"]) for row in changes(reading, what)] == [(hours(NOON, 1), 0)]
    others = [row for row in section(reading, "changes") if row["what"] != what]
    assert {(row["since_utc"], row["first"]) for row in others} == {(NOON, 1)}


def test_values_of_another_node_are_its_own():
    moved = at(hours(NOON, 1))
    moved = replace(moved, sections=moved.sections | {"instance": ({**moved.sections["instance"][0], "node": "N2"},)})
    reading = remembered(at(NOON), moved, at(hours(NOON, 2)))
    assert {(row["node"], row["since_utc"], row["first"]) for row in changes(reading, "provider")} == {
        ("n1", NOON, 1),
        ("n2", hours(NOON, 1), 1),
    }


def test_section_that_was_not_read_leaves_its_values():
    reading = remembered(at(NOON), at(hours(NOON, 1), errors=None), failed())
    again = remembered(without(at(hours(NOON, 2)), "providers", "keys", "modules"), before=reading)
    assert section(again, "changes") == section(reading, "changes")
    gone = remembered(at(NOON), at(hours(NOON, 1), providers=[], keys=[], modules=[], configurations=[]))
    assert [row["what"] for row in section(gone, "changes")] == ["dll", "signers"]


def test_key_without_a_login_is_fingerprinted_by_the_logins_of_its_provider():
    keys = [{name: cell for name, cell in rows_of()["keys"][0].items() if name not in ("login", "credential")} | {"has_sid": 0}]
    logins = [{"name": "tde_login", "provider": "AzureKV", "credential": "tde_cred"}, {"name": "other", "provider": "Other"}]
    reading = remembered(at(NOON, keys=keys, logins=logins), at(hours(NOON, 1), keys=keys, logins=logins[:1]))
    assert [row["since_utc"] for row in changes(reading, "mapping")] == [NOON]
    changed = remembered(at(NOON, keys=keys, logins=logins), at(hours(NOON, 1), keys=keys, logins=logins[1:]))
    assert [row["since_utc"] for row in changes(changed, "mapping")] == [hours(NOON, 1)]


def test_clock_26_hours_ahead_is_known_and_seen_anew_once_it_is_set():
    ahead = at(hours(NOON, 26), errors=[line("3303", hours(NOON, 25))])
    reading = updated(unread(SERVER), SERVER, ahead, unix(NOON), refused=False)
    assert reading.clock_behind == 26 * 3600.0
    reading = remembered(at(hours(NOON, 1), errors=[]), before=reading)
    assert reading.clock_behind == 0.0
    assert {(row["since_utc"], row["first"]) for row in section(reading, "changes")} == {(hours(NOON, 1), 1)}
    assert section(reading, "errors")[1]["last_utc"] == hours(NOON, 1)
    assert section(reading, "log") == ({"since_utc": hours(NOON, 1), "until_utc": hours(NOON, 1)},)
    assert remembered(failed(), before=reading).clock_behind == 0.0


def test_section_from_the_future_was_not_read():
    known, future = a_backup(hours(NOON, -1)), a_backup(hours(NOON, 30))
    reading = remembered(at(NOON, backups=[known]), at(hours(NOON, 1), backups=[future]))
    assert section(reading, "backups") == (known,)
    assert "is a time after the reading" in reading.document.errors["backups"]
    assert reading.read_at["backups"] == unix(NOON)


def test_start_after_which_a_database_opened_is_remembered_for_each_node():
    def started(text, opened, node="N1"):
        document = at(text, start=[{"started_utc": hours(text, -1)}], errors=[])
        rows = {
            "instance": ({**document.sections["instance"][0], "node": node},),
            "opened": ({"database": "sales", "opened_utc": opened},),
        }
        return replace(document, sections=document.sections | rows)

    without = remembered(started(NOON, hours(NOON, -2)))
    assert changes(without, "start") == []
    reading = remembered(started(NOON, hours(NOON, -1)), started(hours(NOON, 5), hours(NOON, 4), node="N2"))
    assert {(row["node"], row["since_utc"]) for row in changes(reading, "start")} == {
        ("n1", hours(NOON, -1)),
        ("n2", hours(NOON, 4)),
    }
    nodes = [started(hours(NOON, number), hours(NOON, number), node=f"N{number}") for number in range(20)]
    assert {row["node"] for row in changes(remembered(*nodes), "start")} == {f"n{number}" for number in range(4, 20)}


def test_start_of_the_service_replaces_that_of_tempdb_and_does_not_wander():
    def document(text, started):
        return at(text, offset=0, service=[{"started_utc": started}], start=[{"started_utc": hours(started, 2)}])

    first = remembered(document(NOON, hours(NOON, -9)))
    assert section(first, "start") == ({"started_utc": hours(NOON, -9)},)
    same = remembered(document(NOON, hours(NOON, -9)), document(hours(NOON, 1), hours(NOON, -8.99)))
    assert section(same, "start") == section(first, "start")
    again = remembered(document(NOON, hours(NOON, -9)), document(hours(NOON, 1), hours(NOON, 0.5)))
    assert section(again, "start") == ({"started_utc": hours(NOON, 0.5)},)


# Daylight saving. In spring, 02:00 becomes 03:00 at 01:00 UTC; in autumn, 03:00 becomes 02:00.

SPRING, AUTUMN = "2026-03-29T01:00:00", "2026-10-25T01:00:00"


def minutes(text, count):
    return hours(text, count / 60)


def altered(text, credential, *, created=None, offset, **more):
    """A reading whose credential was altered at such a time, as today's offset shows it."""
    row = rows_of()["credentials"][0] | {"modified_utc": credential, "created_utc": created or hours(credential, -1)}
    return at(text, offset=offset, credentials=[row], **more)


def modified(reading):
    (row,) = section(reading, "credentials")
    return row["modified_utc"]


def test_credential_of_the_night_of_daylight_saving_in_autumn_is_not_in_the_future():
    """ALTER CREDENTIAL at 00:50 UTC, 02:50 on the clock. By the offset after the change, it was at 01:50 UTC."""
    reading = remembered(at(minutes(AUTUMN, -5), offset=120), altered(minutes(AUTUMN, 3), minutes(AUTUMN, 50), offset=60))
    assert modified(reading) == minutes(AUTUMN, 3)
    assert "credentials" not in reading.document.errors
    later = remembered(altered(hours(AUTUMN, 3), minutes(AUTUMN, 50), offset=60), before=reading)
    assert section(later, "credentials") == section(reading, "credentials")
    assert modified(remembered(altered(hours(AUTUMN, 3), minutes(AUTUMN, 50), offset=60))) == minutes(AUTUMN, 110)


def test_time_is_exact_once_the_offset_is_known():
    known = [a_backup(hours(NOON, -9), offset_minutes=60), a_backup(hours(NOON, -5), kind="D")]
    assert modified(remembered(altered(NOON, hours(NOON, -8), offset=60, backups=known))) == hours(NOON, -8)
    assert modified(remembered(altered(NOON, hours(NOON, -10), offset=60, backups=known))) == hours(NOON, -9)
    other = [*known, a_backup(hours(NOON, -8.5), kind="D", offset_minutes=0)]
    assert modified(remembered(altered(NOON, hours(NOON, -8), offset=60, backups=other))) == hours(NOON, -7)
    old = [a_backup(hours(NOON, -36 * 24), offset_minutes=60)]
    assert modified(remembered(altered(NOON, hours(NOON, -8), offset=60, backups=old))) == hours(NOON, -7)


def test_offset_that_backups_showed_stays_known():
    known, later = [a_backup(hours(NOON, -9), offset_minutes=60)], [a_backup(hours(NOON, -1), offset_minutes=60)]
    reading = remembered(at(NOON, offset=60, backups=known), altered(hours(NOON, 1), hours(NOON, -8), offset=60, backups=later))
    assert modified(reading) == hours(NOON, -8)
    assert changes(reading, "offset") == [
        {"what": "offset", "node": "n1", "value": "60", "since_utc": hours(NOON, -9), "first": 1}
    ]


def test_offset_is_not_known_over_half_a_year_without_a_reading():
    summer = hours(NOON, 200 * 24)
    reading = remembered(at(NOON, offset=60), altered(summer, hours(summer, -100 * 24), offset=60))
    assert modified(reading) == hours(summer, -100 * 24 + 1)


def test_other_offset_is_no_alteration():
    first = remembered(at(hours(NOON, -9), offset=60), altered(NOON, hours(NOON, -8), offset=60))
    reading = remembered(altered(hours(NOON, 1), hours(NOON, -9), offset=120), before=first)
    assert modified(reading) == hours(NOON, -8)
    assert section(reading, "credentials") == section(first, "credentials")
    again = remembered(altered(hours(NOON, 2), hours(NOON, 1.5), offset=120), before=reading)
    assert modified(again) == hours(NOON, 1.5)


def test_lines_and_start_of_an_unknown_offset_are_wrong_in_the_safe_direction():
    document = at(
        NOON,
        offset=60,
        errors=[line("3303", hours(NOON, -0.5), hours(NOON, -5))],
        read=hours(NOON, -24),
        start=[{"started_utc": hours(NOON, -9)}],
    )
    reading = remembered(document)
    (row,) = section(reading, "errors")[1:]
    assert (row["first_utc"], row["last_utc"]) == (hours(NOON, -4), NOON)
    assert section(reading, "log") == ({"since_utc": hours(NOON, -23), "until_utc": NOON},)
    assert section(reading, "start") == ({"started_utc": hours(NOON, -10)},)


def test_rows_without_times_stay_as_they_are():
    document = at(NOON, offset=60, credentials=[{"name": "tde_cred"}], start=[{}], errors=[])
    assert section(remembered(document), "credentials") == ({"name": "tde_cred"},)
    assert section(remembered(document), "start") == ({},)


def test_future_beyond_daylight_saving_is_an_error():
    reading = remembered(altered(NOON, hours(NOON, 2), offset=60))
    assert "is a time after the reading" in reading.document.errors["credentials"]


# Ends of secrets.

CLIENT = "0D9E7C5B-3A1F-4E8D-9C6B-7A5F3E1D0B2C"


def ends_in(reading):
    return {row["since_utc"] for row in changes(reading, "secret_end")}


def test_end_of_a_secret_stays_known_until_the_credential_is_altered():
    soon, late = hours(NOON, 100), hours(NOON, 9000)
    first = remembered(at(NOON), ends={CLIENT: [unix(soon), unix(late)]})
    assert {row["name"] for row in changes(first, "secret_end")} == {CLIENT.lower()}
    later = remembered(at(hours(NOON, 1)), before=first, ends={CLIENT: [unix(late)]})
    assert ends_in(later) == {soon, late}
    other = remembered(altered(hours(NOON, 4), hours(NOON, 3), offset=None), before=later, ends={CLIENT: [unix(late)]})
    assert ends_in(other) == {late}
    two = [*rows_of()["credentials"], rows_of()["credentials"][0] | {"name": "other", "modified_utc": hours(NOON, 3)}]
    for credentials in (two, [{"name": "other"}]):
        assert ends_in(remembered(at(hours(NOON, 4), credentials=credentials), before=later)) == {soon, late}


def test_ends_are_bounded():
    assert len(ends_in(remembered(at(NOON), ends={CLIENT: range(10**9, 10**9 + 2000)}))) == 500


# From when on the error log is read.


def asks(before, document, asked=math.inf):
    """From when to when, in hours before the reading."""
    now = unix(document.sections["instance"][0]["read_at_utc"])
    since, needed = log_since(before, SERVER, document.sections, now, asked)
    return (since - now) / 3600, (needed - now) / 3600


def test_first_reading_asks_for_a_day_of_the_log_and_for_all_since_the_last_proofs():
    assert asks(unread(SERVER), at(NOON)) == (-24, -24)
    assert asks(unread(SERVER), at(NOON, backups=[a_backup(hours(NOON, -5))])) == (-24, -24)
    assert asks(unread(SERVER), at(NOON, backups=[a_backup(hours(NOON, -50))])) == (-50, -50)
    assert asks(unread(SERVER), at(NOON, backups=[a_backup(hours(NOON, -5000))])) == (-35 * 24, -35 * 24)
    assert asks(unread(SERVER), at(NOON, offset=60)) == (-25, -24)


def test_log_is_read_on_from_where_it_was_read_if_that_reaches_back():
    proof = [a_backup(hours(NOON, -50))]
    whole = remembered(at(NOON, errors=[], read=hours(NOON, -50), backups=proof))
    assert asks(whole, at(hours(NOON, 1), backups=proof)) == (-1, -51)
    cut = remembered(at(NOON, errors=[], read=hours(NOON, -10), backups=proof))
    assert asks(cut, at(hours(NOON, 1), backups=proof)) == (-51, -51)
    assert asks(cut, at(hours(NOON, 1), backups=proof), asked=unix(hours(NOON, -50))) == (-1, -51)
    proven = remembered(at(NOON, errors=[], read=hours(NOON, -10), backups=[a_backup(hours(NOON, -9))]))
    assert asks(proven, at(hours(NOON, 1))) == (-1, -10)


def test_log_of_another_server_or_of_the_future_is_read_anew():
    whole = remembered(at(NOON, errors=[], read=hours(NOON, -50)))
    other = at(hours(NOON, 1))
    rows = {**other.sections, "instance": ({**other.sections["instance"][0], "server_name": "N9"},)}
    assert asks(whole, replace(other, sections=rows)) == (-24, -24)
    assert asks(whole, at(hours(NOON, -2))) == (-24, -24)


def test_log_is_read_an_hour_more_after_a_change_of_the_offset():
    before = remembered(at(NOON, offset=60, errors=[], read=hours(NOON, -50)))
    assert asks(before, at(hours(NOON, 1), offset=60)) == (-1, 0)
    assert asks(before, at(hours(NOON, 1), offset=120)) == (-2, 0)


def test_log_of_a_server_without_an_instance_is_asked_for_a_day():
    assert log_since(unread(SERVER), SERVER, {}, unix(NOON), math.inf) == (unix(hours(NOON, -24)), unix(hours(NOON, -24)))


# Properties over generated histories. A step is minutes since the one before, what the server logs and backs up in between, and what becomes of the reading.

STEPS = st.lists(
    st.tuples(
        st.integers(1, 3000),
        st.lists(st.tuples(st.floats(0, 1), st.sampled_from(["3303", "9999", "3041", "33027"])), max_size=3),
        st.lists(st.floats(0, 1), max_size=2),
        st.sampled_from(["read", "read", "lost", "failed", "restarted", "cycled"]),
    ),
    max_size=9,
)


class History:
    """A SQL Server that logs, backs up and cycles its error log, and the reading of an exporter."""

    def __init__(self):
        self.now, self.kept_from = unix(NOON) // 60 * 60, -math.inf
        self.lines, self.backups, self.reading = [], [], unread(SERVER)
        self.delivered = set()

    def step(self, minutes_later, lines, backups, fate):
        before, self.now = self.now, self.now + 60.0 * minutes_later
        self.lines += [(before + round(share * (self.now - before)), code) for share, code in lines]
        self.backups += [before + round(share * (self.now - before)) for share in backups]
        if fate == "cycled":
            self.kept_from = self.now
        if fate == "restarted":
            self.reading, _ = restored(json.loads(json.dumps(document_of(self.reading, None))), SERVER)
        if fate == "failed":
            self.reading = updated(self.reading, SERVER, failed(), self.now, refused=False)
            return
        proof = [a_backup(utc(max(self.backups)))] if self.backups else []
        document = at(utc(self.now), backups=proof)
        since, _ = log_since(self.reading, SERVER, document.sections, self.now, math.inf)
        since = max(since, self.kept_from)
        found = [(time, code) for time, code in self.lines if time >= since]
        rows = tuple({"code": code, "lines": 1, "first_utc": utc(time), "last_utc": utc(time)} for time, code in found)
        log = ({"since_utc": utc(since), "until_utc": utc(self.now)},)
        if fate == "lost":
            document = replace(document, errors={"errors": "denied"})
        else:
            self.delivered |= set(found)
            document = completed(replace(document, sections=document.sections | {"errors": rows, "log": log}))
        self.reading = updated(self.reading, SERVER, document, self.now, refused=False, whole=len(self.backups) % 2 == 0)

    @property
    def unproven(self):
        """From when on no proof ended a failure."""
        return max([self.now - 35 * 24 * 3600.0, *self.backups])

    def is_known(self, when, code):
        rows = [row for row in self.reading.document.sections.get("errors", ()) if row["code"] == code]
        return any(unix(row["first_utc"]) <= when <= unix(row["last_utc"]) for row in rows)


@given(STEPS)
def test_no_failure_is_lost_that_no_newer_proof_ended_and_no_coverage_is_longer_than_what_was_read(steps):
    history = History()
    for step in steps:
        history.step(*step)
        if not history.reading.document.sections:
            continue
        for line in history.delivered:
            assert line[0] < history.unproven or history.is_known(*line)
        for row in history.reading.document.sections.get("log", ()):
            covered = (line for line in history.lines if unix(row["since_utc"]) <= line[0] < unix(row["until_utc"]))
            assert all(line in history.delivered for line in covered)


@given(STEPS, STEPS)
def test_order_of_two_exporters_does_not_matter(one, other):
    first, second = History(), History()
    for history, steps in ((first, one), (second, other)):
        for step in steps:
            history.step(*step)
    found = united(first.reading, second.reading)
    assert united(second.reading, first.reading) == found or first.reading.attempted_at == second.reading.attempted_at
    assert united(found, found) == found
    if first.reading.document.sections and second.reading.document.sections:
        for history in (first, second):
            for name in ("errors", "changes"):
                keys = [
                    {(row.get("code"), row.get("what"), row.get("name")) for row in each.document.sections.get(name, ())}
                    for each in (history.reading, found)
                ]
                assert keys[0] <= keys[1]


def test_section_that_was_not_read_has_no_local_times():
    reading = remembered(without(at(NOON, offset=60, errors=[]), "credentials", "start", "configurations"))
    assert {row["what"] for row in section(reading, "changes")} == {"offset", "provider", "dll"}
    assert section(reading, "log") == ({"since_utc": NOON, "until_utc": NOON},)


def test_state_directory_keeps_all_that_is_remembered_however_large_the_rest():
    known = at(NOON, offset=60, errors=[line("3303")], history=[{"newest_id": 7}])
    large = replace(known, sections=known.sections | {"databases": tuple(many(30_000))})
    before = remembered(large, ends={CLIENT: [unix(hours(NOON, 9))]})
    document = json.loads(json.dumps(document_of(before, None)))
    found, _ = restored(document, SERVER)
    for name in ("changes", "log", "errors", "history"):
        assert section(found, name) == section(before, name)
        assert found.read_at[name] == before.read_at[name]
    assert found.clock_behind == before.clock_behind == 0.0
    assert "databases" not in found.document.sections


@given(
    st.sampled_from([(60, 120), (120, 60), (-30, 30), (60, 60)]),
    st.integers(-150, 150),
    st.lists(st.integers(1, 250), min_size=1, max_size=4),
    st.lists(st.integers(-200, 200), max_size=2),
)
def test_local_time_is_never_wrong_in_the_unsafe_direction(offsets, happened, readings, backups):
    """All in minutes: the offset changes at 0; the credential is altered and the service starts at `happened`, as seen by readings from 200 minutes before on."""

    def offset_at(minute):
        return offsets[minute >= 0]

    def seen(minute, now):
        return minutes(SPRING, minute + offset_at(minute) - offset_at(now))

    reading, now = unread(SERVER), -200
    for later in readings:
        now += later
        begun = max((each for each in backups if each <= now), default=None)
        shown = [] if begun is None else [a_backup(minutes(SPRING, begun), offset_minutes=offset_at(begun))]
        if happened > now:
            document = at(minutes(SPRING, now), offset=offset_at(now), backups=shown)
        else:
            started = [{"started_utc": seen(happened, now)}]
            document = altered(minutes(SPRING, now), seen(happened, now), offset=offset_at(now), backups=shown, start=started)
        reading = updated(reading, SERVER, document, unix(minutes(SPRING, now)), refused=False)
        if happened <= now:
            assert not {"credentials", "start"} & reading.document.errors.keys()
            assert minutes(SPRING, happened) <= modified(reading) <= minutes(SPRING, max(now, happened + 120))
            assert section(reading, "start")[0]["started_utc"] <= minutes(SPRING, happened)


def test_calls_and_their_place_survive_a_restart_and_go_with_the_session():
    session = {
        "started_utc": "2026-11-26T06:00:00",
        "dropped": 0,
        "is_filtered": 0,
        "is_delayed": 0,
        "file": r"C:\Log\x_0_134.xel",
        "offset": 512,
    }
    calls = [a_call("19:59:00", calls=3)]
    known, _ = restored(stored(after(a_document(trace=[session], calls=calls))), SERVER)
    assert known.document.sections["trace"] == (session,)
    later = updated(known, SERVER, a_document(trace=[session | {"offset": 1024}], calls=calls), SECOND, refused=False)
    assert [row["calls"] for row in later.document.sections["calls"]] == [6]
    gone = updated(later, SERVER, a_document(trace=[]), THIRD, refused=False)
    assert "calls" not in {*gone.document.sections, *gone.read_at}

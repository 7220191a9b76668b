"""What is known of a SQL Server after attempts, what is stored of it, and read again."""

import json
from dataclasses import replace

import pytest

from exporter.core.durations import known_time, moment
from exporter.core.secrets import remember
from exporter.sqlserver.document import RegistryUri, completed, utc
from exporter.sqlserver.errors import lockout_after
from exporter.sqlserver.keys import REGISTRY
from exporter.sqlserver.last_reading import MOST_CHARACTERS, document_of, labelled, restored, unread, updated
from exporter.state.store import LARGEST
from tests.support.sql_inventory import rows_of
from tests.support.sql_monitors import a_document, a_server, failed

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


def test_full_backup_of_an_earlier_search_stays():
    full, log = ({"database": "sales", "type": kind} for kind in ("D", "L"))
    assert after(a_document(backups=[full, log]), a_document(backups=[log])).document.sections["backups"] == (log, full)


def test_section_that_was_never_read_has_no_time():
    reading = after(a_document(errors=["keys"]))
    assert "keys" not in reading.read_at
    assert "keys" not in reading.document.sections


def test_section_that_is_read_again_has_its_new_time():
    reading = after(a_document(), a_document(errors=["keys"]), a_document())
    assert reading.read_at["keys"] == THIRD
    assert "keys" not in reading.document.errors


def test_failure_keeps_every_section():
    reading = after(a_document(), failed())
    assert reading.failure == "does not answer"
    assert reading.attempted_at == SECOND
    assert reading.document.sections == after(a_document()).document.sections
    assert set(reading.read_at.values()) == {FIRST}
    assert reading.host == "n1"


def test_failure_before_the_first_reading_has_no_document():
    reading = after(failed("the login was refused", refused=18456))
    assert (reading.document, reading.failure, reading.refused) == (None, "the login was refused", True)
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


AT = 1_800_000_000.0
LOCKOUT = lockout_after("ekm", b"hunter22-hunter22", AT)


def a_reading(*documents):
    reading = unread(SERVER)
    for number, document in enumerate(documents or (a_document(),)):
        reading = updated(reading, SERVER, document, AT + number, refused=bool(document.refused_login))
    return reading


def stored(reading, lockout=None):
    """The document, as it is after a restart."""
    return json.loads(json.dumps(document_of(reading, lockout)))


@pytest.mark.parametrize(
    "reading",
    [
        unread(SERVER),
        a_reading(),
        a_reading(a_document(), a_document()),
        a_reading(a_document(), a_document(errors=["keys", "logs"])),
        a_reading(a_document(), failed()),
        a_reading(failed()),
        a_reading(replace(a_document(), key_uris=(RegistryUri("2C56", "https://v.vault.azure.net/keys/k/1"),))),
    ],
)
def test_reading_is_the_same_after_a_restart(reading):
    assert restored(stored(reading), SERVER) == (reading, None)


def test_lockout_is_the_same_after_a_restart():
    reading = a_reading(a_document(), failed("the login was refused", refused=18456))
    assert restored(stored(reading, LOCKOUT), SERVER) == (reading, LOCKOUT)
    assert "hunter22" not in json.dumps(stored(reading, LOCKOUT))


def test_labels_are_those_of_the_configuration_now():
    reading, _ = restored(stored(a_reading()), a_server(host="node-a"))
    assert (reading.sql_instance, reading.host) == ("SQLPRD01", "node-a")


def many(count):
    return [{"name": f"database {number}", "state": "ONLINE", "is_encrypted": 1} for number in range(count)]


def test_largest_sections_are_left_out_of_a_large_document():
    uris = tuple(RegistryUri(f"{number:040x}", "https://v.vault.azure.net/" + "k" * 100) for number in range(5_000))
    large = a_document(databases=many(30_000), encryption=[{"database": row["name"]} for row in many(8_000)])
    before = a_reading(replace(large, key_uris=uris))
    document = document_of(before, None)
    assert len(json.dumps(document)) < MOST_CHARACTERS + 100_000 < LARGEST
    reading, _ = restored(document, SERVER)
    assert "databases" not in reading.document.sections
    assert "databases" not in reading.read_at
    assert reading.document.key_uris == ()
    assert reading.document.sections["keys"] == before.document.sections["keys"]
    assert reading.read_at["encryption"] == AT


def test_large_earlier_logs_are_left_out():
    logs = [{"database": "d" * 100, "used_kb": number} for number in range(4_000)]
    before = a_reading(a_document(logs=logs), a_document())
    assert before.earlier_logs is not None
    assert restored(stored(before), SERVER)[0].earlier_logs is None


@pytest.mark.parametrize(
    "damage",
    [
        {"read_at": [1]},
        {"lockout": {"account": "ekm"}},
        {"lockout": {"account": "ekm", "at": moment(AT), "salt": "x", "digest": "00"}},
    ],
)
def test_damaged_document_is_refused(damage):
    with pytest.raises(ValueError, match="is damaged"):
        restored(stored(a_reading(), LOCKOUT) | damage, SERVER)


def test_document_without_a_lockout_is_refused():
    document = stored(a_reading())
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


def remembered(*documents, whole=True, ends=None, server=SERVER):
    reading = unread(server)
    for document in documents:
        began = (
            unix(document.sections["instance"][0]["read_at_utc"]) if document.failure is None else reading.attempted_at + 300.0
        )
        reading = updated(reading, server, document, began, refused=False, whole=whole, ends=ends)
    return reading


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


def test_code_is_remembered_over_a_cycled_log():
    reading = remembered(
        at(NOON, errors=[line("3303")]), at(hours(NOON, 1), errors=[], read=NOON), at(hours(NOON, 400), errors=[], read=NOON)
    )
    assert codes(reading) == ["3303"]
    assert section(reading, "log") == ({"since_utc": NOON, "until_utc": hours(NOON, 400)},)


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
    assert len(codes(reading)) == 200


def test_same_lines_of_two_readings_are_one_row():
    early = [line("3041", NOON, backup_of="sales"), line("3041", NOON, backup_of="hr")]
    reading = remembered(at(NOON, errors=early), at(hours(NOON, 1), errors=[line("3041", hours(NOON, 1), backup_of="hr")]))
    found = {row.get("backup_of"): (row["first_utc"], row["last_utc"], row["lines"]) for row in section(reading, "errors")[1:]}
    assert found == {"sales": (NOON, NOON, 1), "hr": (NOON, hours(NOON, 1), 2)}


def test_log_has_no_hole():
    reading = remembered(at(NOON, errors=[], read=hours(NOON, -5)), at(hours(NOON, 2), errors=[], read=hours(NOON, 1)))
    assert section(reading, "log") == ({"since_utc": hours(NOON, 1), "until_utc": hours(NOON, 2)},)


def test_log_that_was_not_read_covers_no_longer_time():
    lost = at(hours(NOON, 2), errors=[], read=NOON)
    lost = replace(
        lost, sections={name: rows for name, rows in lost.sections.items() if name != "errors"}, errors={"errors": "denied"}
    )
    reading = remembered(at(NOON, errors=[line("3303")], read=hours(NOON, -5)), completed(lost))
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
    assert {row["what"] for row in section(reading, "changes")} == {"provider", "dll", "option", "mapping"}
    assert {(row["since_utc"], row["first"], row["node"]) for row in section(reading, "changes")} == {(NOON, 1, "n1")}
    assert reading.read_at["changes"] == unix(hours(NOON, 1))


@pytest.mark.parametrize(
    ("what", "changed"),
    [
        ("provider", {"providers": [rows_of()["providers"][0] | {"dll_path": "C:\\y.dll"}]}),
        ("dll", {"modules": [{"provider": "AzureKV", "file_version": "15.0.2000.441"}]}),
        ("option", {"configurations": [{"name": "EKM provider enabled", "value": 1, "value_in_use": 0}]}),
        ("mapping", {"credentials": [rows_of()["credentials"][0] | {"identity": "other"}]}),
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
    lost = at(hours(NOON, 2))
    lost = replace(
        lost, sections={name: rows for name, rows in lost.sections.items() if name not in ("providers", "keys", "modules")}
    )
    again = updated(reading, SERVER, completed(lost), unix(hours(NOON, 2)), refused=False)
    assert section(again, "changes") == section(reading, "changes")
    gone = remembered(at(NOON), at(hours(NOON, 1), providers=[], keys=[], modules=[], configurations=[]))
    assert [row["what"] for row in section(gone, "changes")] == ["dll"]


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
    reading = updated(reading, SERVER, at(hours(NOON, 1), errors=[]), unix(hours(NOON, 1)), refused=False)
    assert reading.clock_behind == 0.0
    assert {(row["since_utc"], row["first"]) for row in section(reading, "changes")} == {(hours(NOON, 1), 1)}
    assert section(reading, "errors")[1]["last_utc"] == hours(NOON, 1)
    assert section(reading, "log") == ({"since_utc": hours(NOON, 1), "until_utc": hours(NOON, 1)},)
    assert updated(reading, SERVER, failed(), unix(hours(NOON, 2)), refused=False).clock_behind == 0.0


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

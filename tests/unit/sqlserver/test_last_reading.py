"""What is known of a SQL Server after attempts, what is stored of it, and read again."""

import json
from dataclasses import replace

import pytest

from exporter.core.durations import moment
from exporter.core.secrets import remember
from exporter.sqlserver.document import RegistryUri
from exporter.sqlserver.errors import lockout_after
from exporter.sqlserver.keys import REGISTRY
from exporter.sqlserver.last_reading import MOST_CHARACTERS, document_of, labelled, restored, unread, updated
from exporter.state.store import LARGEST
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
    assert reading.document.sections == a_document().sections
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

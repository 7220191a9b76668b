"""What is stored of a SQL Server, and read again."""

import json
from dataclasses import replace

import pytest

from exporter.sqlserver.document import RegistryUri
from exporter.sqlserver.errors import lockout_after
from exporter.sqlserver.last_reading import MOST_CHARACTERS, document_of, restored, unread, updated
from exporter.state.store import LARGEST
from tests.support.sql_monitors import a_document, a_server, failed

AT = 1_800_000_000.0
SERVER = a_server()
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


DAMAGES = {
    "no_document": {"document": {}},
    "list": {"document": []},
    "other_format": {"document": {"inventory": 9}},
    "no_instance": {"document": {"inventory": 1, "sections": []}},
    "time": {"attempted_at": "yesterday"},
    "time_of_a_section": {"read_at": {"keys": -1}},
    "times": {"read_at": [1]},
    "logs": {"earlier_logs": [1]},
    "time_of_logs": {"earlier_logs": [None, []]},
    "lockout": {"lockout": {"account": "ekm"}},
    "salt": {"lockout": {"account": "ekm", "at": AT, "salt": "x", "digest": "00"}},
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_damaged_document_is_refused(damage):
    with pytest.raises(ValueError, match="is damaged"):
        restored(stored(a_reading(a_document(), a_document()), LOCKOUT) | DAMAGES[damage], SERVER)


@pytest.mark.parametrize("name", ["document", "read_at", "attempted_at", "failure", "earlier_logs", "lockout"])
def test_document_without_a_field_is_refused(name):
    document = stored(a_reading())
    del document[name]
    with pytest.raises(ValueError, match="is damaged"):
        restored(document, SERVER)


def test_impossible_section_is_an_error_of_that_section():
    document = stored(a_reading())
    (keys,) = (one for one in document["document"]["sections"] if one["section"] == "keys")
    keys["rows"][0]["name"] = "k" * 500
    reading, _ = restored(document, SERVER)
    assert "keys" not in reading.read_at
    assert "more than the 128 that SQL Server allows" in reading.document.errors["keys"]


def test_impossible_earlier_logs_are_dropped():
    document = stored(a_reading(a_document(), a_document()))
    document["earlier_logs"][1][0]["database"] = "d" * 500
    assert restored(document, SERVER)[0].earlier_logs is None

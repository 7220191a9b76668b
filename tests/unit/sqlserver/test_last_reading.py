"""What is known of a SQL Server after good, refused and failed readings."""

from dataclasses import replace

import pytest

from exporter.core.secrets import remember
from exporter.sqlserver.document import RegistryUri
from exporter.sqlserver.keys import REGISTRY
from exporter.sqlserver.last_reading import labelled, unread, updated
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

"""Records of a saved event log: which events are about a key provider, and their strings."""

import json
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.explain.event import Origin, moment_of, read_event
from tests.support.event_records import CONNECTOR, record


def test_event_of_the_connector_has_its_strings_and_time():
    event = read_event(record(CONNECTOR, 4096, "Operation failed", "3303", at="2026-11-24T10:02:03.1234567Z"))
    assert event.origin is Origin.CONNECTOR
    assert event.at == datetime(2026, 11, 24, 10, 2, 3, 123456, UTC)
    assert (event.provider, event.number, event.computer) == (CONNECTOR, 4096, "n1.contoso.invalid")
    assert event.texts == ("Operation failed", "3303")


@pytest.mark.parametrize("provider", [CONNECTOR, "AzureKeyVault", "Contoso EKM"])
def test_names_of_the_connector_are_recognised(provider):
    assert read_event(record(provider, 1, "text")).origin is Origin.CONNECTOR


@pytest.mark.parametrize(
    ("provider", "number", "texts", "origin"),
    [
        ("MSSQLSERVER", 33049, ("0xAB", "3303"), Origin.SQL_SERVER),
        ("MSSQL$SQLPRD01", 33028, ("2",), Origin.SQL_SERVER),
        ("mssqlserver", 1, ("Provider error code: 3303",), Origin.SQL_SERVER),
        ("MSSQLSERVER", 15151, ("find", "asymmetric key", "TdeKey"), Origin.SQL_SERVER),
        ("MSSQLSERVER", 15151, ("find", "object", "x"), None),
        ("MSSQLSERVER", 17806, ("SSPI handshake failed",), None),
        ("SQLSERVERAGENT", 33049, ("3303",), None),
        ("Microsoft-Windows-Kernel-General", 3303, ("error 3303",), None),
    ],
)
def test_messages_of_sql_server_about_a_provider_are_selected(provider, number, texts, origin):
    event = read_event(record(provider, number, *texts))
    assert (event and event.origin) == origin


def test_forwarded_event_has_its_message_and_numbers_but_no_binary_data():
    body = json.loads(record(CONNECTOR, 1, "one"))
    body["Event"]["EventData"] |= {"Named": 3303, "Binary": "0xFF", "flag": True, "empty": " "}
    body["Event"]["RenderingInfo"] = {"Message": "whole message"}
    assert read_event(json.dumps(body)).texts == ("one", "3303", "whole message")


def test_long_and_deep_events_are_read_in_part():
    event = read_event(record(CONNECTOR, 1, "a" * 3000, "b" * 3000, "c"))
    assert [len(text) for text in event.texts] == [3000, 1000]
    deep = "text"
    for _ in range(40):
        deep = {"more": deep}
    body = json.loads(record(CONNECTOR, 1))
    body["Event"]["UserData"] = deep
    assert read_event(json.dumps(body)).texts == ()


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", "null", '{"Event": 1}', '{"Event": {"System": 1}}', '{"Event": {"System": {}}}', "[" * 100_000]
)
def test_other_documents_are_no_event(text):
    assert read_event(text) is None


@pytest.mark.parametrize(
    ("number", "read"), [(1, 1), ("7", 7), ({"#text": "9"}, 9), (70000, None), ("123456", None), ("x", None), (None, None)]
)
def test_event_id_may_have_qualifiers(number, read):
    body = json.loads(record(CONNECTOR, 1))
    body["Event"]["System"]["EventID"] = number
    assert read_event(json.dumps(body)).number == read


@pytest.mark.parametrize("provider", [None, {}, {"#attributes": 1}, {"#attributes": {"Name": 1}}])
def test_event_without_a_provider_is_left_out(provider):
    body = json.loads(record(CONNECTOR, 1))
    body["Event"]["System"]["Provider"] = provider
    assert read_event(json.dumps(body)) is None


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2026-11-24T10:00", datetime(2026, 11, 24, 10, tzinfo=UTC)),
        ("2026-11-24T11:00+01:00", datetime(2026, 11, 24, 10, tzinfo=UTC)),
        ("2026-11-24", datetime(2026, 11, 24, tzinfo=UTC)),
        ("yesterday", None),
        ("0001-01-01T00:00+01:00", None),
        ("", None),
    ],
)
def test_times_are_in_utc(text, moment):
    assert moment_of(text) == moment


@given(st.recursive(st.none() | st.integers() | st.text(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)))
def test_any_event_data_is_read(data):
    body = json.loads(record(CONNECTOR, 1))
    body["Event"]["EventData"] = data
    assert all(read_event(json.dumps(body)).texts)

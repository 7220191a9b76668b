"""The list of targets of an exporter, and every response that is none."""

import json

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from exporter.core.secrets import remember
from exporter.core.values import CredentialKind, Vantage
from exporter.sqlserver.gate.conditions import Condition, GateReason
from exporter.sqlserver.gate.exporters import CREDENTIAL_TYPES, MOST_OF_READINGS, read_readings, read_state
from exporter.sqlserver.gate.render import as_json, as_text
from exporter.sqlserver.reading import reading_values
from tests.support.gate_factories import NOW, URL, answer, body, row
from tests.support.sql_readings import an_unread_server

NEW_FIELDS = (
    "ready_since",
    "last_not_ready",
    "last_unwrap",
    "key_type",
    "key_size_bits",
    "credential",
    "credential_type",
    "credential_expires_at",
)


def test_targets_are_read():
    found = read_state(body(row(), row(target="second", key_version=None)), URL)
    assert (found.at, found.vantage) == (NOW, Vantage.SQL_HOST)
    assert [(one.name, one.key_version, one.ready) for one in found.targets] == [
        ("contoso-key0", "1111aaaa2222", True),
        ("second", None, True),
    ]


def test_exporter_without_targets_is_read():
    found = read_state(body(targets=[]), URL)
    assert found.targets == ()


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"<html>login</html>",
        b"[]",
        b"null",
        b"{}",
        b'{"targets": {}}',
        b"[" * 100_000,
        b"\xff\xfe",
        *(body().decode().encode(encoding) for encoding in ("utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32")),
        body()[:-1],
        body([]),
        body("target"),
        body(None),
        body(7),
        body(at="soon"),
        body(at="0001-01-01T00:00:00Z"),
        body(at=7),
        body(vantage="nowhere"),
        body(row(vault_side_ready=1)),
        body(row(vault_side_ready="true")),
        body(row(target=None)),
        body(row(ready_since=1764187200)),
        body(row(ready_since="2026-13-01T00:00:00Z")),
        body(row(credential_expires_at="9999-12-31T23:59:59-14:00")),
        body(row(key_size_bits="2048")),
        body(row(key_size_bits=True)),
        body(row(key_size_bits=2048.0)),
        body(row(last_unwrap=True)),
        body(row(success="true")),
        body(row(why="not_ready")),
        body(row(why="stale")),
        body(row(credential_type="a_later_kind")),
        body(row(credential_type=["client_secret"])),
        body(row(instances=7)),
        body(row(instances="")),
        body(row(instances={})),
        body(row(instances=["SQLPRD01"])),
        body(row(instances=[{"sql_instance": 1}])),
    ],
    ids=lambda data: data[:24].decode("latin-1") + f"...{len(data)}",
)
def test_other_response_is_not_known(data):
    found = read_state(data, URL)
    assert found.condition is Condition.EXPORTER_FOREIGN


@pytest.mark.parametrize("field", NEW_FIELDS)
def test_response_of_an_older_exporter_names_the_field(field):
    older = row()
    del older[field]
    found = read_state(body(row(), older), URL)
    assert (found.condition, found.text) == (
        Condition.EXPORTER_OLD,
        f"the exporter at {URL} does not report {field}: it has another version than this program",
    )


def test_older_list_without_a_time_names_it():
    content = json.loads(body())
    del content["at"]
    found = read_state(json.dumps(content).encode(), URL)
    assert found.condition is Condition.EXPORTER_OLD


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"code": 3303, "symbol": "E", "step": "token", "reason": "secret_expired"}, "3303 E at token (secret_expired)"),
        ({"code": 3303, "step": "token"}, "3303 at token"),
        (
            {"code": [], "symbol": {}, "step": 7, "reason": 7},
            "a step that SQL Server needs for backups, log files and starts failed",
        ),
    ],
)
def test_failure_is_one_line(changes, text):
    found = read_state(body(row(vault_side_ready=False, **changes)), URL)
    assert found.targets[0].failure == text


def test_control_characters_of_names_are_replaced():
    found = read_state(body(row(target="a\x1b[2Jb")), URL)
    assert found.targets[0].name == "a?[2Jb"


def test_password_that_equals_a_name_changes_no_reading():
    remember("contoso-key0")
    remember("1111aaaa2222")
    assert read_state(body(row()), URL).targets[0].name == "contoso-key0"
    assert read_state(body(row()), URL).targets[0].key_version == "1111aaaa2222"


def test_reason_names_the_field_and_not_its_value():
    found = read_state(body(row(vault_side_ready="hunter2")), URL)
    assert (
        found.text == f"the response of {URL} is not that of an exporter: its field vault_side_ready has a value of another kind"
    )


def test_credential_types_are_those_of_the_configuration():
    assert set(CREDENTIAL_TYPES) == set(CredentialKind)


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20), lambda one: st.lists(one) | st.dictionaries(st.text(), one)
)  # fmt: skip


# The kind of a value that `row` does not have.
KINDS = {name: type(value) for name, value in row().items()} | {"last_not_ready": str, "next_credential_usable": bool}


@given(st.sampled_from(sorted(row())), VALUES)
@example("next_credential_usable", False)
def test_no_value_of_another_kind_makes_it_ready(field, value):
    """Whatever a field has: a reason, or a verdict that the value itself justifies; never an exception."""
    found = answer(row(**{field: value}))
    if found.verdict == "ready":
        assert type(value) is KINDS[field] or value is None or field in {"step", "code", "symbol", "reason"}
    assert as_text(found)
    assert json.dumps(as_json(found))


def test_millions_of_nested_values_are_not_parsed():
    found = read_state(b'{"targets": [' + b"[]," * 3_000_000 + b"[]]}", URL)
    assert "is not that of an exporter: it has more than 3000000 values" in found.text


@given(st.binary(max_size=300))
def test_no_bytes_are_an_exception(data):
    assert isinstance(read_state(data, URL), GateReason)


def readings_body(*readings):
    return json.dumps({"at": "2026-11-26T20:00:00.000Z", "sql_servers": readings}).encode()


def test_readings_are_read():
    reading = an_unread_server()
    assert read_readings(readings_body(reading_values(reading)), URL) == (reading,)
    assert read_readings(readings_body(), URL) == ()


@pytest.mark.parametrize(
    ("data", "cause"),
    [
        (b"<html>", "it is not JSON in UTF-8"),
        (body(), "it has no list of SQL Servers"),
        (readings_body(reading_values(an_unread_server()), {}), "SQL Server 2 of its list is damaged (KeyError)"),
        (b'{"sql_servers": [' + b"," * MOST_OF_READINGS + b"]}", f"it has more than {MOST_OF_READINGS} values"),
    ],
    ids=["html", "targets", "damaged", "large"],
)
def test_response_without_readings_is_no_shorter_list(data, cause):
    found = read_readings(data, URL)
    assert found.condition is Condition.EXPORTER_FOREIGN
    assert found.text == f"the response of {URL} is not that of an exporter: {cause}"

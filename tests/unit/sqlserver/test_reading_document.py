"""A reading of a SQL Server as JSON, read again, and what an inventory has of it."""

import contextlib
import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.core.durations import moment
from exporter.sqlserver.document import PROOF_SECTIONS, RegistryUri, completed
from exporter.sqlserver.reading import inventory_document, is_good, merged, reading_from, reading_values
from tests.support.sql_readings import READ_AT, a_reading, an_unread_server, with_growing_logs


def whole(reading, **changes):
    """The reading as `run` has it: with messages for what is missing."""
    document = completed(replace(reading.document, **changes))
    return replace(reading, document=document, read_at={name: READ_AT for name in reading.read_at if is_good(document, name)})


def with_kept_keys():
    before = whole(a_reading())
    later = {name: rows for name, rows in before.document.sections.items() if name not in ("keys", "logs")}
    document = completed(replace(before.document, sections=later, errors={"keys": "no answer", "logs": "message 300: denied"}))
    return replace(before, document=merged(document, before.document), failure="does not answer", attempted_at=READ_AT + 300)


def on_the_way(reading):
    """The JSON of a reading, as a client gets it."""
    return json.loads(json.dumps(reading_values(reading)))


READINGS = {
    "whole": whole(a_reading("sales", "hr")),
    "without_sections": whole(a_reading(sections={"backups": None, "keys": None})),
    "registry": whole(a_reading(), key_uris=(RegistryUri("2C56", "https://v.vault.azure.net/keys/k/1"),)),
    "kept": with_kept_keys(),
    "earlier_logs": with_growing_logs(whole(a_reading())),
    "unread": an_unread_server(refused=True),
    "never_tried": an_unread_server(attempted_at=0.0, failure=""),
}


@pytest.mark.parametrize("case", READINGS)
def test_reading_is_the_same_after_json(case):
    assert reading_from(on_the_way(READINGS[case])) == READINGS[case]


def test_times_are_rfc_3339():
    values = on_the_way(READINGS["earlier_logs"])
    assert values["attempted_at"] == values["read_at"]["keys"] == moment(READ_AT) == "2026-11-26T20:00:00.000Z"
    assert values["earlier_logs"][0] == "2026-11-26T19:55:00.000Z"
    assert on_the_way(READINGS["never_tried"])["attempted_at"] is None


DAMAGES = {
    "address": {"address": ""},
    "number_as_address": {"address": 7},
    "refused": {"refused": "yes"},
    "time": {"attempted_at": READ_AT},
    "no_time": {"attempted_at": "yesterday"},
    "time_of_a_section": {"read_at": {"keys": "1969-01-01T00:00:00Z"}},
    "times": {"read_at": [1]},
    "logs": {"earlier_logs": [1]},
    "document": {"document": []},
    "other_format": {"document": {"inventory": 9}},
    "no_instance": {"document": {"inventory": 1, "sections": []}},
    "failure_of_the_document": {"document": {"inventory": 1, "failure": "not read"}},
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_damaged_reading_is_refused(damage):
    with pytest.raises(ValueError, match="is damaged"):
        reading_from(on_the_way(READINGS["earlier_logs"]) | DAMAGES[damage])


@pytest.mark.parametrize("value", [None, [], "reading", 7])
def test_value_of_another_kind_is_refused(value):
    with pytest.raises(ValueError, match="is damaged"):
        reading_from(value)


@pytest.mark.parametrize("name", reading_values(READINGS["unread"]))
def test_reading_without_a_field_is_refused(name):
    values = on_the_way(READINGS["unread"])
    del values[name]
    with pytest.raises(ValueError, match="is damaged"):
        reading_from(values)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner, max_size=3),
    max_leaves=9,
)


@given(st.sampled_from([*reading_values(READINGS["unread"]), "sections", "errors", "kept", "key_uris"]), JSON)
def test_hostile_value_is_refused_or_read(name, value):
    values = on_the_way(READINGS["earlier_logs"])
    (values if name in values else values["document"])[name] = value
    with contextlib.suppress(ValueError):
        reading = reading_from(values)
        assert reading_from(on_the_way(reading)) == reading


def test_impossible_section_is_an_error_without_a_time():
    values = on_the_way(READINGS["earlier_logs"])
    for section in values["document"]["sections"]:
        section["rows"] = (
            [{**row, "name": "k" * 500} for row in section["rows"]] if section["section"] == "keys" else section["rows"]
        )
    values["earlier_logs"][1][0]["database"] = "d" * 500
    reading = reading_from(values)
    assert "keys" not in reading.read_at
    assert "more than the 128 that SQL Server allows" in reading.document.errors["keys"]
    assert reading.earlier_logs is None


def test_inventory_has_no_section_of_proofs():
    reading = replace(with_kept_keys(), address="n1.contoso.com\\SQLPRD01")
    document = inventory_document(reading)
    assert document.address == "n1.contoso.com\\SQLPRD01"
    assert {*document.sections} == {*reading.document.sections} - {*PROOF_SECTIONS}
    assert document.sections["keys"] == reading.document.sections["keys"]
    assert (document.errors, document.kept) == ({"keys": "no answer"}, {"keys": reading.document.kept["keys"]})
    assert "logs" in reading.document.kept


@pytest.mark.parametrize(("failure", "cause"), [("no such name", "no such name"), ("", "the exporter has not read it yet")])
def test_server_that_was_never_read_is_a_failure(failure, cause):
    document = inventory_document(an_unread_server(failure=failure))
    assert (document.address, document.failure, document.sections) == ("n1\\SQLPRD01", cause, {})

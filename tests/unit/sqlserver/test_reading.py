"""Two readings as one, who keeps a name that several answer, and a reading as JSON."""

from __future__ import annotations

import contextlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.core.durations import moment, unix_time
from exporter.inventory.plan import HandWritten, make_plan
from exporter.sqlserver.document import PROOF_SECTIONS, Document, RegistryUri, as_json, completed, document_from
from exporter.sqlserver.instance import instance_of
from exporter.sqlserver.reading import (
    contested_addresses,
    inventory_document,
    is_good,
    joined_backups,
    joined_log,
    may_be_two,
    merged,
    reading_from,
    reading_values,
    shown_name,
    united,
    with_known_rows,
)
from tests.support.sql_inventory import rows_of
from tests.support.sql_readings import READ_AT, a_reading, an_unread_server, with_growing_logs
from tests.support.values import replace

URI = RegistryUri("2C56", "https://contoso-prod.vault.azure.net/keys/K/1111")
MONDAY, TUESDAY, FRIDAY = "2026-11-23T20:00:00", "2026-11-24T20:00:00", "2026-11-27T20:00:00"


def reading(time, *missing, uris=(URI,), errors=None, **changes):
    rows = {name: tuple(one) for name, one in rows_of("N1").items() if name not in missing}
    rows["instance"][0].update(read_at_utc=time, **changes)
    return completed(Document(address="n1", sections=rows, errors=errors or {}, key_uris=uris))


def with_kept_keys(time=FRIDAY):
    return merged(reading(time, "keys", errors={"keys": "no answer"}), reading(MONDAY))


def plan_of(document):
    return make_plan([instance_of(document)], [], HandWritten(), {})


def a_backup(kind, database="sales", day=23):
    return {"database": database, "type": kind, "finished_utc": f"2026-11-{day}T20:00:00"}


def document_of(*backups, encrypted=("sales",)):
    databases = tuple({"name": name, "is_encrypted": int(name in encrypted)} for name in ("sales", "hr"))
    return Document(sections={"databases": databases, "backups": backups})


def test_backups_that_were_not_searched_are_kept():
    earlier = document_of(a_backup("D"), a_backup("I"), a_backup("L"))
    found = with_known_rows(document_of(a_backup("I", day=27)), earlier)
    assert found.sections["backups"] == (a_backup("I", day=27), a_backup("D"), a_backup("L"))


def test_backups_of_a_database_without_encryption_are_dropped():
    earlier = document_of(a_backup("D", "hr"), a_backup("D", "gone"))
    assert with_known_rows(document_of(), earlier).sections["backups"] == ()


def test_backups_that_were_never_read_stay_unknown():
    later = Document(sections={"databases": ()})
    assert with_known_rows(later, document_of(a_backup("D"))) == later
    assert with_known_rows(document_of(a_backup("D")), later).sections["backups"] == (a_backup("D"),)


def test_backups_without_times_have_no_gap():
    known = a_backup("D") | {"gaps": 3, "longest_seconds": 60}
    later = {"database": "sales", "type": "D", "gaps": 1}
    assert joined_backups([later], [later | {"gaps": 3}], whole=False) == (later | {"gaps": 3},)
    assert joined_backups([a_backup("D")], [known], whole=False) == (known,)


def test_empty_registry_is_good_without_provider_and_keys():
    expected = {(): True, ("providers",): False, ("keys",): False, ("providers", "keys"): False}
    for used, good in expected.items():
        rows = {name: ({"name": "EKM"},) * (name in used) for name in ("providers", "keys")}
        assert is_good(Document(sections=rows), "registry") is good
    assert not is_good(Document(sections={"providers": ()}), "registry")


def test_section_that_timed_out_is_kept_with_its_time():
    found = with_kept_keys()
    assert (found.kept, found.errors) == ({"keys": MONDAY}, {"keys": "no answer"})
    plan = plan_of(found)
    assert len(plan.targets) == 1
    ((text, servers),) = plan.findings.gaps.items()
    assert text == f"the section keys is of {MONDAY}Z, because it was not read again: no answer"
    assert (servers, plan.findings.kinds[text]) == (["N1"], "section_kept")


def test_kept_section_has_its_age():
    now, found = unix_time(FRIDAY), with_kept_keys()
    assert instance_of(found, now).kept["keys"][0] == f"{MONDAY}Z (4d ago)"
    assert instance_of(replace(found, kept={"keys": "?"}), now).kept["keys"][0] == "?"


def test_impossible_section_of_a_file_is_not_kept():
    content = as_json(with_kept_keys())
    content["sections"] = [
        {**one, "rows": [{"name": "x" * 129}]} if one["section"] == "keys" else one for one in content["sections"]
    ]
    held = document_from(content)
    assert held.kept == {}
    assert "128" in held.errors["keys"]
    content["sections"] = [one for one in content["sections"] if one["section"] != "keys"]
    assert document_from(content).kept == {}


def test_next_good_reading_replaces_the_kept_section():
    again = merged(reading(FRIDAY, "keys", errors={"keys": "denied"}), with_kept_keys(TUESDAY))
    assert (again.kept, again.errors) == ({"keys": MONDAY}, {"keys": "denied"})
    assert merged(reading(FRIDAY), again).kept == {}


def test_revoked_right_is_not_an_empty_list():
    revoked = reading(FRIDAY, "credentials", "keys", "logins", "replicas", may_view_definitions=0)
    emptied = completed(Document(sections={**revoked.sections, "credentials": (), "keys": (), "logins": (), "replicas": ()}))
    found = merged(emptied, reading(MONDAY))
    assert set(found.kept) >= {"credentials", "keys", "logins"}
    assert len(plan_of(found).targets) == 1


def test_hidden_databases_are_not_gone():
    hidden = reading(FRIDAY, may_view_databases=0)
    emptied = completed(Document(sections={**hidden.sections, "databases": (), "encryption": ()}))
    assert set(merged(emptied, reading(MONDAY)).kept) == {"databases", "encryption", "registry"}


def test_section_that_was_read_removes():
    empty = reading(FRIDAY)
    empty = completed(Document(sections={**empty.sections, "encryption": (), "databases": ()}, key_uris=(URI,)))
    assert plan_of(merged(empty, reading(MONDAY))).targets == []


def test_server_that_was_not_read_is_kept_as_a_whole():
    found = merged(Document(address="n1", failure="no answer"), reading(MONDAY, "modules", errors={"modules": "denied"}))
    assert found.failure is None
    assert found.errors["modules"] == "denied"
    plan = plan_of(found)
    assert len(plan.targets) == 1
    text = f"not read in the latest run, so everything is of {MONDAY}Z: no answer"
    assert plan.findings.kinds[text] == "instance_kept"
    assert merged(reading(FRIDAY), found).kept == {}


def test_registry_that_shows_nothing_keeps_its_entries():
    found = merged(reading(FRIDAY, uris=()), reading(MONDAY))
    assert (found.key_uris, found.kept) == ((URI,), {"registry": MONDAY})
    plan = plan_of(found)
    assert plan.findings.gaps == {}
    assert len(plan.targets) == 1
    assert any("the section registry is of" in text for text in plan.findings.notes)


def test_older_file_fills_what_the_newer_reading_lacks():
    newer = with_kept_keys()
    found = merged(newer, reading(TUESDAY))
    assert found.kept == {"keys": TUESDAY}
    assert found.sections["instance"] == newer.sections["instance"]


def test_damaged_section_without_an_earlier_one_stays_an_error():
    first = reading(MONDAY, "keys", errors={"keys": "denied"})
    found = merged(reading(FRIDAY, "keys", errors={"keys": "no answer"}), first)
    assert (found.kept, found.errors) == ({}, {"keys": "no answer"})


def named(address, host="n1", **changes):
    return a_reading(address=address, host=host, **changes)


@pytest.mark.parametrize(
    ("readings", "contested"),
    [
        ([named("n1"), named("n2", "n2")], set()),
        ([named("10.0.0.5"), named("n1.contoso.com")], {"10.0.0.5"}),  # the address proves the name
        ([named("n1"), named("10.0.0.5", "N1", sql_instance="sqlprd01")], {"10.0.0.5"}),  # names ignore case
        ([named("n1"), named("10.0.0.5", configured=True)], {"n1"}),  # the configuration has the name
        ([named("10.0.0.5"), named("10.0.0.6")], {"10.0.0.5", "10.0.0.6"}),  # nothing proves it
        ([named("n1,1433"), named("n1,1434")], {"n1,1433", "n1,1434"}),
        ([named("10.0.0.5", sql_instance="N2"), an_unread_server("n2")], {"10.0.0.5"}),  # the address stands for the names
        ([named("n1", sql_instance="N1")], set()),
        ([an_unread_server("n1"), an_unread_server("n2")], set()),
    ],
)
def test_name_is_kept_by_the_best_claim_alone(readings, contested):
    assert contested_addresses(readings) == contested
    assert contested_addresses(readings[::-1]) == contested


def test_contested_name_is_shown_with_the_address():
    assert shown_name(named("10.0.0.5")) == "SQLPRD01 on n1"
    assert shown_name(replace(named("10.0.0.5"), contested=True)) == "10.0.0.5 (answers as SQLPRD01 on n1)"


def whole(reading, **changes):
    """The reading as `run` has it: with messages for what is missing."""
    document = completed(replace(reading.document, **changes))
    return replace(reading, document=document, read_at={name: READ_AT for name in reading.read_at if is_good(document, name)})


def known_with_kept_keys():
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
    "kept": known_with_kept_keys(),
    "earlier_logs": with_growing_logs(whole(a_reading())),
    "unread": an_unread_server(refused=True),
    "other_clock": whole(a_reading(clock_behind=-0.25)),
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
    "text_as_clock": {"clock_behind": "1"},
    "truth_as_clock": {"clock_behind": True},
    "endless_clock": {"clock_behind": float("inf")},
    "no_clock": {"clock_behind": float("nan")},
    "time": {"attempted_at": READ_AT},
    "no_time": {"attempted_at": "yesterday"},
    "time_of_a_section": {"read_at": {"keys": "1969-01-01T00:00:00Z"}},
    "times": {"read_at": [1]},
    "logs": {"earlier_logs": [1]},
    "time_of_logs": {"earlier_logs": [None, []]},
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
    reading = replace(known_with_kept_keys(), address="n1.contoso.com\\SQLPRD01")
    document = inventory_document(reading)
    assert document.address == "n1.contoso.com\\SQLPRD01"
    assert {*document.sections} == {*reading.document.sections} - {*PROOF_SECTIONS, "changes"}
    assert document.sections["keys"] == reading.document.sections["keys"]
    assert (document.errors, document.kept) == ({"keys": "no answer"}, {"keys": reading.document.kept["keys"]})
    assert "logs" in reading.document.kept


@pytest.mark.parametrize(("failure", "cause"), [("no such name", "no such name"), ("", "the exporter has not read it yet")])
def test_server_that_was_never_read_is_a_failure(failure, cause):
    document = inventory_document(an_unread_server(failure=failure))
    assert (document.address, document.failure, document.sections) == ("n1\\SQLPRD01", cause, {})


# One SQL Server as two exporters read it.

NOON, LATER = unix_time("2026-11-26T12:00:00"), unix_time("2026-11-26T13:00:00")


def seen_by(at, **sections):
    rows = {name: tuple(found) for name, found in sections.items()}
    document = Document(address="n1", sections={"instance": ({"server_name": "N1"},)} | rows)
    return replace(a_reading(), attempted_at=at, document=document, read_at=dict.fromkeys(document.sections, at), clock_behind=at)


def both_ways(one, other):
    found = united(one, other)
    assert united(other, one) == found
    return found


def test_section_counts_as_it_was_last_read():
    early, late = seen_by(NOON, keys=[{"name": "old"}], logins=[{"name": "l"}]), seen_by(LATER, keys=[{"name": "new"}])
    late = replace(late, document=replace(late.document, errors={"logins": "denied"}))
    found = both_ways(early, late)
    assert (found.document.sections["keys"], found.document.sections["logins"]) == (({"name": "new"},), ({"name": "l"},))
    assert (found.document.errors, [*found.document.kept]) == ({"logins": "denied"}, ["logins"])
    assert (found.read_at["keys"], found.read_at["logins"]) == (LATER, NOON)
    assert (found.attempted_at, found.clock_behind) == (LATER, LATER)


def test_server_that_one_exporter_never_read_is_as_the_other_knows_it():
    assert both_ways(an_unread_server(attempted_at=LATER), seen_by(NOON)) == seen_by(NOON)
    assert both_ways(an_unread_server(attempted_at=NOON), an_unread_server(attempted_at=LATER)).attempted_at == LATER


def test_failures_of_two_exporters_are_united():
    row = {"code": "3303", "lines": 1, "first_utc": TUESDAY, "last_utc": TUESDAY}
    found = both_ways(seen_by(NOON, errors=[row]), seen_by(LATER, errors=[row | {"last_utc": FRIDAY}, row | {"code": "9999"}]))
    assert found.document.sections["errors"] == (row | {"last_utc": FRIDAY}, row | {"code": "9999"})


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        ((MONDAY, TUESDAY), (TUESDAY, FRIDAY), (MONDAY, FRIDAY)),
        ((MONDAY, FRIDAY), (TUESDAY, TUESDAY), (MONDAY, FRIDAY)),
        ((MONDAY, MONDAY), (TUESDAY, FRIDAY), (TUESDAY, FRIDAY)),
    ],
)
def test_what_was_read_of_a_log_joins_where_it_meets(one, other, expected):
    first, second = ([dict(zip(("since_utc", "until_utc"), span, strict=True))] for span in (one, other))
    (found,) = both_ways(seen_by(NOON, errors=[], log=first), seen_by(LATER, errors=[], log=second)).document.sections["log"]
    assert tuple(found.values()) == expected
    assert joined_log([], []) == ()


def test_newest_backup_of_two_exporters_counts():
    found = both_ways(seen_by(NOON, backups=[a_backup("D", day=27)]), seen_by(LATER, backups=[a_backup("D"), a_backup("L")]))
    assert sorted(row["type"] + row["finished_utc"] for row in found.document.sections["backups"]) == [f"D{FRIDAY}", f"L{MONDAY}"]


def a_change(value, since=MONDAY, first=1, **more):
    return {"what": "option", "node": "n1", "value": value, "since_utc": since, "first": first, **more}


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        (a_change("1"), a_change("1", FRIDAY), a_change("1")),
        (a_change("1"), a_change("1", FRIDAY, 0), a_change("1", MONDAY, 0)),
        (a_change("1"), a_change("0", FRIDAY), a_change("0", FRIDAY, 0)),
        (a_change("1", known_utc=FRIDAY), a_change("1", known_utc=MONDAY), a_change("1", known_utc=FRIDAY)),
    ],
)
def test_value_is_known_as_long_as_either_exporter_knows_it(one, other, expected):
    found = both_ways(seen_by(NOON, changes=[one]), seen_by(LATER, changes=[other]))
    assert found.document.sections["changes"] == (expected,)


def test_secret_has_every_end_that_either_exporter_knows():
    ends = [{"what": "secret_end", "name": "client", "value": day, "since_utc": day, "first": 1} for day in (MONDAY, FRIDAY)]
    found = both_ways(seen_by(NOON, changes=ends[:1]), seen_by(LATER, changes=ends))
    assert found.document.sections["changes"] == tuple(ends)


@pytest.mark.parametrize(
    ("start", "is_one"),
    [("2026-11-01T00:00:09", True), ("2026-11-01T01:00:09", True), ("2026-11-01T02:00:00", False), ("", False)],
)
def test_start_that_two_exporters_read_may_differ_by_clocks_and_an_hour(start, is_one):
    other = a_reading(address="10.0.0.5", sections={"start": [{"started_utc": start}]})
    for pair in ((a_reading(), other), (other, a_reading())):
        assert may_be_two(*pair, of_one_exporter=False) is not is_one
        assert may_be_two(*pair, of_one_exporter=True)


def test_inventory_has_no_local_time_of_a_credential():
    known = whole(a_reading(sections={"credentials": [{"name": "tde", "modified_utc": MONDAY, "modified_local": TUESDAY}]}))
    assert inventory_document(known).sections["credentials"] == ({"name": "tde", "modified_utc": MONDAY},)
    assert "credentials" not in inventory_document(whole(a_reading(sections={"credentials": None}))).sections

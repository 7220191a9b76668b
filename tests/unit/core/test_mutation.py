"""No row of the classification can be changed without a promise being broken."""

import pytest

from exporter.core import classify as module
from tests.unit.core import mutate_classification as mutation
from tests.unit.core.mutate_classification import TABLES, Mutant, applied, judged, mutants, noticed


@pytest.fixture(scope="module")
def verdict():
    return judged()


def test_every_change_of_every_row_breaks_a_promise(verdict):
    assert [str(mutant) for mutant in verdict.survived] == []


def test_only_the_reach_of_a_row_can_be_changed_without_any_effect(verdict):
    """Taking a row out, or giving it another code, reason or fault, always has one: no row is dead."""
    assert {mutant.what.partition("=")[0] for mutant in verdict.void} <= {"first", "last", "statuses", "steps", "markers"}


def test_every_row_is_changed_in_each_of_the_ways_it_has():
    changed = {(mutant.table, mutant.index, mutant.what.partition("=")[0]) for mutant in mutants()}
    for table in TABLES:
        for index, row in enumerate(getattr(module, table)):
            ways = {way for name, index_, way in changed if (name, index_) == (table, index)}
            assert {"taken out", "reason"} <= ways
            assert {
                name for name in ("code", "first", "last", "statuses", "steps", "markers", "fault") if hasattr(row, name)
            } <= ways


def test_a_change_that_nobody_promised_anything_about_survives(monkeypatch):
    monkeypatch.setattr(mutation, "_CASES", {True: [], False: []})
    assert len(judged().survived) > 1000


def test_a_change_is_taken_back():
    before = {name: getattr(module, name) for name in (*TABLES, "_BY_FAULT")}
    for table in TABLES:
        with applied(Mutant(table, 0, None, "taken out")):
            assert noticed(table)
    assert {name: getattr(module, name) for name in before} == before
    assert not any(noticed(table) for table in TABLES)

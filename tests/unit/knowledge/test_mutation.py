"""Every change of a row of the classification breaks a promise."""

import pytest

from exporter.knowledge import classify
from tests.unit.knowledge.mutate_classification import TABLES, classify_changes, mutants


@pytest.fixture(scope="module")
def changes():
    return classify_changes()


def test_every_change_of_every_row_breaks_a_promise(changes):
    assert [str(mutant) for mutant in changes.survived] == []


def test_only_changes_of_a_rows_range_are_void(changes):
    """Without a row, or with another code, reason or fault in it, some input is classified differently."""
    assert {mutant.what.partition("=")[0] for mutant in changes.void} <= {"first", "last", "statuses", "steps", "markers"}


def test_every_row_is_changed_in_each_of_its_fields():
    changed = {(mutant.table, mutant.index, mutant.what.partition("=")[0]) for mutant in mutants()}
    for table in TABLES:
        for index, row in enumerate(getattr(classify, table)):
            ways = {way for name, index_, way in changed if (name, index_) == (table, index)}
            assert {"removed", "reason"} <= ways
            assert {
                name for name in ("code", "first", "last", "statuses", "steps", "markers", "fault") if hasattr(row, name)
            } <= ways

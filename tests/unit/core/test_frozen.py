"""Values of a probe are frozen for mypy, and cheap to create."""

import dataclasses
import sys

import mypy.api

from exporter.core.frozen import dataclass

ASSIGNMENT = """
from exporter.core.frozen import dataclass

@dataclass(frozen=True, slots=True)
class Value:
    number: int

Value(1).number = 2
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Value:
    number: int
    token: str = dataclasses.field(default="", repr=False)


def test_value_is_compared_hashed_and_replaced_by_its_fields():
    value = Value(number=1, token="t")
    assert value == Value(number=1, token="t") != Value(number=2, token="t")
    assert len({value, Value(number=1, token="t"), dataclasses.replace(value, number=2)}) == 2
    assert repr(value) == "Value(number=1)"


def test_value_sets_its_fields_without_a_call_for_each():
    called = []
    sys.setprofile(lambda _frame, event, function: called.append(function) if event == "c_call" else None)
    try:
        Value(number=1)
    finally:
        sys.setprofile(None)
    assert len(called) == 1  # the end of the count


def test_mypy_forbids_an_assignment(tmp_path):
    (tmp_path / "assignment.py").write_text(ASSIGNMENT)
    found, _, status = mypy.api.run([str(tmp_path / "assignment.py")])
    assert 'Property "number" defined in "Value" is read-only' in found
    assert status == 1

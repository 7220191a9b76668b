"""Values of a probe are frozen for mypy, and cheap to create."""

import dataclasses
import pickle

import mypy.api

from exporter.core.values import dataclass

ASSIGNMENT = """
from exporter.core.values import dataclass

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


def test_pickle_of_a_value_holds_no_names_of_fields():
    value = Value(number=1, token="t")
    assert pickle.loads(pickle.dumps(value)) == value  # noqa: S301 - pickled here
    assert b"number" not in pickle.dumps(value)


def test_value_sets_its_fields_without_a_call_for_each():
    assert "__setattr__" not in Value.__init__.__code__.co_names


def test_mypy_forbids_an_assignment(tmp_path):
    (tmp_path / "assignment.py").write_text(ASSIGNMENT)
    found, _, status = mypy.api.run([str(tmp_path / "assignment.py")])
    assert 'Property "number" defined in "Value" is read-only' in found
    assert status == 1

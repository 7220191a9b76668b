"""Recorded crashers and seeds pass the checks of their targets."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.core.values import Step
from tests.fuzz import fuzz, seeds
from tests.fuzz.exchanges import Reported
from tests.fuzz.targets import TARGETS, read, written

CRASHERS = sorted(fuzz.CRASHERS.rglob("*.txt"))


@pytest.mark.parametrize("path", CRASHERS, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_recorded_crasher_passes(path):
    TARGETS[path.parent.name].check(fuzz.read_crasher(path))


@pytest.mark.parametrize("name", TARGETS)
def test_target_accepts_its_seeds(name):
    beginnings = list(TARGETS[name].seeds())
    assert len(beginnings) >= 10
    for data in beginnings:
        TARGETS[name].check(data)


def test_written_response_is_read_back():
    for reported in (*seeds.good_answers(), *seeds.refusals(), *seeds.odd_answers()):
        assert read(written(reported)) == reported


@given(st.binary(max_size=200))
def test_any_bytes_are_a_response(data):
    assert isinstance(read(data), Reported)
    assert read(data).step in Step


def test_command_lists_each_target():
    assert tuple(TARGETS) == fuzz.NAMES

"""The settings of Python's garbage collector."""

import gc

import pytest

from exporter.runtime.process import THRESHOLDS, collect_rarely, importing


@pytest.fixture(autouse=True)
def pace_of_the_collector():
    """Other tests must not inherit frozen objects or a threshold."""
    before = gc.get_threshold()
    yield
    gc.set_threshold(*before)
    gc.unfreeze()


def test_collect_rarely_collects_all_generations_less_often():
    collect_rarely()
    assert gc.get_threshold() == THRESHOLDS
    youngest, middle, full = THRESHOLDS
    assert youngest > 2000  # Python 3.13's own
    assert youngest * middle <= 20_000  # the objects of one collection of the middle generation, as by default
    assert middle * full * youngest >= 2_000_000
    assert gc.isenabled()


@pytest.mark.usefixtures("pace_of_the_collector")
def test_collector_ignores_objects_that_are_freed_in_time():
    collect_rarely()
    before = [each["collections"] for each in gc.get_stats()]
    for _ in range(20):
        held = [[] for _ in range(THRESHOLDS[0] // 2)]
        del held
    assert [each["collections"] for each in gc.get_stats()] == before


def test_collect_rarely_freezes_current_objects():
    there = []
    collect_rarely()
    assert gc.get_freeze_count() > 0
    assert not any(one is there for one in gc.get_objects())


def test_imports_are_frozen_and_not_collected():
    with importing():
        assert not gc.isenabled()
    assert gc.isenabled()
    assert gc.get_freeze_count() > 0

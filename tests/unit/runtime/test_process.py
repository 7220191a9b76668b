"""The settings of Python's garbage collector."""

import gc

from exporter.runtime import process


def test_collect_rarely_changes_full_collections_only():
    before = gc.get_threshold()
    process.collect_rarely()
    assert gc.get_threshold() == (*before[:2], process.YOUNGER_COLLECTIONS)
    assert gc.isenabled()


def test_collect_rarely_freezes_current_objects():
    there = []
    process.collect_rarely()
    assert gc.get_freeze_count() > 0
    assert not any(one is there for one in gc.get_objects())

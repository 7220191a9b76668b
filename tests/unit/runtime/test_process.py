"""Python's collector as the exporter sets it. Not for: how long a collection takes."""

import gc

from exporter.runtime import process


def test_full_collections_become_rare_and_the_younger_stay_as_they_were():
    before = gc.get_threshold()
    process.collect_rarely()
    assert gc.get_threshold() == (*before[:2], process.YOUNGER_COLLECTIONS)
    assert gc.isenabled()


def test_what_is_there_is_not_looked_at_again():
    there = []
    process.collect_rarely()
    assert gc.get_freeze_count() > 0
    assert not any(one is there for one in gc.get_objects())

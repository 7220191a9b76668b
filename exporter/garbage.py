"""Python's collector of reference cycles, kept from holding up probes.

For: the one setting of it, made when the parts stand, and again after a reload.
Not for: memory that reference counts give back at once, which is nearly all.
"""

from __future__ import annotations

import gc

# A full collection of what is known of 5,000 targets stops everything for a quarter of a second. By default there is one after ten
# younger ones, which is once a minute with as many targets; what it then finds is less than a megabyte.
YOUNGER_COLLECTIONS = 200


def collect_rarely() -> None:
    """The configuration and the catalogue, which are there now, stay until the next reload: no collection looks at them until then.

    Full collections of the rest become rare; the younger generations are collected as ever. What a reload has thrown away goes now.
    Blocks for up to half a second with 5,000 targets.
    """
    gc.unfreeze()
    gc.collect()
    gc.freeze()
    youngest, younger, _ = gc.get_threshold()
    gc.set_threshold(youngest, younger, YOUNGER_COLLECTIONS)

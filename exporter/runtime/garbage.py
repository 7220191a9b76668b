"""Python's garbage collector: when it runs, and which objects it searches."""

from __future__ import annotations

import contextlib
import gc
from collections.abc import Iterator

# - Objects that are tracked before the youngest are collected: 2,000 by default, 700 before Python 3.13. Most objects of probes in
#   flight are freed before so many exist: collections take a third of the time, at 4 ms the longest. With 20,000, one takes longer
#   than a pause may.
# - Collections of the youngest before the middle generation is collected: 20,000 objects at most, as by default.
# - Collections of the middle generation before a full one. With 5,000 targets, a full one blocks the process for a quarter of a
#   second, and frees less than a megabyte.
THRESHOLDS = (5000, 4, 200)


@contextlib.contextmanager
def importing() -> Iterator[None]:
    """Collect no garbage during imports, which leave little, and freeze what they made."""
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()


def unfreeze() -> None:
    """Let the next collection find frozen objects too, such as the configuration before a reload."""
    gc.unfreeze()


def collect_rarely() -> None:
    """Collect garbage now, freeze the rest, and make collections rare.

    Frozen objects, such as the configuration and the codes, live until `unfreeze`. Blocks for up to half a second with 5,000 targets.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(*THRESHOLDS)

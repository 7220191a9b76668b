"""The order of password checks: addresses with the fewest wrong guesses first.

During a storm of guesses from many addresses, a new client waits for at most one check of each, and later for none.
"""

from __future__ import annotations

import math
import time
from collections import Counter, OrderedDict
from collections.abc import Callable
from typing import Generic, TypeVar

HALF_LIFE_SECONDS = 300.0
_MOST_SOURCES = 4096

T = TypeVar("T")
_Rank = tuple[float, int]  # cost and number of an item


class Guesses:
    """Counts wrong passwords by source. A count halves in `HALF_LIFE_SECONDS`."""

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._counts: OrderedDict[str, tuple[float, float]] = OrderedDict()  # the count and its time

    def of(self, source: str) -> float:
        count, at = self._counts.get(source, (0.0, 0.0))
        return count * math.exp2((at - self._clock()) / HALF_LIFE_SECONDS)

    def add(self, source: str) -> None:
        self._counts[source] = self.of(source) + 1.0, self._clock()
        self._counts.move_to_end(source)
        if len(self._counts) > _MOST_SOURCES:
            self._counts.popitem(last=False)


class FairQueue(Generic[T]):
    """A queue by cost, then by age. Each further item of a source costs one more."""

    def __init__(self, most: int, most_of_one: int) -> None:
        self._most, self._most_of_one = most, most_of_one
        self._items: dict[_Rank, tuple[str, T]] = {}
        self._waiting: Counter[str] = Counter()
        self._number = 0

    def __len__(self) -> int:
        return len(self._items)

    def put(self, item: T, source: str, cost: float) -> T | None:
        """Add an item; return the rejected one, this or a more expensive one, or None."""
        if self._waiting[source] >= self._most_of_one:
            return item
        self._number += 1
        rank = cost + self._waiting[source], self._number
        self._items[rank] = source, item
        self._waiting[source] += 1
        return self._take(max(self._items))[1] if len(self._items) > self._most else None

    def get(self) -> tuple[str, T]:
        """Return the next item with its source. Raises ValueError if the queue is empty."""
        return self._take(min(self._items))

    def _take(self, rank: _Rank) -> tuple[str, T]:
        source, item = self._items.pop(rank)
        self._waiting[source] -= 1
        if not self._waiting[source]:
            del self._waiting[source]
        return source, item

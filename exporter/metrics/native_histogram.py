"""Native histograms: exponential buckets that need no bounds in advance.

Buckets grow by a factor of 2^(1/8), about 9 %. The counts from the lowest to the highest used bucket are one array: a dictionary
of a target takes three times as much.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Mapping
from dataclasses import dataclass, field
from math import frexp
from typing import Final

SCHEMA: Final = 3
# About 1 ms: shorter durations need no resolution. A bound of the schema, as a merge of histograms requires.
ZERO_THRESHOLD: Final = 2.0**-10
# Upper bounds within [0.5, 1), that is 0.5 * 2^(n / 8), as client_golang rounds them.
_FRACTIONS: Final = (
    0.5,
    0.5452538663326288,
    0.5946035575013605,
    0.6484197773255048,
    0.7071067811865475,
    0.7711054127039704,
    0.8408964152537144,
    0.9170040432046711,
)
_LONGEST_GAP = 2  # empty buckets between two others: a new span costs more than two zeros


def bucket_of(value: float) -> int:
    """Return the index of a value above 0: bucket `i` holds values up to 2^(i / 8), inclusive."""
    fraction, exponent = frexp(value)
    return bisect_left(_FRACTIONS, fraction) + (exponent - 1) * len(_FRACTIONS)


@dataclass(slots=True)
class NativeHistogram:
    """Counts by bucket index, and the count of values up to `ZERO_THRESHOLD`."""

    zeros: int = 0
    _lowest: int = 0  # the index of the first count
    _counts: array[int] = field(default_factory=lambda: array("I"))

    def observe(self, value: float) -> None:
        if value <= ZERO_THRESHOLD:
            self.zeros += 1
            return
        index = bucket_of(value)
        if not self._counts:
            self._lowest = index
        place = index - self._lowest
        if not 0 <= place < len(self._counts):
            place = self._widen(place)
        self._counts[place] += 1

    def _widen(self, place: int) -> int:
        """Add empty buckets up to `place`; return its new place."""
        if place >= 0:
            self._counts.extend([0] * (place + 1 - len(self._counts)))
            return place
        self._counts = array("I", [0] * -place) + self._counts
        self._lowest += place
        return 0

    @property
    def buckets(self) -> dict[int, int]:
        """The counts that are not 0, by bucket index."""
        return {self._lowest + place: count for place, count in enumerate(self._counts) if count}


def spans_and_deltas(buckets: Mapping[int, int]) -> tuple[list[tuple[int, int]], list[int]]:
    """Return spans (offset to the previous one, length) and the difference of each count to the one before."""
    spans: list[tuple[int, int]] = []
    deltas: list[int] = []
    following, last = 0, 0
    for index in sorted(buckets):
        gap = index - following
        if not spans or gap > _LONGEST_GAP:
            spans.append((gap, 0))
            gap = 0
        counts = [0] * gap + [buckets[index]]
        spans[-1] = spans[-1][0], spans[-1][1] + len(counts)
        for count in counts:
            deltas.append(count - last)
            last = count
        following = index + 1
    return spans, deltas

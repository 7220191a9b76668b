"""Lines of the histograms of one owner, stored as their values: the rest is nine tenths of the text, and repeats."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import accumulate

from exporter.metrics.text_format import Labels, LabelSet, encode, line_frame, number

# Counts per bucket, not cumulative, the last above all bounds; and the sum.
Counted = tuple[Sequence[int], float]


@dataclass(frozen=True, slots=True)
class HistogramText:
    """Parts of the lines: `starts` are equal in all owners, and `base` in all lines of this one."""

    starts: tuple[bytes, ...]  # names and own labels
    base: bytes  # the shared labels
    ends: tuple[bytes, ...]  # values

    def __bool__(self) -> bool:
        return bool(self.ends)

    def whole(self) -> bytes:
        """Return the lines."""
        pieces = [self.base] * (3 * len(self.ends))
        pieces[0::3] = self.starts
        pieces[2::3] = self.ends
        return b"".join(pieces)


def histograms(name: str, base: LabelSet, buckets: tuple[float, ...], counted: Mapping[Labels, Counted]) -> HistogramText:
    """Return the lines of the histograms of one owner, by own labels.

    Raises ValueError unless all own labels, including `le`, sort before the base labels.
    """
    ends: list[bytes] = []
    for counts, total in counted.values():
        ends += map(_end_of_count, accumulate(counts))
        ends += ends[-1], _end_of(total)
    return HistogramText(_starts(name, tuple(counted), buckets, base.first), base.encoded_text, tuple(ends))


@lru_cache(maxsize=64)
def _starts(name: str, own: tuple[Labels, ...], buckets: tuple[float, ...], first: str) -> tuple[bytes, ...]:
    found = []
    for each in own:
        bounds = [(f"{name}_bucket", (("le", number(bound)), *each)) for bound in (*buckets, float("inf"))]
        frames = [line_frame(*line, first, first) for line in (*bounds, (f"{name}_count", each), (f"{name}_sum", each))]
        if any(frame is None or frame[1] != "}" for frame in frames):
            raise ValueError(f"{name}: labels do not sort before {first!r}")
        found += [encode(frame[0]) for frame in frames if frame is not None]
    return tuple(found)


def _end_of(value: float) -> bytes:
    return f"}} {number(value)}\n".encode()


_end_of_count = lru_cache(maxsize=4096)(_end_of)  # counts repeat within a histogram, and between targets

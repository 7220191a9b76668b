"""Sample lines, byte for byte as prometheus_client writes them; and the wire format of protocol buffers, which their labels share."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import accumulate
from typing import Final

from prometheus_client.utils import floatToGoString

double: Final = struct.Struct("<d").pack

_NAME, _VALUE = 0x0A, 0x12  # fields of LabelPair
_LABEL = 0x0A  # field of Metric
_SMALL: Final = tuple(bytes([number]) for number in range(0x80))
_PLAIN: Final = 1_000_000  # from here on, prometheus_client writes an exponent
# Labels of steps, phases, codes and credentials repeat with every probe, so their text is cached. Infos have more labels, of one
# target: in the cache they would outlive it.
REPEATED: Final = 2
_any_number: Callable[[float], str] = floatToGoString

Labels = tuple[tuple[str, str], ...]
Sample = tuple[Labels, float]
# Counts per bucket, not cumulative, the last above all bounds; and the sum.
Counted = tuple[Sequence[int], float]


def varint(number: int) -> bytes:
    """Encode a whole number that is not negative."""
    if number < 0x80:
        return _SMALL[number]
    found = bytearray()
    while number >= 0x80:
        found.append(number & 0x7F | 0x80)
        number >>= 7
    found.append(number)
    return bytes(found)


def zigzag(number: int) -> bytes:
    """Encode a signed whole number (sint32, sint64)."""
    return varint(number * 2 if number >= 0 else -number * 2 - 1)


def nested(tag: int, content: bytes) -> bytes:
    """Encode a field with a length: a message or a text. `tag` has one byte."""
    return _SMALL[tag] + varint(len(content)) + content


def encode(text: str) -> bytes:
    """Encode as UTF-8 and replace lone surrogates, which YAML allows."""
    return text.encode("utf-8", "replace")


def text(tag: int, value: str) -> bytes:
    """Encode a field with a text."""
    return nested(tag, encode(value))


def labels(pairs: Iterable[tuple[str, str]]) -> bytes:
    """Encode the labels of a metric, sorted by name."""
    return b"".join([nested(_LABEL, text(_NAME, name) + text(_VALUE, value)) for name, value in sorted(pairs)])


def timestamp(seconds: float) -> bytes:
    """Encode a google.protobuf.Timestamp from a Unix time."""
    whole = int(seconds // 1)
    nanos = int((seconds - whole) * 1e9)
    return b"\x08" + varint(whole) + (b"\x10" + varint(nanos) if nanos else b"")


def number(value: float) -> str:
    """Return a value as prometheus_client writes it."""
    return repr(float(value)) if -_PLAIN < value < _PLAIN else _any_number(value)


def escape(value: str) -> str:
    return value.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")


def _pairs(labels: Iterable[tuple[str, str]]) -> str:
    return ",".join([f'{name}="{escape(value)}"' for name, value in labels])


@dataclass(slots=True)
class LabelSet:
    """The shared labels of one owner, sorted, with their text and their protobuf encoding."""

    labels: Labels
    text: str
    encoded_text: bytes
    first: str  # name of the first label; empty without labels
    last: str
    _protobuf: bytes | None = field(default=None, init=False, repr=False, compare=False)

    @classmethod
    def from_labels(cls, *labels: tuple[str, str]) -> LabelSet:
        ordered = tuple(sorted(labels))
        text = _pairs(ordered)
        first, last = (ordered[0][0], ordered[-1][0]) if ordered else ("", "")
        return cls(ordered, text, encode(text), first, last)

    @property
    def protobuf(self) -> bytes:
        """The labels as protobuf, encoded when the first scrape needs it."""
        if self._protobuf is None:
            self._protobuf = labels(self.labels)
        return self._protobuf


NO_LABELS: Final = LabelSet.from_labels()


def line_frame(name: str, own: Labels, first: str, last: str) -> tuple[str, str] | None:
    """Return the text before and after the base labels, whose names are from `first` to `last`; None if they are not together."""
    pairs = _pairs(sorted(own))
    if not first:
        return f"{name}{{{pairs}}}" if own else name, ""
    if all(label < first for label, _ in own):
        return f"{name}{{{pairs}{',' if own else ''}", "}"
    return (f"{name}{{", f",{pairs}}}") if all(label > last for label, _ in own) else None


_cached_frame = lru_cache(maxsize=1024)(line_frame)


def lines(name: str, samples: Iterable[Sample], base: LabelSet) -> str:
    """Return the sample lines of one family, with labels sorted by name."""
    found = []
    for own, value in samples:
        frame = (_cached_frame if len(own) <= REPEATED else line_frame)(name, own, base.first, base.last)
        if frame is None:
            found.append(f"{name}{{{_pairs(sorted(own + base.labels))}}} {number(value)}\n")
        else:
            found.append(f"{frame[0]}{base.text}{frame[1]} {number(value)}\n")
    return "".join(found)


@dataclass(frozen=True, slots=True)
class HistogramText:
    """The histograms of one owner, stored as their values: the rest is nine tenths of the text, and repeats.

    `starts` are equal in all owners, and `base` in all lines of this one.
    """

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

"""Sample lines, byte for byte as prometheus_client writes them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Final

from prometheus_client.utils import floatToGoString

from exporter.metrics import wire

Labels = tuple[tuple[str, str], ...]
Sample = tuple[Labels, float]

_PLAIN: Final = 1_000_000  # from here on, prometheus_client writes an exponent
_any_number: Callable[[float], str] = floatToGoString


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
            self._protobuf = wire.labels(self.labels)
        return self._protobuf


# Labels of steps, phases, codes and credentials repeat with every probe, so their text is cached. Infos have more labels, of one
# target: in the cache they would outlive it.
REPEATED: Final = 2


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


def encode(text: str) -> bytes:
    """Encode as UTF-8 and replace lone surrogates, which YAML allows."""
    return text.encode("utf-8", "replace")

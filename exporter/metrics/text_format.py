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
    first: str  # the name of the first label; empty without labels
    _encoded: bytes | None = field(default=None, init=False, repr=False, compare=False)

    @classmethod
    def from_labels(cls, *labels: tuple[str, str]) -> LabelSet:
        ordered = tuple(sorted(labels))
        text = _pairs(ordered)
        return cls(ordered, text, encode(text), ordered[0][0] if ordered else "")

    @property
    def encoded(self) -> bytes:
        """The protobuf of the labels, encoded when the first scrape needs it."""
        if self._encoded is None:
            self._encoded = wire.labels(self.labels)
        return self._encoded


# Labels of steps, phases, codes and credentials repeat with every probe, so their text is cached. Infos have more labels, of one
# target: in the cache they would outlive it.
REPEATED: Final = 2


def line_start(name: str, own: Labels, first: str) -> str | None:
    """Return name and own labels as text; None unless all base labels sort after them."""
    if any(label >= first for label, _ in own):
        return None
    return f"{name}{{{_pairs(sorted(own))},"


_cached_start = lru_cache(maxsize=512)(line_start)


def lines(name: str, samples: Iterable[Sample], base: LabelSet) -> str:
    """Return the sample lines of one family, with labels sorted by name."""
    return "".join([f"{_labelled(name, own, base)} {number(value)}\n" for own, value in samples])


def _labelled(name: str, own: Labels, base: LabelSet) -> str:
    if not own:
        return f"{name}{{{base.text}}}" if base.text else name
    start = (_cached_start if len(own) <= REPEATED else line_start)(name, own, base.first)
    return f"{name}{{{_pairs(sorted(own + base.labels))}}}" if start is None else f"{start}{base.text}}}"


def encode(text: str) -> bytes:
    """Encode as UTF-8 and replace lone surrogates, which YAML allows."""
    return text.encode("utf-8", "replace")

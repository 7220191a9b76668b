"""Sample lines, byte for byte as prometheus_client writes them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import accumulate
from typing import Final

from prometheus_client.utils import floatToGoString

from exporter.metrics import wire

Labels = tuple[tuple[str, str], ...]
Sample = tuple[Labels, float]

_PLAIN: Final = 1_000_000  # from here on, prometheus_client writes an exponent
_any_number: Callable[[float], str] = floatToGoString
_BASE: Final = "\0"  # stands for the text of the base labels in a template


def number(value: float) -> str:
    """Return a value as prometheus_client writes it."""
    return repr(float(value)) if -_PLAIN < value < _PLAIN else _any_number(value)


def escape(value: str) -> str:
    return value.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")


def _pairs(labels: Iterable[tuple[str, str]]) -> str:
    return ",".join(f'{name}="{escape(value)}"' for name, value in labels)


@dataclass(slots=True)
class LabelSet:
    """The shared labels of one owner, sorted, with their text and their protobuf encoding."""

    labels: Labels
    text: str
    _encoded: bytes | None = field(default=None, init=False, repr=False, compare=False)

    @classmethod
    def from_labels(cls, *labels: tuple[str, str]) -> LabelSet:
        ordered = tuple(sorted(labels))
        return cls(ordered, _pairs(ordered))

    @property
    def first(self) -> str:
        return self.labels[0][0] if self.labels else ""

    @property
    def encoded(self) -> bytes:
        """The protobuf of the labels, encoded when the first scrape needs it."""
        if self._encoded is None:
            self._encoded = wire.labels(self.labels)
        return self._encoded


# Labels of steps, phases, codes and credentials repeat with every probe, so their text is cached. Infos have more labels, of one
# target: in the cache they would outlive it.
REPEATED: Final = 2


def _head_of(name: str, own: Labels, first: str) -> str | None:
    """Return name and own labels as text; None unless all base labels sort after them."""
    if any(label >= first for label, _ in own):
        return None
    return f"{name}{{{_pairs(sorted(own))},"


_cached_head = lru_cache(maxsize=512)(_head_of)


def _head(name: str, own: Labels, first: str) -> str | None:
    return _cached_head(name, own, first) if len(own) <= REPEATED else _head_of(name, own, first)


def line(name: str, own: Labels, base: LabelSet, value: float) -> str:
    """Return one sample line with labels sorted by name."""
    if not own:
        labels = f"{{{base.text}}}" if base.text else ""
        return f"{name}{labels} {number(value)}\n"
    head = _head(name, own, base.first)
    if head is None:
        return f"{name}{{{_pairs(sorted(own + base.labels))}}} {number(value)}\n"
    return f"{head}{base.text}}} {number(value)}\n"


def lines(name: str, samples: Iterable[Sample], base: LabelSet) -> str:
    """Return the sample lines of one family."""
    return "".join([line(name, own, base, value) for own, value in samples])


@lru_cache(maxsize=64)
def _histogram_heads(name: str, own: Labels, buckets: tuple[float, ...], first: str) -> tuple[str, ...]:
    named = [(f"{name}_bucket", (("le", number(bound)), *own)) for bound in (*buckets, float("inf"))]
    heads = [_head(*each, first) for each in (*named, (f"{name}_count", own), (f"{name}_sum", own))]
    return tuple(head for head in heads if head is not None)


@lru_cache(maxsize=64)
def _histogram_template(name: str, own: Labels, buckets: tuple[float, ...], first: str) -> str:
    """Return the lines of a histogram with a place for each value: whole numbers, and the sum last."""
    *counted, total = (head.replace("%", "%%") for head in _histogram_heads(name, own, buckets, first))
    return "".join(f"{head}{_BASE}}} %d.0\n" for head in counted) + f"{total}{_BASE}}} %s\n"


def histogram(name: str, own: Labels, base: LabelSet, buckets: tuple[float, ...], *, counts: Sequence[int], total: float) -> str:
    """Return the lines of one histogram.

    `counts` per bucket, not cumulative, the last above all bounds; `total` is the sum.

    All own labels, including `le`, must sort before the base labels and have no control characters.
    """
    cumulative = list(accumulate(counts))
    if cumulative[-1] < _PLAIN:
        template = _histogram_template(name, own, buckets, base.first)
        return (template % (*cumulative, cumulative[-1], number(total))).replace(_BASE, base.text)
    values = [*map(number, cumulative), number(cumulative[-1]), number(total)]
    heads = _histogram_heads(name, own, buckets, base.first)
    return "".join([f"{head}{base.text}}} {value}\n" for head, value in zip(heads, values, strict=True)])


def encode(text: str) -> bytes:
    """Encode as UTF-8 and replace lone surrogates, which YAML allows."""
    return text.encode("utf-8", "replace")

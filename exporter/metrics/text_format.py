"""Sample lines, byte for byte as prometheus_client writes them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache

from prometheus_client.utils import floatToGoString

from exporter.metrics import wire

Labels = tuple[tuple[str, str], ...]
Sample = tuple[Labels, float]

number: Callable[[float], str] = floatToGoString


def escape(value: str) -> str:
    return value.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")


def _pairs(labels: Iterable[tuple[str, str]]) -> str:
    return ",".join(f'{name}="{escape(value)}"' for name, value in labels)


@dataclass(frozen=True, slots=True)
class LabelSet:
    """The shared labels of one owner, sorted, with their text and their protobuf encoding."""

    labels: Labels
    text: str
    encoded: bytes

    @classmethod
    def of(cls, *labels: tuple[str, str]) -> LabelSet:
        ordered = tuple(sorted(labels))
        return cls(ordered, _pairs(ordered), wire.labels(ordered))

    @property
    def first(self) -> str:
        return self.labels[0][0] if self.labels else ""


# Labels of steps, phases, codes and credentials repeat with every probe and sort before `target`, so their text is cached.
# Info labels of many targets evict each other, at no extra cost.
@lru_cache(maxsize=8192)
def _head(name: str, own: Labels, first: str) -> str | None:
    """Return name and own labels as text; None unless all base labels sort after them."""
    if any(label >= first for label, _ in own):
        return None
    return f"{name}{{{_pairs(sorted(own))},"


def line(name: str, own: Labels, base: LabelSet, value: float) -> str:
    """Return one sample line with labels sorted by name."""
    if not own:
        labels = f"{{{base.text}}}" if base.text else ""
        return f"{name}{labels} {number(value)}\n"
    head = _head(name, own, base.first)
    if head is None:
        return f"{name}{{{_pairs(sorted(own + base.labels))}}} {number(value)}\n"
    return f"{head}{base.text}}} {number(value)}\n"


@lru_cache(maxsize=64)
def _histogram_heads(name: str, own: Labels, buckets: tuple[float, ...], first: str) -> tuple[str, ...]:
    named = [(f"{name}_bucket", (("le", number(bound)), *own)) for bound in (*buckets, float("inf"))]
    heads = [_head(*each, first) for each in (*named, (f"{name}_count", own), (f"{name}_sum", own))]
    return tuple(head for head in heads if head is not None)


def histogram(name: str, own: Labels, base: LabelSet, buckets: tuple[float, ...], *, counts: Sequence[int], total: float) -> str:
    """Return the lines of one histogram.

    `counts` per bucket, not cumulative, the last above all bounds; `total` is the sum.

    All own labels, including `le`, must sort before the base labels.
    """
    values, sum_so_far = [], 0
    for count in counts:
        sum_so_far += count
        values.append(f"{sum_so_far}.0" if sum_so_far < 1_000_000 else number(sum_so_far))
    values += (values[-1], number(total))
    heads = _histogram_heads(name, own, buckets, base.first)
    text = base.text
    return "".join([f"{head}{text}}} {value}\n" for head, value in zip(heads, values, strict=True)])


def encode(text: str) -> bytes:
    """Encode as UTF-8 and replace lone surrogates, which YAML allows."""
    return text.encode("utf-8", "replace")

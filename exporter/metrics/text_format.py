"""Sample lines, byte for byte as prometheus_client writes them, from label parts that are made once and used often.

For: the text of one owner's series in one family.
Not for: HELP and TYPE lines or keeping anything (see `exposition`), nor for values (see `samples`, `counters`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache

from prometheus_client.utils import floatToGoString

Labels = tuple[tuple[str, str], ...]
Sample = tuple[Labels, float]

number: Callable[[float], str] = floatToGoString


def escaped(value: str) -> str:
    return value.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")


def _pairs(labels: Iterable[tuple[str, str]]) -> str:
    return ",".join(f'{name}="{escaped(value)}"' for name, value in labels)


@dataclass(frozen=True, slots=True)
class LabelSet:
    """The labels that all series of one owner share, sorted, with their text."""

    labels: Labels
    text: str

    @classmethod
    def of(cls, *labels: tuple[str, str]) -> LabelSet:
        ordered = tuple(sorted(labels))
        return cls(ordered, _pairs(ordered))

    @property
    def first(self) -> str:
        return self.labels[0][0] if self.labels else ""


# The labels of steps, phases, codes and credentials come again with every probe and sort before `target`: their text is
# found here instead of made anew. Infos of many targets push each other out, which costs no more than making them.
@lru_cache(maxsize=8192)
def _head(name: str, own: Labels, first: str) -> str | None:
    """Name and own labels, to be followed by the base's; None where the base's do not all come after them."""
    if any(label >= first for label, _ in own):
        return None
    return f"{name}{{{_pairs(sorted(own))},"


def line(name: str, own: Labels, base: LabelSet, value: float) -> str:
    """One sample line. Labels are sorted by name, as prometheus_client sorts them."""
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
    """The lines of one histogram: `counts` per bucket, the one above all bounds last, not yet summed up; `total` the sum.

    For families whose own labels, `le` included, sort before the base's.
    """
    values, sum_so_far = [], 0
    for count in counts:
        sum_so_far += count
        values.append(f"{sum_so_far}.0" if sum_so_far < 1_000_000 else number(sum_so_far))
    values += (values[-1], number(total))
    heads = _histogram_heads(name, own, buckets, base.first)
    text = base.text
    return "".join([f"{head}{text}}} {value}\n" for head, value in zip(heads, values, strict=True)])


def encoded(text: str) -> bytes:
    """UTF-8. Half a surrogate pair, which YAML can write and UTF-8 cannot, becomes a question mark: one odd label in a
    configuration must not cost the whole scrape.
    """
    return text.encode("utf-8", "replace")

"""Metrics as io.prometheus.client.MetricFamily messages, each after its length.

Written by hand: prometheus_client has no protobuf format yet. Field numbers are those of
https://github.com/prometheus/client_model/blob/master/io/prometheus/client/metrics.proto
Native histograms have exponential buckets that need no bounds in advance: each is larger by a factor of 2^(1/8), about 9 %.
"""

from __future__ import annotations

import re
from array import array
from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import accumulate, pairwise
from math import frexp
from typing import Final

from prometheus_client import Metric

from exporter.metrics.spec import MetricType
from exporter.metrics.text import (
    NO_LABELS,
    REPEATED,
    Labels,
    LabelSet,
    Sample,
    double,
    labels,
    nested,
    text,
    timestamp,
    varint,
    zigzag,
)

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
    """Counts from the lowest to the highest used bucket, and of values up to `ZERO_THRESHOLD`. An array: a dictionary takes three times as much."""

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


_LABEL: Final = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')
_ESCAPED: Final = re.compile(r"\\(.)")
# The client library counts these in Python or in the kernel, before the exporter's own counters started.
_FOREIGN: Final = ("process_", "python_")
# MetricFamily
_NAME, _HELP, _TYPE, _METRIC = 0x0A, 0x12, 0x18, 0x22
# Metric
_GAUGE, _COUNTER, _HISTOGRAM = 0x12, 0x1A, 0x3A
_GAUGE_OF_A_DOUBLE: Final = bytes((_GAUGE, 9, 0x09))
# Counter, Gauge, Bucket, BucketSpan
_VALUE, _COUNTER_CREATED = b"\x09", 0x1A
_CUMULATIVE_COUNT, _UPPER_BOUND = b"\x08", b"\x11"
_OFFSET, _LENGTH = b"\x08", b"\x10"
# Histogram
_SAMPLE_COUNT, _SAMPLE_SUM, _BUCKET, _SCHEMA, _ZERO_THRESHOLD, _ZERO_COUNT = b"\x08", b"\x11", 0x1A, b"\x28", b"\x31", b"\x38"
_POSITIVE_SPAN, _POSITIVE_DELTA, _HISTOGRAM_CREATED = 0x62, b"\x68", 0x7A
_TYPES: Final = {MetricType.COUNTER: 0, MetricType.GAUGE: 1, MetricType.INFO: 1, MetricType.HISTOGRAM: 4}
_NATIVE: Final = _SCHEMA + zigzag(SCHEMA) + _ZERO_THRESHOLD + double(ZERO_THRESHOLD)


def family_start(name: str, help_text: str, kind: MetricType) -> bytes:
    """Return the fields of a family before its metrics."""
    return text(_NAME, name) + text(_HELP, help_text) + bytes((_TYPE, _TYPES[kind]))


def started_at(seconds: float) -> tuple[bytes, bytes]:
    """Return the start time (a Unix time) as a field of counters, and as one of histograms."""
    created = timestamp(seconds)
    return nested(_COUNTER_CREATED, created), nested(_HISTOGRAM_CREATED, created)


def _encoded_own(own: Labels, first: str) -> bytes | None:
    """Return own labels; None unless all base labels sort after them."""
    return None if any(label >= first for label, _ in own) else labels(own)


_cached_own = lru_cache(maxsize=512)(_encoded_own)


@lru_cache(maxsize=64)
def _upper_bounds(bounds: tuple[float, ...]) -> tuple[bytes, ...]:
    return tuple(_UPPER_BOUND + double(bound) for bound in bounds)


def _labels(own: Labels, base: LabelSet) -> bytes:
    if not own:
        return base.protobuf
    found = (_cached_own if len(own) <= REPEATED else _encoded_own)(own, base.first)
    return labels(own + base.labels) if found is None else found + base.protobuf


def gauge(own: Labels, base: LabelSet, value: float) -> bytes:
    return nested(_METRIC, _labels(own, base) + _GAUGE_OF_A_DOUBLE + double(value))


def gauges(samples: Iterable[Sample], base: LabelSet) -> bytes:
    return b"".join([gauge(own, base, value) for own, value in samples])


def counter(own: Labels, base: LabelSet, value: float, started: bytes = b"") -> bytes:
    return nested(_METRIC, _labels(own, base) + nested(_COUNTER, _VALUE + double(value) + started))


def counters(samples: Iterable[Sample], base: LabelSet, started: bytes) -> bytes:
    return b"".join([counter(own, base, value, started) for own, value in samples])


def histogram(
    own: Labels,
    base: LabelSet,
    bounds: Sequence[float],
    *,
    counts: Sequence[int],
    total: float,
    native: NativeHistogram,
    started: bytes = b"",
) -> bytes:
    """Return one histogram with classic and native buckets.

    `counts` are those of the classic buckets, not cumulative, the last above all bounds; `total` is the sum.
    """
    *cumulative, count = accumulate(counts)
    spans, deltas = spans_and_deltas(native.buckets)
    content = [
        _SAMPLE_COUNT + varint(count) + _SAMPLE_SUM + double(total),
        *(
            nested(_BUCKET, _CUMULATIVE_COUNT + varint(so_far) + bound)
            for bound, so_far in zip(_upper_bounds(tuple(bounds)), cumulative, strict=True)
        ),
        _NATIVE + _ZERO_COUNT + varint(native.zeros),
        *(nested(_POSITIVE_SPAN, _OFFSET + zigzag(offset) + _LENGTH + varint(length)) for offset, length in spans),
        *(_POSITIVE_DELTA + zigzag(delta) for delta in deltas),
        started,
    ]
    return nested(_METRIC, _labels(own, base) + nested(_HISTOGRAM, b"".join(content)))


def gauges_of(block: bytes) -> bytes:
    """Return the sample lines of gauges and infos, which were rendered as text before the first scrape in protobuf."""
    metrics = []
    for line in block.decode().split("\n"):
        pairs, _, value = line.rpartition(" ")
        if value:
            metrics.append(
                gauge(tuple((name, _unescaped(each)) for name, each in _LABEL.findall(pairs)), NO_LABELS, float(value))
            )
    return b"".join(metrics)


def _unescaped(text: str) -> str:
    return _ESCAPED.sub(lambda found: "\n" if found[1] == "n" else found[1], text) if "\\" in text else text


def messages(metrics: Iterable[Metric], *, native: Mapping[str, NativeHistogram], started: float) -> bytes:
    """Return a message for each metric of a registry of prometheus_client.

    `native` holds the native buckets of each histogram, by name; `started` is the Unix time at which the counters started.
    """
    return b"".join(_message(metric, native, started_at(started)) for metric in metrics)


def _message(metric: Metric, native: Mapping[str, NativeHistogram], started: tuple[bytes, bytes]) -> bytes:
    samples = [(tuple(sample.labels.items()), sample.value) for sample in metric.samples]
    if metric.type == MetricType.HISTOGRAM:
        name, kind, shown = metric.name, MetricType.HISTOGRAM, _histogram(metric, native[metric.name], started[1])
    elif metric.type == MetricType.COUNTER:
        created = b"" if metric.name.startswith(_FOREIGN) else started[0]
        name, kind, shown = f"{metric.name}_total", MetricType.COUNTER, counters(samples, NO_LABELS, created)
    else:
        name, kind, shown = metric.name, MetricType.GAUGE, gauges(samples, NO_LABELS)
    content = family_start(name, metric.documentation, kind) + shown
    return varint(len(content)) + content


def _histogram(metric: Metric, native: NativeHistogram, started: bytes) -> bytes:
    """Return a histogram without labels; its samples are cumulative."""
    found = {sample.labels.get("le", sample.name.removeprefix(metric.name)): sample.value for sample in metric.samples}
    total = found.pop("_sum")
    found.pop("_count")
    cumulative = [0, *(int(value) for value in found.values())]
    bounds = [float(bound) for bound in found if bound != "+Inf"]
    counts = [after - before for before, after in pairwise(cumulative)]
    return histogram((), NO_LABELS, bounds, counts=counts, total=total, native=native, started=started)

"""Metrics as io.prometheus.client.MetricFamily messages, each after its length.

Written by hand: prometheus_client has no protobuf format yet. Field numbers are those of
https://github.com/prometheus/client_model/blob/master/io/prometheus/client/metrics.proto
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache
from itertools import accumulate
from typing import Final

from exporter.metrics.native_histogram import SCHEMA, ZERO_THRESHOLD, NativeHistogram, spans_and_deltas
from exporter.metrics.spec import MetricType
from exporter.metrics.text_format import REPEATED, Labels, LabelSet, Sample
from exporter.metrics.wire import double, labels, nested, text, timestamp, varint, zigzag

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


def _own_labels(own: Labels, first: str) -> bytes | None:
    return _cached_own(own, first) if len(own) <= REPEATED else _encoded_own(own, first)


@lru_cache(maxsize=64)
def _upper_bounds(bounds: tuple[float, ...]) -> tuple[bytes, ...]:
    return tuple(_UPPER_BOUND + double(bound) for bound in bounds)


def _labels(own: Labels, base: LabelSet) -> bytes:
    if not own:
        return base.protobuf
    found = _own_labels(own, base.first)
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

"""The metrics of a registry of prometheus_client as protobuf."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import pairwise
from typing import Final

from prometheus_client import Metric

from exporter.metrics import protobuf
from exporter.metrics.native_histogram import NativeHistogram
from exporter.metrics.spec import MetricType
from exporter.metrics.text_format import LabelSet
from exporter.metrics.wire import varint

_NO_LABELS: Final = LabelSet.from_labels()
# The client library counts these in Python or in the kernel, before the exporter's own counters started.
_FOREIGN: Final = ("process_", "python_")


def messages(metrics: Iterable[Metric], *, native: Mapping[str, NativeHistogram], started: float) -> bytes:
    """Return a message for each metric.

    `native` holds the native buckets of each histogram, by name; `started` is the Unix time at which the counters started.
    """
    return b"".join(_message(metric, native, protobuf.started_at(started)) for metric in metrics)


def _message(metric: Metric, native: Mapping[str, NativeHistogram], started: tuple[bytes, bytes]) -> bytes:
    if metric.type == MetricType.HISTOGRAM:
        start = protobuf.family_start(metric.name, metric.documentation, MetricType.HISTOGRAM)
        content = start + _histogram(metric, native[metric.name], started[1])
    elif metric.type == MetricType.COUNTER:
        start = protobuf.family_start(f"{metric.name}_total", metric.documentation, MetricType.COUNTER)
        created = b"" if metric.name.startswith(_FOREIGN) else started[0]
        content = start + b"".join(
            protobuf.counter(tuple(sample.labels.items()), _NO_LABELS, sample.value, created) for sample in metric.samples
        )
    else:
        start = protobuf.family_start(metric.name, metric.documentation, MetricType.GAUGE)
        content = start + b"".join(
            protobuf.gauge(tuple(sample.labels.items()), _NO_LABELS, sample.value) for sample in metric.samples
        )
    return varint(len(content)) + content


def _histogram(metric: Metric, native: NativeHistogram, started: bytes) -> bytes:
    """Return a histogram without labels; its samples are cumulative."""
    found = {sample.labels.get("le", sample.name.removeprefix(metric.name)): sample.value for sample in metric.samples}
    total = found.pop("_sum")
    found.pop("_count")
    cumulative = [0, *(int(value) for value in found.values())]
    bounds = [float(bound) for bound in found if bound != "+Inf"]
    counts = [after - before for before, after in pairwise(cumulative)]
    return protobuf.histogram((), _NO_LABELS, bounds, counts=counts, total=total, native=native, started=started)

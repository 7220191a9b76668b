"""Any labels and numbers, encoded as protobuf, are read by Google's library as they were."""

import math
import struct
from itertools import count, islice

from exporter.metrics import protobuf
from exporter.metrics.counters import Durations
from exporter.metrics.spec import MetricType
from exporter.metrics.text import Labels, LabelSet
from tests.support.client_model import MetricFamily, native_buckets

NAME = "ekm_fuzzed"
_MOST_NUMBERS, _MOST_LABELS = 64, 8


def written(numbers: list[float], texts: list[str]) -> bytes:
    """Numbers and label values as bytes: the number of numbers, the numbers, and the texts between zero bytes."""
    return (
        bytes([len(numbers)]) + struct.pack(f"<{len(numbers)}d", *numbers) + "\0".join(texts).encode("utf-8", "surrogateescape")
    )


def read(data: bytes) -> tuple[list[float], list[str]]:
    """The inverse of `written`. Any bytes are numbers and texts."""
    size = min(data[0] % (_MOST_NUMBERS + 1) if data else 0, (len(data) - 1) // 8)
    numbers = [number for (number,) in struct.iter_unpack("<d", data[1 : 1 + 8 * max(0, size)])]
    texts = data[1 + 8 * max(0, size) :].decode("utf-8", "surrogateescape").split("\0")
    return numbers, list(islice(texts, _MOST_LABELS))


_NUMBERS = ([], [0.0, 1.0, 0.003, 0.25, 61.5, 1e300], [-0.0, math.nan, math.inf, -math.inf], [5e-324, 2.0**-10, 1e-3] * 9)
_TEXTS = (["payroll"], ["payroll", "get_key", "contoso.vault.azure.net"], ['a "b"\n\\', "ü\udcff", ""], ["x" * 200] * 9)


def seeds() -> list[bytes]:
    return [written(numbers, texts) for numbers in _NUMBERS for texts in _TEXTS]


def check_encoding(data: bytes) -> None:
    numbers, texts = read(data)
    own: Labels = tuple((f"own{number}", text) for number, text in zip(count(), texts[1:], strict=False))
    base = LabelSet.from_labels(("target", texts[0]), ("vault", texts[-1]))
    expected = [(name, value.encode("utf-8", "replace").decode()) for name, value in sorted((*own, *base.labels))]
    for number in numbers or [0.0]:
        for kind, encode in ((MetricType.GAUGE, protobuf.gauge), (MetricType.COUNTER, protobuf.counter)):
            metric = _metric(kind, encode(own, base, number))
            assert [(label.name, label.value) for label in metric.label] == expected
            assert struct.pack("<d", (metric.gauge if kind is MetricType.GAUGE else metric.counter).value) == struct.pack(
                "<d", number
            )
    _check_histogram(own, base, [abs(number) for number in numbers if math.isfinite(number)])


def _metric(kind: MetricType, encoded: bytes) -> object:
    message = protobuf.family_start(NAME, "Fuzzed.", kind) + encoded
    family = MetricFamily.FromString(message)
    assert family.SerializeToString() == message  # the shortest form, fields in their order
    (metric,) = family.metric
    return metric


def _check_histogram(own: Labels, base: LabelSet, observed: list[float]) -> None:
    seen = Durations()
    for seconds in observed:
        seen.observe(seconds)
    encoded = protobuf.histogram(
        own,
        base,
        seen.bounds,
        counts=seen.counts,
        total=seen.total,
        native=seen.native,
        started=protobuf.started_at(1_800_000_000.5)[1],
    )
    found = _metric(MetricType.HISTOGRAM, encoded).histogram
    assert found.sample_count == len(observed)
    assert [bucket.cumulative_count for bucket in found.bucket] == [
        sum(seconds <= bound for seconds in observed) for bound in seen.bounds
    ]
    assert (found.zero_count, native_buckets(found)) == (seen.native.zeros, seen.native.buckets)

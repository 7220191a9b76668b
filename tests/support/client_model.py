"""Google's protobuf library reads metrics by the official definition of Prometheus."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import accumulate
from typing import Any, Final

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory, timestamp_pb2

# https://github.com/prometheus/client_model/blob/master/io/prometheus/client/metrics.proto, without its comments (Apache-2.0).
OFFICIAL: Final = """
message LabelPair {
  optional string name  = 1;
  optional string value = 2;
}
enum MetricType {
  COUNTER = 0;
  GAUGE = 1;
  SUMMARY = 2;
  UNTYPED = 3;
  HISTOGRAM = 4;
  GAUGE_HISTOGRAM = 5;
}
message Gauge {
  optional double value = 1;
}
message Counter {
  optional double   value    = 1;
  optional Exemplar exemplar = 2;
  optional google.protobuf.Timestamp  created_timestamp = 3;
}
message Quantile {
  optional double quantile = 1;
  optional double value    = 2;
}
message Summary {
  optional uint64   sample_count = 1;
  optional double   sample_sum   = 2;
  repeated Quantile quantile     = 3;
  optional google.protobuf.Timestamp  created_timestamp = 4;
}
message Untyped {
  optional double value = 1;
}
message Histogram {
  optional uint64 sample_count       = 1;
  optional double sample_count_float = 4;
  optional double sample_sum         = 2;
  repeated Bucket bucket             = 3;
  optional google.protobuf.Timestamp created_timestamp = 15;
  optional sint32 schema           = 5;
  optional double zero_threshold   = 6;
  optional uint64 zero_count       = 7;
  optional double zero_count_float = 8;
  repeated BucketSpan negative_span =  9;
  repeated sint64 negative_delta    = 10;
  repeated double negative_count    = 11;
  repeated BucketSpan positive_span = 12;
  repeated sint64 positive_delta    = 13;
  repeated double positive_count    = 14;
  repeated Exemplar exemplars = 16;
}
message Bucket {
  optional uint64   cumulative_count       = 1;
  optional double   cumulative_count_float = 4;
  optional double   upper_bound            = 2;
  optional Exemplar exemplar               = 3;
}
message BucketSpan {
  optional sint32 offset = 1;
  optional uint32 length = 2;
}
message Exemplar {
  repeated LabelPair                 label     = 1;
  optional double                    value     = 2;
  optional google.protobuf.Timestamp timestamp = 3;
}
message Metric {
  repeated LabelPair label        = 1;
  optional Gauge     gauge        = 2;
  optional Counter   counter      = 3;
  optional Summary   summary      = 4;
  optional Untyped   untyped      = 5;
  optional Histogram histogram    = 7;
  optional int64     timestamp_ms = 6;
}
message MetricFamily {
  optional string     name   = 1;
  optional string     help   = 2;
  optional MetricType type   = 3;
  repeated Metric     metric = 4;
  optional string     unit   = 5;
}
"""
PACKAGE = "io.prometheus.client"
_Field = descriptor_pb2.FieldDescriptorProto
_SCALARS: Final = {
    "string": _Field.TYPE_STRING,
    "double": _Field.TYPE_DOUBLE,
    "uint64": _Field.TYPE_UINT64,
    "uint32": _Field.TYPE_UINT32,
    "int64": _Field.TYPE_INT64,
    "sint32": _Field.TYPE_SINT32,
    "sint64": _Field.TYPE_SINT64,
}
_LABELS: Final = {"optional": _Field.LABEL_OPTIONAL, "repeated": _Field.LABEL_REPEATED}


def _described() -> descriptor_pb2.FileDescriptorProto:
    file = descriptor_pb2.FileDescriptorProto(
        name="metrics.proto", package=PACKAGE, syntax="proto2", dependency=[timestamp_pb2.DESCRIPTOR.name]
    )
    for kind, name, body in re.findall(r"(message|enum) (\w+) \{\n(.*?)\n\}", OFFICIAL, re.DOTALL):
        if kind == "enum":
            file.enum_type.add(name=name).value.extend(
                descriptor_pb2.EnumValueDescriptorProto(name=value, number=int(number))
                for value, number in re.findall(r"(\w+) = (\d+);", body)
            )
            continue
        file.message_type.add(name=name).field.extend(
            _field(*parts) for parts in re.findall(r"(\w+)\s+([\w.]+)\s+(\w+)\s*=\s*(\d+);", body)
        )
    return file


def _field(label: str, kind: str, name: str, number: str) -> Any:
    field = _Field(name=name, number=int(number), label=_LABELS[label])
    if kind in _SCALARS:
        field.type = _SCALARS[kind]
    else:
        field.type = _Field.TYPE_ENUM if kind == "MetricType" else _Field.TYPE_MESSAGE
        field.type_name = f".{kind}" if "." in kind else f".{PACKAGE}.{kind}"
    return field


_POOL = descriptor_pool.DescriptorPool()
_POOL.AddSerializedFile(timestamp_pb2.DESCRIPTOR.serialized_pb)
_POOL.Add(_described())
MetricFamily: Final[Any] = message_factory.GetMessageClass(_POOL.FindMessageTypeByName(f"{PACKAGE}.MetricFamily"))
TYPES: Final = {value.number: value.name for value in MetricFamily.DESCRIPTOR.fields_by_name["type"].enum_type.values}


def delimited(body: bytes) -> Iterator[bytes]:
    """Yield the messages of a response. Each follows its length."""
    at = 0
    while at < len(body):
        length, shift = 0, 0
        while True:
            byte = body[at]
            at, length, shift = at + 1, length | (byte & 0x7F) << shift, shift + 7
            if byte < 0x80:
                break
        assert at + length <= len(body)
        yield body[at : at + length]
        at += length


def families(body: bytes) -> list[Any]:
    return [MetricFamily.FromString(message) for message in delimited(body)]


def series(body: bytes) -> dict[tuple[Any, ...], float]:
    """Return a scrape like `metric_factories.series` does for text, with the classic buckets of histograms."""
    found: dict[tuple[Any, ...], float] = {}
    for family in families(body):
        for metric in family.metric:
            labels = [(label.name, label.value) for label in metric.label]
            for suffix, more, value in _samples(metric):
                found[(family.name + suffix, *sorted([*labels, *more]))] = value
    return found


def _samples(metric: Any) -> Iterator[tuple[str, list[tuple[str, str]], float]]:
    if not metric.HasField("histogram"):
        yield "", [], (metric.counter if metric.HasField("counter") else metric.gauge).value
        return
    histogram = metric.histogram
    for bucket in histogram.bucket:
        yield "_bucket", [("le", str(bucket.upper_bound))], bucket.cumulative_count
    yield "_bucket", [("le", "+Inf")], histogram.sample_count
    yield "_count", [], histogram.sample_count
    yield "_sum", [], histogram.sample_sum


def native_buckets(histogram: Any) -> dict[int, int]:
    """Return the counts of the native buckets that have observations, by index."""
    counts = iter(accumulate(histogram.positive_delta))
    index, found = 0, {}
    for span in histogram.positive_span:
        index += span.offset
        for _ in range(span.length):
            found[index] = next(counts)
            index += 1
    assert next(counts, None) is None
    return {index: count for index, count in found.items() if count}

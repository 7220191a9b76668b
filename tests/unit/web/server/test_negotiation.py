"""Format and content coding of a response follow the request."""

import pytest

from exporter.web.listener import accepts_gzip, accepts_openmetrics, accepts_protobuf

PROMETHEUS_2 = (
    "application/openmetrics-text;version=1.0.0;q=0.5,application/openmetrics-text;version=0.0.1;q=0.4,"
    "text/plain;version=0.0.4;q=0.3,*/*;q=0.2"
)
PROMETHEUS_3_PROTO_FIRST = (
    "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited;q=0.6,"
    "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.5,text/plain;version=1.0.0;q=0.3,*/*;q=0.1"
)


@pytest.mark.parametrize(
    ("accept", "openmetrics"),
    [
        (PROMETHEUS_2, True),
        (PROMETHEUS_3_PROTO_FIRST, True),
        ("application/openmetrics-text", True),
        ("application/openmetrics-text; version=1.0.0", True),
        ('Application/OpenMetrics-Text; Version="2.0.0"', True),
        ("application/openmetrics-text;version=10.0", True),
        ("application/openmetrics-text, */*", True),
        ("", False),
        ("*/*", False),
        ("text/html,application/xhtml+xml,*/*;q=0.8", False),
        ("text/plain;version=0.0.4", False),
        ("application/openmetrics-text;version=0.0.1", False),
        ("application/openmetrics-text;version=", False),
        ("application/openmetrics-text;version=x", False),
        pytest.param(f"application/openmetrics-text;version={'9' * 5000}", True, id="a version of 5,000 digits"),
        ("application/openmetrics-text;version=00.1", False),
        ("application/openmetrics-text;q=0.2,text/plain;q=0.5", False),
        ("application/openmetrics-text;q=0", False),
        ("application/openmetrics-text;q=nan", False),
        ("application/openmetrics-text;q=-1", False),
        ("application/openmetrics-text;q=banana", False),
        (",;=,,;;q", False),
    ],
)
def test_openmetrics_is_sent_on_request(accept, openmetrics):
    assert accepts_openmetrics(accept) is openmetrics


PROTOBUF = "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited"


@pytest.mark.parametrize(
    ("accept", "protobuf"),
    [
        (PROMETHEUS_2, False),
        (PROMETHEUS_3_PROTO_FIRST, True),
        (PROTOBUF, True),
        (PROTOBUF.upper().replace("IO.PROMETHEUS.CLIENT.METRICFAMILY", "io.prometheus.client.MetricFamily"), False),
        (PROTOBUF.replace(";", " ; "), True),
        (PROTOBUF + ", */*", True),
        (PROTOBUF + ";q=0.5,application/openmetrics-text;version=1.0.0;q=0.6", False),
        (PROTOBUF + ";q=0.5,application/openmetrics-text;version=0.0.1;q=0.6", True),
        (PROTOBUF + ";q=0.5,text/plain;q=0.6", False),
        (PROTOBUF + ";q=0.5,*/*;q=0.5", True),
        (PROTOBUF + ";q=0", False),
        (PROTOBUF + ";q=banana", False),
        (PROTOBUF.replace("delimited", "text"), False),
        (PROTOBUF.replace("delimited", "compact-text"), False),
        (PROTOBUF.replace(";encoding=delimited", ""), False),
        (PROTOBUF.replace("io.prometheus.client", "other"), False),
        ("application/vnd.google.protobuf", False),
        ("application/*", False),
        ("*/*", False),
        ("", False),
    ],
)
def test_protobuf_is_sent_on_request(accept, protobuf):
    assert accepts_protobuf(accept) is protobuf


@pytest.mark.parametrize(
    ("accept_encoding", "gzip"),
    [
        ("gzip", True),
        ("GZIP;q=1.0", True),
        ("deflate, gzip;q=0.001", True),
        ("x-gzip", True),
        ("*", True),
        ("br, *;q=0.5", True),
        ("", False),
        ("identity", False),
        ("gzip;q=0", False),
        ("gzip;q=0.000", False),
        ("gzip;q=0, *", False),
        ("gzip;q=wrong", False),
        ("*;q=0", False),
        ("gzipped", False),
    ],
)
def test_gzip_is_used_only_where_it_is_accepted(accept_encoding, gzip):
    assert accepts_gzip(accept_encoding) is gzip

"""Read `Accept` and `Accept-Encoding` with their weights.

The rules are those of RFC 9110, 12.4 and 12.5.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from aiohttp import web

TEXT = "text/plain; version=0.0.4; charset=utf-8"
OPENMETRICS = "application/openmetrics-text; version=1.0.0; charset=utf-8"
PROTOBUF = "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited"


@dataclass(frozen=True, slots=True)
class _Choice:
    value: str
    parameters: dict[str, str]
    weight: float


def header(request: web.Request, name: str) -> str:
    """Return all headers of this name as one list."""
    return ",".join(request.headers.getall(name, []))


def accepts_openmetrics(accept: str) -> bool:
    """Whether OpenMetrics 1.0 or later is listed and text/plain is not preferred."""
    choices = list(_choices(accept))
    wanted = _openmetrics_weight(choices)
    return wanted > 0 and wanted >= _plain_weight(choices)


def accepts_protobuf(accept: str) -> bool:
    """Whether delimited messages of Prometheus are listed and no text format is preferred."""
    choices = list(_choices(accept))
    wanted = max((c.weight for c in choices if c.value == "application/vnd.google.protobuf" and _is_delimited(c)), default=0.0)
    return wanted > 0 and wanted >= max(_openmetrics_weight(choices), _plain_weight(choices))


def _openmetrics_weight(choices: Iterable[_Choice]) -> float:
    return max((c.weight for c in choices if c.value == "application/openmetrics-text" and _since_1_0(c)), default=0.0)


def _plain_weight(choices: Iterable[_Choice]) -> float:
    return max((c.weight for c in choices if c.value in ("text/plain", "text/*", "*/*")), default=0.0)


def _is_delimited(choice: _Choice) -> bool:
    wanted = {"proto": "io.prometheus.client.MetricFamily", "encoding": "delimited"}
    return all(choice.parameters.get(name) == value for name, value in wanted.items())


def accepts_gzip(accept_encoding: str) -> bool:
    """Whether gzip is listed, or covered by `*`, with a weight above 0."""
    weights = {choice.value: choice.weight for choice in _choices(accept_encoding)}
    return weights.get("gzip", weights.get("x-gzip", weights.get("*", 0.0))) > 0


def _choices(header: str) -> Iterator[_Choice]:
    for part in header.split(","):
        value, *rest = (piece.strip() for piece in part.split(";"))
        parameters = {name.strip().lower(): given.strip(' "') for name, _, given in (piece.partition("=") for piece in rest)}
        if value:
            yield _Choice(value.lower(), parameters, _weight(parameters.get("q", "1")))


def _weight(text: str) -> float:
    """Return a weight; an invalid weight counts as 0."""
    try:
        weight = float(text)
    except ValueError:
        return 0.0
    return weight if math.isfinite(weight) and 0 <= weight <= 1 else 0.0


def _since_1_0(choice: _Choice) -> bool:
    major = choice.parameters.get("version", "1.0.0").partition(".")[0]
    # No int(): Python rejects a text of thousands of digits, and any client can send one.
    return major.isascii() and major.isdigit() and major.strip("0") != ""

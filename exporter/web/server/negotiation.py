"""Content negotiation.

Reads `Accept` and `Accept-Encoding` with their weights (RFC 9110, 12.4 and 12.5).
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

TEXT = "text/plain; version=0.0.4; charset=utf-8"
OPENMETRICS = "application/openmetrics-text; version=1.0.0; charset=utf-8"


@dataclass(frozen=True, slots=True)
class _Choice:
    value: str
    parameters: dict[str, str]
    weight: float


def accepts_openmetrics(accept: str) -> bool:
    """Whether OpenMetrics 1.0 or later is listed and text/plain is not preferred."""
    choices = list(_choices(accept))
    wanted = max((c.weight for c in choices if c.value == "application/openmetrics-text" and _since_1_0(c)), default=0.0)
    plain = max((c.weight for c in choices if c.value in ("text/plain", "text/*", "*/*")), default=0.0)
    return wanted > 0 and wanted >= plain


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

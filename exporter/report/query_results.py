"""The results of queries to Prometheus, checked: whatever is not one is None, never an exception."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from exporter.report.minutes import MINUTE, Exporter, Points, ReportedTarget
from exporter.tde.model import printable

LABELS = ("job", "instance", "target", "vault", "step", "reason")
_LONGEST = 1024  # characters of a label

Labels = Mapping[str, str]  # of LABELS; one that is absent is empty, as for Prometheus


def read_series(data: Any) -> list[Labels] | None:
    """Return the labels of each series in `data` of `/api/v1/series`."""
    if not isinstance(data, list):
        return None
    found = [_labels(one) for one in data]
    return None if None in found else [labels for labels in found if labels is not None]


def read_range(data: Any, start: int, minutes: int) -> list[tuple[Labels, Points]] | None:
    """Return labels and points of each series in `data` of `/api/v1/query_range`, for `minutes` from `start` on."""
    result = data.get("result") if isinstance(data, dict) else None
    if not isinstance(result, list):
        return None
    found: list[tuple[Labels, Points]] = []
    for series in result:
        labels = _labels(series.get("metric")) if isinstance(series, dict) else None
        points = _points(series.get("values"), start, minutes) if labels is not None else None
        if labels is None or points is None:
            return None
        found.append((labels, points))
    return found


def exporter_of(labels: Labels) -> Exporter:
    """Return the exporter of a series."""
    return Exporter(labels["job"], labels["instance"])


def key_of(labels: Labels) -> tuple[Exporter, ReportedTarget]:
    """Return exporter and target of a series."""
    return exporter_of(labels), ReportedTarget(labels["vault"], labels["target"])


def _labels(value: Any) -> Labels | None:
    if not isinstance(value, dict):
        return None
    texts = {name: value.get(name, "") for name in LABELS}
    fit = all(isinstance(text, str) and len(text) <= _LONGEST for text in texts.values())
    return {name: printable(text) for name, text in texts.items()} if fit else None


def _points(value: Any, start: int, minutes: int) -> Points | None:
    try:
        points = {round((at - start) / MINUTE): float(text) for at, text in value}
    except (TypeError, ValueError, OverflowError):  # the last one: a time of infinity
        return None
    return points if all(0 <= number < minutes for number in points) else None

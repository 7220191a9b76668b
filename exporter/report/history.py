"""Read the history of the targets from Prometheus, slice by slice.

The exporter keeps no history; the arithmetic is in `minutes`.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from typing import Any, Final, TypeVar

from msgspec import convert

from exporter.clients.peers import ApiAccess, HistoryError, PrometheusApi, UnreadableHistoryError
from exporter.core import durations
from exporter.report.minutes import (
    MINUTE,
    WITHOUT_PROBE,
    Exporter,
    Labels,
    Minutes,
    Period,
    Points,
    ReportedTarget,
    Slice,
    read_range,
)
from exporter.sqlserver.instance import printable

SLICE = 180  # minutes; Prometheus allows 11,000 points per series
MOST_POINTS = 500_000  # of one response, about 10 MB: many series have shorter slices
MOST_SERIES = 20_000  # targets of an exporter
MOST_KINDS = 1_000  # step and reason of failures; this version has about 400
MOST_GAPS = 1_000_000  # of all targets together
WHOLE = 60  # times the time of one response: what the whole report may take
_TARGET: Final = "job, instance, target, vault"
CONFIGURED: Final = "ekm_probe_interval_seconds"
# Plain series, and what is rare: on 5,000 targets one expression of both takes Prometheus many times as long.
RESULTS: Final = "ekm_probe_success"
# Older than six intervals: after a throttled probe the backoff leaves out up to four.
STALE: Final = f"time() - ekm_last_probe_timestamp_seconds > on ({_TARGET}) 6 * ekm_probe_interval_seconds"
UNPROBED: Final = f"ekm_probe_interval_seconds unless on ({_TARGET}) ekm_probe_success"
FAILURES: Final = f"max by ({_TARGET}, step, reason) (ekm_last_failure_info)"
MAINTENANCE: Final = "ekm_maintenance == 1"
EXPORTERS: Final = "max by (job, instance) (ekm_exporter_build_info)"
_Result = TypeVar("_Result")


async def read_minutes(access: ApiAccess, period: Period) -> Minutes:
    """Return the minutes of the period. Raises HistoryError and AccessError."""
    seconds = WHOLE * access.timeout
    try:
        async with asyncio.timeout(seconds), PrometheusApi(access) as api:
            minutes = await _read(api, period)
    except TimeoutError:
        raise UnreadableHistoryError(
            f"the history was not read within {seconds:g} s, {WHOLE} times --timeout: raise it, or report a shorter period"
        ) from None
    minutes.drop_absent()
    if not minutes.targets:
        raise _no_series(period)
    return minutes


async def _read(api: PrometheusApi, period: Period) -> Minutes:
    await _check_retention(api, period)
    series = await _series(api, period)
    minutes, length = Minutes(period, series), min(SLICE, MOST_POINTS // len(series))
    kinds: set[tuple[str, str]] = set()
    for first in range(0, period.minutes, length):
        part = await _slice(api, period, first, min(length, period.minutes - first))
        kinds |= {failure[:2] for failures in part.failures.values() for failure in failures}
        if len(kinds) > MOST_KINDS:
            raise UnreadableHistoryError(f"Prometheus has more than {MOST_KINDS} kinds of failures: is it that of the exporters?")
        minutes.add(part)
        if minutes.gaps > MOST_GAPS:
            raise UnreadableHistoryError(f"the data have more than {MOST_GAPS} gaps: report a shorter period")
    return minutes


async def _check_retention(api: PrometheusApi, period: Period) -> None:
    """Refuse a period that Prometheus has already deleted; other servers than Prometheus may not report it."""
    info = await api.get("api/v1/status/runtimeinfo", optional=True)
    text = info.get("storageRetention") if isinstance(info, dict) else None
    for part in str(text or "").split(" or "):
        try:
            kept = durations.parse(part)
        except ValueError:  # a size
            continue
        if kept and period.start < time.time() - kept:
            raise HistoryError(
                f"Prometheus keeps {part} and has deleted the beginning of the period: "
                "set --storage.tsdb.retention.time, and report a month before it is deleted"
            )


def _no_series(period: Period) -> HistoryError:
    return HistoryError(
        f"Prometheus has no series of a target from {period.moment(0)} to {period.moment(period.minutes)}: "
        "does it scrape the exporter, and did it then?"
    )


async def _get(api: PrometheusApi, path: str, form: Mapping[str, str], read: Callable[[Any], _Result]) -> _Result:
    """Return what `read` makes of a response. Raises HistoryError."""
    data = await api.get(path, form)
    try:
        return read(data)
    except (ValueError, OverflowError):
        raise UnreadableHistoryError("Prometheus sent an unreadable result: check the URL") from None


async def _series(api: PrometheusApi, period: Period) -> list[tuple[Exporter, ReportedTarget]]:
    form = {"match[]": CONFIGURED, "start": str(period.start), "end": str(period.end)}
    found = await _get(api, "api/v1/series", form, lambda data: convert(data, list[Labels]))
    keys = list(dict.fromkeys(labels.key for labels in found))
    if not keys:
        raise _no_series(period)
    if len(keys) > MOST_SERIES:
        raise UnreadableHistoryError(
            f"Prometheus has {len(keys)} series of targets, more than {MOST_SERIES}: is it the Prometheus of the exporters?"
        )
    return keys


async def _slice(api: PrometheusApi, period: Period, first: int, minutes: int) -> Slice:
    """Read the results of consecutive minutes: of a recent probe, or that a configured target has none."""
    start = period.start + first * MINUTE

    async def series(query: str) -> list[tuple[Labels, Points]]:
        """Return the series of a query, with a point at the start of each minute. Raises HistoryError."""
        form = {"query": query, "start": str(start), "end": str(start + (minutes - 1) * MINUTE), "step": str(MINUTE)}
        return await _get(api, "api/v1/query_range", form, lambda data: read_range(data, start, minutes))

    results = {labels.key: dict(points) for labels, points in await series(RESULTS)}
    for query in (STALE, UNPROBED):
        for labels, points in await series(query):
            results.setdefault(labels.key, {}).update(dict.fromkeys(points, WITHOUT_PROBE))
    failures: dict[tuple[Exporter, ReportedTarget], list[tuple[str, str, Points]]] = {}
    for labels, points in await series(FAILURES):
        failures.setdefault(labels.key, []).append((printable(labels.step), printable(labels.reason), points))
    return Slice(
        first=first,
        minutes=minutes,
        results=results,
        failures=failures,
        maintenance={labels.key: points for labels, points in await series(MAINTENANCE)},
        exporters={labels.exporter: points for labels, points in await series(EXPORTERS)},
    )

"""Read the history of the targets from Prometheus, slice by slice.

The exporter keeps no history; the arithmetic is in `core.report`.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from typing import Any, Final

from exporter.core import durations
from exporter.core.report.minutes import MINUTE, WITHOUT_PROBE, Exporter, Minutes, Points, Slice, Target
from exporter.core.report.period import Period
from exporter.inventory.prometheus_api import HistoryError, PrometheusAccess, PrometheusApi

SLICE = 180  # minutes; Prometheus allows 11,000 points per series, and 5,000 targets then have 20 MB
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

_Series = tuple[Mapping[str, str], Points]


async def read_minutes(access: PrometheusAccess, period: Period) -> Minutes:
    """Return the minutes of the period. Raises HistoryError and AccessError."""
    async with PrometheusApi(access) as api:
        await _check_retention(api, period)
        minutes = Minutes(await _series(api, period))
        for first in range(0, period.minutes, SLICE):
            minutes.add(await _slice(api, period, first, min(SLICE, period.minutes - first)))
    minutes.drop_absent()
    if not minutes.targets:
        raise _no_series(period)
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


async def _series(api: PrometheusApi, period: Period) -> list[tuple[Exporter, Target]]:
    form = {"match[]": CONFIGURED, "start": str(period.start), "end": str(period.end)}
    found = await api.get("api/v1/series", form)
    keys = [_key(labels) for labels in found if isinstance(labels, dict)] if isinstance(found, list) else []
    if not keys:
        raise _no_series(period)
    return keys


def _key(labels: Mapping[str, str]) -> tuple[Exporter, Target]:
    return _exporter(labels), Target(labels.get("vault", ""), labels.get("target", ""))


def _exporter(labels: Mapping[str, str]) -> Exporter:
    return Exporter(labels.get("job", ""), labels.get("instance", ""))


async def _slice(api: PrometheusApi, period: Period, first: int, minutes: int) -> Slice:
    start = period.start + first * MINUTE
    failures: dict[tuple[Exporter, Target], list[tuple[str, str, Points]]] = {}
    for labels, points in await _range(api, FAILURES, start, minutes):
        failures.setdefault(_key(labels), []).append((labels.get("step", ""), labels.get("reason", ""), points))
    return Slice(
        first=first,
        minutes=minutes,
        results=await _results(api, start, minutes),
        failures=failures,
        maintenance={_key(labels): points for labels, points in await _range(api, MAINTENANCE, start, minutes)},
        exporters={_exporter(labels): points for labels, points in await _range(api, EXPORTERS, start, minutes)},
    )


async def _results(api: PrometheusApi, start: int, minutes: int) -> Mapping[tuple[Exporter, Target], Points]:
    """Return the result of each minute: of a recent probe, or that a configured target has none."""
    results = {_key(labels): dict(points) for labels, points in await _range(api, RESULTS, start, minutes)}
    for query in (STALE, UNPROBED):
        for labels, points in await _range(api, query, start, minutes):
            results.setdefault(_key(labels), {}).update(dict.fromkeys(points, WITHOUT_PROBE))
    return results


async def _range(api: PrometheusApi, query: str, start: int, minutes: int) -> list[_Series]:
    """Return the series of a query, with a point at the start of each minute. Raises HistoryError."""
    end = start + (minutes - 1) * MINUTE
    data = await api.get("api/v1/query_range", {"query": query, "start": str(start), "end": str(end), "step": str(MINUTE)})
    try:
        return list(_parse(data, start))
    except (KeyError, TypeError, ValueError, AttributeError):
        raise HistoryError("Prometheus sent an unreadable result: check the URL") from None


def _parse(data: Any, start: int) -> Iterator[_Series]:
    for series in data["result"]:
        labels = {str(name): str(value) for name, value in series["metric"].items()}
        yield labels, {round((at - start) / MINUTE): float(value) for at, value in series["values"]}

"""The reader of Prometheus' history against servers that answer as Prometheus does, or otherwise."""

import base64
import json
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC
from typing import Any

import pytest
from aiohttp import web

from exporter.clients.peers import ApiAccess, HistoryError
from exporter.report.history import EXPORTERS, FAILURES, MAINTENANCE, RESULTS, STALE, UNPROBED, read_minutes
from exporter.report.minutes import Minutes, Period, ReportedTarget, parse_month, parse_period
from tests.unit.clients.test_peers import answering, giving, raw

Handler = Callable[[web.Request], Awaitable[web.Response]]
PERIOD = parse_period("2026-11-01T00:00:00Z", "2026-11-01T00:03:00Z", UTC, "UTC")
LABELS = {"job": "ekm", "instance": "a", "target": "one", "vault": "v"}
PATIENCE = 30.0


def fake(
    results: Mapping[str, Any] | None = None,
    *,
    series: Any = (LABELS,),
    retention: str | None = "15y",
    seen: list[Any] | None = None,
) -> Handler:
    """A Prometheus with these results by query."""

    async def respond(request: web.Request) -> web.Response:
        form = await request.post()
        if seen is not None:
            seen.append((request.method, request.path, dict(form), request.headers.get("Authorization")))
        if request.path.endswith("/status/runtimeinfo"):
            return web.Response(status=404) if retention is None else success({"storageRetention": retention})
        if request.path.endswith("/series"):
            return success(list(series) if isinstance(series, tuple) else series)
        return success({"resultType": "matrix", "result": (results or {}).get(str(form["query"]), [])})

    return respond


def success(data: Any) -> web.Response:
    return web.Response(text=json.dumps({"status": "success", "data": data}))


def series(labels: Mapping[str, str], *values: tuple[int, float]) -> dict[str, Any]:
    """A series with values by minute."""
    return {"metric": labels, "values": [[PERIOD.start + minute * 60, str(value)] for minute, value in values]}


async def read(handler: Handler, period: Period = PERIOD, **access: Any) -> Minutes:
    async with answering(handler) as url:
        return await read_minutes(ApiAccess(url=f"{url}/", timeout=PATIENCE, **access), period)


async def problem(handler: Handler, period: Period = PERIOD) -> str:
    """The error, without the address."""
    async with answering(handler) as url:
        with pytest.raises(HistoryError) as caught:
            await read_minutes(ApiAccess(url=f"{url}/", timeout=PATIENCE), period)
    return str(caught.value).replace(url, "URL")


async def test_results_of_the_queries_become_minutes() -> None:
    handler = fake(
        {
            RESULTS: [series(LABELS, (0, 1), (1, 0), (2, 1))],
            FAILURES: [series({**LABELS, "step": "get_key", "reason": "throttled"}, (1, 1))],
            MAINTENANCE: [series(LABELS, (2, 1))],
            EXPORTERS: [series({"job": "ekm", "instance": "a"}, (0, 1), (1, 1), (2, 1))],
        }
    )
    row = (await read(handler)).targets[ReportedTarget("v", "one")]
    assert [row.count(kind) for kind in ("answered", "throttled", "maintenance")] == [1, 1, 1]


async def test_stale_result_and_target_without_result_are_gaps() -> None:
    handler = fake(
        {RESULTS: [series(LABELS, (0, 1), (1, 1))], STALE: [series(LABELS, (1, 900))], UNPROBED: [series(LABELS, (2, 60))]}
    )
    row = (await read(handler)).targets[ReportedTarget("v", "one")]
    assert row.gaps == [("no_probe", 1, 3)]


async def test_month_is_read_in_slices_below_the_limit_of_points() -> None:
    seen: list[Any] = []
    whole = parse_month("2026-02", UTC, "UTC")
    with pytest.raises(HistoryError, match="no series of a target"):
        await read(fake(seen=seen), whole)
    ranges = [form for _, path, form, _ in seen if path.endswith("/query_range") and form["query"] == RESULTS]
    starts = [int(form["start"]) for form in ranges]
    assert (starts[0], int(ranges[-1]["end"])) == (whole.start, whole.end - 60)
    assert all((int(form["end"]) - int(form["start"])) // 60 + 1 <= 180 for form in ranges)
    assert [int(form["end"]) + 60 for form in ranges[:-1]] == starts[1:]


@pytest.mark.parametrize(
    ("access", "header"),
    [
        ({}, None),
        ({"user": "ops", "password": "not-a-secret"}, "Basic " + base64.b64encode(b"ops:not-a-secret").decode()),
        ({"token": "not-a-token"}, "Bearer not-a-token"),
    ],
    ids=["nothing", "basic", "bearer"],
)
async def test_requests_have_the_credentials_of_the_flags(access: dict[str, str], header: str | None) -> None:
    seen: list[Any] = []
    await read(fake({RESULTS: [series(LABELS, (0, 1))]}, seen=seen), **access)
    assert {found for *_, found in seen} == {header}
    assert "not-a-" not in repr(ApiAccess(url="u", timeout=1, **access))


@pytest.mark.parametrize(
    ("status", "action"),
    [
        (302, "is it Prometheus?"),
        (401, "use --prometheus.user and --prometheus.password.file, or --prometheus.token.file"),
        (403, "allow the user to read"),
        (422, "raise --query.max-samples and --query.timeout of Prometheus"),
        (503, "raise --query.timeout of Prometheus, or try again later"),
    ],
)
async def test_http_status_is_one_line_with_the_action(status: int, action: str) -> None:
    text = await problem(giving(status=status, text="not for the terminal", headers={"Location": "/elsewhere"}))
    assert text.startswith(f"URL responded with HTTP status {status}: ")
    assert text.endswith(action)


@pytest.mark.parametrize("text", ["<html>", "[]", "[" * 100_000, '{"status": "error"}', '{"status": "success"}'])
async def test_other_server_is_no_prometheus(text: str) -> None:
    assert await problem(giving(text=text)) == "URL is no Prometheus: its response is not that of the API: check the URL"


async def test_history_without_series_names_the_action() -> None:
    text = await problem(fake(series=()))
    assert text.startswith("Prometheus has no series of a target from 2026-11-01T00:00Z to 2026-11-01T00:03Z: does it scrape")


async def test_retention_shorter_than_the_period_names_the_flag() -> None:
    text = await problem(fake(retention="1h or 10GiB"))
    assert text.startswith("Prometheus keeps 1h and has deleted the beginning of the period: set --storage.tsdb.retention.time")


@pytest.mark.parametrize("retention", [None, "10GiB", "0s"])
async def test_unknown_retention_is_no_error(retention: str | None) -> None:
    assert await read(fake({RESULTS: [series(LABELS, (0, 1))]}, retention=retention))


async def test_closed_connection_is_one_line() -> None:
    async with raw(b"") as url:
        with pytest.raises(HistoryError, match="is unreachable, it closed the connection without a response: check the URL"):
            await read_minutes(ApiAccess(url=f"{url}/", timeout=PATIENCE), PERIOD)


async def test_silent_server_ends_at_the_timeout() -> None:
    async with raw(b"", wait=True) as url:
        with pytest.raises(HistoryError, match=r"gave no whole response within 0.2 s: raise --timeout"):
            await read_minutes(ApiAccess(url=f"{url}/", timeout=0.2), PERIOD)

"""Scrapes, pages and JSON of a large fleet: duration, size, and the longest pause for a probe in flight.

The longest pause is the slowest response of `/-/healthy` on another connection: a probe waits at most this long for a piece of a scrape or
page. `fleet` compares with prometheus_client, and scrapes during probes.
"""

from __future__ import annotations

import http.client
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from typing import NamedTuple

from bench.figures import Figure
from bench.processes import PATIENCE
from bench.programs import Bench, Fleet, Running, exporter
from bench.querying import Watch, behave, drained, page, repeated, until
from bench.sizes import Sizes

_LARGEST_KB, _LONGEST_SECONDS, _LONGEST_PAUSE_MS = 150, 0.5, 10
# What a reader or a program requests of a whole fleet, apart from the status page. A comma separates the headers.
PATHS = (
    "/targets", "/targets?q=t1", "/targets?verdict=ready&page=20", "/targets/t1", "/changes", "/config", "/explain", "/docs/", "/calendar.ics",
    "/api/v1/targets", "/api/v1/targets/t1", "/api/v1/targets/t1/support-bundle", "/sd/targets", "/metrics", "/metrics, gzip",
    "/metrics, gzip, protobuf",
)  # fmt: skip
_HEADERS = {
    "gzip": ("Accept-Encoding", "gzip"),
    "protobuf": ("Accept", "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited"),
}
_PAGE_INTERVAL = 300.0  # seconds between two probes of a target: a probe that was lost at the start is made again


class Costs(NamedTuple):
    """Milliseconds for each run, and bytes."""

    took: list[float]
    cpu: list[float]
    pauses: list[float]
    size: int


@contextmanager
def observed(bench: Bench, running: Running, runs: int) -> Iterator[Callable[[str], Costs]]:
    """Yield a function that measures a path; without one, 0.3 s in which nothing is requested."""
    connection = http.client.HTTPConnection(running.url.removeprefix("http://"), timeout=PATIENCE)

    def ping() -> None:
        connection.request("GET", "/-/healthy")
        connection.getresponse().read()

    def costs(path: str) -> Costs:
        path, *kinds = path.split(", ")
        size, rows = 0, []
        for _ in range(runs):
            first, watch = len(pings), Watch(bench, running.pid)
            if path:
                size = drained(running.url, path, dict(map(_HEADERS.__getitem__, kinds)))
            else:
                time.sleep(0.3)
            spent, last = watch.stop(), len(pings) + 1
            time.sleep(0.2)  # a ping that waited ends
            rows.append((1000 * spent.wall, 1000 * spent.cpu, 1000 * max(pings[first:last])))
        return Costs(*map(list, zip(*rows, strict=True)), size)

    with closing(connection), repeated(ping, 0.0005) as pings:
        yield costs


def settle(running: Running) -> None:
    """Wait until every target was probed once. Raises RuntimeError if that takes too long."""
    until(lambda: page(running.url, "/-/ready"), "every target was probed", seconds=4 * PATIENCE)
    time.sleep(1)  # the last auxiliary probes


def measure(bench: Bench, sizes: Sizes) -> Iterator[Figure]:
    """Read the status page and then every other path while the targets fail in three causes."""
    behave(bench, failing="causes", first=sizes.fleet)
    with exporter(bench, Fleet(targets=sizes.fleet, credentials=2, interval=_PAGE_INTERVAL, servers=True)) as running:
        settle(running)
        shown = "<strong>3 causes</strong>"
        until(lambda: shown in page(running.url, "/"), "the status page has three causes", seconds=2 * _PAGE_INTERVAL)
        with observed(bench, running, sizes.runs) as costs_of:
            floor, status = costs_of(""), costs_of("/")
            found = {path: costs_of(path) for path in PATHS}
    what = f"status page of {sizes.fleet:,} targets in three causes"
    how = f"over loopback to the last byte, while it probes each target every {_PAGE_INTERVAL:g} s"
    yield Figure(f"{what}: time", [ms / 1000 for ms in status.took], "s", how, commit=2 * _LONGEST_SECONDS, aim=_LONGEST_SECONDS)
    yield Figure(f"{what}: processor time", status.cpu, "ms", "of the exporter")
    how = "without compression, with the head of the response"
    yield Figure(f"{what}: size", [status.size / 1000], "KB", how, commit=_LARGEST_KB)
    yield Figure(f"{what}: longest pause", status.pauses, "ms", "slowest `/-/healthy`", aim=_LONGEST_PAUSE_MS)
    yield Figure(f"{what}, not requested: longest pause", floor.pauses, "ms", "the floor")
    for path, costs in found.items():
        how = f"slowest `/-/healthy` in {max(costs.took):,.0f} ms, {costs.size / 1000:,.0f} KB"
        yield Figure(f"`{path}` of {sizes.fleet:,} targets: longest pause", costs.pauses, "ms", how, aim=_LONGEST_PAUSE_MS)

"""Scrapes, pages and JSON of a large fleet: duration, size, and the longest pause for a probe in flight.

The longest pause is the slowest response of `/-/healthy` on another connection: a probe waits at most this long for a piece of a scrape or
page. `fleet` compares with prometheus_client, and scrapes during probes.
"""

from __future__ import annotations

import http.client
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Self

from bench.figures import Figure
from bench.processes import PATIENCE
from bench.programs import Bench, Fleet, Running, exporter
from bench.querying import Watch, drained, fail, page, until
from bench.sizes import Sizes

QUIET = 1200.0  # seconds between two probes: the second round starts long after the first
PROTOBUF = "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited"
KINDS = {
    "plain, text": {"Accept": "text/plain"},
    "gzip, text": {"Accept": "text/plain", "Accept-Encoding": "gzip"},
    "plain, protobuf": {"Accept": PROTOBUF},
    "gzip, protobuf": {"Accept": PROTOBUF, "Accept-Encoding": "gzip"},
}
_LARGEST_KB, _LONGEST_SECONDS, _LONGEST_PAUSE_MS = 150, 0.5, 10
# What a reader or a program requests of a whole fleet, apart from the status page and scrapes.
PATHS = (
    "/targets", "/targets?q=t1", "/targets?verdict=ready&page=20", "/targets/t1", "/changes", "/config", "/explain", "/docs/", "/calendar.ics",
    "/api/v1/targets", "/api/v1/targets/t1", "/api/v1/targets/t1/support-bundle", "/sd/targets", "/metrics",
)  # fmt: skip
_PAGE_INTERVAL = 300.0  # seconds between two probes of a target: a probe that was lost at the start is made again


class Pinging(threading.Thread):
    """Requests `/-/healthy` repeatedly while entered. `slowest` is the slowest response in seconds, until it is set to 0."""

    def __init__(self, url: str) -> None:
        super().__init__(daemon=True)
        self._connection = http.client.HTTPConnection(url.removeprefix("http://"), timeout=PATIENCE)
        self._over = threading.Event()
        self.slowest = 0.0

    def run(self) -> None:
        while not self._over.is_set():
            requested = time.monotonic()
            self._connection.request("GET", "/-/healthy")
            self._connection.getresponse().read()
            self.slowest = max(self.slowest, time.monotonic() - requested)
            time.sleep(0.0005)
        self._connection.close()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self.join()


@dataclass(slots=True)
class Costs:
    """Milliseconds for each run."""

    took: list[float] = field(default_factory=list)
    pauses: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)
    size: int = 0  # bytes


def observe(bench: Bench, running: Running, ping: Pinging, runs: int, query: Callable[[], int]) -> Costs:
    found = Costs()
    for _ in range(runs):
        watch = Watch(bench, running.pid)
        ping.slowest = 0.0
        found.size = query()
        spent = watch.stop()
        found.took.append(1000 * spent.wall)
        found.cpu.append(1000 * spent.cpu)
        found.pauses.append(1000 * ping.slowest)
        time.sleep(0.2)
    return found


def _wait() -> int:
    time.sleep(0.3)
    return 0


def settle(running: Running) -> None:
    """Wait until every target was probed once. Raises RuntimeError if that takes too long."""
    until(lambda: _is_ready(running), "every target was probed", seconds=4 * PATIENCE)
    time.sleep(1)  # the last auxiliary probes


def _is_ready(running: Running) -> bool:
    try:
        page(running.url, "/-/ready")
    except OSError:  # 503: not yet
        return False
    return True


def measure(bench: Bench, sizes: Sizes) -> Iterator[Figure]:
    """Scrape every kind on an idle exporter."""
    with exporter(bench, Fleet(targets=sizes.fleet, interval=QUIET)) as running:
        settle(running)
        with Pinging(running.url) as ping:
            what = f"{sizes.fleet:,} targets"
            floor = observe(bench, running, ping, sizes.runs, _wait)
            yield Figure(what=f"{what}, no scrape: longest pause", runs=floor.pauses, unit="ms", how="the floor")
            for kind, headers in KINDS.items():
                drained(running.url, headers)  # the first scrape in protobuf encodes every target
                found = observe(bench, running, ping, sizes.runs, lambda headers=headers: drained(running.url, headers))  # type: ignore[misc]
                how = f"{found.size / 2**20:.2f} MB sent over loopback to the last byte"
                yield Figure(what=f"{what}, {kind}: time", runs=found.took, unit="ms", how=how)
                yield Figure(what=f"{what}, {kind}: processor time", runs=found.cpu, unit="ms", how="of the exporter")
                how = "slowest `/-/healthy` meanwhile"
                yield Figure(what=f"{what}, {kind}: longest pause", runs=found.pauses, unit="ms", how=how)


def measure_page(bench: Bench, sizes: Sizes) -> Iterator[Figure]:
    """Read the status page and then every other path while the targets fail in three causes."""
    fail(bench, "causes", first=sizes.fleet)
    fleet = Fleet(targets=sizes.fleet, credentials=2, interval=_PAGE_INTERVAL, servers=True)
    with exporter(bench, fleet) as running:
        settle(running)
        shown = "<strong>3 causes</strong>"
        until(lambda: shown in page(running.url, "/"), "the status page has three causes", seconds=2 * _PAGE_INTERVAL)
        with Pinging(running.url) as ping:
            floor = observe(bench, running, ping, sizes.runs, _wait)
            found = observe(bench, running, ping, sizes.runs, lambda: drained(running.url, path="/"))
            others = {
                path: observe(bench, running, ping, sizes.runs, lambda path=path: drained(running.url, path=path))  # type: ignore[misc]
                for path in PATHS
            }
    what = f"status page of {sizes.fleet:,} targets in three causes"
    how = f"over loopback to the last byte, while it probes each target every {_PAGE_INTERVAL:g} s"
    seconds = [took / 1000 for took in found.took]
    yield Figure(what=f"{what}: time", runs=seconds, unit="s", commit=2 * _LONGEST_SECONDS, aim=_LONGEST_SECONDS, how=how)
    yield Figure(what=f"{what}: processor time", runs=found.cpu, unit="ms", how="of the exporter")
    size, how = found.size / 1000, "without compression, with the head of the response"
    yield Figure(what=f"{what}: size", runs=[size], unit="KB", commit=_LARGEST_KB, how=how)
    yield Figure(what=f"{what}: longest pause", runs=found.pauses, unit="ms", aim=_LONGEST_PAUSE_MS, how="slowest `/-/healthy`")
    yield Figure(what=f"{what}, not requested: longest pause", runs=floor.pauses, unit="ms", how="the floor")
    for path, costs in others.items():
        what = f"`{path}` of {sizes.fleet:,} targets: longest pause"
        how = f"slowest `/-/healthy` in {max(costs.took):,.0f} ms, {costs.size / 1000:,.0f} KB"
        yield Figure(what=what, runs=costs.pauses, unit="ms", aim=_LONGEST_PAUSE_MS, how=how)

"""Scrapes of every kind on an idle exporter: duration, and the longest pause for a probe in flight.

Covers plain and gzip, classic and OpenMetrics, one scraper and several, and two fleet sizes. The longest pause is the slowest
response of `/-/healthy` on another connection. `scrapes` compares with prometheus_client; `steady` scrapes during probes.
"""

from __future__ import annotations

import http.client
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from bench.processes import PATIENCE, forget_peak, peak, resident
from bench.programs import Bench, Fleet, Running, exporter
from bench.querying import Watch, drained
from bench.sizes import Sizes
from bench.table import Figure

QUIET = 1200.0  # seconds between two probes: the second round starts long after the first
_AT_ONCE = 4
_OPENMETRICS = "application/openmetrics-text; version=1.0.0"
KINDS = {
    "plain, text": {"Accept": "text/plain"},
    "plain, OpenMetrics": {"Accept": _OPENMETRICS},
    "gzip, text": {"Accept": "text/plain", "Accept-Encoding": "gzip"},
    "gzip, OpenMetrics": {"Accept": _OPENMETRICS, "Accept-Encoding": "gzip"},
}


class Pinging(threading.Thread):
    """Requests `/-/healthy` repeatedly. `slowest` is the slowest response in seconds since `begin`."""

    def __init__(self, url: str) -> None:
        super().__init__(daemon=True)
        self._connection = http.client.HTTPConnection(url.removeprefix("http://"), timeout=PATIENCE)
        self._over = threading.Event()
        self.slowest = 0.0

    def begin(self) -> None:
        self.slowest = 0.0

    def run(self) -> None:
        while not self._over.is_set():
            requested = time.monotonic()
            self._connection.request("GET", "/-/healthy")
            self._connection.getresponse().read()
            self.slowest = max(self.slowest, time.monotonic() - requested)
            time.sleep(0.0005)
        self._connection.close()

    def stop(self) -> None:
        self._over.set()
        self.join()


@dataclass(slots=True)
class ScrapeCosts:
    """One value for each run: seconds, megabytes above the memory before, seconds of processor time."""

    took: list[float] = field(default_factory=list)
    pauses: list[float] = field(default_factory=list)
    memory: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)
    megabytes: float = 0.0


def several(url: str, headers: dict[str, str]) -> int:
    with ThreadPoolExecutor(_AT_ONCE) as threads:
        return sum(threads.map(lambda _: drained(url, headers), range(_AT_ONCE)))


def observe(bench: Bench, running: Running, ping: Pinging, runs: int, query: Callable[[], int]) -> ScrapeCosts:
    found = ScrapeCosts()
    for _ in range(runs):
        before = resident(running.pid)
        forget_peak(running.pid)
        watch = Watch(bench, running.pid)
        ping.begin()
        found.megabytes = query() / 2**20
        spent = watch.stop()
        found.took.append(spent.wall)
        found.cpu.append(spent.cpu)
        found.pauses.append(ping.slowest)
        found.memory.append(max(0.0, peak(running.pid) - before))
        time.sleep(0.2)
    return found


def idle(bench: Bench, running: Running, ping: Pinging, runs: int) -> ScrapeCosts:
    """The slowest ping while no scrape runs."""

    def wait() -> int:
        time.sleep(0.3)
        return 0

    return observe(bench, running, ping, runs, wait)


def settle(running: Running) -> None:
    """Wait until every target was probed once. Raises RuntimeError if that takes too long."""
    end = time.monotonic() + 4 * PATIENCE
    while time.monotonic() < end:
        try:
            with urllib.request.urlopen(f"{running.url}/-/ready", timeout=PATIENCE) as answer:  # noqa: S310 - a loopback address
                answer.read()
                time.sleep(1)  # the last auxiliary probes
                return
        except OSError:  # 503: not yet
            time.sleep(0.2)
    raise RuntimeError("not every target was probed in time")


def measure(bench: Bench, sizes: Sizes) -> Iterator[Figure]:
    for targets in (sizes.small_fleet, sizes.fleet):
        fleet = Fleet(targets=targets, credentials=max(1, targets // 20), interval=QUIET)
        with exporter(bench, fleet) as running:
            settle(running)
            ping = Pinging(running.url)
            ping.start()
            yield from of_fleet(bench, running, ping, f"{targets:,} targets", sizes.runs)
            ping.stop()


def of_fleet(bench: Bench, running: Running, ping: Pinging, fleet: str, runs: int) -> Iterator[Figure]:
    quiet = idle(bench, running, ping, runs)
    yield Figure(what=f"{fleet}, no scrape: longest pause", runs=[1000 * s for s in quiet.pauses], unit=" ms", how="the floor")
    for kind, headers in KINDS.items():
        found = observe(bench, running, ping, runs, lambda headers=headers: drained(running.url, headers))  # type: ignore[misc]
        yield from figures(f"{fleet}, {kind}", found)
    found = observe(bench, running, ping, runs, lambda: several(running.url, KINDS["gzip, text"]))
    yield from figures(f"{fleet}, {_AT_ONCE} at once, gzip, text", found)


def figures(what: str, found: ScrapeCosts) -> Iterator[Figure]:
    how = f"{found.megabytes:.2f} MB sent"
    yield Figure(what=f"{what}: time", runs=[1000 * s for s in found.took], unit=" ms", how=how)
    yield Figure(what=f"{what}: processor time", runs=[1000 * s for s in found.cpu], unit=" ms", how="of the exporter")
    yield Figure(what=f"{what}: longest pause", runs=[1000 * s for s in found.pauses], unit=" ms", how="slowest `/-/healthy`")
    yield Figure(what=f"{what}: memory", runs=found.memory, unit=" MB", how="peak, beyond what was resident before")

"""Scrapes of every kind on an idle exporter: duration, and the longest pause for a probe in flight.

Covers plain and gzip, text, OpenMetrics and protobuf, one scraper and several, two fleet sizes, and then a Prometheus. The longest pause is the slowest
response of `/-/healthy` on another connection. `scrapes` compares with prometheus_client; `steady` scrapes during probes.
"""

from __future__ import annotations

import http.client
import statistics
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field

from bench import storing
from bench.items import Item, Mark, Pair
from bench.processes import PATIENCE, forget_peak, peak, resident
from bench.programs import Bench, Fleet, Running, exporter
from bench.querying import Watch, drained
from bench.sizes import Sizes
from bench.table import Figure, short
from bench.trees import Tree

QUIET = 1200.0  # seconds between two probes: the second round starts long after the first
_AT_ONCE = 4
_OPENMETRICS = "application/openmetrics-text; version=1.0.0"
PROTOBUF = "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited"
KINDS = {
    "plain, text": {"Accept": "text/plain"},
    "plain, OpenMetrics": {"Accept": _OPENMETRICS},
    "gzip, text": {"Accept": "text/plain", "Accept-Encoding": "gzip"},
    "gzip, OpenMetrics": {"Accept": _OPENMETRICS, "Accept-Encoding": "gzip"},
    "gzip, protobuf": {"Accept": PROTOBUF, "Accept-Encoding": "gzip"},
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


def idle_fleet(stack: ExitStack, bench: Bench, targets: int, tree: Tree | None = None) -> Running:
    fleet = Fleet(targets=targets, credentials=max(1, targets // 20), interval=QUIET)
    return stack.enter_context(exporter(bench, fleet, tree=tree))


def measure(bench: Bench, sizes: Sizes) -> Iterator[Item]:
    with ExitStack() as stack:
        fleets = {targets: idle_fleet(stack, bench, targets) for targets in (sizes.small_fleet, sizes.fleet)}
        other = idle_fleet(stack, bench, sizes.small_fleet, bench.other) if bench.other else None
        for running in (*fleets.values(), *([other] if other else [])):
            settle(running)
        yield Mark.WARM
        for targets, running in fleets.items():
            with pinged(running) as ping:
                yield from of_fleet(bench, running, ping, f"{targets:,} targets", sizes.runs)
        if other:
            yield from pairs(bench, fleets[sizes.small_fleet], other, sizes)
        yield from storing.figures(bench, fleets[sizes.fleet], sizes)


@contextmanager
def pinged(running: Running) -> Iterator[Pinging]:
    ping = Pinging(running.url)
    ping.start()
    try:
        yield ping
    finally:
        ping.stop()


def of_fleet(bench: Bench, running: Running, ping: Pinging, fleet: str, runs: int) -> Iterator[Figure]:
    quiet = idle(bench, running, ping, runs)
    yield Figure(what=f"{fleet}, no scrape: longest pause", runs=[1000 * s for s in quiet.pauses], unit=" ms", how="the floor")
    for kind, headers in KINDS.items():
        drained(running.url, headers)  # the first scrape in protobuf encodes every target
        found = observe(bench, running, ping, runs, lambda headers=headers: drained(running.url, headers))  # type: ignore[misc]
        yield figure(f"{fleet}, {kind}", found)
    found = observe(bench, running, ping, runs, lambda: several(running.url, KINDS["gzip, text"]))
    yield figure(f"{fleet}, {_AT_ONCE} at once, gzip, text", found)


def figure(what: str, found: ScrapeCosts) -> Figure:
    cpu, pause, memory = (statistics.median(values) for values in (found.cpu, found.pauses, found.memory))
    how = (
        f"{found.megabytes:.2f} MB sent; processor time {short(1000 * cpu)} ms, longest pause {short(1000 * pause)} ms, "
        f"{short(memory)} MB more memory at the peak"
    )
    return Figure(what=f"{what}: time", runs=[1000 * s for s in found.took], unit=" ms", how=how)


def pairs(bench: Bench, this: Running, other: Running, sizes: Sizes) -> Iterator[Pair]:
    """Scrape both trees in turn."""
    for kind in ("plain, text", "gzip, text"):
        before, after = list[float](), list[float]()
        for number in range(2 * sizes.runs):
            for running in (this, other)[:: -1 if number % 2 else 1]:
                watch = Watch(bench, running.pid)
                drained(running.url, KINDS[kind])
                (after if running is this else before).append(1000 * watch.stop().cpu)
        what = f"a scrape of {sizes.small_fleet:,} targets, {kind}"
        yield Pair(what=what, unit=" ms", before=before, after=after, how="processor time, while no probe runs")

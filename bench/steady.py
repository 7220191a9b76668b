"""A large fleet at a steady rate: processor time, memory, start lag, the effect of scrapes, and growth.

Slices without scrapes alternate with slices with a scrape every 1.5 s, in the same process.
"""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field

from bench.items import Pair
from bench.processes import alone, resident
from bench.programs import Bench, Fleet, Running, exporter
from bench.querying import Watch, counts, drained, metrics, total, values
from bench.sizes import Sizes
from bench.table import Figure, percentile, ratios
from bench.trees import Tree

EVERY = 1.5  # seconds between two scrapes
_PER_CREDENTIAL = 20
_PAIRS = 3  # and slices of the small fleet


@dataclass(slots=True)
class Slices:
    """One value for each slice: processor time in seconds per second, memory in MB, p99 of probes in seconds."""

    cpu: list[float] = field(default_factory=list)
    memory: list[float] = field(default_factory=list)
    slow: list[float] = field(default_factory=list)
    busy: float = 0.0
    cost: list[float] = field(default_factory=list)  # processor time of a probe in ms


@dataclass(slots=True)
class Observed:
    quiet: Slices = field(default_factory=Slices)
    scraped: Slices = field(default_factory=Slices)
    scrapes: list[float] = field(default_factory=list)  # seconds of each scrape
    lag: float = 0.0
    failed: float = 0.0
    tainted: float = 0.0
    text: str = ""
    settled: float = 0.0  # MB after the warm-up


class Scraper(threading.Thread):
    """Scrapes like Prometheus, but more often, until `stop`, and records the durations."""

    def __init__(self, url: str) -> None:
        super().__init__(daemon=True)
        self._url, self._over, self.took = url, threading.Event(), list[float]()

    def run(self) -> None:
        while not self._over.is_set():
            begun = time.monotonic()
            drained(self._url)
            self.took.append(time.monotonic() - begun)
            self._over.wait(max(0.0, EVERY - self.took[-1]))

    def stop(self) -> list[float]:
        self._over.set()
        self.join()
        return self.took


def large(sizes: Sizes) -> Fleet:
    return fleet_of(sizes.fleet, sizes.fleet_interval)


def small(sizes: Sizes) -> Fleet:
    return fleet_of(sizes.small_fleet, sizes.small_interval)


def fleet_of(targets: int, interval: float) -> Fleet:
    credentials = max(1, targets // _PER_CREDENTIAL)
    return Fleet(targets=targets, credentials=credentials, interval=interval, auxiliary=True)


def take(bench: Bench, running: Running, seconds: float, into: Slices, *, slow: bool = True) -> None:
    counts(bench)
    since, watch = time.time(), Watch(bench, running.pid)
    time.sleep(seconds)
    spent, made = watch.stop(), counts(bench).get("unwrapkey", 0.0)
    into.cpu.append(spent.cpu / spent.wall)
    into.cost.append(1000 * spent.cpu / max(1.0, made))
    into.memory.append(resident(running.pid))
    into.busy = max(into.busy, spent.busy)
    if slow:
        into.slow.append(slowest(metrics(running.url), since))


def slowest(text: str, since: float) -> float:
    """The p99 in seconds of the last probes of all targets with a probe since `since`, a Unix time.

    A target whose first probe ended during the scrape may have only one of the two series.
    """
    started = values(text, "ekm_last_probe_timestamp_seconds")
    took = values(text, "ekm_probe_duration_seconds")
    fresh = [took[labels] for labels, at in started.items() if at >= since and labels in took]
    return percentile(fresh or [float("nan")], 0.99)


def lag_p99(text: str, before: str = "") -> float:
    """The smallest histogram bound that covers 99 % of the starts, or of those since the scrape `before`."""
    already = _lags(before)
    counts = {bound: count - already.get(bound, 0.0) for bound, count in _lags(text).items()}
    return min(bound for bound, count in counts.items() if count >= 0.99 * counts[float("inf")])


def _lags(text: str) -> dict[float, float]:
    """The count of starts by histogram bound."""
    buckets = values(text, "ekm_exporter_schedule_lag_seconds_bucket")
    return {float(re.search(r'le="([^"]+)"', labels)[1]): count for labels, count in buckets.items()}  # type: ignore[index]


@contextmanager
def observed(bench: Bench, sizes: Sizes) -> Iterator[Observer]:
    """Run the large fleet through its warm-up."""
    with exporter(bench, large(sizes)) as running:
        time.sleep(sizes.warm_up)
        yield Observer(bench, running, sizes)


class Observer:
    """A fleet after its warm-up."""

    def __init__(self, bench: Bench, running: Running, sizes: Sizes) -> None:
        self._bench, self._running, self._sizes = bench, running, sizes

    def observe(self) -> Observed:
        """Alternate slices without and with scrapes."""
        seen, running, sizes = Observed(), self._running, self._sizes
        before = metrics(running.url)  # a scrape comes before each memory reading
        seen.settled = resident(running.pid)
        for _ in range(sizes.runs):
            take(self._bench, running, sizes.slice, seen.quiet)
            scraper = Scraper(running.url)
            scraper.start()
            take(self._bench, running, sizes.slice, seen.scraped)
            seen.scrapes += scraper.stop()
        seen.text = metrics(running.url)
        seen.lag = lag_p99(seen.text, before)
        seen.failed, seen.tainted = (
            total(seen.text, sample) - total(before, sample)
            for sample in ("ekm_probe_failures_total", "ekm_exporter_probes_tainted_total")
        )
        return seen


@dataclass(frozen=True, slots=True)
class InTurn:
    """The small fleet of a tree: slices, memory after the warm-up in MB, KB for each probe that is remembered."""

    cost: list[float]
    busy: float
    settled: float
    kept: float


def observe_small(bench: Bench, sizes: Sizes) -> dict[Tree | None, InTurn]:
    """Measure the small fleet with this tree, and in turn with the other one, which is stopped otherwise."""
    fleet, slices, found = small(sizes), dict[Tree | None, Slices](), dict[Tree | None, InTurn]()
    with ExitStack() as stack:
        running = {tree: stack.enter_context(exporter(bench, fleet, tree=tree)) for tree in bench.turns(0)}
        time.sleep(sizes.warm_up * fleet.interval / sizes.fleet_interval)
        before = {tree: _probes_and_memory(one) for tree, one in running.items()}
        for number in range(min(_PAIRS, sizes.runs) if bench.other else sizes.runs):
            for tree in bench.turns(number):
                with alone([one.pid for each, one in running.items() if each is not tree], settle=fleet.interval / 2.5):
                    take(bench, running[tree], sizes.slice, slices.setdefault(tree, Slices()), slow=False)
        for tree, (made, memory) in before.items():
            later, now = _probes_and_memory(running[tree])
            found[tree] = InTurn(slices[tree].cost, slices[tree].busy, memory, 1024 * (now - memory) / max(1.0, later - made))
    return found


def _probes_and_memory(running: Running) -> tuple[float, float]:
    return total(metrics(running.url), "ekm_probes_total"), resident(running.pid)


def figures(seen: Observed, sizes: Sizes) -> Iterator[Figure]:
    quiet, scraped = seen.quiet, seen.scraped
    span = f"{sizes.slice:g} s a run, after {sizes.warm_up:g} s of warm-up"
    name, how = f"{sizes.fleet:,} targets every {sizes.fleet_interval:g} s", f"without scrapes, {span}"
    percent = [100 * share for share in quiet.cpu]
    yield Figure(
        what=f"**{name}: processor time**", runs=percent, unit=" % of a core", commit=50, aim=35, busy=quiet.busy, how=how
    )
    yield Figure(
        what=f"{name}: processor time a probe",
        runs=quiet.cost,
        unit=" ms",
        busy=quiet.busy,
        how="the same, auxiliary probes included",
    )
    often = f"scraped every {EVERY:g} s, {sizes.slice:g} s a run"
    loaded = [100 * share for share in scraped.cpu]
    yield Figure(what=f"{name}: processor time while scraped", runs=loaded, unit=" % of a core", busy=scraped.busy, how=often)
    everything = quiet.memory + scraped.memory
    yield Figure(what=f"**{name}: resident memory**", runs=everything, unit=" MB", commit=600, aim=400, how="after each run")
    note = f"bound of the histogram that 99 % of all starts after the warm-up stayed under; {seen.failed:.0f} probes failed, {seen.tainted:.0f} tainted"
    yield Figure(what=f"**{name}: start lag, p99**", runs=[seen.lag], unit=" s", commit=1, how=note)
    yield Figure(what=f"{name}: a probe, p99", runs=[1000 * s for s in quiet.slow], unit=" ms", busy=quiet.busy, how=how)
    slow = ratios(scraped.slow, quiet.slow)
    what = f"**{name}: p99 of a probe while scraped, against without**"
    yield Figure(
        what=what, runs=slow, unit=" times", commit=1.15, aim=1.05, busy=scraped.busy, how=f"{often}; in turn with slices without"
    )


def growth(few: InTurn, many: Observed, nothing: float, sizes: Sizes) -> Iterator[Figure]:
    """The figures of growth. `nothing` is the memory in MB of a process with one target."""
    span = f"growth from {sizes.small_fleet:,} to {sizes.fleet:,} targets"
    cost = ratios(many.quiet.cost[: len(few.cost)], few.cost)
    how = f"without scrapes; the small fleet every {sizes.small_interval:g} s, so that it makes about as many probes a second"
    yield Figure(what=f"**{span}: processor time a probe**", runs=cost, unit=" times", commit=1.2, aim=1, busy=few.busy, how=how)
    per_few = 1024 * (few.settled - nothing) / sizes.small_fleet
    per_many = 1024 * (many.settled - nothing) / sizes.fleet
    how = f"resident after the warm-up, less that of a process with one target ({nothing:.0f} MB)"
    yield Figure(what=f"memory a target, {sizes.small_fleet:,} targets", runs=[per_few], unit=" KB", how=how)
    yield Figure(what=f"memory a target, {sizes.fleet:,} targets", runs=[per_many], unit=" KB", how=how)
    memory = [per_many / per_few] if per_few else []
    if memory:
        yield Figure(
            what=f"**{span}: memory a target**", runs=memory, unit=" times", commit=1.2, aim=1, how="from the two lines above"
        )
    how = "small fleet, from the warm-up to the end; `--history.limit` bounds how many are remembered of each target"
    yield Figure(what="memory a probe that is remembered", runs=[few.kept], unit=" KB", how=how)


def pairs(before: InTurn, after: InTurn, sizes: Sizes) -> Iterator[Pair]:
    what = f"{sizes.small_fleet:,} targets every {sizes.small_interval:g} s"
    how = f"auxiliary probes included; {sizes.slice:g} s a run, as many probes a second as {sizes.fleet:,} targets every minute"
    yield Pair(what=f"{what}: processor time a probe", unit=" ms", before=before.cost, after=after.cost, how=how)
    how = "after the first probes and a scrape"
    yield Pair(what=f"{what}: resident memory", unit=" MB", before=[before.settled], after=[after.settled], how=how)

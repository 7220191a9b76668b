"""A large fleet at a steady rate: processor time, memory, start lag, the effect of scrapes, and growth.

Slices without scrapes alternate with slices with a scrape every 1.5 s, in the same process. A slice shows the rate, not the growth over a
day. Its p99 covers the last probe of each target, tainted ones included. One target in five has an auxiliary probe with every probe: as many
as every five minutes. blackbox_exporter runs before and after the fleet, as the measure of the machine.
"""

from __future__ import annotations

import re
import statistics
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field

from bench import scrapes, starts
from bench.figures import Figure, percentile, ratios
from bench.probes import Costs, ready_blackbox
from bench.processes import resident
from bench.programs import Bench, Fleet, Running, exporter
from bench.querying import Watch, counts, drained, metrics, total, values
from bench.sizes import Sizes

EVERY = 1.5  # seconds between two scrapes


@dataclass(slots=True)
class Slices:
    """One value for each slice: percent of a core, ms of a probe, MB, p99 of probes in seconds."""

    cpu: list[float] = field(default_factory=list)
    cost: list[float] = field(default_factory=list)
    memory: list[float] = field(default_factory=list)
    slow: list[float] = field(default_factory=list)
    busy: float = 0.0

    def take(self, bench: Bench, running: Running, seconds: float) -> None:
        counts(bench)
        since, watch = time.time(), Watch(bench, running.pid)
        time.sleep(seconds)
        spent, made = watch.stop(), counts(bench).get("unwrapkey", 0.0)
        self.cpu.append(100 * spent.cpu / spent.wall)
        self.cost.append(1000 * spent.cpu / max(1.0, made))
        self.memory.append(resident(running.pid))
        self.busy = max(self.busy, spent.busy)
        self.slow.append(1000 * slowest(metrics(running.url), since))


class Scraper(threading.Thread):
    """Scrapes like Prometheus, but more often, until `stop`, and records the durations in seconds."""

    def __init__(self, url: str) -> None:
        super().__init__(daemon=True)
        self._url, self._over, self._took = url, threading.Event(), list[float]()

    def run(self) -> None:
        while not self._over.is_set():
            begun = time.monotonic()
            drained(self._url)
            self._took.append(time.monotonic() - begun)
            self._over.wait(max(0.0, EVERY - self._took[-1]))

    def stop(self) -> list[float]:
        self._over.set()
        self.join()
        return self._took


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


def measure(bench: Bench, sizes: Sizes) -> Iterator[Figure]:
    quiet, scraped, took, theirs = Slices(), Slices(), list[float](), Costs()
    yardstick(bench, sizes, theirs)
    with exporter(bench, Fleet(targets=sizes.fleet, interval=sizes.fleet_interval, auxiliary=True)) as running:
        time.sleep(sizes.warm_up)
        before = metrics(running.url)  # a scrape comes before each memory reading
        settled = resident(running.pid)
        for _ in range(sizes.runs):
            quiet.take(bench, running, sizes.slice)
            scraper = Scraper(running.url)
            scraper.start()
            scraped.take(bench, running, sizes.slice)
            took += scraper.stop()
        text = metrics(running.url)
    yardstick(bench, sizes, theirs)
    yield from figures(quiet, scraped, sizes)
    yield from against_blackbox(quiet, theirs, sizes)
    name = f"{sizes.fleet:,} targets every {sizes.fleet_interval:g} s"
    failed = total(text, "ekm_probe_failures_total") - total(before, "ekm_probe_failures_total")
    how = f"bound of the histogram that 99 % of all starts after the warm-up stayed under; {failed:.0f} probes failed"
    yield Figure(what=f"{name}: start lag, p99", runs=[lag_p99(text, before)], unit="s", commit=1, how=how)
    yield from scrapes.figures(text, took, sizes)
    yield from growth(bench, sizes, quiet, settled)


def figures(quiet: Slices, scraped: Slices, sizes: Sizes) -> Iterator[Figure]:
    name = f"{sizes.fleet:,} targets every {sizes.fleet_interval:g} s"
    how = f"without scrapes, {sizes.slice:g} s a run, after {sizes.warm_up:g} s of warm-up"
    often = f"scraped every {EVERY:g} s, {sizes.slice:g} s a run"
    yield Figure(what=f"{name}: processor time", runs=quiet.cpu, unit="% of a core", commit=50, aim=35, busy=quiet.busy, how=how)
    costs = "the same, auxiliary probes included"
    yield Figure(what=f"{name}: processor time a probe", runs=quiet.cost, unit="ms", busy=quiet.busy, how=costs)
    what = f"{name}: processor time while scraped"
    yield Figure(what=what, runs=scraped.cpu, unit="% of a core", busy=scraped.busy, how=often)
    everything = quiet.memory + scraped.memory
    yield Figure(what=f"{name}: resident memory", runs=everything, unit="MB", commit=600, aim=250, how="after each run")
    yield Figure(what=f"{name}: a probe, p99", runs=quiet.slow, unit="ms", busy=quiet.busy, how=how)
    slow, how = ratios(scraped.slow, quiet.slow), f"{often}; in turn with slices without"
    what = f"{name}: p99 of a probe while scraped, against without"
    yield Figure(what=what, runs=slow, unit="times", commit=1.15, aim=1.05, busy=scraped.busy, how=how)


def yardstick(bench: Bench, sizes: Sizes, costs: Costs) -> None:
    with ready_blackbox(bench) as running:
        for _ in range(sizes.runs):
            costs.of_blackbox(bench, running, sizes)


def against_blackbox(quiet: Slices, costs: Costs, sizes: Sizes) -> Iterator[Figure]:
    """The processor time of the fleet in units of the machine's speed: per cent of a core for each millisecond of the other program."""
    theirs, busy = costs.runs["blackbox"], costs.busy["blackbox"]
    how = f"{sizes.probe_targets} targets every {sizes.probe_interval:g} s, in runs before and after the fleet"
    yield Figure(what="a probe: blackbox_exporter, before and after the fleet", runs=theirs, unit="ms", how=how, busy=busy)
    what = f"{sizes.fleet:,} targets every {sizes.fleet_interval:g} s: processor time, against a probe of blackbox_exporter"
    runs = [cpu / statistics.median(theirs) for cpu in quiet.cpu]
    yield Figure(
        what=what,
        runs=runs,
        unit="% of a core per ms",
        aim=3.2,
        how="from the figures above: processor time for each ms of that probe",
    )


def growth(bench: Bench, sizes: Sizes, many: Slices, settled: float) -> Iterator[Figure]:
    """Measure the small fleet, and compare its costs with those of the large one. `settled` is the large one's memory in MB."""
    few, (_, nothing) = Slices(), starts.once(bench)
    with exporter(bench, Fleet(targets=sizes.small_fleet, interval=sizes.small_interval, auxiliary=True)) as running:
        time.sleep(sizes.warm_up * sizes.small_interval / sizes.fleet_interval)
        metrics(running.url)
        small = resident(running.pid)
        for _ in range(sizes.runs):
            few.take(bench, running, sizes.slice)
    span = f"growth from {sizes.small_fleet:,} to {sizes.fleet:,} targets"
    how = f"without scrapes; the small fleet every {sizes.small_interval:g} s, so that it makes about as many probes a second"
    cost = ratios(many.cost, few.cost)
    yield Figure(what=f"{span}: processor time a probe", runs=cost, unit="times", commit=1.2, aim=1, busy=few.busy, how=how)
    yield Figure(what="a process with one target: memory", runs=[nothing], unit="MB", how="resident after the first probe")
    per_few, per_many = 1024 * (small - nothing) / sizes.small_fleet, 1024 * (settled - nothing) / sizes.fleet
    how = "resident after the warm-up, less that of a process with one target"
    yield Figure(what=f"memory a target, {sizes.small_fleet:,} targets", runs=[per_few], unit="KB", how=how)
    yield Figure(what=f"memory a target, {sizes.fleet:,} targets", runs=[per_many], unit="KB", how=how)
    memory, how = [per_many / per_few if per_few else 0.0], "from the two figures above"
    yield Figure(what=f"{span}: memory a target", runs=memory, unit="times", commit=1.2, aim=1, how=how)

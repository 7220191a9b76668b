"""A large fleet at a steady rate: processor time, memory, start lag, and the effect of scrapes.

Slices without scrapes alternate with slices with a scrape every 1.5 s, in the same process. A slice shows the rate, not the growth over a
day. Its p99 covers the last probe of each target, tainted ones included. One target in five has an auxiliary probe with every probe: as many
as every five minutes. A scrape is compared in memory with prometheus_client. blackbox_exporter runs before and after the fleet, as the measure of the machine.
"""

from __future__ import annotations

import math
import re
import statistics
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from itertools import groupby
from types import SimpleNamespace

from prometheus_client import generate_latest
from prometheus_client.parser import text_string_to_metric_families

from bench import starts
from bench.figures import Figure, ratios
from bench.probes import Costs, ready_blackbox
from bench.processes import resident
from bench.programs import Bench, Fleet, Running, exporter
from bench.querying import Watch, drained, lag_p99, metrics, repeated, total, values
from bench.sizes import Sizes
from exporter.metrics.exposition import Exposition
from exporter.metrics.families import SHARED_METRICS
from exporter.metrics.spec import MetricType
from exporter.metrics.target_families import TARGET_METRICS
from exporter.metrics.text import HistogramText

EVERY = 1.5  # seconds between two scrapes
_FAMILIES = {spec.name: spec for spec in (*TARGET_METRICS, *SHARED_METRICS)}
_EXPOSITIONS = 2  # of some seconds each
_FAMILY = re.compile(r"(?m)^(?=# HELP )")
_TARGET = re.compile(r'[{,]target="([^"]+)"')


@dataclass(slots=True)
class Slices:
    """One value for each slice: percent of a core, ms of a probe, MB, p99 of probes in seconds."""

    cpu: list[float] = field(default_factory=list)
    cost: list[float] = field(default_factory=list)
    memory: list[float] = field(default_factory=list)
    slow: list[float] = field(default_factory=list)
    busy: float = 0.0

    def take(self, bench: Bench, running: Running, seconds: float) -> None:
        since, watch = time.time(), Watch(bench, running.pid)
        time.sleep(seconds)
        spent = watch.stop()
        self.cpu.append(100 * spent.cpu / spent.wall)
        self.cost.append(spent.cost)
        self.memory.append(resident(running.pid))
        self.busy = max(self.busy, spent.busy)
        self.slow.append(1000 * slowest(metrics(running.url), since))


def slowest(text: str, since: float) -> float:
    """The p99 in seconds of the last probes of all targets with a probe since `since`, a Unix time.

    A target whose first probe ended during the scrape may have only one of the two series.
    """
    started = values(text, "ekm_last_probe_timestamp_seconds")
    took = values(text, "ekm_probe_duration_seconds")
    fresh = sorted(took[labels] for labels, at in started.items() if at >= since and labels in took)
    return fresh[math.ceil(0.99 * len(fresh)) - 1] if fresh else math.nan


def measure(bench: Bench, sizes: Sizes) -> Iterator[Figure]:
    quiet, scraped, took, theirs = Slices(), Slices(), list[float](), Costs()
    yardstick(bench, sizes, theirs)
    _, nothing = starts.once(bench)
    with exporter(bench, Fleet(targets=sizes.fleet, interval=sizes.fleet_interval, auxiliary=True)) as running:
        time.sleep(sizes.warm_up)
        before = metrics(running.url)  # a scrape comes before each memory reading
        settled = resident(running.pid)
        for _ in range(sizes.runs):
            quiet.take(bench, running, sizes.slice)
            with repeated(lambda: drained(running.url), EVERY) as durations:
                scraped.take(bench, running, sizes.slice)
            took += durations
        text = metrics(running.url)
    yardstick(bench, sizes, theirs)
    yield from figures(quiet, scraped, theirs, sizes)
    failed = total(text, "ekm_probe_failures_total") - total(before, "ekm_probe_failures_total")
    how = f"bound of the histogram that 99 % of all starts after the warm-up stayed under; {failed:.0f} probes failed"
    what = f"{sizes.fleet:,} targets every {sizes.fleet_interval:g} s: start lag, p99"
    yield Figure(what, [lag_p99(text, before)], "s", how, commit=1)
    yield from of_exposition(text, took, sizes)
    yield Figure("a process with one target: memory", [nothing], "MB", "resident after the first probe")
    how = "resident after the warm-up, less that of a process with one target"
    yield Figure(f"memory a target, {sizes.fleet:,} targets", [1024 * (settled - nothing) / sizes.fleet], "KB", how)


def figures(quiet: Slices, scraped: Slices, theirs: Costs, sizes: Sizes) -> Iterator[Figure]:
    name, busy = f"{sizes.fleet:,} targets every {sizes.fleet_interval:g} s", quiet.busy
    how = f"without scrapes, {sizes.slice:g} s a run, after {sizes.warm_up:g} s of warm-up"
    often = f"scraped every {EVERY:g} s, {sizes.slice:g} s a run"
    yield Figure(f"{name}: processor time", quiet.cpu, "% of a core", how, commit=50, aim=35, busy=busy)
    yield Figure(f"{name}: processor time a probe", quiet.cost, "ms", "the same, auxiliary probes included", busy=busy)
    yield Figure(f"{name}: processor time while scraped", scraped.cpu, "% of a core", often, busy=scraped.busy)
    yield Figure(f"{name}: resident memory", quiet.memory + scraped.memory, "MB", "after each run", commit=600, aim=250)
    yield Figure(f"{name}: a probe, p99", quiet.slow, "ms", how, busy=busy)
    slow, how = ratios(scraped.slow, quiet.slow), f"{often}; in turn with slices without"
    what = f"{name}: p99 of a probe while scraped, against without"
    yield Figure(what, slow, "times", how, commit=1.15, aim=1.05, busy=scraped.busy)
    runs, how = theirs.runs["blackbox"], f"{sizes.targets} targets every {sizes.interval:g} s, in runs before and after the fleet"
    yield Figure("a probe: blackbox_exporter, before and after the fleet", runs, "ms", how, busy=theirs.busy["blackbox"])
    # The processor time of the fleet in units of the machine's speed.
    what, how = (
        f"{name}: processor time, against a probe of blackbox_exporter",
        "from the figures above: for each ms of that probe",
    )
    yield Figure(what, [cpu / statistics.median(runs) for cpu in quiet.cpu], "% of a core per ms", how, aim=3.2)


def yardstick(bench: Bench, sizes: Sizes, costs: Costs) -> None:
    with ready_blackbox(bench) as running:
        for _ in range(sizes.runs):
            costs.of_blackbox(bench, running, sizes)


def filled(text: str) -> tuple[Exposition, str]:
    """The exposition of the scraped exporter, with lines by family and target, and its text. The families of the process are left out."""
    exposition, kept = Exposition(_FAMILIES.values()), ""
    for part in _FAMILY.split(text)[1:]:
        name = part.split(" ", 3)[2]
        if name in _FAMILIES:
            kept += part
            lines = [line for line in part.splitlines(keepends=True) if not line.startswith("#")]
            for owner, of_owner in groupby(lines, key=_owner):
                mine, kind = list(of_owner), _FAMILIES[name].kind
                stored = _histogram(mine) if kind is MetricType.HISTOGRAM else "".join(mine).encode()
                exposition.put([(name, owner, stored, b"")])
    return exposition, kept


def _histogram(lines: list[str]) -> HistogramText:
    """The histograms of a target as the exporter stores them: in parts, the equal ones once."""
    base = lines[0][lines[0].index('target="') : lines[0].rindex("}")]
    starts, _, ends = zip(*(line.partition(base) for line in lines), strict=True)
    return HistogramText(tuple(map(_part, starts)), base.encode(), tuple(map(_part, ends)))


@cache
def _part(text: str) -> bytes:
    return text.encode()


def _owner(line: str) -> str:
    found = _TARGET.search(line)
    return found[1] if found else line


def ours(exposition: Exposition, text: bytes) -> float:
    """Milliseconds until the last piece. Raises RuntimeError if the pieces are not the text."""
    begun = time.perf_counter()
    pieces = list(exposition.chunks(openmetrics=False))
    took = time.perf_counter() - begun
    if b"".join(pieces) != text:
        raise RuntimeError("the exposition is not what was scraped")
    return 1000 * took


def theirs(text: str) -> float:
    """Milliseconds of `generate_latest`."""
    families = list(text_string_to_metric_families(text))
    begun = time.perf_counter()
    generate_latest(SimpleNamespace(collect=lambda: families))  # all that it asks of a registry
    return 1000 * (time.perf_counter() - begun)


def of_exposition(text: str, scrapes: list[float], sizes: Sizes) -> Iterator[Figure]:
    """A scrape, compared with prometheus_client. `scrapes` are the seconds of the scrapes of the running exporter."""
    (exposition, same), runs = filled(text), range(min(_EXPOSITIONS, sizes.runs))
    fast, slow = [ours(exposition, same.encode()) for _ in runs], [theirs(same) for _ in runs]
    how = f"{sizes.fleet:,} targets, {same.count(chr(10)):,} lines, {len(same) / 2**20:.1f} MB; in memory, piece by piece as a scrape takes it"
    yield Figure("the exposition of a scrape", fast, "ms", how)
    how = "the same series and values, in memory"
    yield Figure("the exposition by `prometheus_client.generate_latest`", slow, "ms", how)
    what = "the exposition of a scrape: times faster than `generate_latest`"
    how = "from the two figures above; what had to be rendered was rendered when the probes ended, which is in a probe's cost"
    yield Figure(what, ratios(slow, fast), "times", how, commit=50, aim=100, at_least=True)
    how = "over loopback to the last byte, plain, while it probes"
    yield Figure("a scrape", [1000 * one for one in scrapes], "ms", how)

"""All vaults of a fleet fail at once, in one way after another, and recover.

Before that, as many vaults are silent as the least concurrency can handle. Measures start lag, memory, threads, scrapes, log lines
and the time to recovery.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from dataclasses import dataclass, field

from bench.figures import Figure
from bench.processes import forget_peak, peak, threads
from bench.programs import Bench, Fleet, Running, exporter
from bench.querying import fail, metrics, total, values
from bench.sizes import Sizes
from bench.steady import lag_p99

_WAYS = {"refused": "by refusal", "throttled": "by 429", "silent": "by time-out"}
# So many silent vaults that this number of probes, the least `concurrency`, is in flight. The default timeout is in seconds.
_IN_FLIGHT, _TIMEOUT = 64, 10.0
_TIMEOUTS_END = 90.0  # seconds, for an interval that is shorter than a timeout


@dataclass(slots=True)
class Observed:
    """Megabytes, seconds and counts. `lag` is the p99 of the start lag, `back` the time to recovery."""

    memory: float = 0.0
    threads: int = 0
    scrapes: list[float] = field(default_factory=list)
    lag: float = 0.0
    lines: int = 0
    failed: float = 0.0
    skipped: float = 0.0
    back: float = math.nan


class Storm:
    """An exporter, its log and its fleet."""

    def __init__(self, bench: Bench, running: Running, fleet: Fleet) -> None:
        self._bench, self._running, self._fleet = bench, running, fleet
        self._log = bench.newest("exporter.log")

    def observe(self, how: str, *, first: int, intervals: float) -> Observed:
        """Make the `first` vaults fail for some intervals, then wait for the recovery."""
        seen, before, lines = Observed(), metrics(self._running.url), self._lines()
        forget_peak(self._running.pid)
        fail(self._bench, how, first=first)
        self._watch(seen, time.monotonic() + intervals * self._fleet.interval)
        after = metrics(self._running.url)
        seen.failed = total(after, "ekm_probe_failures_total") - total(before, "ekm_probe_failures_total")
        fail(self._bench, "", first=0)
        seen.back = self._until_well(seen)
        after = metrics(self._running.url)
        seen.lag, seen.lines = lag_p99(after, before), self._lines() - lines
        seen.skipped = total(after, "ekm_exporter_probes_skipped_total") - total(before, "ekm_exporter_probes_skipped_total")
        seen.memory = peak(self._running.pid)
        return seen

    def _watch(self, seen: Observed, until: float) -> None:
        """Scrape like Prometheus and count threads in between."""
        while time.monotonic() < until:
            requested = time.monotonic()
            metrics(self._running.url)
            seen.scrapes.append(1000 * (time.monotonic() - requested))
            again = min(until, requested + self._fleet.interval / 4)
            while time.monotonic() < again:
                seen.threads = max(seen.threads, threads(self._running.pid))
                time.sleep(0.05)

    def _until_well(self, seen: Observed) -> float:
        """Seconds until the last probe of every target succeeded. Raises RuntimeError after eight intervals and a minute and a half."""
        since = time.monotonic()
        while time.monotonic() < since + 8 * self._fleet.interval + _TIMEOUTS_END:
            self._watch(seen, time.monotonic() + self._fleet.interval / 20)
            successes = values(metrics(self._running.url), "ekm_probe_success").values()
            if len(successes) == self._fleet.targets and all(successes):
                return time.monotonic() - since
        raise RuntimeError("not every target is well again")

    def _lines(self) -> int:
        return self._log.read_bytes().count(b"\n")


def measure(bench: Bench, sizes: Sizes) -> Iterator[Figure]:
    """Some vaults are silent, then all refuse, then all throttle, then all are silent; as many probes a second as the large fleet."""
    fleet = Fleet(targets=sizes.storm_fleet, credentials=max(1, sizes.storm_fleet // 20), interval=sizes.storm_interval)
    dead = min(math.ceil(_IN_FLIGHT * fleet.interval / _TIMEOUT), fleet.targets // 2)
    with exporter(bench, fleet) as running:
        storm = Storm(bench, running, fleet)
        storm.observe("", first=0, intervals=1.0)  # the first probes
        calm = metrics(running.url)
        seen = storm.observe("silent", first=dead, intervals=sizes.storm)
        yield from of_the_healthy(calm, metrics(running.url), seen, fleet, dead)
        for way, words in _WAYS.items():
            seen = storm.observe(way, first=fleet.targets, intervals=sizes.storm)
            yield from figures(f"{fleet.targets:,} fail {words}", seen, fleet)


def of_the_healthy(calm: str, now: str, seen: Observed, fleet: Fleet, dead: int) -> Iterator[Figure]:
    """The effect of silent vaults on healthy ones."""
    what = f"{dead:,} of {fleet.targets:,} silent"
    yield Figure(what=f"{what}: start lag, p99", runs=[seen.lag], unit="s", commit=1, how="of all, the healthy included")
    before, after = (values(text, "ekm_probe_failures_total") for text in (calm, now))
    innocent = [labels for labels, count in after.items() if count > before[labels] and _number(labels) >= dead]
    yield Figure(what=f"{what}: healthy targets with a failure", runs=[len(innocent)], unit="", commit=0, how="there is none")
    yield Figure(what=f"{what}: most threads", runs=[seen.threads], unit="", how="of the process")


def _number(labels: str) -> int:
    """The number in the name of a target, such as `t7`."""
    return int(labels.partition('target="t')[2].partition('"')[0])


def figures(what: str, seen: Observed, fleet: Fleet) -> Iterator[Figure]:
    how = f"{seen.failed:,.0f} probes failed; {seen.skipped:,.0f} starts were left out"
    yield Figure(what=f"{what}: start lag, p99", runs=[seen.lag], unit="s", commit=1, how=how)
    yield Figure(what=f"{what}: resident memory", runs=[seen.memory], unit="MB", how="at its peak")
    yield Figure(what=f"{what}: most threads", runs=[seen.threads], unit="", how="of the process")
    yield Figure(what=f"{what}: a scrape", runs=seen.scrapes, unit="ms", how="every quarter of the interval, to the last byte")
    how = "one when a target begins to fail, one when it ends"
    yield Figure(what=f"{what}: lines in the log, a target", runs=[seen.lines / fleet.targets], unit="", how=how)
    how = f"until the last probe of every target was a good one; the interval is {fleet.interval:g} s, give or take a tenth"
    yield Figure(what=f"{what}: well again after", runs=[seen.back], unit="s", commit=1.25 * fleet.interval, how=how)

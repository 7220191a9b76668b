"""All vaults of a fleet fail at once, in one way after another, and recover.

Measures start lag, memory and the time to recovery. 1,250 targets every 15 s are as many probes a second as 5,000 every minute. A storm lasts
a little longer than an interval, so no vault answers 429 three times in a row. After the third, the exporter probes less often for a while.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Iterator
from dataclasses import dataclass

from bench.figures import Figure
from bench.processes import forget_peak, peak
from bench.programs import Bench, Fleet, Running, exporter
from bench.querying import fail, metrics, total, values
from bench.sizes import Sizes
from bench.steady import lag_p99

_WAYS = {"refused": "by refusal", "throttled": "by 429", "silent": "by time-out"}
_TIMEOUTS_END = 240.0  # seconds: a hang guard


@dataclass(frozen=True, slots=True)
class Observed:
    """The scrapes before and after; the memory at its peak in MB; the seconds to recovery."""

    before: str
    after: str
    memory: float
    back: float

    def added(self, sample: str) -> float:
        return total(self.after, sample) - total(self.before, sample)


def observe(bench: Bench, running: Running, fleet: Fleet, how: str, intervals: float) -> Observed:
    """Make all vaults fail for some intervals, then wait for the recovery."""
    before = metrics(running.url)
    forget_peak(running.pid)
    fail(bench, how, first=fleet.targets)
    time.sleep(intervals * fleet.interval)
    fail(bench, "", first=0)
    back = _until_well(running, fleet)
    return Observed(before, metrics(running.url), peak(running.pid), back)


def _until_well(running: Running, fleet: Fleet) -> float:
    """Seconds until the last probe of every target succeeded. Raises RuntimeError after eight intervals and four minutes."""
    since, unwell = time.time(), set[str]()
    while time.time() < since + 8 * fleet.interval + _TIMEOUTS_END:
        time.sleep(fleet.interval / 20)
        text = metrics(running.url)
        successes = values(text, "ekm_probe_success")
        if len(successes) == fleet.targets and all(successes.values()):
            return probed(text, unwell) - since
        unwell = {labels for labels, good in successes.items() if not good}
    raise RuntimeError("not every target is well again")


def probed(text: str, targets: Collection[str]) -> float:
    """The Unix time at which the last probe of these targets ended, given by their label text. Now, without targets."""
    started, took = values(text, "ekm_last_probe_timestamp_seconds"), values(text, "ekm_probe_duration_seconds")
    return max((started[labels] + took[labels] for labels in targets), default=time.time())


def measure(bench: Bench, sizes: Sizes) -> Iterator[Figure]:
    """Make all vaults fail in each way, with as many probes a second as the large fleet makes."""
    fleet = Fleet(targets=sizes.storm_fleet, interval=sizes.storm_interval)
    with exporter(bench, fleet) as running:
        observe(bench, running, fleet, "", 1.0)  # the first probes
        for way, words in _WAYS.items():
            seen = observe(bench, running, fleet, way, sizes.storm)
            yield from figures(f"{fleet.targets:,} fail {words}", seen, fleet)


def figures(what: str, seen: Observed, fleet: Fleet) -> Iterator[Figure]:
    failed, skipped = seen.added("ekm_probe_failures_total"), seen.added("ekm_exporter_probes_skipped_total")
    how = f"{failed:,.0f} probes failed; {skipped:,.0f} starts were left out"
    yield Figure(what=f"{what}: start lag, p99", runs=[lag_p99(seen.after, seen.before)], unit="s", commit=1, how=how)
    yield Figure(what=f"{what}: resident memory", runs=[seen.memory], unit="MB", how="at its peak")
    how = f"until the last probe of every target was a good one; the interval is {fleet.interval:g} s, give or take a tenth"
    soon, late = 1.1 * fleet.interval + 0.5, 1.25 * fleet.interval
    yield Figure(what=f"{what}: well again after", runs=[seen.back], unit="s", commit=late, aim=soon, how=how)

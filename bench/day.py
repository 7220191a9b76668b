"""A day of one process, shortened: a probe of each target and a reload for each minute of a day.

Compares memory, threads and descriptors of the hours. Each reload removes one target and adds one, and half of the vaults fail
repeatedly in each way. Effects of elapsed time, such as the life of a token, are not covered.
"""

from __future__ import annotations

import statistics
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial

from bench.items import Pair
from bench.processes import descriptors, resident, threads
from bench.programs import Bench, Fleet, Running, configuration, exporter, side_by_side
from bench.querying import fail, metrics, total
from bench.sizes import Sizes
from bench.table import Figure
from bench.trees import Tree

_TARGETS, _INTERVAL = 20, 0.2  # an interval represents a minute
_WAYS = ("", "throttled", "", "silent", "", "refused")  # one after another, each for a sixth of an hour


@dataclass(frozen=True, slots=True)
class Held:
    """Resources at the end of an hour without faults: megabytes and counts."""

    memory: float
    threads: int
    descriptors: int


def reload(running: Running) -> None:
    request = urllib.request.Request(f"{running.url}/-/reload", method="POST")  # noqa: S310 - a loopback address
    with urllib.request.urlopen(request, timeout=60) as answer:  # noqa: S310 - see above
        answer.read()


def hour(bench: Bench, running: Running, fleet: Fleet, probes: int, tree: Tree | None) -> Fleet:
    """Run an hour with `probes` reloads and return the fleet. Each reload removes the first target and adds one."""
    config = bench.newest("ekm.yml")
    for number in range(probes):
        begun = time.monotonic()
        fleet = replace(fleet, first=fleet.first + 1)
        text = configuration(fleet, bench.port, bench.ca_file)
        config.write_text(tree.adapted(text) if tree else text, encoding="utf-8")
        reload(running)
        fail(bench, _WAYS[len(_WAYS) * number // probes], first=fleet.first + _TARGETS // 2)
        time.sleep(max(0.0, _INTERVAL - (time.monotonic() - begun)))
    fail(bench, "", first=0)
    time.sleep(4 * _INTERVAL)
    return fleet


def rest(pid: int) -> Held:
    """The minimum of each resource within half a second, which is that between two probes."""
    seen = []
    for _ in range(25):
        seen.append((resident(pid), threads(pid), descriptors(pid)))
        time.sleep(0.02)
    return Held(*(min(column) for column in zip(*seen, strict=True)))


def measure(bench: Bench, sizes: Sizes) -> Iterator[Figure | Pair]:
    """Run the day, and next to it the first sixth of the same day with the other tree."""
    hours = max(1, sizes.day_hours // 6)
    days = [partial(_day, tree=None, hours=sizes.day_hours, probes=sizes.day_probes)]
    if bench.other:
        days.append(partial(_day, tree=bench.other, hours=hours, probes=sizes.day_probes))
    (found, how), *others = side_by_side(bench, *days)
    yield from figures(found, sizes, how)
    for before, _ in others:
        what = f"{hours} hours of {sizes.day_probes} probes a target: resident memory"
        pair = ([held.memory for held in values[:hours]] for values in (before, found))
        yield Pair(what=what, unit=" MB", before=next(pair), after=next(pair), how="hour by hour")


def _day(bench: Bench, *, tree: Tree | None, hours: int, probes: int) -> tuple[list[Held], str]:
    """The resources after each hour, and what happened in all."""
    fleet = Fleet(targets=_TARGETS, credentials=4, interval=_INTERVAL, auxiliary=True)
    with exporter(bench, fleet, tree=tree) as running:
        found = list[Held]()
        for _ in range(hours):
            fleet = hour(bench, running, fleet, probes, tree)
            found.append(rest(running.pid))
        text = metrics(running.url)
    made, failed = total(text, "ekm_probes_total"), total(text, "ekm_exporter_internal_errors_total")
    return found, f"{fleet.first} reloads; {made:.0f} probes of the {_TARGETS} last targets; {failed:.0f} internal errors"


def figures(found: list[Held], sizes: Sizes, how: str) -> Iterator[Figure]:
    begun, ended = found[0], found[-1]
    hours = f"{sizes.day_hours} hours of {sizes.day_probes} probes a target"
    memory = [held.memory for held in found]
    third = max(1, len(memory) // 3)
    grown = statistics.median(memory[-third:]) / statistics.median(memory[:third])
    yield Figure(what=f"{hours}: resident memory", runs=memory, unit=" MB", how=f"a value an hour: {listed(memory)}; {how}")
    what = f"**{hours}: resident memory, the last third of the day against the first**"
    yield Figure(what=what, runs=[grown], unit=" times", commit=1.05, aim=1.02, how="medians, from the line above")
    for name, first, last in (
        ("threads", begun.threads, ended.threads),
        ("descriptors", begun.descriptors, ended.descriptors),
    ):
        yield Figure(what=f"{hours}: {name} more than after the first", runs=[last - first], unit="", how=f"{first} then")


def listed(values: list[float]) -> str:
    return ", ".join(f"{value:.1f}" for value in values)

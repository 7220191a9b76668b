"""A day of one process, shortened: a probe of each target and a reload for each minute of a day, every fifth of a second.

Compares memory, threads and descriptors of the hours. Each reload removes one target and adds one, and half of the vaults fail
repeatedly in each way. Effects of elapsed time, such as the life of a token, are not covered.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace

from bench.figures import Figure
from bench.processes import descriptors, resident, threads
from bench.programs import Bench, Fleet, Running, configuration, exporter
from bench.querying import fail, metrics, received, total
from bench.sizes import Sizes

_TARGETS, _INTERVAL = 20, 0.2  # an interval represents a minute
_WAYS = ("", "throttled", "", "silent", "", "refused")  # one after another, each for a sixth of an hour


def measure(bench: Bench, sizes: Sizes) -> Iterator[Figure]:
    fleet, held = Fleet(targets=_TARGETS, credentials=4, interval=_INTERVAL, auxiliary=True), list[tuple[float, ...]]()
    with exporter(bench, fleet) as running:
        for _ in range(sizes.day_hours):
            fleet = hour(bench, running, fleet, sizes.day_probes)
            held.append(rest(running.pid))
        text = metrics(running.url)
    errors = total(text, "ekm_exporter_internal_errors_total")
    how = f"a value an hour; {fleet.first} reloads; {errors:.0f} internal errors"
    yield from figures(held, f"{sizes.day_hours} hours of {sizes.day_probes} probes a target", how)


def hour(bench: Bench, running: Running, fleet: Fleet, probes: int) -> Fleet:
    """Run an hour with `probes` reloads and return the fleet. Each reload removes the first target and adds one."""
    config = bench.newest("ekm.yml")
    for number in range(probes):
        begun = time.monotonic()
        fleet = replace(fleet, first=fleet.first + 1)
        config.write_text(configuration(fleet, bench.port, bench.ca_file), encoding="utf-8")
        received(f"{running.url}/-/reload", method="POST")
        fail(bench, _WAYS[len(_WAYS) * number // probes], first=fleet.first + _TARGETS // 2)
        time.sleep(max(0.0, _INTERVAL - (time.monotonic() - begun)))
    fail(bench, "", first=0)
    time.sleep(4 * _INTERVAL)
    return fleet


def rest(pid: int) -> tuple[float, ...]:
    """The least memory in MB, threads and descriptors within half a second, which is that between two probes."""
    seen = []
    for _ in range(25):
        seen.append((resident(pid), threads(pid), descriptors(pid)))
        time.sleep(0.02)
    return tuple(min(column) for column in zip(*seen, strict=True))


def figures(held: Sequence[tuple[float, ...]], hours: str, how: str) -> Iterator[Figure]:
    memory = [of_hour[0] for of_hour in held]
    third = max(1, len(memory) // 3)
    grown = statistics.median(memory[-third:]) / statistics.median(memory[:third])
    yield Figure(what=f"{hours}: resident memory", runs=memory, unit="MB", how=how)
    what = f"{hours}: resident memory, the last third of the day against the first"
    yield Figure(what=what, runs=[grown], unit="times", commit=1.05, aim=1.02, how="medians, from the figure above")
    for place, name in ((1, "threads"), (2, "descriptors")):
        more, how = held[-1][place] - held[0][place], f"{held[0][place]} then"
        yield Figure(what=f"{hours}: {name} more than after the first", runs=[more], unit="", how=how)

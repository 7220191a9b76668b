"""Processor time of a probe, compared with blackbox_exporter and a bare script.

The programs run one after another, in several rounds.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import aiohttp

from bench.items import Pair
from bench.processes import alone
from bench.programs import Bare, Bench, Fleet, Running, bare, blackbox, blackbox_requests, exporter
from bench.querying import Watch, counts, metrics, total
from bench.sizes import Sizes
from bench.table import Figure, ratios

_AT_ONCE = 4
PER_CREDENTIAL = 20
SETTLE = 0.7  # seconds: a stopped process makes the probes that are late
NAMES = {
    "twenty": f"{PER_CREDENTIAL} targets per credential",
    "own": "each target its own credential",
    "one": "one token for all",
    "blackbox": "blackbox_exporter, five URLs per target",
    "bare": "bare aiohttp, shared token, same handshakes",
    "blackbox hurried": "blackbox_exporter, in a hurry",
    "bare hurried": "bare aiohttp, in a hurry",
}


class Costs:
    """Milliseconds of processor time for a probe by program, and the highest load of the server."""

    def __init__(self) -> None:
        self.runs: dict[str, list[float]] = {}
        self.busy: dict[str, float] = {}
        self.failed = 0.0  # failed probes of the exporter: 0 on a quiet machine

    def keep(self, name: str, watch: Watch, probes: Callable[[], float]) -> None:
        spent = watch.stop()
        self.runs.setdefault(name, []).append(1000 * spent.cpu / max(1.0, probes()))
        self.busy[name] = max(spent.busy, self.busy.get(name, 0.0))


async def query_blackbox(bench: Bench, running: Running, targets: int, *, over: float) -> None:
    """Send five requests for each target, with the targets spread over `over` seconds.

    Raises RuntimeError if a request fails.
    """
    places = asyncio.Semaphore(_AT_ONCE)

    async def one(session: aiohttp.ClientSession, number: int) -> None:
        await asyncio.sleep(over * number / targets)
        async with places:
            for parameters in blackbox_requests(bench, number):
                async with session.get(f"{running.url}/probe", params=parameters) as answer:
                    if "\nprobe_success 1" not in await answer.text():
                        raise RuntimeError(f"blackbox_exporter failed: {parameters}")

    async with aiohttp.ClientSession() as session:
        await asyncio.gather(*(one(session, number) for number in range(targets)))


def fleets(sizes: Sizes) -> dict[str, Fleet]:
    targets = sizes.probe_targets
    credentials = {"twenty": max(1, targets // PER_CREDENTIAL), "own": targets, "one": 1}
    return {name: Fleet(targets=targets, credentials=n, interval=sizes.probe_interval) for name, n in credentials.items()}


class Rounds:
    """Rounds of all programs with one server, and the costs so far."""

    def __init__(self, bench: Bench, sizes: Sizes, theirs: Running, script: Bare) -> None:
        self._bench, self._sizes, self._theirs, self._script = bench, sizes, theirs, script
        self.costs = Costs()

    def run(self, number: int) -> None:
        self._others()
        for name, fleet in fleets(self._sizes).items():
            self._exporters(name, fleet, number)

    def _others(self) -> None:
        targets = self._sizes.probe_targets
        for pace, over in (("", self._sizes.probe_interval), (" hurried", 0.0)):
            watch = Watch(self._bench, self._theirs.pid)
            asyncio.run(query_blackbox(self._bench, self._theirs, targets, over=over))
            self.costs.keep(f"blackbox{pace}", watch, lambda: targets)
            watch = Watch(self._bench, self._script.process.pid)
            self._script.make(targets, over=over)
            self.costs.keep(f"bare{pace}", watch, lambda: targets)

    def _exporters(self, name: str, fleet: Fleet, number: int) -> None:
        """Measure the exporter of this tree, and in turn that of the other."""
        bench, sizes = self._bench, self._sizes
        with ExitStack() as stack:
            running = {tree: stack.enter_context(exporter(bench, fleet, tree=tree)) for tree in bench.turns(number)}
            time.sleep(1.3 * sizes.probe_interval)  # every target had its first probe and auxiliary probe
            for place, (tree, one) in enumerate(running.items()):
                with alone([other.pid for other in running.values() if other is not one], settle=SETTLE if place else 0):
                    counts(bench)
                    watch = Watch(bench, one.pid)
                    time.sleep(sizes.probe_window)
                    self.costs.keep(f"{name} before" if tree else name, watch, lambda: counts(bench).get("unwrapkey", 0.0))
            self.costs.failed += total(metrics(running[None].url), "ekm_probe_failures_total")


def measure(bench: Bench, sizes: Sizes) -> Iterator[Figure | Pair]:
    with ExitStack() as stack:
        theirs, script = stack.enter_context(blackbox(bench)), stack.enter_context(bare(bench))
        asyncio.run(query_blackbox(bench, theirs, _AT_ONCE, over=0))  # the very first probe costs more
        script.make(_AT_ONCE, over=0)
        rounds = Rounds(bench, sizes, theirs, script)
        for number in range(sizes.runs):
            rounds.run(number)
    yield from figures(rounds.costs, sizes)
    if bench.other:
        yield from pairs(rounds.costs, sizes)


def pairs(costs: Costs, sizes: Sizes) -> Iterator[Pair]:
    how = (
        f"processor time; {sizes.probe_targets} targets every {sizes.probe_interval:g} s; the other process is stopped meanwhile"
    )
    for name in fleets(sizes):
        before, after = costs.runs[f"{name} before"], costs.runs[name]
        yield Pair(what=f"a probe: {NAMES[name]}", unit=" ms", before=before, after=after, how=how)


def figures(costs: Costs, sizes: Sizes) -> Iterator[Figure]:
    pace = f"{sizes.probe_targets} targets every {sizes.probe_interval:g} s"
    scheduled = f"{pace} by the scheduler, {sizes.probe_window:g} s a run; {costs.failed:.0f} failed in all"
    hurried = f"{sizes.probe_targets} probes without a pause, {_AT_ONCE} at once: for comparison"
    hows = {"blackbox": pace, "bare": pace, "blackbox hurried": hurried, "bare hurried": hurried}
    for name, what in NAMES.items():
        how = hows.get(name, scheduled)
        yield Figure(what=f"a probe: {what}", runs=costs.runs[name], unit=" ms", how=how, busy=costs.busy[name])
    for name, other, commit, aim in (
        ("twenty", "blackbox", 0.6, 0.5),
        ("own", "blackbox", 0.95, 0.85),
        ("one", "bare", 2.0, 1.5),
    ):
        what = f"**a probe, {NAMES[name]}, against {NAMES[other].partition(',')[0]}**"
        ratio = ratios(costs.runs[name], costs.runs[other])
        yield Figure(what=what, runs=ratio, unit=" times", commit=commit, aim=aim, how="run by run, from the lines above")

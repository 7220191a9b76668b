"""Processor time of a probe, compared with blackbox_exporter and a bare script.

The programs run one after another, in several rounds, with one server.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from bench.figures import Figure, ratios
from bench.programs import PER_CREDENTIAL, Bench, Fleet, Running, bare, blackbox, exporter, query_blackbox
from bench.querying import Watch, counts, metrics, total
from bench.sizes import Sizes

_AT_ONCE = 4
NAMES = {
    "twenty": f"{PER_CREDENTIAL} targets per credential",
    "own": "each target its own credential",
    "one": "one token for all",
    "blackbox": "blackbox_exporter, five URLs per target",
    "bare": "bare aiohttp, shared token, same handshakes",
}
# The costs, those that they are compared with, and the bounds of the ratio.
BOUNDS = (("twenty", "blackbox", 0.6, 0.42), ("own", "blackbox", 0.95, 0.55), ("one", "bare", 2.0, 1.3))


class Costs:
    """Milliseconds of processor time for a probe by program, and the highest load of the server."""

    def __init__(self) -> None:
        self.runs: dict[str, list[float]] = {name: [] for name in NAMES}
        self.busy = dict.fromkeys(NAMES, 0.0)
        self.failed = 0.0  # failed probes of the exporter: 0 on a quiet machine

    def keep(self, name: str, watch: Watch, probes: float) -> None:
        spent = watch.stop()
        self.runs[name].append(1000 * spent.cpu / max(1.0, probes))
        self.busy[name] = max(spent.busy, self.busy[name])

    def of_blackbox(self, bench: Bench, running: Running, sizes: Sizes) -> None:
        watch = Watch(bench, running.pid)
        query_blackbox(bench, running, sizes.probe_targets, over=sizes.probe_interval)
        self.keep("blackbox", watch, sizes.probe_targets)


def measure(bench: Bench, sizes: Sizes) -> Iterator[Figure]:
    targets, interval, costs = sizes.probe_targets, sizes.probe_interval, Costs()
    with ExitStack() as stack:
        theirs, script = stack.enter_context(ready_blackbox(bench)), stack.enter_context(bare(bench))
        script.make(_AT_ONCE, over=0)
        for _ in range(sizes.runs):
            costs.of_blackbox(bench, theirs, sizes)
            watch = Watch(bench, script.process.pid)
            script.make(targets, over=interval)
            costs.keep("bare", watch, targets)
            for name, credentials in (("twenty", None), ("own", targets), ("one", 1)):
                of_exporter(bench, name, Fleet(targets=targets, credentials=credentials, interval=interval), sizes, costs)
    yield from figures(costs, sizes)


@contextmanager
def ready_blackbox(bench: Bench) -> Iterator[Running]:
    """Run blackbox_exporter after its first probes, which cost more."""
    with blackbox(bench) as running:
        query_blackbox(bench, running, _AT_ONCE, over=0)
        yield running


def of_exporter(bench: Bench, name: str, fleet: Fleet, sizes: Sizes, costs: Costs) -> None:
    with exporter(bench, fleet) as running:
        time.sleep(1.3 * fleet.interval)  # every target had its first probe and auxiliary probe
        counts(bench)
        watch = Watch(bench, running.pid)
        time.sleep(sizes.probe_window)
        costs.keep(name, watch, counts(bench).get("unwrapkey", 0.0))
        costs.failed += total(metrics(running.url), "ekm_probe_failures_total")


def figures(costs: Costs, sizes: Sizes) -> Iterator[Figure]:
    pace = f"{sizes.probe_targets} targets every {sizes.probe_interval:g} s"
    scheduled = f"{pace} by the scheduler, {sizes.probe_window:g} s a run; {costs.failed:.0f} failed in all"
    for name, what in NAMES.items():
        how = pace if name in ("blackbox", "bare") else scheduled
        yield Figure(what=f"a probe: {what}", runs=costs.runs[name], unit="ms", how=how, busy=costs.busy[name])
    for name, other, commit, aim in BOUNDS:
        what = f"a probe, {NAMES[name]}, against {NAMES[other].partition(',')[0]}"
        ratio, how = ratios(costs.runs[name], costs.runs[other]), "run by run, from the figures above"
        yield Figure(what=what, runs=ratio, unit="times", commit=commit, aim=aim, how=how)

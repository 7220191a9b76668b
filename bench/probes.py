"""Processor time of a probe, compared with blackbox_exporter and a bare script.

The programs run one after another, in several rounds, with one server.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from bench.figures import Figure, ratios
from bench.programs import AT_ONCE, PER_CREDENTIAL, Bench, Fleet, Running, bare, blackbox, exporter, query_blackbox
from bench.querying import Watch, metrics, total
from bench.sizes import Sizes

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

    def keep(self, name: str, watch: Watch) -> None:
        spent = watch.stop()
        self.runs[name].append(spent.cost)
        self.busy[name] = max(spent.busy, self.busy[name])

    def of_blackbox(self, bench: Bench, running: Running, sizes: Sizes) -> None:
        watch = Watch(bench, running.pid)
        query_blackbox(bench, running, sizes.targets, over=sizes.interval)
        self.keep("blackbox", watch)

    def of_exporter(self, bench: Bench, name: str, fleet: Fleet) -> None:
        with exporter(bench, fleet) as running:
            time.sleep(1.3 * fleet.interval)  # every target had its first probe and auxiliary probe
            watch = Watch(bench, running.pid)
            time.sleep(fleet.interval)
            self.keep(name, watch)
            self.failed += total(metrics(running.url), "ekm_probe_failures_total")


def measure(bench: Bench, sizes: Sizes) -> Iterator[Figure]:
    targets, costs = sizes.targets, Costs()
    with bare(bench) as (script, make), ready_blackbox(bench) as theirs:
        make(AT_ONCE, 0)
        for _ in range(sizes.runs):
            costs.of_blackbox(bench, theirs, sizes)
            watch = Watch(bench, script)
            make(targets, sizes.interval)
            costs.keep("bare", watch)
            for name, credentials in (("twenty", None), ("own", targets), ("one", 1)):
                costs.of_exporter(bench, name, Fleet(targets=targets, credentials=credentials, interval=sizes.interval))
    pace, scheduled = f"{targets} targets every {sizes.interval:g} s", f" by the scheduler; {costs.failed:.0f} failed in all"
    for name, what in NAMES.items():
        how = pace if name in ("blackbox", "bare") else pace + scheduled
        yield Figure(f"a probe: {what}", costs.runs[name], "ms", how, busy=costs.busy[name])
    for name, other, commit, aim in BOUNDS:
        what, how = f"a probe, {NAMES[name]}, against {NAMES[other].partition(',')[0]}", "run by run, from the figures above"
        yield Figure(what, ratios(costs.runs[name], costs.runs[other]), "times", how, commit=commit, aim=aim)


@contextmanager
def ready_blackbox(bench: Bench) -> Iterator[Running]:
    """Run blackbox_exporter after its first probes, which cost more."""
    with blackbox(bench) as running:
        query_blackbox(bench, running, AT_ONCE, over=0)
        yield running

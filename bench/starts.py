"""The time from the start of the process to the end of its first probe, for one target.

The end is the first unwrap at the server.
"""

from __future__ import annotations

import time
from collections.abc import Iterator

from bench.items import Pair
from bench.processes import PATIENCE, resident
from bench.programs import Bench, Fleet, exporter
from bench.querying import counts, metrics
from bench.sizes import Sizes
from bench.table import Figure
from bench.trees import Tree

_PAIRS = 3


def once(bench: Bench, tree: Tree | None = None) -> tuple[float, float]:
    """Seconds to the first probe, and the memory after it in MB. Raises RuntimeError without a probe."""
    counts(bench)
    begun = time.monotonic()
    with exporter(bench, Fleet(targets=1, credentials=1, interval=60), tree=tree) as running:
        while time.monotonic() - begun < PATIENCE:
            time.sleep(0.5)
            output = counts(bench)
            if output["unwrapped_at"]:
                metrics(running.url)  # a scrape comes before each memory reading of the other parts
                return output["unwrapped_at"] - begun, resident(running.pid)
    raise RuntimeError("no probe was made")


def measure(bench: Bench, sizes: Sizes) -> Iterator[Figure | Pair]:
    found: dict[Tree | None, list[float]] = {}
    memory: dict[Tree | None, list[float]] = {}
    for number in range(min(_PAIRS, sizes.runs) if bench.other else sizes.runs):
        for tree in bench.turns(number):
            seconds, megabytes = once(bench, tree)
            found.setdefault(tree, []).append(seconds)
            memory.setdefault(tree, []).append(megabytes)
    how = "one target; from starting the interpreter to the last answer of the first probe"
    yield Figure(what="**process start to first probe**", runs=found[None], unit=" s", commit=1.5, aim=0.7, how=how)
    if bench.other:
        yield Pair(what="process start to first probe", unit=" s", before=found[bench.other], after=found[None], how="one target")
        how = "resident after the first probe and a scrape"
        yield Pair(what="memory of one target", unit=" MB", before=memory[bench.other], after=memory[None], how=how)

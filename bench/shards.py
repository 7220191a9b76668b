"""Twice the large fleet in two shards, on the cores that the server shares: processor time, memory and start lag of each shard.

Both processes read the whole configuration, as with `--shard 0/2` and `--shard 1/2` on one host.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack

from bench.processes import resident
from bench.programs import Bench, Running, exporter
from bench.querying import Watch, counts, metrics, total
from bench.sizes import Sizes
from bench.steady import fleet_of, lag_p99
from bench.table import Figure

COUNT = 2
_RUNS = 2


def measure(bench: Bench, sizes: Sizes) -> Iterator[Figure]:
    fleet = fleet_of(COUNT * sizes.fleet, sizes.fleet_interval)
    with ExitStack() as stack:
        shards = [stack.enter_context(exporter(bench, fleet, "--shard", f"{index}/{COUNT}")) for index in range(COUNT)]
        time.sleep(sizes.warm_up)
        slices = [_slice(bench, shards, sizes.slice) for _ in range(min(_RUNS, sizes.runs))]
        texts = [metrics(shard.url) for shard in shards]
        memory = [resident(shard.pid) for shard in shards]
    yield from _figures(slices, texts, memory, sizes)


def _slice(bench: Bench, shards: Sequence[Running], seconds: float) -> tuple[list[float], float, float]:
    """Return the processor time of each shard in percent of a core, the server's share of a core, and probes per second."""
    counts(bench)
    watches = [Watch(bench, shard.pid) for shard in shards]
    time.sleep(seconds)
    windows = [watch.stop() for watch in watches]
    made = counts(bench).get("unwrapkey", 0.0)
    return [100 * window.cpu / window.wall for window in windows], windows[0].busy, made / seconds


def _figures(
    slices: Sequence[tuple[list[float], float, float]], texts: Sequence[str], memory: list[float], sizes: Sizes
) -> Iterator[Figure]:
    name = f"{COUNT * sizes.fleet:,} targets every {sizes.fleet_interval:g} s in {COUNT} shards"
    busy = max(share for _, share, _ in slices)
    load = f"{sizes.slice:g} s a run, after {sizes.warm_up:g} s of warm-up"
    shares = ", ".join(f"{total(text, 'ekm_exporter_targets'):,.0f}" for text in texts)
    each = [cpu for of_shards, _, _ in slices for cpu in of_shards]
    how = f"{load}; the shards have {shares} targets"
    yield Figure(what=f"**{name}: processor time of a shard**", runs=each, unit=" % of a core", commit=100, busy=busy, how=how)
    everything = [sum(of_shards) + 100 * share for of_shards, share, _ in slices]
    how = f"of the {os.cpu_count()} cores of this machine: both shards, and the server, which Azure would be"
    yield Figure(what=f"{name}: processor time with the server", runs=everything, unit=" % of a core", busy=busy, how=how)
    rate = [made for _, _, made in slices]
    how = "round trips that the server completed, auxiliary probes included"
    yield Figure(what=f"{name}: unwraps a second", runs=rate, unit="", busy=busy, how=how)
    yield Figure(what=f"**{name}: resident memory of a shard**", runs=memory, unit=" MB", commit=600, how="after the last run")
    failed, tainted = (
        sum(total(text, f"ekm_{kind}_total") for text in texts) for kind in ("probe_failures", "exporter_probes_tainted")
    )
    how = "bound of the histogram that 99 % of all starts of a shard stayed under, since the start of the process"
    lags = [lag_p99(text) for text in texts]
    yield Figure(what=f"**{name}: start lag, p99**", runs=lags, unit=" s", commit=1, how=f"{how}; {tainted:.0f} probes tainted")
    how = "since the start of both processes"
    yield Figure(what=f"**{name}: failed probes**", runs=[failed], unit="", commit=0, how=how)

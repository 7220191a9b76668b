"""All vaults of a fleet fail for five minutes, in one way after another: start lag, and memory against the limit of the chart, 512 MB."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace

from bench.figures import Figure
from bench.processes import resident
from bench.programs import Bench, Fleet, exporter
from bench.querying import behave, lag_p99, metrics, total
from bench.sizes import Sizes

LIMIT = 512  # MB, the limit in the values of the chart
WAYS = {"silence after TLS": "silent", "refusal": ""}
_CLOSED = 1  # a port without a listener


def measure(bench: Bench, sizes: Sizes) -> Iterator[Figure]:
    for targets in sizes.failing_fleets:
        fleet = Fleet(targets=targets, interval=sizes.fleet_interval)
        for words, way in WAYS.items():
            behave(bench, failing=way, first=targets)
            with exporter(bench if way else replace(bench, port=_CLOSED), fleet) as running:
                time.sleep(sizes.failing)
                text, memory = metrics(running.url), resident(running.pid, peak=True)
            what, failed = f"{targets:,} targets, {words}", total(text, "ekm_probe_failures_total")
            others = sum(total(text, f"ekm_exporter_probes_{left}_total") for left in ("tainted", "skipped"))
            how = f"{sizes.failing:.0f} s with a probe of each target every {fleet.interval:g} s; {failed:,.0f} probes failed"
            how = f"at its peak; {how}, {others:,.0f} were tainted or left out"
            yield Figure(f"{what}: resident memory", [memory], "MB", how, commit=LIMIT)
            yield Figure(f"{what}: start lag, p99", [lag_p99(text)], "s", "bound of the histogram", commit=1)

"""The cost of the series of a large fleet in Prometheus: memory, processor time and samples.

For the calculations of docs/sizing.md. A real Prometheus with an empty store scrapes one exporter. Samples of weeks on a disk and
queries of rules and dashboards are not measured.
"""

from __future__ import annotations

import time
from collections.abc import Iterator

from bench.processes import resident, spent
from bench.programs import Bench, Running
from bench.prometheus import number, prometheus, until
from bench.querying import metrics, total
from bench.sizes import Sizes
from bench.table import Figure

_EVERY, _SCRAPES = 4, 8  # seconds between two scrapes, and their number


def figures(bench: Bench, running: Running, sizes: Sizes) -> Iterator[Figure]:
    """Scrape an idle exporter. Its processor time in Prometheus is that of all scrapes, so their interval does not matter."""
    address = running.url.removeprefix("http://")
    config = f"{{global: {{scrape_interval: {_EVERY}s}}, scrape_configs: [{{job_name: ekm, static_configs: [{{targets: [{address}]}}]}}]}}"
    with prometheus(bench, config) as server:
        until(lambda: number(server.url, "ekm_exporter_targets") == sizes.fleet, "the fleet is scraped", seconds=90)
        begun, before = time.monotonic(), spent(server.pid)
        time.sleep(_SCRAPES * _EVERY)
        cpu, wall = spent(server.pid) - before, time.monotonic() - begun
        samples = number(server.url, 'scrape_samples_scraped{job="ekm"}')
        series, memory = total(metrics(server.url), "prometheus_tsdb_head_series"), resident(server.pid)
    yield from of_prometheus(sizes, samples, series, memory, cpu / wall * _EVERY)


def of_prometheus(sizes: Sizes, samples: float, series: float, memory: float, cpu: float) -> Iterator[Figure]:
    fleet = f"{sizes.fleet:,} targets in one Prometheus"
    yield Figure(what=f"{fleet}: samples of a scrape", runs=[samples], unit="", how=f"{samples / sizes.fleet:.1f} a target")
    how = f"{1024 * memory / series:.1f} KB a series, of {series:,.0f}, after {_SCRAPES} scrapes; Go gives memory back late"
    yield Figure(what=f"{fleet}: its resident memory", runs=[memory], unit=" MB", how=how)
    how = f"{1e6 * cpu / samples:.2f} µs a sample, as it is scraped and kept; no rules, no questions"
    yield Figure(what=f"{fleet}: its processor time for a scrape", runs=[1000 * cpu], unit=" ms", how=how)

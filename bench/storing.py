"""The cost of the series of a large fleet in Prometheus: memory, processor time and samples, for the calculations of docs/sizing.md.

A real Prometheus with an empty store scrapes one idle exporter. Samples of weeks on a disk and queries are not measured; see `rules`.
"""

from __future__ import annotations

import time
from collections.abc import Iterator

from bench.exposition import QUIET, settle
from bench.figures import Figure
from bench.processes import resident, spent
from bench.programs import Bench, Fleet, exporter
from bench.prometheus import number, scraping, until
from bench.querying import metrics, total
from bench.sizes import Sizes

_EVERY, _SCRAPES = 4, 8  # seconds between two scrapes, and their number


def measure(bench: Bench, sizes: Sizes) -> Iterator[Figure]:
    fleet = Fleet(targets=sizes.fleet, credentials=max(1, sizes.fleet // 20), interval=QUIET)
    with exporter(bench, fleet) as running:
        settle(running)
        with scraping(bench, running, _EVERY) as server:
            until(lambda: number(server.url, "ekm_exporter_targets") == sizes.fleet, "the fleet is scraped", seconds=90)
            begun, before = time.monotonic(), spent(server.pid)
            time.sleep(_SCRAPES * _EVERY)
            cpu = (spent(server.pid) - before) / (time.monotonic() - begun) * _EVERY
            samples = number(server.url, 'scrape_samples_scraped{job="ekm"}')
            series, memory = total(metrics(server.url), "prometheus_tsdb_head_series"), resident(server.pid)
    name = f"{sizes.fleet:,} targets in one Prometheus"
    yield Figure(what=f"{name}: samples of a scrape", runs=[samples], unit="", how=f"{samples / sizes.fleet:.1f} a target")
    how = f"{memory:.0f} MB for {series:,.0f} series, after {_SCRAPES} scrapes; Go gives memory back late"
    yield Figure(what=f"{name}: memory a series", runs=[1024 * memory / series], unit="KB", how=how)
    how = f"{1000 * cpu:.0f} ms a scrape, with storage, without rules and queries"
    yield Figure(what=f"{name}: processor time a sample", runs=[1e6 * cpu / samples], unit="µs", how=how)

"""The cost of series and samples in a real Prometheus, which scrapes the large fleet.

It has no rules and receives no queries. Samples of weeks on a disk are not measured.
"""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Iterator

from bench.exposition import settle
from bench.figures import Figure
from bench.processes import resident, spent, started
from bench.programs import Bench, Fleet, exporter
from bench.querying import metrics, total
from bench.sizes import Sizes

_LEAST_SECONDS = 5.0  # between two scrapes
_SCRAPES = 3  # before the measurement, and during it


def measure(bench: Bench, sizes: Sizes) -> Iterator[Figure]:
    every, path = max(_LEAST_SECONDS, sizes.fleet_interval / 2), bench.fresh("prometheus.yml")
    with socket.create_server(("127.0.0.1", 0)) as listener:
        address = f"127.0.0.1:{listener.getsockname()[1]}"
    with exporter(bench, Fleet(targets=sizes.fleet, interval=sizes.fleet_interval, servers=True)) as running:
        settle(running)
        times = dict.fromkeys(("scrape_interval", "scrape_timeout"), f"{1000 * every:.0f}ms")
        scraped = {"job_name": "ekm", "static_configs": [{"targets": [running.url.removeprefix("http://")]}]}
        path.write_text(json.dumps({"global": times, "scrape_configs": [scraped]}), encoding="utf-8")
        flags = (f"--config.file={path}", f"--storage.tsdb.path={bench.fresh('tsdb')}", f"--web.listen-address={address}")
        pattern, log = "(ready to receive web requests)", bench.fresh("prometheus.log")
        with started("prometheus", *flags, pattern=pattern, log=log) as (process, _):
            time.sleep(_SCRAPES * every)
            before, cpu = metrics(f"http://{address}"), spent(process.pid)
            time.sleep(_SCRAPES * every)
            after, cpu, memory = metrics(f"http://{address}"), spent(process.pid) - cpu, resident(process.pid)
    series = total(after, "prometheus_tsdb_head_series")
    appended = [total(text, "prometheus_tsdb_head_samples_appended_total") for text in (before, after)]
    samples = appended[1] - appended[0]
    what, how = (
        f"{sizes.fleet:,} targets in one Prometheus",
        f"{memory:.0f} MB for {series:,.0f} series; Go gives memory back late",
    )
    yield Figure(f"{what}: memory a series", [1024 * memory / series], "KB", how)
    how = (
        f"{samples / _SCRAPES:,.0f} samples and {1000 * cpu / _SCRAPES:.0f} ms a scrape, with storage, without rules and queries"
    )
    yield Figure(f"{what}: processor time a sample", [1e6 * cpu / samples], "µs", how)

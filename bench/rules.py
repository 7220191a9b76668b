"""The cost of series and of alert rules in Prometheus while every target of the large fleet fails.

A real Prometheus scrapes one exporter. First it has no rules: that is the cost of series and samples. Then it evaluates one file after
another in the same store: each file of `--rules`, as it is and without annotations. The difference is that of its texts. Samples of weeks on a
disk and queries are not measured. All groups get the interval of the fleet, so a round is one evaluation of each.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import time
import urllib.parse
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import yaml

from bench.exposition import settle
from bench.figures import Figure
from bench.processes import resident, spent, started
from bench.programs import Bench, Fleet, Running, exporter
from bench.querying import fail, metrics, page, total, until
from bench.sizes import Sizes

RULES = Path(__file__).parent.parent / "alerts" / "ekm.rules.yml"
_NONE = "groups: []"
_LEAST_SECONDS = 5.0  # between two scrapes
_SCRAPED = 'scrape_samples_scraped{job="ekm"}'
_WARM_UP, _BEFORE = 3, 1.5  # intervals before the first rules, and from loading rules to their measurement


@dataclass(frozen=True, slots=True)
class Costs:
    """Seconds of a round: processor time of Prometheus, and the sum of the groups' durations. `alerts` are pending or firing.

    `missed` counts evaluations that a busy machine left out: the figures are too low unless it is 0.
    """

    cpu: float
    duration: float
    alerts: float
    missed: float


@contextmanager
def scraping(bench: Bench, running: Running, seconds: float, rules: Path) -> Iterator[Running]:
    """Run Prometheus of Debian with an empty store. It scrapes the exporter every `seconds`, and reads `rules` at each SIGHUP."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        address = f"127.0.0.1:{listener.getsockname()[1]}"
    every, path = f"{1000 * seconds:.0f}ms", bench.fresh("prometheus.yml")
    config = {
        "global": {"scrape_interval": every, "scrape_timeout": every},
        "rule_files": [str(rules)],
        "scrape_configs": [{"job_name": "ekm", "static_configs": [{"targets": [running.url.removeprefix("http://")]}]}],
    }
    path.write_text(json.dumps(config), encoding="utf-8")
    flags = (f"--config.file={path}", f"--storage.tsdb.path={bench.fresh('tsdb')}", f"--web.listen-address={address}")
    pattern, log = "(ready to receive web requests)", bench.fresh("prometheus.log")
    with started("prometheus", *flags, pattern=pattern, log=log) as (process, _):
        yield Running(pid=process.pid, url=f"http://{address}")


def number(url: str, expression: str) -> float:
    """The value of an expression with one sample; 0 without a sample."""
    query = urllib.parse.urlencode({"query": expression})
    result = json.loads(page(url, f"/api/v1/query?{query}"))["data"]["result"]
    return float(result[0]["value"][1]) if result else 0.0


def adapted(rules: str, seconds: float, *, texts: bool) -> str:
    """The rules with one interval for all groups, and without annotations unless `texts`."""
    content = yaml.safe_load(rules)
    for group in content["groups"]:
        group["interval"] = f"{seconds * 1000:.0f}ms"
        for rule in group["rules"]:
            if not texts:
                rule.pop("annotations", None)
    return yaml.safe_dump(content)


def costs(server: Running, path: Path, rules: str, seconds: float) -> Costs:
    """Load rules and measure one round, scrapes included. Raises RuntimeError if a rule fails."""
    path.write_text(rules, encoding="utf-8")
    os.kill(server.pid, signal.SIGHUP)
    time.sleep(_BEFORE * seconds)
    before = spent(server.pid)
    time.sleep(seconds)
    cpu, shown = spent(server.pid) - before, metrics(server.url)
    if total(shown, "prometheus_rule_evaluation_failures_total"):
        raise RuntimeError("Prometheus reports that a rule fails")
    duration, missed = (
        total(shown, f"prometheus_rule_group_{what}") for what in ("last_duration_seconds", "iterations_missed_total")
    )
    return Costs(cpu, duration, number(server.url, "count(ALERTS)"), missed)


def measure(bench: Bench, sizes: Sizes) -> Iterator[Figure]:
    seconds, path = sizes.fleet_interval, bench.fresh("rules.yml")
    fleet = Fleet(targets=sizes.fleet, interval=seconds, servers=True)
    path.write_text(_NONE, encoding="utf-8")
    fail(bench, "forbidden", first=fleet.targets)
    with exporter(bench, fleet) as running:
        settle(running)
        every = max(_LEAST_SECONDS, seconds / 2)
        with scraping(bench, running, every, path) as server:
            until(lambda: number(server.url, "ekm_exporter_targets") == fleet.targets, "the fleet is scraped", seconds=90)
            time.sleep(_WARM_UP * seconds)
            scrapes = costs(server, path, _NONE, seconds).cpu / seconds
            yield from of_series(server, f"{fleet.targets:,} targets in one Prometheus", scrapes * every)
            for file in bench.rules:
                idle = costs(server, path, _NONE, seconds).cpu  # no alert of the file before continues
                text = file.read_text(encoding="utf-8")
                whole, bare = (costs(server, path, adapted(text, seconds, texts=texts), seconds) for texts in (True, False))
                yield from figures(f"{fleet.targets:,} failing targets, {file.name}", whole, bare, idle)


def of_series(server: Running, what: str, cpu: float) -> Iterator[Figure]:
    """The costs of storage. `cpu` is the processor time of a scrape in seconds."""
    until(lambda: number(server.url, _SCRAPED) > 0, "a scrape ended in time", seconds=90)
    samples = number(server.url, _SCRAPED)
    series, memory = total(metrics(server.url), "prometheus_tsdb_head_series"), resident(server.pid)
    how = f"{memory:.0f} MB for {series:,.0f} series; Go gives memory back late"
    yield Figure(what=f"{what}: memory a series", runs=[1024 * memory / series], unit="KB", how=how)
    how = f"{samples:,.0f} samples and {1000 * cpu:.0f} ms a scrape, with storage, without rules and queries"
    yield Figure(what=f"{what}: processor time a sample", runs=[1e6 * cpu / samples], unit="µs", how=how)


def figures(what: str, whole: Costs, bare: Costs, idle: float) -> Iterator[Figure]:
    """The figures of one file. `idle` is the processor time without rules."""
    how = f"of Prometheus, without scrapes; {whole.alerts:,.0f} alerts pending or firing, {whole.missed:.0f} evaluations missed"
    yield Figure(what=f"{what}: processor time of a round of rules", runs=[whole.cpu - idle], unit="s", how=how)
    how = "what Prometheus saves if the rules have no annotations"
    yield Figure(what=f"{what}: processor time of its texts", runs=[whole.cpu - bare.cpu], unit="s", how=how)
    how = f"sum over the groups; {bare.duration:.2f} s without annotations"
    yield Figure(what=f"{what}: duration of a round of rules", runs=[whole.duration], unit="s", how=how)

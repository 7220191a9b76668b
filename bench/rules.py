"""The cost of alert rules in Prometheus while every target of the large fleet fails, with and without their texts.

A real Prometheus scrapes one exporter and evaluates one file after another in the same store: each file of `--rules`, as it is and
without annotations. All groups get the interval of the fleet, so that none misses its turn: a round is one evaluation of each.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import yaml

from bench.exposition import settle
from bench.figures import Figure
from bench.processes import spent
from bench.programs import Bench, Fleet, Running, exporter
from bench.prometheus import number, scraping, until
from bench.querying import fail, metrics, total
from bench.sizes import Sizes

RULES = Path(__file__).parent.parent / "alerts" / "ekm.rules.yml"
_NONE = "groups: []"
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
    duration, missed = (total(shown, f"prometheus_rule_group_{what}") for what in ("last_duration_seconds", "iterations_missed_total"))
    return Costs(cpu, duration, number(server.url, "count(ALERTS)"), missed)


def measure(bench: Bench, sizes: Sizes) -> Iterator[Figure]:
    seconds, path = sizes.fleet_interval, bench.fresh("rules.yml")
    fleet = Fleet(targets=sizes.fleet, credentials=max(1, sizes.fleet // 20), interval=seconds, servers=True)
    path.write_text(_NONE, encoding="utf-8")
    fail(bench, "forbidden", first=fleet.targets)
    with exporter(bench, fleet) as running:
        settle(running)
        with scraping(bench, running, seconds / 2, path) as server:
            until(lambda: number(server.url, "ekm_exporter_targets") == fleet.targets, "the fleet is scraped", seconds=90)
            time.sleep(_WARM_UP * seconds)
            idle = costs(server, path, _NONE, seconds).cpu
            for file in bench.rules:
                text = file.read_text(encoding="utf-8")
                whole, bare = (
                    costs(server, path, adapted(text, seconds, texts=texts), seconds) for texts in (True, False)
                )
                yield from figures(f"{fleet.targets:,} failing targets, {file.name}", whole, bare, idle)


def figures(what: str, whole: Costs, bare: Costs, idle: float) -> Iterator[Figure]:
    """The figures of one file. `idle` is the processor time without rules."""
    how = f"of Prometheus, without scrapes; {whole.alerts:,.0f} alerts pending or firing, {whole.missed:.0f} evaluations missed"
    yield Figure(what=f"{what}: processor time of a round of rules", runs=[whole.cpu - idle], unit="s", how=how)
    how = "what Prometheus saves if the rules have no annotations"
    yield Figure(what=f"{what}: processor time of its texts", runs=[whole.cpu - bare.cpu], unit="s", how=how)
    how = f"sum over the groups; {bare.duration:.2f} s without annotations"
    yield Figure(what=f"{what}: duration of a round of rules", runs=[whole.duration], unit="s", how=how)

"""Levels of metrics: which series a level leaves out, and which level rules and dashboards need."""

from __future__ import annotations

import re
from itertools import pairwise
from pathlib import Path

import pytest
import yaml

from docs.generators.cardinality import most_series
from exporter.core.values import Step
from exporter.metrics.families import BY_NAME, METRICS
from exporter.metrics.spec import Level, MetricSpec, MetricType, SeriesScope
from tests.support.metric_factories import (
    MODULE,
    a_key,
    a_recorder,
    a_report,
    a_target,
    names_in,
    ok,
    probed,
    scrape,
    series,
)
from tests.system.alerts.queries import rule_queries, selectors
from tests.system.dashboards.boards import filled, queries

ROOT = Path(__file__).parents[3]
RULES = [
    (rule.get("alert") or rule["record"], query)
    for file in ("alerts/ekm.rules.yml", "alerts/ekm-native.rules.yml", "alerts/ekm-sql.rules.yml")
    for group in yaml.safe_load((ROOT / file).read_text())["groups"]
    for rule in group["rules"]
    for query in rule_queries(rule)
]
PANELS = [(str(query), filled(query.filled(), {})) for query in queries()]
SUFFIX = re.compile(r"_(bucket|count|sum)$")
STEPS = "ekm_step_duration_seconds"


def needed(query: str) -> list[tuple[MetricSpec, Level, set[str]]]:
    """Return each metric of a query with its level, and the values of `le` that the query selects."""
    found = []
    for selector in selectors(query):
        spec = BY_NAME.get(selector.name or "") or BY_NAME.get(SUFFIX.sub("", selector.name or ""))
        if spec is not None:
            bounds = {one.value.removesuffix(r"(\.0)?") for one in selector.matchers.matchers if one.name == "le"}
            found.append((spec, spec.level, bounds))
    return found


@pytest.mark.parametrize(("where", "query"), RULES, ids=[where for where, _ in RULES])
def test_rules_need_only_the_level_minimal(where, query):
    for spec, level, bounds in needed(query):
        assert level is Level.MINIMAL, f"{where} uses {spec.name}"
        assert bounds <= {f"{bound:g}" for bound in spec.bounds(Level.MINIMAL)}, f"{where} selects a bucket of {spec.name}"


@pytest.mark.parametrize(("where", "query"), PANELS, ids=[where for where, _ in PANELS])
def test_dashboards_need_at_most_the_level_default(where, query):
    for spec, level, bounds in needed(query):
        assert Level.DEFAULT.includes(level), f"{where} uses {spec.name}"
        assert bounds <= {f"{bound:g}" for bound in spec.bounds(Level.DEFAULT)}


def test_rules_and_dashboards_use_many_metrics():
    """The two tests above would pass if they recognised no metric."""
    of_rules = {spec.name for _, query in RULES for spec, *_ in needed(query)}
    of_panels = {spec.name for _, query in PANELS for spec, *_ in needed(query)}
    assert len(of_rules) > 30
    assert len(of_panels) > 30
    assert any(bounds for _, query in RULES for *_, bounds in needed(query))


def test_the_level_default_has_only_what_rules_or_dashboards_use():
    used = {spec.name for _, query in (*RULES, *PANELS) for spec, *_ in needed(query)}
    assert {spec.name for spec in METRICS if spec.scope is SeriesScope.TARGET and Level.DEFAULT.includes(spec.level)} <= used


def test_no_metric_of_a_sql_server_needs_the_level_full():
    assert {spec.level for spec in METRICS if spec.scope is SeriesScope.SQL_SERVER} == {Level.MINIMAL, Level.DEFAULT}


def test_the_level_minimal_has_only_what_rules_use():
    used = {spec.name for _, query in RULES for spec, *_ in needed(query)}
    assert {spec.name for spec in METRICS if spec.scope is SeriesScope.TARGET and spec.level is Level.MINIMAL} <= used


def test_metrics_that_targets_share_are_in_every_level():
    scopes = set(SeriesScope) - {SeriesScope.TARGET, SeriesScope.SQL_SERVER}
    assert {spec.level for spec in METRICS if spec.scope in scopes} == {Level.MINIMAL}


@pytest.mark.parametrize("spec", [spec for spec in METRICS if spec.kind is MetricType.HISTOGRAM], ids=lambda spec: spec.name)
def test_bounds_of_a_level_are_bounds_of_the_next(spec):
    bounds = [set(spec.bounds(level)) for level in Level]
    assert all(fewer <= more for fewer, more in pairwise(bounds))
    assert spec.bounds(Level.FULL) == spec.buckets


def shown(level: Level, *durations: float) -> bytes:
    recorder = a_recorder(a_target(), level=level)
    for duration in durations:
        probed(recorder, a_report(steps=[ok(Step.CHALLENGE, duration=duration)], ready=True, key=a_key()))
    return scrape(recorder)


def test_counts_of_fewer_buckets_equal_those_of_the_same_bounds_of_all():
    durations = (0.001, 0.005, 0.02, 0.1, 0.3, 1.0, 1.1, 5.0, 7.0, 31.0)
    everything = series(shown(Level.FULL, *durations))
    for level in Level:
        found = {name: value for name, value in series(shown(level, *durations)).items() if name[0].startswith(STEPS)}
        buckets = [name for name in found if name[0] == f"{STEPS}_bucket" and ("step", "challenge") in name]
        assert len(buckets) == len(BY_NAME[STEPS].bounds(level)) + 1
        assert found.items() <= everything.items()


@pytest.mark.parametrize("level", Level)
def test_the_phase_transfer_needs_the_level_full(level):
    phases = {labels for labels in series(shown(level, 0.2), "ekm_step_phase_duration_seconds") if labels[0] == "transfer"}
    assert bool(phases) is (level is Level.FULL)


@pytest.mark.parametrize("level", Level)
def test_a_probe_response_has_only_families_of_its_level(level):
    target = a_target()
    recorder = a_recorder(target, level=level)
    text = recorder.render_probe(target, MODULE, a_report(steps=[ok(Step.CHALLENGE)], ready=True, key=a_key()))
    assert "probe_success" in names_in(text)
    assert ("ekm_probe_step_duration_seconds" in names_in(text)) is level.includes(Level.DEFAULT)


@pytest.mark.parametrize(("level", "promised"), [(Level.MINIMAL, 55), (Level.DEFAULT, 94), (Level.FULL, 125)])
def test_series_of_a_target_stay_within_the_promise(level, promised):
    """Fleets are sized by these numbers: a higher one is a decision and a breaking change."""
    assert most_series(level) <= promised

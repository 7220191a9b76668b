"""Every expression of every panel is PromQL, and names only metrics and labels that the table of metrics has."""

from __future__ import annotations

import re
from pathlib import Path

import promql_parser as promql
import pytest
import yaml

from dashboards import coverage
from dashboards.promql import FOREIGN
from exporter.metrics.families import METRICS
from exporter.metrics.spec import MetricType
from tests.system.alerts.queries import calls, grouped, selectors
from tests.system.dashboards.boards import queries, variables

QUERIES = list(queries())
VARIABLES = list(variables())
SCRAPED = {"job", "instance"}
OF_ALERTS = {"alertname", "severity", "scope", "target", "vault", "credential", "region", "team", "env"}
OF_USERS = {"team", "env"}  # labels that target_defaults of the example give to targets
ADDED_LABELS = re.compile(r'"(what|coverage|name|source|fact|runbook|page|sql_instance)", "')


def known_series() -> dict[str, set[str]]:
    found: dict[str, set[str]] = {name: set() for name in FOREIGN}
    for spec in METRICS:
        labels = set(spec.labels) | (OF_USERS if spec.name == "ekm_target_info" else set())
        if spec.kind is MetricType.HISTOGRAM:
            native = {spec.name: labels}
            found |= native | {f"{spec.name}_bucket": labels | {"le"}, f"{spec.name}_sum": labels, f"{spec.name}_count": labels}
        else:
            found[spec.name] = labels
    found |= {"ALERTS": OF_ALERTS | {"alertstate"}, "ALERTS_FOR_STATE": OF_ALERTS}
    return found


KNOWN = known_series()


@pytest.mark.parametrize("query", QUERIES, ids=str)
def test_expression_names_only_existing_series(query):
    expression = query.filled()
    possible = set(SCRAPED) | set(ADDED_LABELS.findall(query.expression))
    for selector in selectors(expression):
        assert selector.name in KNOWN
        labels = KNOWN[selector.name] | SCRAPED
        assert {matcher.name for matcher in selector.matchers.matchers} <= labels, selector.name
        possible |= labels
    assert grouped(expression) <= possible


@pytest.mark.parametrize("query", QUERIES, ids=str)
def test_expression_filters_by_job_and_instance(query):
    for selector in selectors(query.filled(job="J", instance="I")):
        if selector.name.startswith("ALERTS"):
            continue
        matchers = {matcher.name: (str(matcher.op), matcher.value) for matcher in selector.matchers.matchers}
        assert (matchers["job"][1], matchers["instance"][1]) == ("J", "I")


WHOLE = {coverage.TITLE, "By region", "By team"}  # panels of all targets


@pytest.mark.parametrize("query", [query for query in QUERIES if query.panel not in WHOLE], ids=str)
def test_expression_filters_by_target_and_vault(query):
    for selector in selectors(query.filled(target="T", vault="V")):
        matchers = {matcher.name: matcher.value for matcher in selector.matchers.matchers}
        if "target" in KNOWN[selector.name] and not selector.name.startswith("ALERTS"):
            assert (matchers["target"], matchers["vault"]) == ("T", "V")


@pytest.mark.parametrize("query", QUERIES, ids=str)
def test_counter_is_used_only_in_rate_or_increase(query):
    native = {spec.name for spec in METRICS if spec.kind is MetricType.HISTOGRAM}
    counters = native | {name for name in KNOWN if name.endswith(("_total", "_bucket", "_sum", "_count"))}
    gained = sum(call in ("rate", "increase") for call in calls(query.filled()))
    counted = sum(selector.name in counters for selector in selectors(query.filled()))
    assert counted == gained


@pytest.mark.parametrize("variable", VARIABLES, ids=lambda variable: f"{variable.board}: {variable.name}")
def test_variable_uses_an_existing_label(variable):
    assert variable.label in KNOWN[variable.metric] | SCRAPED
    if variable.matchers:
        promql.parse(variable.metric + variable.matchers)


def sent_on(name: str, relabelling: list[dict]) -> bool:
    """Whether relabelling by name keeps a series; its expressions match whole names."""
    assert {rule["action"] for rule in relabelling} <= {"keep", "drop"}
    return all((re.fullmatch(rule["regex"], name) is not None) == (rule["action"] == "keep") for rule in relabelling)


def test_remote_write_of_the_page_keeps_all_drawn_series():
    page = (Path(__file__).parents[3] / "docs" / "placement.md").read_text()
    shown = re.search(r"```yaml\n(remote_write:.*?)```", page, re.DOTALL)
    assert shown is not None
    rules = yaml.safe_load(shown[1])["remote_write"][0]["write_relabel_configs"]
    drawn = {one.name for query in QUERIES for one in selectors(query.filled())} | {variable.metric for variable in VARIABLES}
    assert {"up", "ekm_error_info", "process_start_time_seconds"} <= drawn
    assert {name for name in drawn if not sent_on(name, rules)} == set()
    assert not sent_on("node_load1", rules)

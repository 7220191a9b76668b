"""The rule file names only what exists, says what an alert has to say, and is what the template makes."""

import re
import subprocess
import sys
from itertools import product

import pytest
import yaml

from alerts import build, page, values
from exporter.core.codes import BY_CODE, CODES, in_generation
from exporter.core.faults import Reason
from exporter.core.model import Generation, Mode, Step, Vantage
from exporter.metrics.definitions import ALERTED, BY_NAME, OF_PROBE
from exporter.metrics.self_metrics import SKIP_REASONS
from exporter.metrics.spec import MetricType
from tests.system.alerts.queries import asked, grouped, matchers, referred, selectors

TEXT = build.RULES.read_text()
RULES = [rule for group in yaml.safe_load(TEXT)["groups"] for rule in group["rules"]]
ALERTS = {rule["alert"]: rule for rule in RULES if "alert" in rule}
RECORDED = {rule["record"] for rule in RULES if "record" in rule}
QUERIES = [(rule.get("alert") or rule["record"], query) for rule in RULES for query in asked(rule)]

SCRAPED = {"job", "instance"}
CHOSEN = {"team", "env"}  # by users, on their targets
ALL_LABELS = (
    SCRAPED
    | CHOSEN
    | {label for spec in BY_NAME.values() for label in spec.labels}
    | {"next_credential", "part", "problem", "state"}
)
GENERATIONS = [{str(code), str(row.counterpart)} for code, row in BY_CODE.items() if row.counterpart is not None]
VALUES = {
    "verdict": {"ready", "not_ready"},
    "step": set(Step),
    "mode": {*Mode, ""},
    "vantage": set(Vantage),
    "pin": {"config", "none"},
    "role": {"current", "next"},
    "source": {"declared"},
    "code": {str(row.code) for row in CODES if row.observable},
    "job": {values.JOB},
    "region": {""},
    "le": {r"1(\.0)?", r"5(\.0)?"},
}

every_query = pytest.mark.parametrize(("where", "query"), QUERIES, ids=[where for where, _ in QUERIES])
every_alert = pytest.mark.parametrize("rule", ALERTS.values(), ids=ALERTS)


def spec_of(name):
    """A histogram's series are named after it; what only /probe answers is on no rule's way."""
    family = re.sub(r"_(bucket|count|sum)$", "", name)
    spec = BY_NAME.get(name) or BY_NAME.get(family)
    assert spec is not None, f"no metric is called {name}"
    assert spec not in [one for one in OF_PROBE if one.kind is not MetricType.COUNTER], f"{name} is on /probe alone"
    assert (name in BY_NAME) != (spec.kind is MetricType.HISTOGRAM), f"{name} is no series of its family"
    return spec


@every_query
def test_every_metric_and_label_exists(where, query):
    for selector in selectors(query):
        name = selector.name
        if name in RECORDED | {"up", "process_start_time_seconds"}:
            known = ALL_LABELS
        else:
            spec = spec_of(name)
            known = SCRAPED | set(spec.labels) | (CHOSEN if name == "ekm_target_info" else set())
            known |= {"le"} if spec.kind is MetricType.HISTOGRAM else set()
        assert {one.name for one in selector.matchers.matchers} <= known, where
    assert grouped(query) <= ALL_LABELS, where


@every_query
def test_every_value_of_a_label_can_occur(where, query):
    for one in matchers(query):
        reasons = set(SKIP_REASONS) if one.metric == "ekm_exporter_probes_skipped_total" else set(Reason)
        allowed = reasons if one.label == "reason" else VALUES.get(one.label)
        for value in one.values:
            if value == "?":
                continue
            assert allowed is not None, f"{where}: nothing is known of the values of {one.label}"
            assert value in allowed or any(re.fullmatch(value, other) for other in allowed), (
                f"{where}: {one.label} is never {value}"
            )


@every_query
def test_a_code_is_accepted_in_both_generations(where, query):
    for one in matchers(query):
        if one.label == "code":
            for twins in GENERATIONS:
                assert not twins & set(one.values) or twins <= set(one.values), where


def test_what_is_counted_by_code_exists_before_it_happens():
    """A counter born at 1 is invisible to `increase`, which misses the first failure. The rule for sign-in counts such counters from 0."""
    born = {
        (step.value, str(in_generation(code, generation)))
        for code, steps in ALERTED
        for step in steps
        for generation in Generation
    }
    asked_for = {pair for _, query in QUERIES for pair in counted(query)}
    assert {pair for pair in asked_for - born if pair[0] != "token"} == set()
    assert {code for _, code in asked_for} >= {"3011", "3077", "3303"}


def counted(query):
    """The pairs of step and code whose failures a query counts; a selector without a step counts at each."""
    for selector in selectors(query):
        named = {one.name: one.value.split("|") for one in selector.matchers.matchers}
        if selector.name == "ekm_errors_total" and "code" in named:
            yield from product(named.get("step", [step.value for step in Step]), named["code"])


def test_a_selector_without_a_step_is_taken_to_count_at_each():
    assert set(counted('increase(ekm_errors_total{code="3077"}[1h])')) == {(step.value, "3077") for step in Step}


def test_no_page_rests_on_a_gauge_that_is_zero_and_on_time_alone():
    for name, rule in ALERTS.items():
        if rule["labels"]["severity"] == "critical" and "for" in rule:
            assert name in ("EkmExporterDown", "EkmEveryProbeStale")  # these count scrapes and intervals
            assert not re.search(r"(?<!max_over_time\()ekm_\w+(\{[^}]*\})? == 0", rule["expr"])


@every_alert
def test_an_alert_says_what_it_has_to_say(rule):
    name, notes = rule["alert"], rule["annotations"]
    assert name.startswith("Ekm")
    assert rule["labels"]["severity"] in ("critical", "warning", "info")
    assert set(notes) == {"summary", "description", "runbook_url", "dashboard_url"}
    assert notes["summary"].endswith(".")
    assert "{{" not in notes["summary"], "the same for all alerts of a group"
    assert len(notes["summary"]) <= 100
    assert notes["runbook_url"] == f"{values.RUNBOOKS}/{name}.md"
    assert notes["dashboard_url"].startswith(f"{values.DASHBOARDS}/ekm-")


@every_alert
def test_an_alert_of_a_target_names_it_its_vault_and_its_sql_servers(rule):
    if "group_left (credential, team, env, region)" in rule["expr"]:
        assert {"target", "vault", "instance"} <= referred(rule)
        assert "SQL Server instances that depend on it" in rule["annotations"]["description"]


@every_alert
def test_what_begins_again_with_a_restart_outlives_one(rule):
    """Ends are kept by last_over_time; everything else by keep_firing_for."""
    if not rule["alert"].startswith("EkmCredentialExpiresIn") and rule["alert"] != "EkmWatchdog":
        assert "keep_firing_for" in rule


def test_every_alert_has_a_runbook_and_every_runbook_an_alert():
    assert {path.stem for path in (build.HERE / "runbooks").glob("*.md")} == set(ALERTS)


def test_the_committed_files_are_what_the_template_makes():
    again = "run ./dev docs"
    assert build.rules() == TEXT, again
    assert build.prometheus_rule(TEXT) == build.KUBERNETES.read_text(), again
    assert page.refreshed(build.PAGE.read_text(), TEXT) == build.PAGE.read_text(), again


def test_kubernetes_gets_the_same_groups():
    manifest = yaml.safe_load(build.KUBERNETES.read_text())
    assert (manifest["apiVersion"], manifest["kind"]) == ("monitoring.coreos.com/v1", "PrometheusRule")
    assert manifest["spec"] == yaml.safe_load(TEXT)


def test_the_page_lists_every_alert_with_its_severity():
    listed = {alert.name: alert.severity for alert in page.alerts(TEXT)}
    assert listed == {name: rule["labels"]["severity"] for name, rule in ALERTS.items()}


def test_alert_without_one_of_its_comments_is_refused():
    text = TEXT.replace("# Why: A broken alerting", "# A broken alerting")
    assert text != TEXT
    with pytest.raises(ValueError, match="EkmWatchdog needs When, After, Why and First"):
        page.alerts(text)


DURATION = re.compile(r"(?:\[|(?:for|keep_firing_for|interval): )(\d+)(ms|[smhd])\b")
SECONDS = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400}


def durations(text):
    return [int(number) * SECONDS[unit] for number, unit in DURATION.findall(text)]


def test_a_scale_divides_every_duration_and_nothing_else():
    full, scaled = durations(TEXT), durations(build.rules(60))
    assert len(full) == len(scaled) > 100
    assert scaled == [pytest.approx(seconds / 60) for seconds in full]


def test_a_scale_divides_thresholds_of_time():
    assert "left_seconds:min < 86400 " in TEXT
    assert "left_seconds:min < 1440 " in build.rules(60)


def test_a_scale_and_addresses_can_be_asked_for_on_the_command_line():
    command = [sys.executable, "-m", "alerts.build", "--scale", "60", "--runbooks", "https://r", "--dashboards", "https://d"]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=build.HERE.parent, timeout=60)  # noqa: S603 - this project

    assert done.stdout == build.rules(60, runbooks="https://r", dashboards="https://d")
    assert "example.com" not in done.stdout


def test_a_word_of_the_template_that_nobody_knows_is_an_error():
    with pytest.raises(KeyError):
        values.Words("@{NOBODY}").substitute(values.placeholders())


def test_a_misspelt_metric_label_or_reason_would_be_found():
    with pytest.raises(AssertionError, match="no metric is called ekm_probe_sucess"):
        spec_of("ekm_probe_sucess")
    with pytest.raises(AssertionError, match="reason is never forbiden"):
        test_every_value_of_a_label_can_occur("here", 'ekm_last_failure_info{reason="forbiden"}')
    with pytest.raises(AssertionError):
        test_every_metric_and_label_exists("here", 'ekm_last_failure_info{kode="3077"}')
    with pytest.raises(AssertionError):
        test_every_metric_and_label_exists("here", "sum by (targets) (ekm_probe_success)")


def test_queries_inside_annotations_are_read_too():
    assert len(QUERIES) > len(RULES) + len(ALERTS)

"""The rule file names only what exists, has the required texts, and equals what the template generates."""

import re
import subprocess
import sys
from collections import Counter
from statistics import mean

import pytest
import yaml

from alerts import build, document, values
from exporter.core.values import Mode, Step, Vantage
from exporter.knowledge.codes import BY_CODE, CODES
from exporter.knowledge.expiry import Source
from exporter.knowledge.incident import Page
from exporter.knowledge.reason_row import Link
from exporter.knowledge.reasons import Reason
from exporter.metrics.families import BY_NAME, PROBE_METRICS
from exporter.metrics.own import SKIP_REASONS
from exporter.metrics.spec import MetricType
from tests.support.patience import PROGRAM_SECONDS
from tests.system.alerts.queries import grouped, matchers, referred, rule_queries, selectors

TEXT = build.RULES.read_text()
RULES = [rule for group in yaml.safe_load(TEXT)["groups"] for rule in group["rules"]]
ALERTS = {rule["alert"]: rule for rule in RULES if "alert" in rule}
SQL_TEXT = build.SQL.read_text()
SQL_ALERTS = {rule["alert"]: rule for group in yaml.safe_load(SQL_TEXT)["groups"] for rule in group["rules"] if "alert" in rule}
COMMENTED = build.joined(build.commented(), build.commented(template=build.SQL_TEMPLATE))
RECORDED = {rule["record"] for rule in RULES if "record" in rule}
QUERIES = [(rule.get("alert") or rule["record"], query) for rule in RULES for query in rule_queries(rule)]

SCRAPED = {"job", "instance"}
CHOSEN = {"team", "env"}  # by users, on their targets
ALL_LABELS = (
    SCRAPED
    | CHOSEN
    | {label for spec in BY_NAME.values() for label in spec.labels}
    | {"next_credential", "problem", "state", "window"}
)
GENERATIONS = [{str(code), str(row.counterpart)} for code, row in BY_CODE.items() if row.counterpart is not None]
VALUES = {
    "verdict": {"ready", "not_ready"},
    "step": set(Step),
    "mode": {*Mode, ""},
    "vantage": set(Vantage),
    "pin": {"config", "none"},
    "role": {"current", "next", ""},
    "source": set(Source) - {Source.ENTRA},
    "code": {str(row.code) for row in CODES if row.observable},
    "job": {values.JOB},
    "region": {""},
    "client_id": {""},
    "name": {""},  # one cause of several vaults
    "key": {"tde/0123"},
    "le": {r"1(\.0)?", r"5(\.0)?"},
    "link": set(Link),
    "page": set(Page),
    "cause": {"", "host", "entra", "region", "credential"},
}

# Pages about an exporter that monitors nothing, which SQL Server does not need.
MONITORING = {"EkmExporterDown", "EkmEveryProbeStale"}

every_query = pytest.mark.parametrize(("where", "query"), QUERIES, ids=[where for where, _ in QUERIES])
every_alert = pytest.mark.parametrize("rule", ALERTS.values(), ids=ALERTS)


def test_every_shared_number_is_used():
    sources = (*build.HERE.glob("*.template.yml"), *build.HERE.glob("*.py"))
    used = set(re.findall(r"@\{+([A-Z0-9_]+)\}+", "".join(path.read_text() for path in sources)))
    used |= {name.replace("_PERCENT", "_RATIO") for name in used}
    tables = (values.DURATIONS, values.THRESHOLDS, values.RATIOS, values.PATTERNS)
    assert {name for table in tables for name in table} - used == set()


def spec_of(name):
    """Return the metric of a series. No rule may use a gauge that is only on /probe."""
    family = re.sub(r"_(bucket|count|sum)$", "", name)
    spec = BY_NAME.get(name) or BY_NAME.get(family)
    assert spec is not None, f"no metric is called {name}"
    assert spec not in [one for one in PROBE_METRICS if one.kind is not MetricType.COUNTER], f"{name} is on /probe alone"
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
            for codes in GENERATIONS:
                assert not codes & set(one.values) or codes <= set(one.values), where


def test_no_page_depends_on_a_zero_gauge_and_a_duration():
    for name, rule in ALERTS.items():
        if rule["labels"]["severity"] == "critical" and "for" in rule:
            assert name in ("EkmExporterDown", "EkmEveryProbeStale")  # these count scrapes and intervals
            assert not re.search(r"(?<!max_over_time\()ekm_\w+(\{[^}]*\})? == 0", rule["expr"])


@every_alert
def test_alert_has_the_required_texts(rule):
    name, notes = rule["alert"], rule["annotations"]
    assert name.startswith("Ekm")
    assert rule["labels"]["severity"] in ("critical", "warning", "info")
    assert set(notes) - {"sql_servers", "impact", "date"} == {"summary", "description", "runbook_url", "dashboard_url"}
    assert ("impact" in notes) == (rule["labels"]["severity"] == "critical" and name not in MONITORING)
    assert "sql_servers" in notes or "impact" not in notes
    assert notes["summary"].endswith(".")
    assert "{{" not in notes["summary"], "one summary for all alerts of a group"
    assert len(notes["summary"]) <= 100
    # The link works without an exporter, if none may run.
    without = name in ("EkmExporterDown", "EkmShardMissing", "EkmWatchdog")
    assert notes["runbook_url"] == f"{values.SITE if without else values.DOCS}/runbooks/{name}.md"
    assert without or re.search(r"\((job, )?instance\b|target:ekm_incident:page|credential:ekm", rule["expr"])
    assert notes["dashboard_url"].startswith(f"{values.DASHBOARDS}/ekm-")


@pytest.mark.parametrize("rule", (ALERTS | SQL_ALERTS).values(), ids=ALERTS | SQL_ALERTS)
def test_impact_is_the_same_for_all_alerts_of_a_message(rule):
    """ekm.tmpl shows the one that they have in common."""
    assert "{{" not in rule["annotations"].get("impact", "")


@pytest.mark.parametrize("rule", SQL_ALERTS.values(), ids=SQL_ALERTS)
def test_alert_on_sql_server_has_the_required_texts(rule):
    """It has no exporter, so that its runbook is on a site."""
    notes = rule["annotations"]
    assert "instance" not in referred(rule)
    assert len(notes["summary"]) <= 100
    assert notes["runbook_url"] == f"{values.SITE}/runbooks/{rule['alert']}.md"
    assert notes["dashboard_url"].startswith(f"{values.DASHBOARDS}/ekm-")


def test_rule_file_can_be_read():
    assert len(TEXT.encode()) <= 96 * 1024
    assert len(SQL_TEXT.encode()) <= 45 * 1024
    assert len(RULES) - len(ALERTS) <= 18
    queries = Counter({name: str(rule["annotations"]).count("query (") for name, rule in ALERTS.items()})
    assert queries.total() <= 39
    assert sum(queries[name] for name, rule in ALERTS.items() if rule["labels"]["severity"] == "warning") <= 12
    lengths = [len(" ".join(rule["annotations"]["description"].split())) for rule in (ALERTS | SQL_ALERTS).values()]
    assert max(lengths) <= 700
    assert mean(lengths) <= 300
    assert "reReplaceAll" not in TEXT + SQL_TEXT
    # A text decides nothing, except what kind of care its label names.
    chosen = set(re.findall(r"\{\{ ?-? ?(?:else )?if .*?\}\}|match ", TEXT))
    assert chosen == {"{{if $i}}", *(f'{{{{ if {how} $labels.problem "old backup" }}}}' for how in ("eq", "ne"))}
    assert "ALERTS" not in TEXT + SQL_TEXT


@every_alert
def test_alert_survives_a_restart_of_the_exporter(rule):
    """A page of an incident has the hold of its recording rules, all others keep_firing_for."""
    held = re.search('target:ekm_incident:page{page="|exporter:ekm_common_cause:count', rule["expr"])
    if rule["alert"] != "EkmWatchdog":
        assert ("keep_firing_for" in rule) != bool(held)


def test_runbooks_and_alerts_match():
    assert {path.stem for path in (build.HERE / "runbooks").glob("*.md")} == set(ALERTS) | set(SQL_ALERTS)


def test_committed_files_equal_the_generated_ones():
    again = "run ./dev docs"
    assert build.rules() == TEXT, again
    assert build.rules(template=build.SQL_TEMPLATE) == SQL_TEXT, again
    assert build.prometheus_rule(build.joined(TEXT, SQL_TEXT)) == build.KUBERNETES.read_text(), again


def test_page_lists_every_alert_with_its_severity():
    listed = {alert.name: alert.severity for alert in document.alerts(COMMENTED)}
    assert listed == {name: rule["labels"]["severity"] for name, rule in (ALERTS | SQL_ALERTS).items()}


def test_alert_without_one_of_its_comments_is_refused():
    text = build.commented().replace("# Why: A broken alerting", "# A broken alerting")
    assert text != build.commented()
    with pytest.raises(ValueError, match="EkmWatchdog needs When, After, Why and First"):
        document.alerts(text)


DURATION = re.compile(r"(?:\[|(?:for|keep_firing_for|interval): )(\d+)(ms|[smhd])\b")
SECONDS = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400}


def durations(text):
    return [int(number) * SECONDS[unit] for number, unit in DURATION.findall(text)]


def test_a_scale_divides_every_duration_and_nothing_else():
    full, scaled = durations(TEXT), durations(build.rules(60))
    assert len(full) == len(scaled) > 100
    assert scaled == [pytest.approx(seconds / 60) for seconds in full]


def test_command_line_takes_a_scale_and_addresses():
    command = [sys.executable, "-m", "alerts.build", "--scale", "60", "--docs", "https://r", "--dashboards", "https://d"]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=build.HERE.parent, timeout=PROGRAM_SECONDS)  # noqa: S603 - this project

    assert done.stdout == build.rules(60, docs="https://r", dashboards="https://d")
    assert "example.com" not in done.stdout

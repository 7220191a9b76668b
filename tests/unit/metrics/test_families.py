"""The table of metrics keeps the conventions and is what the documentation shows; the number of series of one target."""

from __future__ import annotations

import re
from collections import Counter
from datetime import date
from pathlib import Path

import pytest

from docs.generators.cardinality import OF_CHECKS, OF_DECLARATIONS, OF_FAILURES, of_a_healthy_target
from docs.generators.metrics import EXAMPLES
from exporter.config.settings import ExpectPath, Module, Retained
from exporter.core.values import Step
from exporter.knowledge.codes import BY_CODE
from exporter.knowledge.reasons import Reason
from exporter.knowledge.verdict import AuxiliaryKind
from exporter.metrics.counters import COUNTED
from exporter.metrics.families import BY_NAME, METRICS, PROBE_METRICS
from exporter.metrics.spec import BASE_LABELS, Level, MetricType, SeriesScope
from exporter.metrics.target_families import TARGET_METRICS
from tests.support.metric_factories import (
    CONNECTED,
    START,
    VERSION,
    a_config,
    a_credential,
    a_key,
    a_recorder,
    a_report,
    a_target,
    an_auxiliary_result,
    by_identity,
    certificate,
    failed,
    headers,
    ok,
    probed,
    scrape,
    series,
)

DOCUMENT = Path(__file__).parents[3] / "docs" / "metrics.md"
EVERY = (*METRICS, *PROBE_METRICS)
# SQL Server's own word for what kind of backup it is.
OF_BACKUPS = {f"mssql_ekm_backup_{end}_timestamp_seconds": {"type"} for end in ("started", "finished")}


@pytest.mark.parametrize("spec", METRICS, ids=lambda spec: spec.name)
def test_names_follow_the_conventions(spec):
    prefix = "mssql_ekm" if spec.scope is SeriesScope.SQL_SERVER else "ekm"
    assert re.fullmatch(rf"{prefix}_[a-z_]+", spec.name)
    assert spec.name.endswith("_total") == (spec.kind is MetricType.COUNTER)
    assert spec.name.endswith("_info") == (spec.kind is MetricType.INFO)
    assert not spec.name.endswith(("_count", "_sum", "_bucket", "_created"))
    assert bool(spec.buckets) == (spec.kind is MetricType.HISTOGRAM)
    assert spec.buckets == tuple(sorted(spec.buckets))
    assert set(spec.own).isdisjoint(
        {"job", "instance", "le", "type", *BASE_LABELS[spec.scope]} - OF_BACKUPS.get(spec.name, set())
    )


def test_metric_names_are_unique():
    assert len(BY_NAME) == len(EVERY)


@pytest.mark.parametrize("spec", EVERY, ids=lambda spec: spec.name)
def test_help_stands_alone_and_ends_with_the_retention(spec):
    assert not re.match(r"(It|When it|Those|Of the)\b", spec.help)
    assert spec.help_text.endswith(spec.retention.value)
    assert len(spec.help) > 10
    assert spec.help.endswith(".")
    assert not set(spec.help_text) & set('"\\\n')


def test_histogram_own_labels_sort_before_the_shared_ones():
    for spec in METRICS:
        if spec.kind is MetricType.HISTOGRAM and spec.scope is not SeriesScope.EXPORTER:
            assert max(("le", *spec.own)) < min(BASE_LABELS[spec.scope])


def test_alerted_codes_are_classic_and_observable():
    for code, steps in COUNTED:
        assert BY_CODE[code].observable
        assert BY_CODE[code].generation in ("classic", "both")
        assert len(set(steps)) == len(steps) > 0


def test_scrape_has_help_and_type_of_each_exporter_family():
    recorder = a_recorder(a_target())
    recorder.watch_state(lambda: True)
    text = scrape(recorder).decode()
    for spec in METRICS:
        if spec.scope is SeriesScope.EXPORTER:
            assert f"# HELP {spec.name} {spec.help_text}\n# TYPE {spec.name} {spec.type}\n" in text


def test_metrics_page_describes_every_metric_once():
    text = DOCUMENT.read_text(encoding="utf-8")
    for spec in EVERY:
        assert text.count(f"### `{spec.name}`\n") == 1
        assert spec.help in text


def test_example_queries_use_known_metrics_and_labels():
    names = {spec.name for spec in EVERY}
    for name, example in EXAMPLES.items():
        assert name in names
        for used in re.findall(r"\b(?:mssql_)?ekm_[a-z_]+", example):
            assert used.removesuffix("_bucket") in names, example


ENDPOINT = {"endpoint": "e:443", "server_time": START, "certificate": certificate()}
OLD, OLDER = "0" * 32, "1" * 32


def retained(version, vault="contoso.vault.azure.net"):
    return Retained(key_name="ContosoRSAKey0", key_version=version, vault=vault, credential="sql-prod")


def of_the_fullest(*failures, known=None, expect=ExpectPath.ANY, level=Level.FULL, **declared):
    """Return the families of a fully known target, counted by their series; `failures` replace steps."""
    target = a_target(labels={"team": "dba"}, **declared)
    config = a_config(
        target, credentials=(a_credential(), a_credential("staged")), modules=(Module(name="default", expect_path=expect),)
    )
    recorder = a_recorder(config=config, level=level)
    report = a_report(
        steps=[
            ok(Step.CHALLENGE, vault=headers(), phases=CONNECTED, **ENDPOINT),
            ok(Step.TOKEN, phases=CONNECTED, **ENDPOINT),
            *failures,
        ],
        ready=True,
        key=a_key(expires=START, not_before=START),
        tenant="11111111-2222-3333-4444-555555555555",
    )
    facts = {"last_success_at": START, "next_probe_at": START, "newest_version": VERSION}
    probed(recorder, report, **(facts | (known or {})))
    names = [name for name, *labels in series(scrape(recorder)) if ("target", "t") in labels]
    suffixes = ("_bucket", "_count", "_sum")
    return Counter(
        next((name.removesuffix(each) for each in suffixes if name.endswith("duration_seconds" + each)), name) for name in names
    )


@pytest.mark.parametrize("level", Level)
def test_native_histograms_leave_one_series_per_step(level):
    text, native = of_a_healthy_target(level), of_a_healthy_target(level, native=True)
    histogram = "ekm_step_duration_seconds"
    assert native == text | {histogram: len(Step)}


@pytest.mark.parametrize("level", Level)
def test_series_of_a_healthy_target_match_the_documentation(level):
    assert of_the_fullest(level=level) == of_a_healthy_target(level)


def test_a_failure_adds_its_info_and_its_retry_after():
    refusal = failed(Step.WRAP_KEY, 3011, Reason.THROTTLED, status=429, retry_after_seconds=5.0)
    assert of_the_fullest(refusal) - of_the_fullest() == Counter(
        ["ekm_last_failure_info", "ekm_failure_action_info", "ekm_failure_cause_info", "ekm_retry_after_seconds"]
    )


def test_a_deleted_key_has_fewer_series_than_a_healthy_one():
    gone = failed(Step.GET_KEY, 3076, Reason.KEY_SOFT_DELETED, status=404)
    found = of_the_fullest(gone, known={"purge_at": START})
    assert "ekm_key_scheduled_purge_timestamp_seconds" in found
    assert sum(found.values()) < sum(of_the_fullest().values())


BOTH = ({"sql_instance": "SQLPRD01"}, {"sql_instance": "SQLPRD02"})
RECOVERED = {
    "auxiliary": by_identity(an_auxiliary_result(AuxiliaryKind.RECOVERY, "dr.vault.azure.net", vault="dr.vault.azure.net")),
    "proof_at": START,
}


@pytest.mark.parametrize(
    ("what", "times", "changes"),
    [
        ("each SQL Server in `instances`", 2, {"instances": BOTH}),
        (
            "each key version in `retained_versions`",
            2,
            {
                "retained_versions": (retained(OLD), retained(OLDER)),
                "known": {
                    "auxiliary": by_identity(
                        *(an_auxiliary_result(AuxiliaryKind.RETAINED, f"ContosoRSAKey0/{version}") for version in (OLD, OLDER))
                    )
                },
            },
        ),
        (
            "`next_credential`",
            1,
            {
                "next_credential": "staged",
                "known": {"auxiliary": by_identity(an_auxiliary_result(AuxiliaryKind.NEXT, "staged", credential="staged"))},
            },
        ),
        ("`recovery_vault`", 1, {"recovery_vault": "dr.vault.azure.net", "known": RECOVERED}),
        ("`backup_on`", 1, {"backup_on": date(2026, 1, 1)}),
        ("`expect_path` of the module", 1, {"expect": ExpectPath.PRIVATE}),
    ],
)
def test_series_of_declarations_match_the_documentation(what, times, changes):
    assert of_the_fullest(**changes) - of_the_fullest() == Counter(dict.fromkeys(OF_DECLARATIONS[what], times))


def test_every_family_of_a_target_is_counted():
    declared = {name for names in OF_DECLARATIONS.values() for name in names}
    assert {spec.name for spec in TARGET_METRICS} == {*of_a_healthy_target(Level.FULL), *OF_FAILURES, *OF_CHECKS, *declared}

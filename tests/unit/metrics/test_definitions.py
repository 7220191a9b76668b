"""The table of metrics keeps the conventions, is recorded in full and is what the documentation shows."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from docs.generators.metrics import EXAMPLES
from exporter.knowledge.codes import BY_CODE
from exporter.metrics.families import BY_NAME, METRICS, PROBE_METRICS
from exporter.metrics.target_families import BASE_LABELS, COUNTED, MetricType, SeriesScope
from tests.support.metric_factories import a_recorder, a_target, scrape

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

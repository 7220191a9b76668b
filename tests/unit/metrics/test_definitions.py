"""The table of metrics keeps the conventions, is recorded in full and is what the documentation shows."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from docs.generators.metrics import EXAMPLES, document
from exporter.core.codes import BY_CODE
from exporter.metrics.definitions import ALERTED, BY_NAME, METRICS, OF_PROBE
from exporter.metrics.spec import BASE_LABELS, MetricType, Scope
from tests.support.metric_factories import a_recorder, a_target, scrape

DOCUMENT = Path(__file__).parents[3] / "docs" / "metrics.md"
EVERY = (*METRICS, *OF_PROBE)


@pytest.mark.parametrize("spec", METRICS, ids=lambda spec: spec.name)
def test_names_follow_the_conventions(spec):
    assert re.fullmatch(r"ekm_[a-z_]+", spec.name)
    assert spec.name.endswith("_total") == (spec.kind is MetricType.COUNTER)
    assert spec.name.endswith("_info") == (spec.kind is MetricType.INFO)
    assert not spec.name.endswith(("_count", "_sum", "_bucket", "_created"))
    assert bool(spec.buckets) == (spec.kind is MetricType.HISTOGRAM)
    assert spec.buckets == tuple(sorted(spec.buckets))
    assert set(spec.own).isdisjoint({"job", "instance", "le", "type", *BASE_LABELS[spec.scope]})


def test_no_name_stands_twice():
    assert len(BY_NAME) == len(EVERY)


@pytest.mark.parametrize("spec", EVERY, ids=lambda spec: spec.name)
def test_help_says_where_the_value_comes_from_and_how_long_it_lasts(spec):
    assert spec.help_text.endswith(spec.memory.value)
    assert len(spec.help) > 10
    assert spec.help.endswith(".")
    assert not set(spec.help_text) & set('"\\\n')


def test_a_histograms_labels_come_before_those_all_its_series_share():
    for spec in METRICS:
        if spec.kind is MetricType.HISTOGRAM and spec.scope is not Scope.EXPORTER:
            assert max(("le", *spec.own)) < min(BASE_LABELS[spec.scope])


def test_the_codes_that_alerts_name_are_classic_ones_that_a_probe_can_see():
    for code, steps in ALERTED:
        assert BY_CODE[code].observable
        assert BY_CODE[code].generation in ("classic", "both")
        assert len(set(steps)) == len(steps) > 0


def test_a_scrape_has_the_exporters_families_with_type_and_help_of_the_table():
    text = scrape(a_recorder(a_target())).decode()

    for spec in METRICS:
        if spec.scope is Scope.EXPORTER:
            assert f"# HELP {spec.name} {spec.help_text}\n# TYPE {spec.name} {spec.type}\n" in text


def test_the_documentation_is_up_to_date():
    assert DOCUMENT.read_text(encoding="utf-8") == document(), "run: python -m docs.generators.metrics > docs/metrics.md"


def test_the_documentation_describes_every_metric_once():
    text = document()

    for spec in EVERY:
        assert text.count(f"### `{spec.name}`\n") == 1
        assert spec.help in text


def test_an_example_names_a_metric_of_the_table_and_only_its_labels():
    names = {spec.name for spec in EVERY}
    for name, example in EXAMPLES.items():
        assert name in names
        for used in re.findall(r"\bekm_[a-z_]+", example):
            assert used.removesuffix("_bucket") in names, example

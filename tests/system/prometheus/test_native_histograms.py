"""Prometheus stores native histograms and start times from protobuf, and the values of text."""

from __future__ import annotations

import re
import time
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from docs.generators.cardinality import most_series
from exporter.core.values import Step
from exporter.metrics.spec import Level
from tests.support.metric_factories import CONNECTED, a_config, a_key, a_recorder, a_report, a_target, add, headers, ok, probed
from tests.support.web_server import Service, serving
from tests.system.dashboards.boards import by_name
from tests.system.prometheus.servers import Prometheus, major_version, prometheus_of

pytestmark = [pytest.mark.real, pytest.mark.asyncio(loop_scope="module")]

SCRAPES = """\
global: {{scrape_interval: 1s, scrape_timeout: 900ms}}
scrape_configs:
  - {{job_name: native, static_configs: [{{targets: ["{exporter}"]}}]}}
  - {{job_name: both, {classic}: true, static_configs: [{{targets: ["{exporter}"]}}]}}
  - {{job_name: text, scrape_protocols: [PrometheusText0.0.4], static_configs: [{{targets: ["{exporter}"]}}]}}
"""
FEATURES = "--enable-feature=native-histograms,created-timestamp-zero-ingestion"
CLASSIC = {2: "scrape_classic_histograms", 3: "always_scrape_classic_histograms"}  # by the major version of Prometheus
STEPS = "ekm_step_duration_seconds"
# Nine in ten probes take 20 ms a step, the others 2 s.
DURATIONS = (*[0.02] * 90, *[2.0] * 10)
SERIES_OF_A_TARGET = 60
# Queries of dashboards, with the seconds that they show.
LATENCY = {
    "ekm-vault: Step latency: A": 0.02,
    "ekm-vault: Step latency: C": 2.0,
    "ekm-exporter: Schedule lag: B": 2.0,
}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def prometheus(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Prometheus]:
    """A Prometheus that scrapes the same metrics, which never change, in three ways."""
    async with serving(unchanging()) as session:
        url = session._base_url
        scrapes = SCRAPES.format(exporter=f"{url.host}:{url.port}", classic=CLASSIC[major_version()])
        async with prometheus_of(tmp_path_factory.mktemp("native"), scrapes, FEATURES) as started:
            yield started


def unchanging() -> Service:
    config = a_config(a_target())
    service = Service(config)
    recorder = service.recorder = a_recorder(config=config, level=Level.DEFAULT)
    now = time.time()
    recorder.forget("t")
    add(recorder, a_target(), now=now)
    for seconds in DURATIONS:
        steps = [ok(step, duration=seconds) for step in Step if step is not Step.CHALLENGE]
        challenge = ok(Step.CHALLENGE, duration=seconds, vault=headers(), phases=CONNECTED)
        probed(recorder, a_report(steps=[challenge, *steps], started_at=now, ready=True, key=a_key()), newest_version="1" * 32)
        recorder.schedule_lag(seconds)
    return service


def without_rates(expression: str) -> str:
    """Return the expression for histograms as they are, because nothing increases here."""
    return re.sub(r"(?:rate|increase)\((\w+\{[^}]*\})\[\w+\]\)", r"\1", expression)


async def values(prometheus: Prometheus, expression: str) -> dict[tuple[tuple[str, str], ...], float]:
    """Return the series of an expression without job and instance, once it has any."""
    result = await prometheus.eventually(expression, bool)
    return {
        tuple(sorted((name, label) for name, label in one["metric"].items() if name not in ("job", "instance"))): float(
            one["value"][1]
        )
        for one in result
    }


async def test_gauges_and_counters_equal_those_of_text(prometheus):
    counted = '{job="%s",__name__=~"ekm_.+",__name__!~".+_(bucket|count|sum)|ekm_.+duration_seconds|ekm_exporter_schedule_lag.+"}'
    text = await values(prometheus, counted % "text")
    assert await values(prometheus, counted % "native") == text
    assert len(text) > 100


@pytest.mark.parametrize("name", [STEPS, "ekm_exporter_schedule_lag_seconds"])
async def test_native_histograms_have_count_and_sum_of_text(prometheus, name):
    for part in ("count", "sum"):
        native = await values(prometheus, f'histogram_{part}({name}{{job="native"}})')
        text = await values(prometheus, f'sum without (__name__) ({name}_{part}{{job="text"}})')
        assert native == pytest.approx(text)
        wanted = len(DURATIONS) if part == "count" else sum(DURATIONS)
        assert all(value == pytest.approx(wanted) for value in native.values())


@pytest.mark.parametrize(("quantile", "seconds"), [(0.5, 0.02), (0.95, 2.0)])
async def test_quantiles_of_native_histograms_are_within_a_bucket(prometheus, quantile, seconds):
    native = await values(prometheus, f'histogram_quantile({quantile}, {STEPS}{{job="native"}})')
    assert list(native.values()) == [pytest.approx(seconds, rel=0.09)] * len(Step)


@pytest.mark.parametrize("query", LATENCY)
@pytest.mark.parametrize("job", ["native", "both", "text"])
async def test_dashboards_show_latency_of_either_kind(prometheus, query, job):
    (shown,) = (await values(prometheus, without_rates(by_name(query).filled(job=job)))).values()
    assert shown == pytest.approx(LATENCY[query], rel=0.09) if job != "text" else 0.01 < shown < 5


@pytest.mark.parametrize(("job", "buckets"), [("native", False), ("both", False), ("text", True)])
async def test_the_heatmap_has_one_kind_of_histogram(prometheus, job, buckets):
    found = await prometheus.eventually(without_rates(by_name("ekm-vault: Step durations: A").filled(job=job)), bool)
    assert ["le" in one["metric"] for one in found] == ([True] * 6 if buckets else [False])


async def test_a_target_has_at_most_60_series(prometheus):
    of_the_target = 'count({job="%s",target="t"})'
    (text,) = (await values(prometheus, of_the_target % "text")).values()
    (native,) = (await values(prometheus, of_the_target % "native")).values()
    (both,) = (await values(prometheus, of_the_target % "both")).values()
    assert native <= SERIES_OF_A_TARGET < text <= most_series(Level.DEFAULT)
    assert both == text + len(Step)


async def test_start_times_count_the_first_increase(prometheus):
    """Every probe happened before the first scrape: without a start time, Prometheus sees no increase."""
    increase = 'increase(ekm_probes_total{job="%s"}[1m]) > 0'
    (counted,) = (await values(prometheus, increase % "native")).values()
    assert counted == pytest.approx(len(DURATIONS), rel=0.5)
    assert await prometheus.query(increase % "text") == []

"""The configurations of docs/from-blackbox.md work with a real Prometheus."""

import json
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
import yaml

from alerts import build
from exporter.metrics.families import METRICS, PROBE_METRICS
from tests.system.prometheus.servers import Prometheus, demo, fetch, prometheus_of

pytestmark = [pytest.mark.real, pytest.mark.asyncio(loop_scope="module")]

PAGE = (Path(__file__).parents[3] / "docs" / "from-blackbox.md").read_text()
[CONFIGURATION] = re.findall(r"```yaml\n(scrape_configs:.*?)```", PAGE, re.DOTALL)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def exporter(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[str]:
    ready = {"page": "/-/ready", "good": lambda text: text == "Ready\n"}
    async with demo(tmp_path_factory.mktemp("demo"), "--no-scheduler", **ready) as address:
        yield address


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def prometheus(exporter: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Prometheus]:
    """A Prometheus with the configuration of the page, which has both jobs, and the alert rules."""
    config = "global: {scrape_interval: 1s}\n" + CONFIGURATION.replace("exporter:10377", exporter)
    async with prometheus_of(tmp_path_factory.mktemp("prometheus"), f"{config}\nrule_files: [{build.RULES}]\n") as started:
        yield started


async def test_probe_results_join_with_counters_of_each_target(prometheus, exporter):
    result = await prometheus.eventually('ekm_probe_success{job="ekm"}', lambda result: len(result) == 11)
    assert {series["metric"]["instance"] for series in result} == {exporter}
    assert {"0", "1"} == {series["value"][1] for series in result}
    joined = "ekm_probes_total * on (job, instance, target) group_left (credential) ekm_target_info"
    await prometheus.eventually(joined, lambda result: len(result) == 11)
    assert await prometheus.query('{exporter!="",__name__=~"ekm_.+"}') == []


async def test_each_target_is_a_separate_instance(prometheus):
    for metric in ("up", "probe_success"):
        result = await prometheus.eventually(f'{metric}{{job="ekm-probe"}}', lambda result: len(result) == 11)
        assert instances(result) == 11


def instances(result: list[dict[str, dict[str, str]]]) -> int:
    return len({series["metric"]["instance"] for series in result})


async def test_requested_probes_are_counted_by_the_other_job(prometheus, exporter):
    await prometheus.eventually('ekm_errors_total{job="ekm", target="payroll-runs", code="3303"} > 0', bool)
    await prometheus.eventually('count(ekm_probes_total{job="ekm"} > 0)', lambda result: result and result[0]["value"][1] == "11")
    assert "\nekm_probe_success{" not in await fetch(f"http://{exporter}/metrics")


def expression(alert: str) -> str:
    rules = [rule for group in yaml.safe_load(build.RULES.read_text())["groups"] for rule in group["rules"]]
    return next(rule["expr"] for rule in rules if rule.get("alert") == alert)


async def test_three_unready_requested_probes_fire_the_alert(prometheus):
    runs = await prometheus.eventually("ekm_consecutive_unready_probes >= 3", lambda result: "payroll-runs" in targets(result))
    assert all(series["metric"]["job"] == "ekm" for series in runs)
    page = expression("EkmCredentialExpired")  # the secret of payroll-runs
    await prometheus.eventually(page, bool)


def targets(result: list[dict[str, Any]]) -> set[str]:
    return {series["metric"]["target"] for series in result}


async def test_every_metric_of_the_page_has_series(prometheus):
    named = set(re.findall(r"`(ekm_\w+)", PAGE))
    assert len(named) >= 13
    only_probe = {spec.name for spec in PROBE_METRICS}  # in the response of /probe, which no job of this test scrapes
    assert named <= {spec.name for spec in METRICS} | only_probe
    await prometheus.eventually("ekm_last_failure_info", bool)
    known = set(json.loads(await fetch(f"{prometheus.url}/api/v1/label/__name__/values"))["data"])
    assert named - only_probe - known == set()

"""A real Prometheus scrapes the exporter without an error and answers common queries."""

import asyncio
import json

import pytest

from exporter.core.names import cloud_of
from tests.system.prometheus.servers import answered, fetch

pytestmark = [pytest.mark.real, pytest.mark.asyncio(loop_scope="module")]

CODES = {"3303", "3900", "3077", "3113", "3011"}


def labels(result, name):
    return {series["metric"].get(name) for series in result}


async def test_scrape_succeeds_without_an_error(prometheus):
    await prometheus.eventually('up{job="ekm"} == 1', bool)
    targets = json.loads(await fetch(f"{prometheus.url}/api/v1/targets"))["data"]["activeTargets"]
    assert {target["lastError"] for target in targets if target["scrapePool"] == "ekm"} == {""}


async def test_labels_of_a_target_win_over_those_of_the_scrape_job(prometheus):
    result = await prometheus.eventually('ekm_target_info{job="ekm"}', bool)
    assert (labels(result, "env"), labels(result, "team")) == ({"prod"}, {"dba"})
    assert labels(await prometheus.query('up{job="ekm"}'), "env") == {"test"}


async def test_healthy_and_failing_vaults_differ(prometheus):
    result = await prometheus.eventually(
        "ekm_probe_success", lambda result: {"0", "1"} <= {series["value"][1] for series in result}
    )
    assert len(labels(result, "target")) >= 5
    assert all(cloud_of(host) is not None for host in labels(result, "vault")), "not full host names in lower case"


async def test_connector_codes_can_be_queried(prometheus):
    await prometheus.eventually(
        "count by (code) (max_over_time(ekm_last_failure_info[2m]))", lambda result: labels(result, "code") >= CODES
    )


async def test_error_counter_exists_early_and_joins_with_its_text(prometheus):
    joined = (
        "sum by (code) (ekm_errors_total) * on (code) group_left (symbol, action) max by (code, symbol, action) (ekm_error_info)"
    )
    result = await prometheus.eventually(joined, lambda result: labels(result, "code") >= {"3011", "3077", "3303", "3900"})
    assert all(series["metric"]["symbol"] and series["metric"]["action"] for series in result)


async def test_histogram_has_quantiles_per_step(prometheus):
    await prometheus.eventually(
        "histogram_quantile(0.9, sum by (le, step) (rate(ekm_step_duration_seconds_bucket[30s]))) > 0",
        lambda result: labels(result, "step") == {"challenge", "token", "get_key", "wrap_key", "unwrap_key"},
    )


async def test_promtool_accepts_the_live_metrics(exporter):
    text = await answered(f"http://{exporter}/metrics", lambda text: "ekm_last_failure_info{" in text)
    promtool = await asyncio.create_subprocess_exec(
        "promtool",
        "check",
        "metrics",
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output, _ = await promtool.communicate(text.encode())
    assert (promtool.returncode, output.decode()) == (0, "")

"""Two exporters share the targets, by the hash of a real Prometheus."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
import pytest_asyncio

from tests.system.prometheus.servers import Prometheus, demo, prometheus_of

pytestmark = [pytest.mark.real, pytest.mark.asyncio(loop_scope="module")]

HASHED = (Path(__file__).parents[3] / "deploy" / "prometheus" / "ekm-probe.yml").read_text()
ALL = 11


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def exporters(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[list[str]]:
    async with AsyncExitStack() as stack:
        demos = [demo(tmp_path_factory.mktemp(name), "--no-scheduler", page="/-/healthy", good=bool) for name in "ab"]
        yield [await stack.enter_async_context(one) for one in demos]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def prometheus(exporters: list[str], tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Prometheus]:
    config = HASHED.replace("exporter-a:10377", exporters[0]).replace("exporter-b:10377", exporters[1])
    async with prometheus_of(tmp_path_factory.mktemp("prometheus"), "global: {scrape_interval: 1s}\n" + config) as started:
        yield started


async def test_each_target_is_probed_by_one_exporter(prometheus, exporters):
    shown = await prometheus.eventually('ekm_probe_success{job="ekm"}', lambda result: len(result) == ALL)
    assert len({series["metric"]["target"] for series in shown}) == ALL
    assert {series["metric"]["instance"] for series in shown} == set(exporters)


async def test_target_counters_move_on_its_exporter_only(prometheus):
    await prometheus.eventually("count(ekm_probes_total > 0)", lambda result: result and result[0]["value"][1] == str(ALL))
    joined = "(ekm_probes_total > 0) and on (instance, target) ekm_probe_success"
    assert len(await prometheus.query(joined)) == ALL

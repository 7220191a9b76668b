"""VictoriaMetrics scrapes an exporter, histograms included."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from exporter.core.values import Step
from exporter.metrics.families import BY_NAME
from tests.support.web_server import Service, serving
from tests.system.prometheus.servers import Prometheus, free_port, started

pytestmark = [pytest.mark.real, pytest.mark.asyncio(loop_scope="module")]

STEPS = "ekm_step_duration_seconds"
SCRAPES = """\
global: {{scrape_interval: 1s, scrape_timeout: 900ms}}
scrape_configs:
  - {{job_name: ekm, static_configs: [{{targets: ["{exporter}"]}}]}}
"""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def victoria_metrics(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Prometheus]:
    place, address = tmp_path_factory.mktemp("victoria"), f"127.0.0.1:{free_port()}"
    async with serving(Service()) as session:
        url = session._base_url
        (place / "scrapes.yml").write_text(SCRAPES.format(exporter=f"{url.host}:{url.port}"))
        flags = [f"-promscrape.config={place}/scrapes.yml", f"-storageDataPath={place}/data", f"-httpListenAddr={address}"]
        command = ("victoria-metrics", *flags, "-search.latencyOffset=0s")
        async with started(place / "log", f"http://{address}/health", *command):
            yield Prometheus(f"http://{address}")


async def test_every_bucket_is_stored(victoria_metrics):
    buckets = len(BY_NAME[STEPS].buckets) + 1
    assert len(await victoria_metrics.eventually(f"{STEPS}_bucket", bool)) == len(Step) * buckets

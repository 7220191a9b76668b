"""VictoriaMetrics, which has no native histograms, scrapes text."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.support.web_server import serving
from tests.system.prometheus.servers import Prometheus, free_port, started
from tests.system.prometheus.test_native_histograms import STEPS, unchanging, values

pytestmark = [pytest.mark.real, pytest.mark.asyncio(loop_scope="module")]

SCRAPES = """\
global: {{scrape_interval: 1s, scrape_timeout: 900ms}}
scrape_configs:
  - {{job_name: ekm, static_configs: [{{targets: ["{exporter}"]}}]}}
"""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def victoria_metrics(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Prometheus]:
    place, address = tmp_path_factory.mktemp("victoria"), f"127.0.0.1:{free_port()}"
    async with serving(unchanging()) as session:
        url = session._base_url
        (place / "scrapes.yml").write_text(SCRAPES.format(exporter=f"{url.host}:{url.port}"))
        flags = [f"-promscrape.config={place}/scrapes.yml", f"-storageDataPath={place}/data", f"-httpListenAddr={address}"]
        command = ("victoria-metrics", *flags, "-search.latencyOffset=0s")
        async with started(place / "log", f"http://{address}/health", *command):
            yield Prometheus(f"http://{address}")


async def test_no_native_histogram_is_stored(victoria_metrics):
    """It does not request protobuf, so the exporter sends text, in which every histogram is classic."""
    await values(victoria_metrics, f"{STEPS}_bucket")
    assert await victoria_metrics.query(f'{{__name__=~"{STEPS}|ekm_exporter_schedule_lag_seconds"}}') == []

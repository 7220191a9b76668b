"""A running demo and a real Prometheus that scrapes it."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.system.prometheus.servers import Prometheus, demo, prometheus_of

SCRAPES = """\
global: {{scrape_interval: 1s, scrape_timeout: 900ms}}
scrape_configs:
  - job_name: ekm
    static_configs: [{{targets: ["{exporter}"]}}]
  - job_name: ekm-probe
    metrics_path: /probe
    scrape_interval: 6s
    scrape_timeout: 5s
    params: {{target: [billing-invoices]}}
    static_configs: [{{targets: ["{exporter}"]}}]
"""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def exporter(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[str]:
    async with demo(tmp_path_factory.mktemp("demo")) as address:
        yield address


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def prometheus(exporter: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Prometheus]:
    async with prometheus_of(tmp_path_factory.mktemp("prometheus"), SCRAPES.format(exporter=exporter)) as started:
        yield started

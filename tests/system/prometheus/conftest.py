"""A running demo and a real Prometheus that scrapes it."""

import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
import yaml

from tests.system.prometheus.servers import Prometheus, demo, prometheus_of

ROOT = Path(__file__).parents[3]
SCRAPES = """\
global: {{scrape_interval: 1s, scrape_timeout: 900ms}}
scrape_configs:
  - {shipped}
"""


def shipped(exporter: str) -> str:
    """Return the shipped scrape job, with labels that the targets of the demo have too."""
    [job] = yaml.safe_load((ROOT / "deploy" / "prometheus" / "prometheus.yml").read_text())["scrape_configs"]
    return json.dumps(job | {"static_configs": [{"targets": [exporter], "labels": {"env": "test", "team": "web"}}]})


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def exporter(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[str]:
    async with demo(tmp_path_factory.mktemp("demo")) as address:
        yield address


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def prometheus(exporter: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Prometheus]:
    async with prometheus_of(
        tmp_path_factory.mktemp("prometheus"), SCRAPES.format(exporter=exporter, shipped=shipped(exporter))
    ) as started:
        yield started

"""A running demo and a real Prometheus that scrapes it."""

import json
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
import yaml

from tests.system.prometheus.servers import Prometheus, answered, free_port, running

ROOT = Path(__file__).parents[3]
SCRAPES = """\
global: {{scrape_interval: 1s, scrape_timeout: 900ms}}
scrape_configs:
  - {shipped}
  - job_name: ekm-probe
    metrics_path: /probe
    scrape_interval: 6s
    scrape_timeout: 5s
    params: {{target: [billing-invoices]}}
    static_configs: [{{targets: ["{exporter}"]}}]
"""


def shipped(exporter: str) -> str:
    """Return the shipped scrape job, with labels that the targets of the demo have too."""
    [job] = yaml.safe_load((ROOT / "deploy" / "prometheus" / "prometheus.yml").read_text())["scrape_configs"]
    return json.dumps(job | {"static_configs": [{"targets": [exporter], "labels": {"env": "test", "team": "web"}}]})


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def exporter(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[str]:
    """The address of `ekm-exporter demo`."""
    place, address = tmp_path_factory.mktemp("demo"), f"127.0.0.1:{free_port()}"
    command = [sys.executable, "-m", "exporter", "demo", "--web.listen-address", address]
    async with running(place / "log", *command, environment={"TMPDIR": str(place)}):
        try:
            await answered(f"http://{address}/metrics", lambda text: "ekm_probe_success{" in text, seconds=30)
        except TimeoutError:
            pytest.fail((place / "log").read_text())
        yield address


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def prometheus(exporter: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Prometheus]:
    place, address = tmp_path_factory.mktemp("prometheus"), f"127.0.0.1:{free_port()}"
    (place / "prometheus.yml").write_text(SCRAPES.format(exporter=exporter, shipped=shipped(exporter)))
    flags = [f"--config.file={place}/prometheus.yml", f"--storage.tsdb.path={place}/data", f"--web.listen-address={address}"]
    async with running(place / "log", "prometheus", *flags):
        try:
            await answered(f"http://{address}/-/ready", lambda _: True, seconds=20)
        except TimeoutError:
            pytest.fail((place / "log").read_text())
        yield Prometheus(f"http://{address}")

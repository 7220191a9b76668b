"""A real Alertmanager with the example configuration, faster by one factor, and stand-ins for its receivers."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest_asyncio

from tests.system.alerts.alertmanager.rendering import Endpoints, write_config
from tests.system.alerts.alertmanager.server import Alertmanager, listening
from tests.system.prometheus.servers import free_port, started

DIVISOR = 100  # a page waits 300 ms for its common cause, and a group sends changes every 3 s


@pytest_asyncio.fixture
async def alertmanager(tmp_path: Path) -> AsyncIterator[Alertmanager]:
    """An Alertmanager for one test alone."""
    made = Alertmanager(f"http://127.0.0.1:{free_port()}")
    async with listening(made.received) as (http, smtp):
        flags = [
            f"--config.file={write_config(tmp_path, Endpoints(http, smtp), divisor=DIVISOR)}",
            f"--storage.path={tmp_path}/data",
            f"--web.listen-address={made.url.removeprefix('http://')}",
            "--cluster.listen-address=",
        ]
        async with started(tmp_path / "log", f"{made.url}/-/ready", "prometheus-alertmanager", *flags):
            yield made

"""A real Alertmanager with the example configuration, faster by one factor, and stand-ins for its receivers."""

import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from tests.system.alerts.alertmanager.rendering import Endpoints, write_config
from tests.system.alerts.alertmanager.server import Alertmanager, listening
from tests.system.prometheus.servers import answered, free_port, running

DIVISOR = 100  # a page waits 300 ms for its common cause, and a group sends changes every 3 s


@contextlib.asynccontextmanager
async def started(place: Path) -> AsyncIterator[Alertmanager]:
    alertmanager = Alertmanager(f"http://127.0.0.1:{free_port()}")
    async with listening(alertmanager.received) as (http, smtp):
        flags = [
            f"--config.file={write_config(place, Endpoints(http, smtp), divisor=DIVISOR)}",
            f"--storage.path={place}/data",
            f"--web.listen-address={alertmanager.url.removeprefix('http://')}",
            "--cluster.listen-address=",
        ]
        async with running(place / "log", "prometheus-alertmanager", *flags):
            try:
                await answered(f"{alertmanager.url}/-/ready", lambda _: True)
            except TimeoutError:
                pytest.fail((place / "log").read_text())
            yield alertmanager


@pytest_asyncio.fixture
async def alertmanager(tmp_path: Path) -> AsyncIterator[Alertmanager]:
    """An Alertmanager for one test alone."""
    async with started(tmp_path) as one:
        yield one

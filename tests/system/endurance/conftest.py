"""Failing proxies, a simulator with the vaults of a fleet, and a client without persistent connections."""

import json
import sys

import aiohttp
import pytest

from tests.system.endurance.fleet import output, simulated
from tests.system.prometheus.servers import running


@pytest.fixture
async def simulator(tmp_path):
    """The configuration of the exporter, and the URL of the management port of the simulator."""
    log = tmp_path / "proxies.log"
    async with running(log, sys.executable, "-m", "tests.system.endurance.proxies"):
        proxies = json.loads(await output(log, r"proxies: (\{.*\})"))
        async with simulated(tmp_path, proxies) as found:
            yield found


@pytest.fixture
async def client():
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(force_close=True)) as session:
        yield session

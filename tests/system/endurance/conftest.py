"""Failing proxies, a simulator with a fleet's vaults, and a client that keeps no connection."""

import json
import sys

import aiohttp
import pytest

from tests.system.endurance.fleet import output, simulated
from tests.system.prometheus.servers import running


@pytest.fixture
async def simulator(tmp_path):
    """The exporter's configuration, and the address of the simulator's management port."""
    log = tmp_path / "proxies.log"
    async with running(log, sys.executable, "-m", "tests.system.endurance.proxies"):
        proxies = json.loads(await output(log, r"proxies: (\{.*\})"))
        async with simulated(tmp_path, proxies) as found:
            yield found


@pytest.fixture
async def client():
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(force_close=True)) as session:
        yield session

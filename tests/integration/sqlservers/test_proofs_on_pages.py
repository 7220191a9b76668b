"""A whole running exporter shows on the page of a target what a simulated SQL Server proved; test_stories.py has what goes wrong."""

import asyncio
import contextlib
import re
from dataclasses import replace

import pytest
from aiohttp import ClientSession

from exporter.config.settings import SecretSource, Settings, SqlServer
from exporter.simulator.build import build_environment, redirect_config
from exporter.simulator.simulator import Simulator
from tests.support.factories import with_sql_servers
from tests.support.patience import PATIENCE
from tests.support.running import a_service
from tests.support.simulated_sql import CONFIG, FIRST, configuration
from tests.support.web_server import get, words
from tests.support.written import write_private

WITH_TENANT = CONFIG.replace(
    "type: connector_secret,", "type: connector_secret, tenant_id: 11111111-2222-3333-4444-555555555555,"
)
EVERY = 0.5  # seconds between two readings


@pytest.fixture
async def simulator(tmp_path):
    async with Simulator(build_environment(configuration(tmp_path, WITH_TENANT)), sql_port=0) as running:
        yield running


@contextlib.asynccontextmanager
async def pages_of(folder, simulator):
    """Yield a client of an exporter that reads the first SQL Server."""
    ca, password = folder / "ca.pem", folder / "sql-password"
    ca.write_bytes(simulator.ca_pem)
    write_private(password, simulator.sql.password)
    address = f"localhost,{simulator.sql.ports[FIRST]}"
    server = SqlServer(address=address, user="ekm", password=SecretSource(file=password), ca_file=ca)
    config = replace(redirect_config(simulator, configuration(folder, WITH_TENANT), ca), settings=Settings(sql_interval=EVERY))
    service = a_service(with_sql_servers(config, server))
    try:
        await service.start()
        async with ClientSession(service._web.urls[0]) as session:
            yield session
    finally:
        await service.stop()


async def shown(session, *patterns, path="/targets/sales"):
    """Wait until a page shows every pattern, and return its text."""
    text = ""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(PATIENCE):
            while not all(re.search(each, text) for each in patterns):
                text = words((await get(session, path))[2])
                await asyncio.sleep(0.05)
    assert [each for each in patterns if not re.search(each, text)] == [], text
    return text


async def test_page_shows_last_log_backup_of_a_healthy_day(tmp_path, simulator):
    async with pages_of(tmp_path, simulator) as session:
        text = await shown(
            session, r"vault side ready", r"SQL Server itself, SQLPRD01 on n1: \d+ min ago, \w+ backup of \[\w+\]\."
        )
    assert "SQLPRD01 on n2:" not in text
    assert "present rate" not in text

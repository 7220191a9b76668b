"""The command `run` reads the SQL Servers of its configuration."""

import asyncio

import pytest

from tests.support.patience import PATIENCE


@pytest.fixture
def sql_port():
    return 0


async def test_first_reading_comes_soon_after_the_start(exporter, get, samples):
    running, url = await exporter()
    async with asyncio.timeout(PATIENCE):
        while samples(text := (await get(f"{url}/metrics"))[1], "mssql_ekm_read_success") != [1, 1]:  # noqa: ASYNC110
            await asyncio.sleep(0.25)  # the other process sends no event
    for name, host in (("SQL01", "n1"), ("SQL02", "n2")):
        assert samples(text, "mssql_ekm_provider_enabled", sql_instance=name, host=host) == [1]
    assert samples(text, "ekm_exporter_internal_errors_total") == [0]
    assert await running.stop() == 0
    assert "Traceback" not in running.text
    assert "Warning" not in running.text

"""These tests run in virtual time and must not wait for a thread or a socket."""

import asyncio

import pytest

from tests.support.leaping_loop import monitors, pytest_asyncio_loop_factories  # noqa: F401 - a fixture and a hook
from tests.support.sql_monitors import FakeReader, Recorded, a_config, a_monitor


@pytest.fixture
def reader():
    return FakeReader()


@pytest.fixture
def recorded():
    return Recorded()


@pytest.fixture
def start(reader, recorded, monitors):  # noqa: F811 - the fixture above
    """Start monitors."""

    async def begin(*servers, interval=300.0, wait=None, **more):
        monitors.append(a_monitor(a_config(*servers, interval=interval), reader, recorded, **more))
        await monitors[-1].start()
        if wait is not None:
            await asyncio.sleep(wait)
        return monitors[-1]

    return begin

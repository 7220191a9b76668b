"""These tests run in virtual time and must not wait for a thread or a socket."""

import pytest

from tests.support.leaping_loop import pytest_asyncio_loop_factories
from tests.support.sql_monitors import FakeReader, Recorded, a_config, a_monitor

__all__ = ["pytest_asyncio_loop_factories"]


@pytest.fixture
def reader():
    return FakeReader()


@pytest.fixture
def recorded():
    return Recorded()


@pytest.fixture
async def start(reader, recorded):
    """Start monitors and stop them after the test."""
    started = []

    async def begin(*servers, interval=300.0, **more):
        monitor = a_monitor(a_config(*servers, interval=interval), reader, recorded, **more)
        await monitor.restore()
        monitor.start()
        started.append(monitor)
        return monitor

    yield begin
    for monitor in started:
        await monitor.aclose()

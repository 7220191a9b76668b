"""These tests run in virtual time and must not wait for a thread or a socket."""

import pytest

from tests.support.expiry_fakes import Recorded, Sources, a_config, a_monitor
from tests.support.leaping_loop import pytest_asyncio_loop_factories

__all__ = ["pytest_asyncio_loop_factories"]


@pytest.fixture
def sources():
    return Sources()


@pytest.fixture
def recorded():
    return Recorded()


@pytest.fixture
async def start(sources, recorded):
    """Start monitors and stop them after the test."""
    started = []

    def begin(*credentials, **more):
        monitor = a_monitor(a_config(*credentials), sources, recorded, **more)
        monitor.restore()
        monitor.start()
        started.append(monitor)
        return monitor

    yield begin
    for monitor in started:
        await monitor.aclose()

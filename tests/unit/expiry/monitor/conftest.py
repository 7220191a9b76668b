"""The desk's hours pass in virtual time, as the schedule's do: nothing here may wait for a thread or a socket."""

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
    """Starts desks and stops them after the test."""
    started = []

    def begin(*credentials, **more):
        monitor = a_monitor(a_config(*credentials), sources, recorded, **more)
        monitor.recall()
        monitor.start()
        started.append(monitor)
        return monitor

    yield begin
    for monitor in started:
        await monitor.aclose()

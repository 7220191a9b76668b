"""The desk's hours pass in virtual time, as the schedule's do: nothing here may wait for a thread or a socket."""

import pytest

from tests.support.expiry_fakes import Ears, Sources, a_config, a_desk
from tests.support.leaping_loop import pytest_asyncio_loop_factories

__all__ = ["pytest_asyncio_loop_factories"]


@pytest.fixture
def sources():
    return Sources()


@pytest.fixture
def ears():
    return Ears()


@pytest.fixture
async def start(sources, ears):
    """Starts desks and stops them after the test."""
    started = []

    def begin(*credentials, **more):
        desk = a_desk(a_config(*credentials), sources, ears, **more)
        desk.recall()
        desk.start()
        started.append(desk)
        return desk

    yield begin
    for desk in started:
        await desk.aclose()

"""These tests run in virtual time and must not wait for a thread or a socket."""

import pytest

from tests.support.expiry_fakes import Recorded, Sources, a_config, a_monitor
from tests.support.leaping_loop import monitors, pytest_asyncio_loop_factories  # noqa: F401 - a fixture and a hook


@pytest.fixture
def sources():
    return Sources()


@pytest.fixture
def recorded():
    return Recorded()


@pytest.fixture
def start(sources, recorded, monitors):  # noqa: F811 - the fixture above
    """Start monitors."""

    def begin(*credentials, **more):
        monitors.append(a_monitor(a_config(*credentials), sources, recorded, **more))
        monitors[-1].restore()
        monitors[-1].start()
        return monitors[-1]

    return begin

import pytest

from exporter.simulator import Simulator
from tests.support.simulated_environment import small_environment
from tests.support.simulator_client import Client


@pytest.fixture
async def simulator():
    simulator = Simulator(small_environment())
    await simulator.start()
    yield simulator
    await simulator.stop()


@pytest.fixture
async def client(simulator):
    async with Client(simulator) as client:
        yield client

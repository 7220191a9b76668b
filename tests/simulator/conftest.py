import pytest

from exporter.simulator import Simulator
from tests.simulator.client import Client
from tests.simulator.estates import small_estate


@pytest.fixture
async def simulator():
    simulator = Simulator(small_estate())
    await simulator.start()
    yield simulator
    await simulator.stop()


@pytest.fixture
async def client(simulator):
    async with Client(simulator) as client:
        yield client

import pytest

from exporter.simulator import Simulator
from tests.support.simulated_environment import small_environment
from tests.support.simulator_client import Client


@pytest.fixture
async def simulator():
    async with Simulator(small_environment()) as simulator:
        yield simulator


@pytest.fixture
async def client(simulator):
    async with Client(simulator) as client:
        yield client

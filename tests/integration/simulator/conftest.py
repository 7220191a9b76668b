import pytest
import pytest_asyncio

from exporter.simulator.simulator import Simulator
from tests.support.simulated import ScenarioHarness
from tests.support.simulated_environment import small_environment
from tests.support.simulated_sql import sql_servers
from tests.support.simulator_client import Client


@pytest.fixture
async def simulator():
    async with Simulator(small_environment()) as simulator:
        yield simulator


@pytest.fixture
async def client(simulator):
    async with Client(simulator) as client:
        yield client


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def harness(tmp_path_factory):
    async with ScenarioHarness(tmp_path_factory.mktemp("harness")) as harness:
        yield harness


@pytest.fixture
def cleared(harness):
    """The simulator of the module, whose faults end with the test."""
    yield harness.simulator
    harness.simulator.clear()


@pytest.fixture
async def servers(tmp_path):
    async with sql_servers(tmp_path) as found:
        yield found

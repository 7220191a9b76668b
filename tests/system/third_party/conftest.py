"""One isolated machine with the simulator and both clients, repaired after each test."""

import pytest
import pytest_asyncio

from tests.conftest import clear_foreign_variables
from tests.system.third_party.harness import third_party_clients


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def module_clients(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        clear_foreign_variables(patch)  # both processes inherit the environment
        async with third_party_clients(tmp_path_factory.mktemp("third_party")) as made:
            yield made


@pytest_asyncio.fixture(loop_scope="module")
async def clients(module_clients):
    yield module_clients
    await module_clients.repair()

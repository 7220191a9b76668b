"""One simulator host for all modules, repaired after each test."""

import pytest
import pytest_asyncio

from tests.system.network.harness import ENTRA, HERE, VAULT, simulator_host


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def shared_server(tmp_path_factory):
    async with simulator_host(tmp_path_factory.mktemp("server")) as server:
        yield server


@pytest_asyncio.fixture(loop_scope="session")
async def server(shared_server):
    shared_server.machine.set_hosts({VAULT: HERE, ENTRA: HERE})
    shared_server.machine.set_resolver(HERE)
    yield shared_server
    await shared_server.machine.do("nft flush ruleset", "ip route flush root 192.0.2.0/24")


@pytest.fixture
def machine(server):
    return server.machine

"""A site for each module, and all well on it again after each test."""

import pytest
import pytest_asyncio

from tests.system.network.harness import ENTRA, HERE, VAULT, site_in


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def module_site(tmp_path_factory):
    async with site_in(tmp_path_factory.mktemp("site")) as site:
        yield site


@pytest_asyncio.fixture(loop_scope="module")
async def site(module_site):
    module_site.machine.knows({VAULT: HERE, ENTRA: HERE})
    module_site.machine.requests(HERE)
    yield module_site
    await module_site.machine.do("nft flush ruleset", "ip route flush root 192.0.2.0/24")


@pytest.fixture
def machine(site):
    return site.machine

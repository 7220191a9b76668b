"""A prober with a vault and Entra on loopback."""

import pytest

from tests.support.tls_server import Authority, FakeVault
from tests.unit.probing.harness import Harness


@pytest.fixture(scope="session")
def authority(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("probe-ca"))


@pytest.fixture(scope="session")
def fake_vault():
    return FakeVault()


@pytest.fixture
async def harness(authority, fake_vault, tmp_path):
    started = await Harness(authority, fake_vault, tmp_path).start()
    yield started
    await started.stop()

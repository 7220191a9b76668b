"""A prober with a vault and Entra on loopback."""

import pytest

from tests.unit.probing.harness import Harness


@pytest.fixture
async def harness(authority, fake_vault, tmp_path):
    started = await Harness(authority, fake_vault, tmp_path).start()
    yield started
    await started.stop()

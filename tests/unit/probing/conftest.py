"""A prober with a vault and Entra on loopback, and harnesses of expiry look-ups."""

import pytest

from tests.support.expiry_simulated import expiry_harness, set_up  # noqa: F401 - fixtures
from tests.unit.probing.harness import Harness


@pytest.fixture
async def harness(authority, fake_vault, tmp_path):
    started = await Harness(authority, fake_vault, tmp_path).start()
    yield started
    await started.stop()

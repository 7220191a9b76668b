"""Whole exporters, killed and started again, in a company whose vaults and Entra this very test changes."""

import pytest

from tests.process.conftest import command  # noqa: F401 - a fixture
from tests.story.kinds import KINDS
from tests.story.scene import Scene


@pytest.fixture(params=list(KINDS))
async def scene(request, command, tmp_path):  # noqa: F811
    """One scene for each kind of credential."""
    made = Scene(KINDS[request.param](tmp_path), command, tmp_path)
    await made.simulator.start()
    yield made
    await made.close()

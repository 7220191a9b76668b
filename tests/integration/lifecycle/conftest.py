"""Exporters that are killed and restarted while the test changes vaults and Entra."""

import pytest

from tests.integration.lifecycle.credential_kinds import KINDS
from tests.integration.lifecycle.harness import Harness
from tests.integration.process.conftest import plain_command as command  # noqa: F401 - a fixture


@pytest.fixture(params=list(KINDS))
async def harness(request, command, tmp_path):  # noqa: F811
    """A harness for each kind of credential."""
    made = Harness(KINDS[request.param](tmp_path), command, tmp_path)
    await made.simulator.start()
    yield made
    await made.close()

"""The drill's stage."""

import pytest

from tests.integration.process.conftest import command  # noqa: F401 - a fixture
from tests.system.alerts.drill.conditions import configuration
from tests.system.alerts.drill.harness import set_up


@pytest.fixture
async def stage(command, tmp_path):  # noqa: F811
    async with set_up(tmp_path, command, configuration(tmp_path)) as made:
        yield made

"""The drill's stage."""

import pytest

from tests.alerts.drill.conditions import configuration
from tests.alerts.drill.stage import set_up
from tests.process.conftest import command  # noqa: F401 - a fixture


@pytest.fixture
async def stage(command, tmp_path):  # noqa: F811
    async with set_up(tmp_path, command, configuration(tmp_path)) as made:
        yield made

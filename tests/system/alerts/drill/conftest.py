"""The fixture of the drill."""

import pytest

from tests.integration.process.conftest import command  # noqa: F401 - a fixture
from tests.system.alerts.drill.conditions import configuration
from tests.system.alerts.drill.harness import start_drill


@pytest.fixture
async def drill(command, tmp_path):  # noqa: F811
    async with start_drill(tmp_path, command, configuration(tmp_path)) as made:
        yield made

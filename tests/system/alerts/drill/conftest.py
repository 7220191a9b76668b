"""The drill, played once for all tests of this folder. `pytest -k NAME` plays only the incident NAME."""

import asyncio
import re

import pytest

from tests.conftest import clear_foreign_variables
from tests.system.alerts.drill.incidents import INCIDENTS
from tests.system.alerts.drill.play import play


@pytest.fixture(scope="session")
def played(request, tmp_path_factory):
    names = {name for one in request.session.items for name in re.findall(r"\[(\w+)\]", one.name)}
    with pytest.MonkeyPatch.context() as patch:
        clear_foreign_variables(patch)
        incidents = [one for one in INCIDENTS if one.name in names or not names]
        return asyncio.run(play(tmp_path_factory.mktemp("drill"), incidents))

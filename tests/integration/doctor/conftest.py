import pytest

from tests.support.doctor_simulated import doctor_harness


@pytest.fixture
async def harness(tmp_path):
    async with doctor_harness(tmp_path) as made:
        yield made

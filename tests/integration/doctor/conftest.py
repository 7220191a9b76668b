import pytest

from tests.support.doctor_simulated import clinic_in


@pytest.fixture
async def clinic(tmp_path):
    async with clinic_in(tmp_path) as made:
        yield made

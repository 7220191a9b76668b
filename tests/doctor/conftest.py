import pytest

from tests.doctor.clinic import clinic_in


@pytest.fixture
async def clinic(tmp_path):
    async with clinic_in(tmp_path) as made:
        yield made

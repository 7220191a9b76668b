"""Fixtures of state directories, which a test opens as a new process does."""

import pytest

from exporter.runtime.tasks import DaemonThreadPool
from exporter.state.store import StateFiles


@pytest.fixture
def pool():
    pool = DaemonThreadPool(2, name="test-state")
    yield pool
    pool.close()


@pytest.fixture
def problems():
    return []


@pytest.fixture
def state_dir(tmp_path):
    path = tmp_path / "state"
    path.mkdir(mode=0o700)
    return path


@pytest.fixture
async def open_files(pool, problems):
    """Open a directory, and close it after the test."""
    opened = []

    def opening(folder):
        files = StateFiles(folder, pool=pool, on_problem=problems.append)
        files.open()
        opened.append(files)
        return files

    yield opening
    for files in opened:
        await files.aclose()

"""State directories, and a higher limit of open files, which the attacking clients need."""

import resource

import pytest

from tests.support.state_directory import open_files, pool, problems, state_dir  # noqa: F401 - fixtures


@pytest.fixture(autouse=True)
def many_files():
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (before[1], before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, before)

"""The fixtures of state directories."""

from tests.support.state_directory import open_files, pool, problems, state_dir  # noqa: F401 - fixtures

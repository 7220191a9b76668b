"""Tests in virtual time (see `tests.support.leaping_loop`): they must not wait for a thread or a socket."""

from tests.support.leaping_loop import monitors, pytest_asyncio_loop_factories, rng  # noqa: F401 - a hook and fixtures

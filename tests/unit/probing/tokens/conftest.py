"""Tests in virtual time (see `tests.support.leaping_loop`)."""

from tests.support.leaping_loop import pytest_asyncio_loop_factories, rng  # noqa: F401 - a hook and a fixture

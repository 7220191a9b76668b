"""The event loop of these tests leaps from timer to timer (see `tests.support.leaping_loop`)."""

from tests.support.leaping_loop import pytest_asyncio_loop_factories  # noqa: F401 - a hook

"""An event loop whose clock jumps to the next timer instead of sleeping.

An hour of schedule takes as long as its callbacks, in an order that does not depend on the machine. A test with this loop must
not wait for a thread, a socket or a process: the clock would skip that wait.
"""

from __future__ import annotations

import asyncio
import random
import selectors

import pytest


class _NeverSleeping(selectors.DefaultSelector):
    leapt = 0.0

    def select(self, timeout=None):
        ready = super().select(0)
        if ready:
            return ready
        if timeout is None:
            raise RuntimeError("the test waits for an event that never occurs")
        self.leapt += timeout
        return []


class LeapingLoop(asyncio.SelectorEventLoop):
    def __init__(self) -> None:
        self._clockwork = _NeverSleeping()
        super().__init__(self._clockwork)

    def time(self) -> float:
        return 1000.0 + self._clockwork.leapt

    def stall(self, seconds: float) -> None:
        """Advance the clock, as a callback that computes for that time does."""
        self._clockwork.leapt += seconds


def pytest_asyncio_loop_factories(config, item):  # noqa: ARG001 - the hook's signature
    return {"leaping": LeapingLoop}


@pytest.fixture
async def monitors():
    """Monitors that are stopped after the test."""
    started = []
    yield started
    for monitor in started:
        await monitor.aclose()


@pytest.fixture
def rng():
    return random.Random(20260801)  # noqa: S311 - the same spread in every run

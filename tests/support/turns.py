"""How much is done between two turns of other tasks, counted in function calls, not in time."""

import asyncio
import contextlib
import sys
from types import SimpleNamespace

import pytest

from exporter.runtime import loop

MOST_CALLS = 50_000  # calls and returns: a few milliseconds
SECONDS_PER_CALL = 1e-7


def make_idle(patch):
    """Make each loop that pauses take its turn: what other tasks do takes no time."""
    patch.setattr(loop, "_turn", loop._Turn())
    patch.setattr(loop, "time", SimpleNamespace(thread_time=lambda: 0.0, perf_counter=lambda: 0.0))


@contextlib.asynccontextmanager
async def counted_calls():
    """Yield a list that receives the function calls between each two turns of another task, on a loop that is idle otherwise."""
    calls, found = 0, []

    def count(_frame, _event, _argument):
        nonlocal calls
        calls += 1

    async def others():
        nonlocal calls
        while True:
            calls = 0
            await asyncio.sleep(0)
            found.append(calls)

    busy = asyncio.create_task(others())
    with pytest.MonkeyPatch.context() as patch:
        make_idle(patch)
        sys.setprofile(count)
        try:
            yield found
        finally:
            sys.setprofile(None)
            busy.cancel()


@contextlib.contextmanager
def busy_turns(monkeypatch, seconds):
    """Yield a list that receives the function calls of each slice on a loop whose turns of all others last so many seconds.

    The clocks are counts: a call and a return take `SECONDS_PER_CALL` each.
    """
    calls, began, turns, slices = 0, 0, 0, []

    def count(_frame, _event, _argument):
        nonlocal calls
        calls += 1

    def elapsed():
        nonlocal turns, began
        turns += 1
        if turns % 2:  # the others begin
            slices.append(calls - began)
        began = calls
        return turns * seconds

    worked = SimpleNamespace(thread_time=lambda: calls * SECONDS_PER_CALL, perf_counter=elapsed)
    with monkeypatch.context() as patch:
        patch.setattr(loop, "_turn", loop._Turn())
        patch.setattr(loop, "time", worked)
        sys.setprofile(count)
        try:
            yield slices
        finally:
            sys.setprofile(None)

"""How much is done between two turns of other tasks, counted in function calls, not in time."""

import asyncio
import contextlib
import sys

MOST_CALLS = 50_000  # calls and returns: a few milliseconds


@contextlib.asynccontextmanager
async def counted_calls():
    """Yield a list that receives the function calls between each two turns of another task."""
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
    sys.setprofile(count)
    try:
        yield found
    finally:
        sys.setprofile(None)
        busy.cancel()

"""The clock of the event loop."""

from __future__ import annotations

import asyncio


def loop_time() -> float:
    """Monotonic seconds of the running event loop."""
    return asyncio.get_running_loop().time()

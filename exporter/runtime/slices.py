"""Long loops in slices, so that probes and other tasks run in between."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from typing import TypeVar

T = TypeVar("T")


async def yield_with_pauses(items: Iterable[T], size: int) -> AsyncIterator[T]:
    """Yield the items, and let other tasks run after each `size` of them."""
    for number, item in enumerate(items, 1):
        yield item
        if number % size == 0:
            await asyncio.sleep(0)

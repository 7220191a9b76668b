"""The slots of probes: as many as configured, and fewer while this host is too busy for them.

Probes that start faster than a busy host can finish them all wait for threads and handshakes, and all of them time out.
So half as many run at once after a probe that could not be made, and a few more after each probe that could.
"""

from __future__ import annotations

import asyncio
import math
from collections import deque

from exporter.core.probe_starts import fewer_at_once, more_at_once
from exporter.runtime.clock import loop_time


class ProbeSlots:
    """Slots that are taken in turn. Use it from one event loop."""

    def __init__(self, most: int) -> None:
        self._most, self._limit, self._running = most, float(most), 0
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._fewer_since = -math.inf  # loop time

    @property
    def limit(self) -> int:
        """How many probes may run at once now."""
        return int(self._limit)

    def resize(self, most: int) -> None:
        """Change the configured number of slots, also for probes that wait."""
        self._limit = float(most) if self._limit >= self._most else min(self._limit, most)
        self._most = most
        self._wake()

    async def take(self) -> float:
        """Wait for a slot and return the loop time at which it was free."""
        turn = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        self._wake()
        try:
            await turn
        except asyncio.CancelledError:
            if not turn.cancelled():  # it got the slot at the same moment
                self._free()
            raise
        return loop_time()

    def release(self, taken_at: float, *, made: bool | None) -> None:
        """Free a slot. `made` is False if this host could not make the probe, and None if that is uncertain.

        Probes that took their slot before the last reduction reduce nothing.
        """
        if made:
            self._limit = more_at_once(self._limit, self._most)
        elif made is False and taken_at > self._fewer_since:
            self._limit, self._fewer_since = fewer_at_once(self._limit, self._running), loop_time()
        self._free()

    def _free(self) -> None:
        self._running -= 1
        self._wake()

    def _wake(self) -> None:
        while self._waiting and self._running < self.limit:
            turn = self._waiting.popleft()
            if not turn.done():  # else its probe was cancelled
                turn.set_result(None)
                self._running += 1

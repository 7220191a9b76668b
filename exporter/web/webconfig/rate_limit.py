"""Rate limits: the token bucket of `rate_limit`, and a throttle for the log."""

from __future__ import annotations

import time
from collections.abc import Callable

from exporter.web.webconfig.model import RateLimit


class TokenBucket:
    """A token bucket for all clients together, full at first."""

    def __init__(self, limit: RateLimit, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._limit = limit
        self._clock = clock
        self._tokens = float(limit.burst)
        self._at = clock()

    def allow(self) -> bool:
        now = self._clock()
        self._tokens = min(float(self._limit.burst), self._tokens + (now - self._at) / self._limit.interval)
        self._at = now
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True


class LogThrottle:
    """Pass the first of many lines, then one per `seconds`."""

    def __init__(self, seconds: float = 60.0, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._seconds = seconds
        self._clock = clock
        self._next = float("-inf")
        self._held_back = 0

    def due(self) -> int | None:
        """Return the number of suppressed lines before this one.

        The result is None if this line is suppressed too.
        """
        now = self._clock()
        if now < self._next:
            self._held_back += 1
            return None
        self._next = now + self._seconds
        held_back, self._held_back = self._held_back, 0
        return held_back

"""The token bucket of `rate_limit`."""

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

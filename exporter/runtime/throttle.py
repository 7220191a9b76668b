"""A limit on how many messages leave in a period."""

from __future__ import annotations

from collections import deque


class Throttle:
    """Admits a number of messages in any period of seconds, and counts the others."""

    def __init__(self, most: int, seconds: float) -> None:
        self._seconds = seconds
        self._times: deque[float] = deque(maxlen=most)
        self._omitted = 0

    def admit(self, now: float) -> int | None:
        """Return how many messages were omitted since the last one, or None to omit this one. `now` is monotonic."""
        if len(self._times) == self._times.maxlen and now - self._times[0] < self._seconds:
            self._omitted += 1
            return None
        self._times.append(now)
        omitted, self._omitted = self._omitted, 0
        return omitted

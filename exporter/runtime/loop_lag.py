"""How late the event loop runs.

The exporter's slowness must not count as a vault's.
"""

from __future__ import annotations

import asyncio
from collections import deque

TICK = 0.05
WINDOW = 60.0
# A healthy step takes some tens of milliseconds; the buckets around it are 25 ms, 100 ms and 250 ms. A pause this long
# moves a step into another bucket and counts against the vault. Shorter pauses are the noise of one busy core.
THRESHOLD = 0.1
MOST_STALLS = 4096  # a minute of continuous stalls has fewer than 600


class LoopLag:
    """Wakes every `TICK` seconds and records the delay.

    All times are loop times; `start` needs a running loop.
    """

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._expected = 0.0
        self._worst: deque[tuple[float, float]] = deque()  # (when, lag), falling lags: a sliding maximum
        self._stalls: deque[tuple[float, float]] = deque(maxlen=MOST_STALLS)  # (from, until)

    def start(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._expect(self._loop)

    def stop(self) -> None:
        """Stop recording; earlier records stay readable."""
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._loop = None

    def worst(self) -> float:
        """Return the largest lag of the last minute in seconds, including a current stall."""
        if self._loop is None:
            return self._worst[0][1] if self._worst else 0.0
        now = self._loop.time()
        self._forget_before(now - WINDOW)
        return max(self._worst[0][1] if self._worst else 0.0, now - self._expected, 0.0)

    def lagged_between(self, start: float, end: float) -> bool:
        """Return whether a stall of at least `THRESHOLD` touched this span.

        Records cover the last minute, which is longer than any probe.
        """
        if self._loop is not None and self._loop.time() - self._expected >= THRESHOLD and self._expected - TICK < end:
            return True
        return any(begun < end and start < over for begun, over in reversed(self._stalls))

    def _expect(self, loop: asyncio.AbstractEventLoop) -> None:
        self._expected = loop.time() + TICK
        self._timer = loop.call_at(self._expected, self._tick, loop)

    def _tick(self, loop: asyncio.AbstractEventLoop) -> None:
        now = loop.time()
        lag = now - self._expected
        while self._worst and self._worst[-1][1] <= lag:
            self._worst.pop()
        self._worst.append((now, lag))
        if lag >= THRESHOLD:
            # The stall may have begun right after the previous wake-up.
            self._stalls.append((self._expected - TICK, now))
        self._forget_before(now - WINDOW)
        self._expect(loop)

    def _forget_before(self, moment: float) -> None:
        while self._worst and self._worst[0][0] < moment:
            self._worst.popleft()
        while self._stalls and self._stalls[0][1] < moment:
            self._stalls.popleft()

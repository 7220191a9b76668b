"""The event loop: how late it runs, its clock, long loops in slices, and what the libraries on it hold and show.

The exporter's slowness must not count as a vault's.
"""

from __future__ import annotations

import asyncio
import threading
import time
from asyncio import sslproto
from collections import deque
from collections.abc import AsyncIterator, Iterable
from typing import TypeVar

from aiohttp import web_response

TICK = 0.02
# A later tick is late. The clock of Windows has steps of 15.6 ms, so a tick on time may seem that late.
TOLERATED = 0.03
WINDOW = 60.0
KEPT = 43_200.0  # the longest timeout
MOST_KEPT = 20_000  # two megabytes, and a quarter of an hour in which no tick is on time


class LoopLag:
    """Wakes every `TICK` seconds and records the delay. All times are loop times; `start` needs a running loop."""

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._expected = 0.0
        self._worst: deque[tuple[float, float]] = deque()  # (when, lag), falling lags: a sliding maximum
        self._late: deque[tuple[float, float]] = deque(maxlen=MOST_KEPT)  # (from, until)

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
        self._forget_before(now)
        return max(self._worst[0][1] if self._worst else 0.0, now - self._expected, 0.0)

    def late_between(self, start: float, end: float) -> float:
        """Return for how many seconds of this span the loop was late.

        A tick that is late counts from its time until it ran, and until now if it has not run yet.
        """
        now = end if self._loop is None else self._loop.time()
        late = _overlap(start, end, self._expected, now) if self._loop is not None and self._is_late(now) else 0.0
        for begun, over in reversed(self._late):
            if over <= start:
                break
            late += _overlap(start, end, begun, over)
        return late

    def _is_late(self, now: float) -> bool:
        return now - self._expected > TOLERATED

    def _expect(self, loop: asyncio.AbstractEventLoop) -> None:
        self._expected = loop.time() + TICK
        self._timer = loop.call_at(self._expected, self._tick, loop)

    def _tick(self, loop: asyncio.AbstractEventLoop) -> None:
        now = loop.time()
        lag = now - self._expected
        while self._worst and self._worst[-1][1] <= lag:
            self._worst.pop()
        self._worst.append((now, lag))
        if self._is_late(now):
            self._late.append((self._expected, now))
        self._forget_before(now)
        self._expect(loop)

    def _forget_before(self, now: float) -> None:
        while self._worst and self._worst[0][0] < now - WINDOW:
            self._worst.popleft()
        while self._late and self._late[0][1] < now - KEPT:
            self._late.popleft()


def _overlap(start: float, end: float, begun: float, over: float) -> float:
    return max(0.0, min(end, over) - max(start, begun))


# asyncio allocates 256 KiB for each connection, and as much again for each read. A TLS record has at most 16 KiB, and a
# vault's response fits in one. With 2,500 vaults that send nothing after the handshake, 521 connections wait at once.
TLS_BUFFER_BYTES = 32 * 1024


def bound_tls_buffers() -> None:
    """Limit the buffer of each later TLS connection; longer responses take more reads."""
    sslproto.SSLProtocol.max_size = TLS_BUFFER_BYTES  # an attribute of the class, in every supported Python


# Processor time that long loops together have at once on a busy loop: with more, readers of pages make the ticks late, and probes are discarded.
MOST_AT_ONCE = 0.005
_REMEMBERED = 1.0  # seconds: on a busy host short and very long turns alternate
# The longest turn of the others that makes no tick late. Of what a turn is longer, long loops together have half, so that a page ends after few turns of a slow loop.
_ON_TIME = TICK + TOLERATED
MOST_OF_LATE = 0.05
_IDLE = 0.001  # seconds: shorter turns of the others are none, because the clock of a thread ticks every 16 ms on Windows


class _Turn(threading.local):
    """When the present slice began, in processor time of this thread, and how much may be done at once, until when; `late` after a late turn."""

    began = share = until = late = 0.0
    waiting = 0  # long loops that wait for their turn


_turn = _Turn()


async def pause() -> None:
    """Let other tasks run, once this one has had as much of the loop as their longest turn of late, `MOST_AT_ONCE` at most.

    On an idle loop that is at each call. With thousands of probes, or on a busy host, a turn lasts as long as many slices, and
    a page that waits for hundreds of turns takes a minute: after a turn that made each tick late it has more.
    """
    if time.thread_time() - _turn.began < max(_turn.share, _turn.late) / (1 + _turn.waiting):
        return
    left = time.perf_counter()
    _turn.waiting += 1
    try:
        await asyncio.sleep(0)
    finally:
        _turn.waiting -= 1
        now, _turn.began = time.perf_counter(), time.thread_time()
        share = min(now - left, MOST_AT_ONCE) if now - left > _IDLE else 0.0
        _turn.late = min((now - left - _ON_TIME) / 2, MOST_OF_LATE)
        if share >= _turn.share or now > _turn.until:
            _turn.share, _turn.until = share, now + _REMEMBERED


T = TypeVar("T")


async def yield_with_pauses(items: Iterable[T], size: int) -> AsyncIterator[T]:
    """Yield the items, and let other tasks run after each `size` of them, see `pause`."""
    for number, item in enumerate(items, 1):
        yield item
        if number % size == 0:
            await pause()


# aiohttp has no setting for the `Server` header. Its responses to malformed requests pass no signal handler that could change the header.

SERVER = "ekm-exporter"


def hide_versions() -> None:
    """Replace aiohttp's default `Server` header, which has versions."""
    web_response.SERVER_SOFTWARE = SERVER  # type: ignore[attr-defined]  # imported there, and not declared as exported


def loop_time() -> float:
    """Monotonic seconds of the running event loop."""
    return asyncio.get_running_loop().time()

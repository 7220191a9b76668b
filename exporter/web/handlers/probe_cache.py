"""Requested probes: one at a time per target, and no more often than `min_interval` allows, whatever module they use.

For: the rules of `/probe` that protect a vault from its watchers, however many Prometheus replicas and people ask.
Not for: making a probe, reading requests, or rendering an answer.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from exporter.core.model import ProbeReport

# How much of the offset may pass while waiting for the probe to hand over its report; the rest is for the way back.
_SHARE_OF_OFFSET = 0.5
# Seconds that a request without a scrape timeout waits for the probes before it and `min_interval` after each.
_LONGEST_WAIT = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Limit:
    """How long a probe may take. `seconds` is None where the target's own timeout holds; `patience` is the request's end."""

    seconds: float | None
    patience: float | None

    def allows_more_than(self, other: Limit) -> bool:
        return other.seconds is not None and (self.seconds is None or self.seconds > other.seconds)

    def allows_half_of(self, target_timeout: float) -> bool:
        return self.seconds is None or self.seconds >= target_timeout / 2


def limit_of(header: str | None, *, offset: float, target_timeout: float) -> Limit:
    """What `X-Prometheus-Scrape-Timeout-Seconds` leaves for a probe, `offset` seconds being kept for the way back.

    A header that is no positive number counts as none. Where it leaves nothing after the offset, half of it is used.
    """
    scrape = _positive(header)
    if scrape is None:
        return Limit(seconds=None, patience=None)
    budget = scrape - offset if scrape > offset else scrape / 2
    patience = budget + (scrape - budget) * _SHARE_OF_OFFSET
    return Limit(seconds=budget if budget < target_timeout else None, patience=patience)


def _positive(header: str | None) -> float | None:
    try:
        seconds = float(header or "")
    except ValueError:
        return None
    return seconds if math.isfinite(seconds) and seconds > 0 else None


Probe = Callable[[str, str, Limit], Awaitable[ProbeReport | None]]


@dataclass(frozen=True, slots=True, kw_only=True)
class CachedReport:
    """A report and its age in seconds; `age` is None for a probe that was made for this request."""

    report: ProbeReport
    age: float | None = None


@dataclass(frozen=True, slots=True)
class RetryLater:
    """The target's turn is another probe's; `seconds` until a new request has a chance."""

    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What a request wants. `about` is what the names stand for: a reload may change it.

    `own`: a usual scrape, by the target's own module and with at least half of the target's timeout. No other request holds it up.
    """

    target: str
    module: str
    limit: Limit
    about: object = None
    own: bool = True

    def same_probe(self, other: Wish) -> bool:
        return (self.target, self.module, self.about) == (other.target, other.module, other.about)


@dataclass(frozen=True, slots=True)
class _Remembered:
    wish: Wish
    report: ProbeReport
    at: float


@dataclass(slots=True)
class _Flight:
    """One probe that runs or waits for its turn, and the number of requests that wait for its report."""

    wish: Wish  # of the request that allows it the most time
    report: asyncio.Future[ProbeReport | None] = field(default_factory=lambda: asyncio.get_running_loop().create_future())
    began: bool = False
    requests: int = 0


class _Queue(list[_Flight]):
    """The flights of a target; `changed` is set if the next one may be another one now."""

    def __init__(self, first: _Flight) -> None:
        super().__init__([first])
        self.changed = asyncio.Event()


async def _first_of(seconds: float, changed: asyncio.Event) -> None:
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await changed.wait()


class ProbeCache:
    """Single flight and short memory per target. A request for another module waits its turn and gets its own report."""

    def __init__(
        self,
        probe: Probe,
        *,
        min_interval: Callable[[], float],
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float, asyncio.Event], Awaitable[None]] = _first_of,
    ) -> None:
        self._probe = probe
        self._min_interval = min_interval
        self._clock = clock
        self._sleep = sleep
        self._queues: dict[str, _Queue] = {}
        self._runners: set[asyncio.Task[None]] = set()
        self._memory: dict[str, tuple[_Remembered, ...]] = {}  # by target, the newest last

    async def ask(self, wish: Wish) -> CachedReport | RetryLater | None:
        """A report made now, made for another request at this moment, or remembered. None if none came in time.

        A report of what the names stood for before a reload is no answer. Nor is that of a probe which a scrape timeout cut short,
        to a request that would have given it more time.
        """
        try:
            async with asyncio.timeout(wish.limit.patience):
                return await self._ask(wish)
        except TimeoutError:
            flight = self._flight_of(wish)
            queued = flight is not None and not flight.began
            return RetryLater(self._wait(wish)) if queued else None

    async def _ask(self, wish: Wish) -> CachedReport | RetryLater | None:
        while (flight := self._flight_of(wish)) is not None:
            report = await self._report_of(flight, wish)
            if _whole(report) or not wish.limit.allows_more_than(flight.wish.limit):
                return None if report is None else CachedReport(report=report)
        known = self._remembered(wish)
        if known is not None:
            return CachedReport(report=known.report, age=self._clock() - known.at)
        wait = self._wait(wish)
        if wait > (_LONGEST_WAIT if wish.limit.patience is None else wish.limit.patience):
            return RetryLater(wait)
        report = await self._report_of(self._book(wish), wish)
        return None if report is None else CachedReport(report=report)

    def _flight_of(self, wish: Wish) -> _Flight | None:
        return next((flight for flight in self._queues.get(wish.target, ()) if flight.wish.same_probe(wish)), None)

    async def _report_of(self, flight: _Flight, wish: Wish) -> ProbeReport | None:
        """The flight's report; a requester that goes away or loses patience does not take the probe with it."""
        if not flight.began and wish.limit.allows_more_than(flight.wish.limit):
            flight.wish = wish
            self._queues[wish.target].changed.set()
        flight.requests += 1
        try:
            await asyncio.wait([flight.report])
        finally:
            flight.requests -= 1
        return None if flight.report.cancelled() else flight.report.result()

    def _book(self, wish: Wish) -> _Flight:
        flight = _Flight(wish)
        queue = self._queues.get(wish.target)
        if queue is not None:
            queue.append(flight)
            queue.changed.set()
            return flight
        self._queues[wish.target] = _Queue(flight)
        runner = asyncio.create_task(self._run(wish.target), name=f"probes on demand {wish.target}")
        self._runners.add(runner)
        runner.add_done_callback(self._runners.discard)
        return flight

    async def _run(self, target: str) -> None:
        """Makes the probes that wait for this target, one after the other (see `_pause`)."""
        queue = self._queues[target]
        try:
            while (flight := _next(queue)) is not None:
                queue.changed.clear()
                if (pause := self._pause(flight.wish)) > 0:
                    await self._sleep(pause, queue.changed)
                    continue
                flight.began = True
                await self._fly(flight)
                queue.remove(flight)
        finally:
            self._give_up(target)

    async def _fly(self, flight: _Flight) -> None:
        wish = flight.wish
        try:
            report = await self._probe(wish.target, wish.module, wish.limit)
        except Exception as error:  # noqa: BLE001 - belongs to those who wait for this report, not to the probes after it
            flight.report.set_exception(error)
            flight.report.exception()  # perhaps no request waits any more
            return
        if report is not None:
            self._remember(_Remembered(wish, report, self._clock()))
        flight.report.set_result(report)

    def _wait(self, wish: Wish) -> float:
        """Seconds until the turn of this wish at the earliest: probes of other modules go before it, unless it is the target's own."""
        ahead = 0 if wish.own else sum(flight.wish.module != wish.module for flight in self._queues.get(wish.target, ()))
        return self._pause(wish) + ahead * self._min_interval()

    def _pause(self, wish: Wish) -> float:
        """Seconds until `min_interval` after the last probe that holds this one up. A target's own module waits for itself alone.

        None if the same names stood for something else at that probe.
        """
        last = [known for known in self._memory.get(wish.target, ()) if known.wish.own or not wish.own][-1:]
        if not last or (last[0].wish.module == wish.module and last[0].wish.about != wish.about):
            return 0.0
        return max(0.0, last[0].at + self._min_interval() - self._clock())

    def _remembered(self, wish: Wish) -> _Remembered | None:
        """The newest report that is young enough and answers this request."""
        for known in reversed(self._memory.get(wish.target, ())):
            if known.wish.same_probe(wish) and self._clock() - known.at < self._min_interval():
                return known if _whole(known.report) or not wish.limit.allows_more_than(known.wish.limit) else None
        return None

    def _remember(self, new: _Remembered) -> None:
        oldest = new.at - self._min_interval()
        young = {target: tuple(one for one in known if one.at > oldest) for target, known in self._memory.items()}
        self._memory = {target: known for target, known in young.items() if known}
        self._memory[new.wish.target] = (*self._memory.get(new.wish.target, ()), new)

    async def close(self) -> None:
        """End the probes in flight; requests that wait for one get no report."""
        runners = list(self._runners)
        for runner in runners:
            runner.cancel()
        await asyncio.gather(*runners, return_exceptions=True)
        for target in list(self._queues):  # of a runner that was cancelled before it began
            self._give_up(target)

    def _give_up(self, target: str) -> None:
        for flight in self._queues.pop(target):
            flight.report.cancel()


def _next(queue: list[_Flight]) -> _Flight | None:
    """The flight whose turn it is: the target's own module first. Those that no request waits for are dropped."""
    queue[:] = [flight for flight in queue if flight.requests]
    return min(queue, key=lambda flight: not flight.wish.own, default=None)


def _whole(report: ProbeReport | None) -> bool:
    """Whether more time would have changed nothing."""
    return report is not None and not report.cut_by_scrape

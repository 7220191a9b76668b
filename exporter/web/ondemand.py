"""Probes that somebody asks for: one at a time per target and module, and no oftener than the configuration allows.

For: the rules of `/probe` that protect a vault from its watchers, however many Prometheus replicas and people ask.
Not for: making a probe, reading requests, or rendering an answer.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from exporter.core.model import ProbeReport

# How much of the offset may pass while waiting for the probe to hand over its report; the rest is for the way back.
_SHARE_OF_OFFSET = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Limit:
    """How long a probe may take. `seconds` is None where the target's own timeout holds; `patience` is the request's end."""

    seconds: float | None
    patience: float | None

    def allows_more_than(self, other: Limit) -> bool:
        return other.seconds is not None and (self.seconds is None or self.seconds > other.seconds)


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
_Key = tuple[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """A report and its age in seconds; `age` is None for a probe that was made for this request."""

    report: ProbeReport
    age: float | None = None


@dataclass(frozen=True, slots=True)
class _Remembered:
    report: ProbeReport
    at: float
    limit: Limit
    about: object


@dataclass(frozen=True, slots=True)
class _Flight:
    task: asyncio.Task[ProbeReport | None]
    limit: Limit
    about: object


class OnDemand:
    """Single flight and short memory per (target, module)."""

    def __init__(self, probe: Probe, *, min_interval: Callable[[], float], clock: Callable[[], float] = time.monotonic) -> None:
        self._probe = probe
        self._min_interval = min_interval
        self._clock = clock
        self._flights: dict[_Key, _Flight] = {}
        self._tasks: set[asyncio.Task[ProbeReport | None]] = set()  # those, too, that nobody can join any more
        self._memory: dict[_Key, _Remembered] = {}

    async def ask(self, target: str, module: str, limit: Limit, *, about: object = None) -> Answer | None:
        """A report made now, made for somebody else at this moment, or remembered. None where none came in time.

        `about` is what the two names stand for: a report of what they stood for before a reload is no answer. Nor is that of a probe
        which a scrape timeout cut short, to a request that would have given it more time.
        """
        try:
            async with asyncio.timeout(limit.patience):
                return await self._ask((target, module), limit, about)
        except TimeoutError:
            return None

    async def _ask(self, key: _Key, limit: Limit, about: object) -> Answer | None:
        while (flight := self._flights.get(key)) is not None and flight.about == about:
            report = await _finished(flight.task)
            if _whole(report) or not limit.allows_more_than(flight.limit):
                return None if report is None else Answer(report=report)
        known = self._remembered(key, about)
        if known is not None and (_whole(known.report) or not limit.allows_more_than(known.limit)):
            return Answer(report=known.report, age=self._clock() - known.at)
        report = await _finished(self._begin(key, limit, about))
        return None if report is None else Answer(report=report)

    def _begin(self, key: _Key, limit: Limit, about: object) -> asyncio.Task[ProbeReport | None]:
        task = asyncio.create_task(self._fly(key, limit, about), name=f"probe on demand {key[0]}")
        flight = self._flights[key] = _Flight(task, limit, about)
        self._tasks.add(task)
        task.add_done_callback(lambda _: self._landed(key, flight))
        return task

    def _landed(self, key: _Key, flight: _Flight) -> None:
        self._tasks.discard(flight.task)
        if self._flights.get(key) is flight:
            del self._flights[key]

    async def _fly(self, key: _Key, limit: Limit, about: object) -> ProbeReport | None:
        report = await self._probe(*key, limit)
        if report is not None:
            self._remember(key, _Remembered(report, self._clock(), limit, about))
        return report

    def _remembered(self, key: _Key, about: object) -> _Remembered | None:
        known = self._memory.get(key)
        if known is None or known.about != about:
            return None
        return known if self._clock() - known.at < self._min_interval() else None

    def _remember(self, key: _Key, new: _Remembered) -> None:
        oldest = new.at - self._min_interval()
        self._memory = {k: known for k, known in self._memory.items() if known.at > oldest}
        self._memory[key] = new

    async def close(self) -> None:
        """End the probes in flight; requests that wait for one get no report."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _finished(task: asyncio.Task[ProbeReport | None]) -> ProbeReport | None:
    """The task's report; a requester that goes away or loses patience does not take the probe with it."""
    await asyncio.wait([task])
    return None if task.cancelled() else task.result()


def _whole(report: ProbeReport | None) -> bool:
    """Whether more time would have changed nothing."""
    return report is not None and not any(result.facts is not None and result.facts.cut_by_scrape for result in report.steps)

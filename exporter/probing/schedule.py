"""Probes every target at its interval.

Starts are spread evenly, and a target never has two scheduled probes at once. A probe that this host could not make is tried again
soon, and fewer probes then run at once. Callbacks report lag, skipped starts and internal errors.
"""

from __future__ import annotations

import asyncio
import math
import random
import time
from collections import deque
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from enum import StrEnum

from exporter.config.settings import Target
from exporter.core.limits import JITTER, SPACING, FirstProbes
from exporter.knowledge.report import ProbeReport
from exporter.runtime.loop import loop_time
from exporter.runtime.tasks import PeriodicRunner, reported

FEWEST_AT_ONCE = 8  # probes in flight on a host that is too busy for more
MORE_AT_ONCE = 0.05  # slots that each probe adds which this host could make
RETRY_SECONDS = 5.0  # until a probe that this host could not make is tried again; doubles each time
LONGEST_RETRY_SECONDS = 60.0
MOST_DOUBLINGS = 20  # longer than any interval
TOLERATED = 3  # throttled probes in a row until the first interval is skipped: the alert must fire before that
SKIPS = (1, 2, 4)  # intervals to skip after the third, the fourth, and each later throttled probe


def missed_starts(planned: float, now: float, interval: float) -> int:
    """Return how many starts, from `planned` on, lie in the past."""
    return max(0, math.ceil((now - planned) / interval))


def backoff(throttled: int, retry_after: float, interval: float) -> int:
    """Return the intervals to skip after so many throttled probes in a row.

    Once backoff has begun, `retry_after` seconds may lengthen the pause, up to the longest of `SKIPS`.
    """
    if throttled < TOLERATED:
        return 0
    asked = math.ceil(min(retry_after / interval, SKIPS[-1] + 1.0)) - 1  # bounded before rounding: it may be infinite
    return max(SKIPS[min(throttled - TOLERATED, len(SKIPS) - 1)], asked)


class ProbeSlots:
    """The slots of probes, taken in turn: as many as configured, and fewer while this host is too busy. Use it from one event loop.

    Probes that start faster than a busy host can finish them all wait for threads and handshakes, and all of them time out.
    So half as many run at once after a probe that could not be made, and a few more after each probe that could.
    """

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
            self._limit = min(float(self._most), self._limit + MORE_AT_ONCE)
        elif made is False and taken_at > self._fewer_since:  # half as many as ran
            fewer = max(min(self._limit, self._running) / 2, min(self._limit, FEWEST_AT_ONCE))
            self._limit, self._fewer_since = fewer, loop_time()
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


_PACE_OF = 100  # the last first results, from which the pace is known
_LATE_SECONDS = 10.0  # a first probe that ends later than its timeout and this waits for a slot


class Skip(StrEnum):
    """Why a planned start was skipped."""

    OVERLAP = "overlap"  # the previous probe was still running
    STALL = "stall"  # the process was stalled
    BACKOFF = "backoff"  # the vault throttles requests


@dataclass(slots=True, eq=False)
class TargetJob:
    """The probes of one target.

    `due` is the loop time of its next or current start, `failed` how often in a row this host could not make the probe.
    """

    target: Target
    due: float
    throttled: int = 0  # probes in a row
    skips: int = 0  # intervals to skip before the next probe, as the vault throttles
    failed: int = 0


def plan_next(job: TargetJob, report: ProbeReport | None, *, now: float, draw: float, has_result: bool) -> dict[Skip, int]:
    """Plan the next start of a target after a probe that ended `now`, and return how many starts are skipped.

    A probe that this host could not make is tried again soon. With a report, its result may be the fault of this host. A network that is down
    causes such results too, so each wait is twice as long. Then a target with an earlier result gets one retry: else an outage would multiply
    the load of a slow host. `draw` is uniform in [0, 1].
    """
    interval, is_uncertain = job.target.interval, report is not None
    if job.failed == 1 or (job.failed > 1 and not (is_uncertain and has_result)):
        longest = interval if is_uncertain else min(interval, LONGEST_RETRY_SECONDS)
        job.due = now + min(longest, RETRY_SECONDS * 2.0 ** min(job.failed - 1, MOST_DOUBLINGS) * (0.5 + draw))
        return {}
    if report is not None:
        throttled = report.throttled_facts
        job.throttled = job.throttled + 1 if throttled else 0
        asked = max((facts.retry_after_seconds or 0.0 for facts in throttled), default=0.0)
        job.skips = backoff(job.throttled, asked, interval)
    job.due += interval * (1 - JITTER + 2 * JITTER * draw)
    overlap = missed_starts(job.due, now, interval)
    job.due += (overlap + job.skips) * interval
    return {Skip.OVERLAP: overlap, Skip.BACKOFF: job.skips}


class Scheduler:
    """Runs `probe(target)` for every target, at most `concurrency` at once, and fewer on a host that is too busy.

    `probe` may return None for a probe that this host could not make. `on_report(target, report)` is called once per finished probe, unless
    the target was removed. `on_skip(reason, count)` counts skipped starts. `on_lag(seconds)` is how late a probe got its slot.
    `on_internal_error(error)` is called for an exception in a probe or callback; the schedule then continues.
    All callbacks are plain functions called on the event loop. `clock` gives Unix time.
    """

    def __init__(
        self,
        *,
        probe: Callable[[Target], Awaitable[ProbeReport | None]],
        on_report: Callable[[Target, ProbeReport], None],
        on_skip: Callable[[Skip, int], None],
        on_lag: Callable[[float], None],
        on_internal_error: Callable[[Exception], None],
        concurrency: int,
        rng: random.Random | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._probe, self._on_report, self._on_skip, self._on_lag = probe, on_report, on_skip, on_lag
        self._on_internal_error = on_internal_error
        self._slots = ProbeSlots(concurrency)
        self._rng = rng or random.Random()  # noqa: S311 - spreads load, guards nothing
        self._clock = clock
        self._runner = PeriodicRunner(
            self._run,
            pause=lambda job: job.target.interval,
            on_error=lambda _job, error: on_internal_error(error),
            name="target",
        )
        self._without_result: set[str] = set()
        self._first_results: deque[float] = deque(maxlen=_PACE_OF)  # loop times
        self._closed = False
        self.first_round_done = asyncio.Event()
        """Set once every target has a result; a later reconciliation does not clear it."""

    def reconcile(self, targets: Iterable[Target], *, concurrency: int | None = None) -> None:
        """Make the schedule match `targets`, without waiting.

        Call it from the event loop.

        An equal target is not touched. A changed one keeps its next start, or gets a new first delay if its probe is running.
        A new `concurrency` applies at once, but ends no probe.
        """
        if self._closed:
            raise RuntimeError("the scheduler has been closed")
        if concurrency is not None:
            self._slots.resize(concurrency)
        wanted = {target.name: target for target in targets}
        jobs = self._runner.jobs
        for name in jobs.keys() - wanted.keys():
            self._runner.stop(name)
            self._without_result.discard(name)
        starting = [target for name, target in wanted.items() if name not in jobs or jobs[name].target != target]
        for target in starting:
            old, job = jobs.get(target.name), TargetJob(target, self._spread(target, len(starting)))
            if old is None:
                self._without_result.add(target.name)
            elif old.due > loop_time():
                job.due = min(old.due, loop_time() + target.interval)
            if old is not None and old.target.vault == target.vault:
                job.throttled, job.skips = old.throttled, old.skips
            self._runner.start(target.name, job)
        self._note_first_round()

    def next_probe_at(self, name: str) -> float | None:
        """Return the Unix time of the next planned start. The result is None if the target is not scheduled."""
        job = self._runner.jobs.get(name)
        return None if job is None else self._clock() + job.due - loop_time()

    def first_probes(self) -> FirstProbes:
        """Return how many targets have no result yet, and how fast results arrive.

        A target whose first retry has not failed is not delayed: one lost probe is no busy host.
        """
        jobs, times, now = self._runner.jobs, self._first_results, loop_time()
        missing = [jobs[name] for name in self._without_result if name in jobs]
        delayed = sum(job.failed > 1 or now - job.due > job.target.timeout + _LATE_SECONDS for job in missing)
        span = now - times[0] if times else 0.0
        pace = len(times) / span if span > 0 else 0.0
        return FirstProbes(targets=len(jobs), missing=len(missing), delayed=delayed, pace=pace)

    async def aclose(self) -> None:
        """Cancel all probes and wait until they have ended. No callback follows."""
        self._closed = True
        await self._runner.aclose()

    def _spread(self, target: Target, starting: int) -> float:
        """Return the loop time of the first probe of one of so many targets that start now."""
        return loop_time() + self._rng.random() * min(target.interval, SPACING * starting)

    async def _run(self, job: TargetJob) -> None:
        """Make one probe in a slot, plan the next start, and report the result."""
        target = job.target
        if missed := missed_starts(job.due, loop_time() - target.interval, target.interval):
            # All targets wake at once after a stall: spread them as at the start.
            self._on_skip(Skip.STALL, missed)
            job.due = self._spread(target, len(self._runner.jobs))
            return
        report: ProbeReport | None = None  # also if this host could not make the probe, or after an internal error
        made: bool | None = True
        taken_at = await self._slots.take()
        try:
            self._on_lag(max(0.0, taken_at - job.due))
            report = await self._probe(target)
            made = report is not None
            if report is not None and report.discarded:  # uncertain, but not at the start, twice in a row
                made = False if job.failed and target.name in self._without_result else None
            job.failed = 0 if made else job.failed + 1
        except Exception as error:  # noqa: BLE001 - an internal error of one target must not stop the others
            job.failed = 0
            self._on_internal_error(error)
        finally:
            self._slots.release(taken_at, made=made)
        if self._runner.jobs.get(target.name) is not job:  # a reload has removed or replaced it
            return
        has_result = target.name not in self._without_result
        skipped = plan_next(job, report, now=loop_time(), draw=self._rng.random(), has_result=has_result)
        for reason, starts in skipped.items():
            if starts:
                self._on_skip(reason, starts)
        if report is not None:
            with reported(self._on_internal_error):
                self._on_report(target, report)
        if not job.failed and target.name in self._without_result:
            self._without_result.remove(target.name)
            self._first_results.append(loop_time())
            self._note_first_round()

    def _note_first_round(self) -> None:
        if not self._without_result:
            self._first_results.clear()
            self.first_round_done.set()

"""Probes every target at its interval.

Starts are spread evenly, and a target never has two scheduled probes at once. Callbacks report lag, skipped starts and crashes.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from enum import StrEnum

from exporter.config.settings import Target
from exporter.core.model import ProbeReport
from exporter.probing.backoff import Backoff, first_delay, gap, missed_starts
from exporter.runtime.clock import loop_time
from exporter.runtime.periodic import PeriodicRunner


class Skip(StrEnum):
    """Why a planned start was skipped."""

    OVERLAP = "overlap"  # the previous probe was still running
    BACKOFF = "backoff"  # the vault throttles requests
    STALL = "stall"  # the process was stalled


@dataclass(frozen=True, slots=True)
class Changes:
    """The changes of a reconciliation, by target name."""

    started: tuple[str, ...]
    changed: tuple[str, ...]
    removed: tuple[str, ...]


@dataclass(slots=True, eq=False)
class _TargetJob:
    """The probes of one target. `due` is the loop time of its next or current start."""

    target: Target
    due: float
    backoff: Backoff = field(default_factory=Backoff)


class Scheduler:
    """Runs `probe(target)` for every target, at most `concurrency` at once.

    `probe` may return None for a probe that could not be made. `on_report(target, report)` is called once per finished probe, unless
    the target was removed. `on_skip(target, reason, count)` counts skipped starts. `on_lag(seconds)` is how late a probe got its slot.
    `on_crash(target, error)` is called for an exception in a probe or callback; the schedule then continues.
    All callbacks are plain functions called on the event loop. `clock` gives Unix time.
    """

    def __init__(
        self,
        *,
        probe: Callable[[Target], Awaitable[ProbeReport | None]],
        on_report: Callable[[Target, ProbeReport], None],
        on_skip: Callable[[Target, Skip, int], None],
        on_lag: Callable[[float], None],
        on_crash: Callable[[Target, BaseException], None],
        concurrency: int,
        rng: random.Random | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._probe = probe
        self._on_report = on_report
        self._on_skip = on_skip
        self._on_lag = on_lag
        self._on_crash = on_crash
        self._slots = asyncio.Semaphore(concurrency)
        self._rng = rng or random.Random()  # noqa: S311 - spreads load, guards nothing
        self._clock = clock
        self._runner = PeriodicRunner(
            self._run,
            pause=lambda job: job.target.interval,
            on_error=lambda job, error: on_crash(job.target, error),
            name="target",
        )
        self._not_yet_probed: set[str] = set()
        self._closed = False
        self.first_round_done = asyncio.Event()
        """Set once every target has been probed; a later reconciliation does not clear it."""

    def reconcile(self, targets: Iterable[Target], *, concurrency: int | None = None) -> Changes:
        """Make the schedule match `targets`, without waiting.

        Call it from the event loop.

        An equal target is not touched. A changed one keeps its next start, or gets a new first delay if its probe is running.
        A new `concurrency` applies to probes that have no slot yet.
        """
        if self._closed:
            raise RuntimeError("the scheduler has been closed")
        if concurrency is not None:
            self._slots = asyncio.Semaphore(concurrency)
        wanted = {target.name: target for target in targets}
        jobs = self._runner.jobs
        removed = tuple(name for name in jobs if name not in wanted)
        started = tuple(name for name in wanted if name not in jobs)
        changed = tuple(name for name, job in jobs.items() if name in wanted and wanted[name] != job.target)
        for name in removed:
            self._runner.stop(name)
            self._not_yet_probed.discard(name)
        for name in changed:
            self._replace(wanted[name], restarting=len(started) + len(changed))
        for name in started:
            self._begin(wanted[name], starting=len(started) + len(changed))
        self._note_first_round()
        return Changes(started, changed, removed)

    def next_probe_at(self, name: str) -> float | None:
        """Return the Unix time of the next planned start.

        The result is None if the target is not scheduled.
        """
        job = self._runner.jobs.get(name)
        return None if job is None else self._clock() + job.due - loop_time()

    async def aclose(self) -> None:
        """Cancel all probes and wait until they have ended.

        No callback follows.
        """
        self._closed = True
        await self._runner.aclose()

    def _begin(self, target: Target, *, starting: int) -> None:
        if not self.first_round_done.is_set():
            self._not_yet_probed.add(target.name)
        due = loop_time() + first_delay(target.interval, starting, self._rng.random())
        self._runner.start(target.name, _TargetJob(target, due))

    def _replace(self, target: Target, *, restarting: int) -> None:
        old = self._runner.jobs[target.name]
        now = loop_time()
        if old.due > now:
            due = min(old.due, now + target.interval)
        else:
            due = now + first_delay(target.interval, restarting, self._rng.random())
        backoff = old.backoff if old.target.vault == target.vault else Backoff()
        self._runner.start(target.name, _TargetJob(target, due, backoff))

    async def _run(self, job: _TargetJob) -> None:
        if loop_time() - job.due >= job.target.interval:
            # All targets wake at once: each waits for its next start, so that they stay spread.
            self._skip_missed(job, Skip.STALL)
            return
        report = None
        try:
            async with self._slots:
                self._on_lag(max(0.0, loop_time() - job.due))
                report = await self._probe(job.target)
        except Exception as error:  # noqa: BLE001 - an internal error of one target must not stop the others
            self._on_crash(job.target, error)
        if self._runner.jobs.get(job.target.name) is not job:
            return
        self._plan_next(job, report)
        self._report(job, report)

    def _plan_next(self, job: _TargetJob, report: ProbeReport | None) -> None:
        target, backoff = job.target, job.backoff
        if report is not None:
            backoff = job.backoff = backoff.advance(report, target.interval)
        job.due += gap(target.interval, self._rng.random())
        self._skip_missed(job, Skip.OVERLAP)
        self._skip(job, Skip.BACKOFF, backoff.skips)

    def _skip_missed(self, job: _TargetJob, reason: Skip) -> None:
        """Skip the starts that lie in the past."""
        self._skip(job, reason, missed_starts(job.due, loop_time(), job.target.interval))

    def _skip(self, job: _TargetJob, reason: Skip, starts: int) -> None:
        if starts:
            job.due += starts * job.target.interval
            self._on_skip(job.target, reason, starts)

    def _report(self, job: _TargetJob, report: ProbeReport | None) -> None:
        try:
            if report is not None:
                self._on_report(job.target, report)
        except Exception as error:  # noqa: BLE001 - see above
            self._on_crash(job.target, error)
        self._not_yet_probed.discard(job.target.name)
        self._note_first_round()

    def _note_first_round(self) -> None:
        if not self._not_yet_probed:
            self.first_round_done.set()

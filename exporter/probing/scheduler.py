"""Probes every target at its interval, with one supervised loop per target.

Starts are spread evenly, and a target never has two scheduled probes at once. Callbacks report lag, skipped starts and crashes.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from enum import StrEnum

from exporter.config.model import Target
from exporter.core.model import ProbeReport
from exporter.probing.backoff import Backoff, first_delay, gap, missed_starts
from exporter.runtime.clock import loop_time


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
class _TargetLoop:
    """The loop of one target. `planned` is the loop time of its next or current start."""

    target: Target
    planned: float
    backoff: Backoff = field(default_factory=Backoff)
    task: asyncio.Task[None] | None = None


class Scheduler:
    """Runs `probe(target)` for every target, at most `concurrency` at once.

    `probe` may return None for a probe that could not be made. `on_report(target, report)` is called once per finished probe, unless
    the target was removed. `on_skip(target, reason, count)` counts skipped starts. `on_lag(seconds)` is how late a probe got its slot.
    `on_crash(target, error)` is called for an exception in a probe or callback, or if a loop ended; the loop then continues.
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
        self._loops: dict[str, _TargetLoop] = {}
        self._leaving: dict[str, asyncio.Task[None]] = {}
        self._not_yet_probed: set[str] = set()
        self._closed = False
        self.first_round_done = asyncio.Event()
        """Set once every target has been probed; a later reconciliation does not clear it."""

    def reconcile(self, targets: Iterable[Target], *, concurrency: int | None = None) -> Changes:
        """Make the running loops match `targets`, without waiting.

        To be called from the event loop.

        An equal target is not touched. A changed one keeps its next start, or gets a new first delay if its probe is running.
        A new `concurrency` applies to probes that have no slot yet.
        """
        if self._closed:
            raise RuntimeError("the scheduler has been closed")
        if concurrency is not None:
            self._slots = asyncio.Semaphore(concurrency)
        wanted = {target.name: target for target in targets}
        removed = tuple(name for name in self._loops if name not in wanted)
        started = tuple(name for name in wanted if name not in self._loops)
        changed = tuple(name for name, loop in self._loops.items() if name in wanted and wanted[name] != loop.target)
        for name in removed:
            self._stop(self._loops.pop(name))
            self._not_yet_probed.discard(name)
        for name in changed:
            self._replace(wanted[name], restarting=len(started) + len(changed))
        for name in started:
            self._begin(wanted[name], starting=len(started) + len(changed))
        self._note_first_round()
        return Changes(started, changed, removed)

    def next_probe_at(self, name: str) -> float | None:
        """Return the Unix time of the next planned start.

        None if the target is not scheduled.
        """
        loop = self._loops.get(name)
        return None if loop is None else self._clock() + loop.planned - loop_time()

    async def aclose(self) -> None:
        """Cancel every loop and wait until the running probes have ended.

        No callback follows.
        """
        self._closed = True
        for loop in self._loops.values():
            self._stop(loop)
        self._loops.clear()
        if self._leaving:
            await asyncio.wait(list(self._leaving.values()))

    def _begin(self, target: Target, *, starting: int) -> None:
        loop = _TargetLoop(target, loop_time() + first_delay(target.interval, starting, self._rng.random()))
        self._loops[target.name] = loop
        if not self.first_round_done.is_set():
            self._not_yet_probed.add(target.name)
        self._launch(loop)

    def _replace(self, target: Target, *, restarting: int) -> None:
        old = self._loops[target.name]
        now = loop_time()
        if old.planned > now:
            planned = min(old.planned, now + target.interval)
        else:
            planned = now + first_delay(target.interval, restarting, self._rng.random())
        backoff = old.backoff if old.target.vault == target.vault else Backoff()
        self._stop(old)
        loop = self._loops[target.name] = _TargetLoop(target, planned, backoff)
        self._launch(loop)

    def _launch(self, loop: _TargetLoop) -> None:
        name = loop.target.name
        loop.task = asyncio.create_task(self._run(loop, self._leaving.get(name)), name=f"target {name}")
        loop.task.add_done_callback(lambda task: self._ended(loop, task))

    def _stop(self, loop: _TargetLoop) -> None:
        if loop.task is not None and loop.task.cancel():
            self._leaving[loop.target.name] = loop.task

    async def _run(self, loop: _TargetLoop, predecessor: asyncio.Task[None] | None) -> None:
        if predecessor is not None:  # a cancelled probe first closes its connections
            await asyncio.wait([predecessor])
        while self._is_current(loop):  # a probe may swallow the cancellation of its loop
            await asyncio.sleep(loop.planned - loop_time())
            if loop_time() - loop.planned < loop.target.interval:
                await self._take_turn(loop)
            else:  # all targets wake at once: each waits for its next start, so that they stay spread
                self._skip_missed(loop, Skip.STALL)

    async def _take_turn(self, loop: _TargetLoop) -> None:
        report = None
        try:
            async with self._slots:
                self._on_lag(max(0.0, loop_time() - loop.planned))
                report = await self._probe(loop.target)
        except Exception as error:  # noqa: BLE001 - an internal error of one target must not stop the others
            self._on_crash(loop.target, error)
        if not self._is_current(loop):
            return
        self._plan_next(loop, report)
        self._report(loop, report)

    def _plan_next(self, loop: _TargetLoop, report: ProbeReport | None) -> None:
        target, backoff = loop.target, loop.backoff
        if report is not None:
            backoff = loop.backoff = backoff.after(report, target.interval)
        loop.planned += gap(target.interval, self._rng.random())
        self._skip_missed(loop, Skip.OVERLAP)
        self._skip(loop, Skip.BACKOFF, backoff.skips)

    def _skip_missed(self, loop: _TargetLoop, reason: Skip) -> None:
        """Skip the starts that lie in the past."""
        self._skip(loop, reason, missed_starts(loop.planned, loop_time(), loop.target.interval))

    def _skip(self, loop: _TargetLoop, reason: Skip, starts: int) -> None:
        if starts:
            loop.planned += starts * loop.target.interval
            self._on_skip(loop.target, reason, starts)

    def _report(self, loop: _TargetLoop, report: ProbeReport | None) -> None:
        try:
            if report is not None:
                self._on_report(loop.target, report)
        except Exception as error:  # noqa: BLE001 - see above
            self._on_crash(loop.target, error)
        self._not_yet_probed.discard(loop.target.name)
        self._note_first_round()

    def _ended(self, loop: _TargetLoop, task: asyncio.Task[None]) -> None:
        """Restart a loop that ended without being stopped.

        Its target must still be probed.
        """
        name = loop.target.name
        error = asyncio.CancelledError("cancelled from inside") if task.cancelled() else task.exception()
        if self._leaving.get(name) is task:
            del self._leaving[name]
        if not self._is_current(loop):
            return
        loop.planned = loop_time() + loop.target.interval
        self._launch(loop)
        self._on_crash(loop.target, error or RuntimeError("the loop ended"))

    def _is_current(self, loop: _TargetLoop) -> bool:
        return self._loops.get(loop.target.name) is loop

    def _note_first_round(self) -> None:
        if not self._not_yet_probed:
            self.first_round_done.set()

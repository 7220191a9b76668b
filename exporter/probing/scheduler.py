"""Probes every target at its interval: one supervised loop per target, evenly spread, never two probes of one at once.

For: starting, pacing, stopping and exchanging the loops when the configuration changes; reporting what the schedule itself
suffered (lag, skipped starts, crashes) through callbacks.
Not for: the arithmetic of the pace (see `backoff`), what a probe does (see `round_trip`), metrics or state: those listen.
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


class Skip(StrEnum):
    """Why a planned start was left out."""

    OVERLAP = "overlap"  # the probe before it was still running
    BACKOFF = "backoff"  # the vault throttles us
    STALL = "stall"  # the process stood still


@dataclass(frozen=True, slots=True)
class Changes:
    """What a reconciliation did, by target name."""

    started: tuple[str, ...]
    changed: tuple[str, ...]
    removed: tuple[str, ...]


@dataclass(slots=True, eq=False)
class _TargetLoop:
    """The loop of one target. `planned` is the loop time of its next start, or of the present one while it runs."""

    target: Target
    planned: float
    backoff: Backoff = field(default_factory=Backoff)
    task: asyncio.Task[None] | None = None


class Scheduler:
    """Runs `probe(target)` for every target, at most `concurrency` at once; the call is made when the slot is held.

    `on_report(target, report)` is called once per finished probe, never for a target that was removed meanwhile; `probe` may
    return None for a probe that could not be made. `on_skip(target, reason, count)` counts starts left out, `on_lag(seconds)`
    how late a probe got its slot, `on_crash(target, error)` an exception in a probe or a listener, or the death of a loop:
    the loop goes on after it. All callbacks are plain functions called on the event loop. `clock` gives Unix time.
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
        self._lanes: dict[str, _TargetLoop] = {}
        self._leaving: dict[str, asyncio.Task[None]] = {}
        self._not_yet_probed: set[str] = set()
        self._closed = False
        self.first_round_done = asyncio.Event()
        """Set for good once every target has been tried: a later reconciliation does not clear it."""

    def reconcile(self, targets: Iterable[Target], *, concurrency: int | None = None) -> Changes:
        """Make the running loops match `targets`, at once and without waiting. To be called from the event loop.

        A target equal to the one running is left alone. A changed one keeps its turn, or gets a new one like a first if it is
        being probed just now. A new `concurrency` holds for probes that ask for their slot from now on.
        """
        if self._closed:
            raise RuntimeError("the scheduler has been closed")
        if concurrency is not None:
            self._slots = asyncio.Semaphore(concurrency)
        wanted = {target.name: target for target in targets}
        removed = tuple(name for name in self._lanes if name not in wanted)
        started = tuple(name for name in wanted if name not in self._lanes)
        changed = tuple(name for name, lane in self._lanes.items() if name in wanted and wanted[name] != lane.target)
        for name in removed:
            self._stop(self._lanes.pop(name))
            self._not_yet_probed.discard(name)
        for name in changed:
            self._exchange(wanted[name], restarting=len(started) + len(changed))
        for name in started:
            self._begin(wanted[name], starting=len(started) + len(changed))
        self._note_first_round()
        return Changes(started, changed, removed)

    def next_probe_at(self, name: str) -> float | None:
        """Unix time of the next planned start; None for a target that is not scheduled."""
        lane = self._lanes.get(name)
        return None if lane is None else self._clock() + lane.planned - self._now()

    async def aclose(self) -> None:
        """Cancel every loop and wait until the probes in flight have let go. Nothing is reported any more."""
        self._closed = True
        for lane in self._lanes.values():
            self._stop(lane)
        self._lanes.clear()
        if self._leaving:
            await asyncio.wait(list(self._leaving.values()))

    def _begin(self, target: Target, *, starting: int) -> None:
        lane = _TargetLoop(target, self._now() + first_delay(target.interval, starting, self._rng.random()))
        self._lanes[target.name] = lane
        if not self.first_round_done.is_set():
            self._not_yet_probed.add(target.name)
        self._launch(lane)

    def _exchange(self, target: Target, *, restarting: int) -> None:
        old = self._lanes[target.name]
        now = self._now()
        if old.planned > now:
            planned = min(old.planned, now + target.interval)
        else:
            planned = now + first_delay(target.interval, restarting, self._rng.random())
        backoff = old.backoff if old.target.vault == target.vault else Backoff()
        self._stop(old)
        lane = self._lanes[target.name] = _TargetLoop(target, planned, backoff)
        self._launch(lane)

    def _launch(self, lane: _TargetLoop) -> None:
        name = lane.target.name
        lane.task = asyncio.create_task(self._run(lane, self._leaving.get(name)), name=f"target {name}")
        lane.task.add_done_callback(lambda task: self._ended(lane, task))

    def _stop(self, lane: _TargetLoop) -> None:
        if lane.task is not None and lane.task.cancel():
            self._leaving[lane.target.name] = lane.task

    async def _run(self, lane: _TargetLoop, predecessor: asyncio.Task[None] | None) -> None:
        if predecessor is not None:  # a cancelled probe still closes its connections
            await asyncio.wait([predecessor])
        while self._is_current(lane):  # a probe may swallow the cancellation meant for its loop
            await asyncio.sleep(lane.planned - self._now())
            if self._now() - lane.planned < lane.target.interval:
                await self._take_turn(lane)
            else:  # every target wakes now: each waits for its own next turn, so that they stay spread
                self._make_up(lane, Skip.STALL)

    async def _take_turn(self, lane: _TargetLoop) -> None:
        report = None
        try:
            async with self._slots:
                self._on_lag(max(0.0, self._now() - lane.planned))
                report = await self._probe(lane.target)
        except Exception as error:  # noqa: BLE001 - one target's bug must not reach the others
            self._on_crash(lane.target, error)
        if not self._is_current(lane):
            return
        self._plan_next(lane, report)
        self._report(lane, report)

    def _plan_next(self, lane: _TargetLoop, report: ProbeReport | None) -> None:
        target, backoff = lane.target, lane.backoff
        if report is not None:
            backoff = lane.backoff = backoff.after(report, target.interval)
        lane.planned += gap(target.interval, self._rng.random())
        self._make_up(lane, Skip.OVERLAP)
        self._skip(lane, Skip.BACKOFF, backoff.skips)

    def _make_up(self, lane: _TargetLoop, reason: Skip) -> None:
        """Leave out the starts that lie in the past."""
        self._skip(lane, reason, missed_starts(lane.planned, self._now(), lane.target.interval))

    def _skip(self, lane: _TargetLoop, reason: Skip, starts: int) -> None:
        if starts:
            lane.planned += starts * lane.target.interval
            self._on_skip(lane.target, reason, starts)

    def _report(self, lane: _TargetLoop, report: ProbeReport | None) -> None:
        try:
            if report is not None:
                self._on_report(lane.target, report)
        except Exception as error:  # noqa: BLE001 - see above
            self._on_crash(lane.target, error)
        self._not_yet_probed.discard(lane.target.name)
        self._note_first_round()

    def _ended(self, lane: _TargetLoop, task: asyncio.Task[None]) -> None:
        """A loop ends only when it is stopped; any other end is a bug somewhere, and the target must not fall silent."""
        name = lane.target.name
        error = asyncio.CancelledError("cancelled from inside") if task.cancelled() else task.exception()
        if self._leaving.get(name) is task:
            del self._leaving[name]
        if not self._is_current(lane):
            return
        lane.planned = self._now() + lane.target.interval
        self._launch(lane)
        self._on_crash(lane.target, error or RuntimeError("the loop ended"))

    def _is_current(self, lane: _TargetLoop) -> bool:
        return self._lanes.get(lane.target.name) is lane

    def _note_first_round(self) -> None:
        if not self._not_yet_probed:
            self.first_round_done.set()

    @staticmethod
    def _now() -> float:
        return asyncio.get_running_loop().time()

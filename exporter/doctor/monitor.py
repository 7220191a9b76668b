"""Runs the preflight checks of every target periodically, a few targets at once.

Probes do not wait for them. A change of the failed checks is logged once.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import dataclass, replace
from typing import Final

from exporter.clients import NetworkError
from exporter.config.model import Config, Target
from exporter.core.checks import CheckResult
from exporter.core.checks.model import CheckRun
from exporter.doctor import run_checks
from exporter.doctor.collect import LookUp
from exporter.runtime.clock import loop_time
from exporter.runtime.internal_errors import reported
from exporter.runtime.logging import fields
from exporter.runtime.thread_pool import PoolExhausted

_log = logging.getLogger(__name__)

Results = tuple[CheckResult, ...]
MakeChecks = Callable[[Target], Awaitable[Sequence[CheckResult]]]

AT_ONCE: Final = 2
_SPREAD_SECONDS: Final = 3600.0  # for the first runs of all targets
_SETTLING_SECONDS: Final = 120.0  # until the first run, for the first probes


async def run_preflight(
    config: Config, target: Target, *, look_up: LookUp, on_internal_error: Callable[[Exception], None]
) -> Results:
    """Run the preflight checks of one target.

    Raises NetworkError and PoolExhausted as `run_checks` does.
    """
    module = config.modules[target.module]
    reduced = replace(config, targets={target.name: target}, modules={module.name: module})  # other modules need no setup
    return await run_checks(reduced, target, look_up=look_up, on_internal_error=on_internal_error)


@dataclass(slots=True, eq=False)
class _Entry:
    """One target. `due` is a loop time."""

    target: Target
    due: float
    task: asyncio.Task[None] | None = None
    run: CheckRun | None = None


class PreflightMonitor:
    """Runs preflight checks periodically. To be used from one event loop.

    `on_results` receives the results of each run, or None if the last ones no longer apply. `on_internal_error` receives internal errors.
    `draw` gives a number in [0, 1], `clock` Unix time.
    """

    def __init__(
        self,
        make: MakeChecks,
        *,
        on_results: Callable[[Target, Results | None], None],
        on_internal_error: Callable[[Exception], None],
        draw: Callable[[], float] = random.random,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._make, self._on_results, self._on_internal_error, self._draw, self._clock = (
            make,
            on_results,
            on_internal_error,
            draw,
            clock,
        )
        self._interval = 0.0
        self._entries: dict[str, _Entry] = {}
        self._changed = asyncio.Event()
        self._workers: list[asyncio.Task[None]] = []
        self._ended: set[asyncio.Task[None]] = set()  # cancelled, not yet done

    def reconcile(self, config: Config, changed: Collection[str] = ()) -> None:
        """Check these targets at every `preflight_interval`.

        The first call starts the runs.

        `changed` are the names of changed targets: their results are forgotten.
        """
        slower, self._interval = self._interval, config.settings.preflight_interval
        kept = config.targets.keys() - set(changed) if self._interval else set()
        for name in self._entries.keys() - kept:
            self._forget(self._entries.pop(name))
        for name, target in config.targets.items() if self._interval else ():
            entry = self._entries.setdefault(name, _Entry(target, self._first()))
            if self._interval < slower:
                entry.due = min(entry.due, self._first())
        self._changed.set()
        if not self._workers:
            self._workers = [asyncio.create_task(self._work(), name=f"preflight {place}") for place in range(AT_ONCE)]

    def last_of(self, name: str) -> CheckRun | None:
        """Return the last run of a target; None before the first one."""
        entry = self._entries.get(name)
        return None if entry is None else entry.run

    async def aclose(self) -> None:
        """Cancel all runs."""
        tasks = [*self._workers, *self._ended, *(entry.task for entry in self._entries.values() if entry.task is not None)]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._workers.clear()

    def _first(self) -> float:
        """Return when a target's first run is due."""
        longest = min(_SPREAD_SECONDS, self._interval)
        settling = min(_SETTLING_SECONDS, longest / 2)
        return loop_time() + settling + self._draw() * (longest - settling)

    def _forget(self, entry: _Entry) -> None:
        if entry.task is not None:
            self._ended.add(entry.task)
            entry.task.add_done_callback(self._ended.discard)
            entry.task.cancel()
        if entry.run is not None:
            self._on_results(entry.target, None)

    async def _work(self) -> None:
        while True:
            entry = min((one for one in self._entries.values() if one.task is None), key=lambda one: one.due, default=None)
            if entry is None or entry.due > loop_time():
                await self._wait(None if entry is None else entry.due)
                continue
            entry.task = asyncio.create_task(self._run(entry), name=f"preflight of {entry.target.name}")
            await asyncio.wait({entry.task})

    async def _wait(self, until: float | None) -> None:
        """Wait until that time, or until the configuration changes."""
        self._changed.clear()
        try:
            async with asyncio.timeout_at(until):
                await self._changed.wait()
        except TimeoutError:
            pass

    async def _run(self, entry: _Entry) -> None:
        try:
            with reported(self._on_internal_error):  # an internal error of one target must not stop the others
                await self._run_checks(entry)
        finally:
            entry.task, entry.due = None, loop_time() + self._interval

    async def _run_checks(self, entry: _Entry) -> None:
        try:
            results = tuple(await self._make(entry.target))
        except (NetworkError, PoolExhausted) as error:
            _log.warning("preflight run failed", extra=fields(target=entry.target.name, problem=str(error)))
            return
        before, entry.run = entry.run, CheckRun(self._clock(), results)
        _log_change(entry.target, before, entry.run)
        self._on_results(entry.target, results)


def _log_change(target: Target, before: CheckRun | None, now: CheckRun) -> None:
    """Log one line if other checks fail than in the previous run."""
    names = [result.check for result in now.failed]
    if names == [result.check for result in (() if before is None else before.failed)]:
        return
    if names:
        _log.warning("preflight failed", extra=fields(target=target.name, checks=",".join(names)))
    else:
        _log.info("preflight passes again", extra=fields(target=target.name))

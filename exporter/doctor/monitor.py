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
from typing import TYPE_CHECKING, Final

from exporter.clients.http.network import NetworkError
from exporter.config.settings import Config, Target
from exporter.knowledge.checks_vault import CheckResult, CheckRun
from exporter.runtime.logging import fields
from exporter.runtime.loop import loop_time
from exporter.runtime.tasks import PeriodicRunner, PoolExhausted

if TYPE_CHECKING:
    from exporter.doctor.collect import Lookup

_log = logging.getLogger(__name__)

Results = tuple[CheckResult, ...]
MakeChecks = Callable[[Target], Awaitable[Sequence[CheckResult]]]

CONCURRENT_RUNS: Final = 2
_SPREAD_SECONDS: Final = 3600.0  # for the first runs of all targets
_SETTLING_SECONDS: Final = 120.0  # until the first run, for the first probes


async def run_preflight(
    config: Config, target: Target, *, look_up: Lookup, on_internal_error: Callable[[Exception], None]
) -> Results:
    """Run the preflight checks of one target. Raises NetworkError and PoolExhausted as `run_checks` does."""
    from exporter.doctor.run import run_checks  # noqa: PLC0415 - a tenth of all imports, and no probe needs them

    module = config.modules[target.module]
    reduced = replace(config, targets={target.name: target}, modules={module.name: module})  # other modules need no setup
    return await run_checks(reduced, target, look_up=look_up, on_internal_error=on_internal_error)


@dataclass(slots=True, eq=False)
class _PreflightEntry:
    """One target. `due` is a loop time."""

    target: Target
    due: float
    run: CheckRun | None = None


class PreflightMonitor:
    """Runs preflight checks periodically. Use it from one event loop.

    `on_results` receives the results of each run, or None if the last ones no longer apply. `on_internal_error` receives internal errors.
    `draw` gives a number in [0, 1].
    """

    def __init__(
        self,
        make: MakeChecks,
        *,
        on_results: Callable[[Target, Results | None], None],
        on_internal_error: Callable[[Exception], None],
        draw: Callable[[], float] = random.random,
    ) -> None:
        self._make, self._on_results, self._draw = make, on_results, draw
        self._interval = 0.0
        self._slots = asyncio.Semaphore(CONCURRENT_RUNS)
        self._runner = PeriodicRunner(
            self._run,
            pause=lambda _entry: self._interval,
            on_error=lambda _entry, error: on_internal_error(error),
            name="preflight of",
        )

    def reconcile(self, config: Config, changed: Collection[str] = ()) -> None:
        """Check these targets at every `preflight_interval`. The first call starts the runs.

        `changed` are the names of changed targets: their results are forgotten.
        """
        slower, self._interval = self._interval, config.settings.preflight_interval
        kept = config.targets.keys() - set(changed) if self._interval else set()
        for name in self._runner.jobs.keys() - kept:
            self._forget(name)
        for name, target in config.targets.items() if self._interval else ():
            if name not in self._runner.jobs:
                self._runner.start(name, _PreflightEntry(target, self._first()))
            elif self._interval < slower:
                self._runner.advance(name, self._first())

    def last_of(self, name: str) -> CheckRun | None:
        """Return the last run of a target; None before the first one."""
        entry = self._runner.jobs.get(name)
        return None if entry is None else entry.run

    async def aclose(self) -> None:
        """Cancel all runs."""
        await self._runner.aclose()

    def _first(self) -> float:
        """Return when a target's first run is due."""
        longest = min(_SPREAD_SECONDS, self._interval)
        settling = min(_SETTLING_SECONDS, longest / 2)
        return loop_time() + settling + self._draw() * (longest - settling)

    def _forget(self, name: str) -> None:
        entry = self._runner.stop(name)
        if entry is not None and entry.run is not None:
            self._on_results(entry.target, None)

    async def _run(self, entry: _PreflightEntry) -> None:
        try:
            async with self._slots:
                results = tuple(await self._make(entry.target))
            before, entry.run = entry.run, CheckRun(time.time(), results)
            _log_change(entry.target, before, entry.run)
            self._on_results(entry.target, results)
        except (NetworkError, PoolExhausted) as error:
            _log.warning("preflight run failed", extra=fields(target=entry.target.name, problem=str(error)))
        entry.due = loop_time() + self._interval


def _log_change(target: Target, before: CheckRun | None, now: CheckRun) -> None:
    """Log one line if other checks fail than in the previous run."""
    names = [result.check for result in now.failed]
    if names == [result.check for result in (() if before is None else before.failed)]:
        return
    if names:
        _log.warning("preflight failed", extra=fields(target=target.name, checks=",".join(names)))
    else:
        _log.info("preflight passes again", extra=fields(target=target.name))

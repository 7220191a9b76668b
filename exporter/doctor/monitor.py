"""Makes the doctor's checks of every target again and again, slowly, beside the probes and never in their way.

For: when which target's turn is, a few at once at most; keeping what was found; saying it once when it changes.
Not for: the checks (see `doctor`), their metrics (see `metrics`), or the probes' own schedule (see `probing.scheduler`).
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
from exporter.runtime.logging import fields
from exporter.runtime.thread_pool import PoolExhausted

_log = logging.getLogger(__name__)

Results = tuple[CheckResult, ...]
MakeChecks = Callable[[Target], Awaitable[Sequence[CheckResult]]]

AT_ONCE: Final = 2
_SPREAD_SECONDS: Final = 3600.0  # over which first runs are spread
_SETTLING_SECONDS: Final = 120.0  # the first round of probes comes first


async def run_preflight(config: Config, target: Target, *, look_up: LookUp, on_bug: Callable[[Exception], None]) -> Results:
    """The doctor's checks of one target. Raises NetworkError and PoolExhausted as `run_checks` does."""
    module = config.modules[target.module]
    own = replace(config, targets={target.name: target}, modules={module.name: module})  # no work for what is not asked
    return await run_checks(own, target, look_up=look_up, on_bug=on_bug)


@dataclass(slots=True, eq=False)
class _Entry:
    """One target. `due` is in the loop's time."""

    target: Target
    due: float
    task: asyncio.Task[None] | None = None
    run: CheckRun | None = None


class PreflightMonitor:
    """To be used from one event loop. `on_results` hears of each run, and gets None for what says nothing any more of a target;
    `on_bug` of our own mistakes. `draw` gives a number in [0, 1], `clock` Unix time.
    """

    def __init__(
        self,
        make: MakeChecks,
        *,
        on_results: Callable[[Target, Results | None], None],
        on_bug: Callable[[Exception], None],
        draw: Callable[[], float] = random.random,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._make, self._on_results, self._on_bug, self._draw, self._clock = make, on_results, on_bug, draw, clock
        self._interval = 0.0
        self._files: dict[str, _Entry] = {}
        self._changed = asyncio.Event()
        self._workers: list[asyncio.Task[None]] = []
        self._ended: set[asyncio.Task[None]] = set()  # told to end, and not yet done

    def reconcile(self, config: Config, changed: Collection[str] = ()) -> None:
        """From now on these targets are checked, every `preflight_interval`; runs begin with the first call.

        `changed` are the names of targets that are not what they were: what was found of them is forgotten.
        """
        slower, self._interval = self._interval, config.settings.preflight_interval
        kept = config.targets.keys() - set(changed) if self._interval else set()
        for name in self._files.keys() - kept:
            self._forget(self._files.pop(name))
        for name, target in config.targets.items() if self._interval else ():
            file = self._files.setdefault(name, _Entry(target, self._first()))
            if self._interval < slower:
                file.due = min(file.due, self._first())
        self._changed.set()
        if not self._workers:
            self._workers = [asyncio.create_task(self._work(), name=f"preflight {place}") for place in range(AT_ONCE)]

    def last_of(self, name: str) -> CheckRun | None:
        """The last run for a target; None before there was one."""
        file = self._files.get(name)
        return None if file is None else file.run

    async def aclose(self) -> None:
        """Ends what is under way."""
        tasks = [*self._workers, *self._ended, *(file.task for file in self._files.values() if file.task is not None)]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._workers.clear()

    def _first(self) -> float:
        """When a target's first run is due."""
        longest = min(_SPREAD_SECONDS, self._interval)
        settling = min(_SETTLING_SECONDS, longest / 2)
        return _now() + settling + self._draw() * (longest - settling)

    def _forget(self, file: _Entry) -> None:
        if file.task is not None:
            self._ended.add(file.task)
            file.task.add_done_callback(self._ended.discard)
            file.task.cancel()
        if file.run is not None:
            self._on_results(file.target, None)

    async def _work(self) -> None:
        while True:
            file = min((one for one in self._files.values() if one.task is None), key=lambda one: one.due, default=None)
            if file is None or file.due > _now():
                await self._wait(None if file is None else file.due)
                continue
            file.task = asyncio.create_task(self._run(file), name=f"preflight of {file.target.name}")
            await asyncio.wait({file.task})

    async def _wait(self, until: float | None) -> None:
        """Until then, or until the configuration changes."""
        self._changed.clear()
        try:
            async with asyncio.timeout_at(until):
                await self._changed.wait()
        except TimeoutError:
            pass

    async def _run(self, file: _Entry) -> None:
        try:
            results = tuple(await self._make(file.target))
            before, file.run = file.run, CheckRun(self._clock(), results)
            _say(file.target, before, file.run)
            self._on_results(file.target, results)
        except (NetworkError, PoolExhausted) as error:
            _log.warning("preflight run failed", extra=fields(target=file.target.name, problem=str(error)))
        except Exception as error:  # noqa: BLE001 - one target's bug must not reach the others
            self._on_bug(error)
        finally:
            file.task, file.due = None, _now() + self._interval


def _say(target: Target, before: CheckRun | None, now: CheckRun) -> None:
    """One line when other checks fail than in the run before."""
    names = [result.check for result in now.failed]
    if names == [result.check for result in (() if before is None else before.failed)]:
        return
    if names:
        _log.warning("preflight failed", extra=fields(target=target.name, checks=",".join(names)))
    else:
        _log.info("preflight passes again", extra=fields(target=target.name))


def _now() -> float:
    return asyncio.get_running_loop().time()

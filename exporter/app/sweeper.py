"""Updates what changes with time alone: results and verdicts that are too old, budgets, readiness. Logs delayed first probes.

An error is counted; it ends no sweep and delays no other target.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping

from exporter.metrics.recorder import Recorder
from exporter.runtime.internal_errors import reported
from exporter.state.records import TargetRecords

SWEEP_SECONDS = 2.0  # how long a verdict may stay that is too old


class Sweeper:
    """Sweeps periodically, and calls `on_sweep` with the Unix time. Use it from one event loop.

    `on_unmeasured` receives the targets that are not measured, and the share of the time that this host lost.
    `on_internal_error` receives internal errors.
    """

    def __init__(
        self,
        recorder: Recorder,
        records: TargetRecords,
        *,
        ready: Callable[[], bool],
        on_sweep: Callable[[float], None],
        on_unmeasured: Callable[[Mapping[str, float]], None],
        on_internal_error: Callable[[Exception], None],
    ) -> None:
        self._recorder, self._records, self._ready, self._on_internal_error = recorder, records, ready, on_internal_error
        self._on_sweep, self._on_unmeasured = on_sweep, on_unmeasured
        self._dropped: set[str] = set()
        self._unmeasured: set[str] = set()
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._task = asyncio.create_task(self._run(), name="sweep")

    def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()

    async def _run(self) -> None:
        while True:
            self._sweep(time.time())
            await asyncio.sleep(SWEEP_SECONDS)

    def _sweep(self, now: float) -> None:
        with reported(self._on_internal_error):
            self._recorder.ready(ready=self._ready())
        for update in (self._recorder.sweep, self._on_sweep):
            with reported(self._on_internal_error):
                update(now)
        with reported(self._on_internal_error):
            unmeasured = self._records.unmeasured(now)
            self._on_unmeasured(unmeasured)
            self._unmeasured &= unmeasured.keys()
            for name in unmeasured.keys() - self._unmeasured:
                with reported(self._on_internal_error):
                    self._recorder.drop_result(name)
                    self._unmeasured.add(name)
        with reported(self._on_internal_error):
            stale = self._records.stale(now)
            self._dropped &= stale
            for name in stale - self._dropped:
                with reported(self._on_internal_error):
                    self._recorder.drop_verdict(name)
                    self._dropped.add(name)

"""What changes because time passes and nothing happens: verdicts that have become too old, budgets, readiness.

For: one task that goes on for ever. An error is counted. It does not end the task or hold up other targets.
Not for: when a verdict is too old (see `state.records`).
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Iterator

from exporter.metrics.recorder import Recorder
from exporter.state.records import TargetRecords

SWEEP_SECONDS = 2.0  # how late a stale verdict may go


class Sweeper:
    """Used from one event loop. `on_bug` is called with what one of the parts raises."""

    def __init__(
        self, recorder: Recorder, records: TargetRecords, *, ready: Callable[[], bool], on_bug: Callable[[Exception], None]
    ) -> None:
        self._recorder, self._records, self._ready, self._on_bug = recorder, records, ready, on_bug
        self._dropped: set[str] = set()
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
        with self._counted():
            self._recorder.ready(ready=self._ready())
        with self._counted():
            self._recorder.sweep(now)
        with self._counted():
            stale = self._records.stale(now)
            self._dropped &= stale
            for name in stale - self._dropped:
                with self._counted():
                    self._recorder.drop_verdict(name)
                    self._dropped.add(name)

    @contextlib.contextmanager
    def _counted(self) -> Iterator[None]:
        try:
            yield
        except Exception as error:  # noqa: BLE001 - the next sweep comes all the same
            self._on_bug(error)

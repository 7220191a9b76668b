"""Runs jobs by name, each when it is due.

A job that waits is a timer and no task, so that thousands cost little memory.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Generic, Protocol, TypeVar

from exporter.runtime.clock import loop_time
from exporter.runtime.internal_errors import reported
from exporter.runtime.single_flight import SingleFlight


class Job(Protocol):
    due: float  # loop time of its next or current run


_J = TypeVar("_J", bound=Job)


class PeriodicRunner(Generic[_J]):
    """Runs each job again and again. Use it from one event loop.

    Two runs of one name never overlap. `run(job)` sets the next `job.due`. After an internal error (see `reported`) the job is
    due again in `pause(job)` seconds, and `on_error(job, error)` is called. `name` is for the tasks.
    """

    def __init__(
        self,
        run: Callable[[_J], Awaitable[None]],
        *,
        pause: Callable[[_J], float],
        on_error: Callable[[_J, Exception], None],
        name: str,
    ) -> None:
        self._run, self._pause, self._on_error, self._name = run, pause, on_error, name
        self.jobs: dict[str, _J] = {}
        self._timers: dict[str, asyncio.TimerHandle] = {}  # of the jobs that wait
        self._runs: SingleFlight[str, None] = SingleFlight()

    def start(self, name: str, job: _J) -> None:
        """Run a job from its `due` on, in place of the previous one of this name.

        The first run waits until a cancelled run of the previous one has ended.
        """
        self.stop(name)
        self.jobs[name] = job
        self._plan(name)

    def advance(self, name: str, due: float) -> None:
        """Make a waiting job due at that time if it would be due later."""
        job = self.jobs[name]
        if due < job.due:
            job.due = due
            self._plan(name)

    def stop(self, name: str) -> _J | None:
        """Remove a job, cancel its run and return it."""
        self._clear_timer(name)
        self._runs.cancel(name)
        return self.jobs.pop(name, None)

    async def aclose(self) -> None:
        """Remove all jobs and wait until their runs have ended."""
        for name in list(self.jobs):
            self.stop(name)
        await self._runs.wait()

    def _plan(self, name: str) -> None:
        self._clear_timer(name)
        if not self._runs.running(name):  # else its end plans the next run
            self._timers[name] = asyncio.get_running_loop().call_at(self.jobs[name].due, self._begin, name)

    def _clear_timer(self, name: str) -> None:
        timer = self._timers.pop(name, None)
        if timer is not None:
            timer.cancel()

    def _begin(self, name: str) -> None:
        del self._timers[name]
        job = self.jobs[name]
        task = self._runs.start(name, self._run_once(job), name=f"{self._name} {name}")
        task.add_done_callback(lambda task: self._ended(name, job, task))

    async def _run_once(self, job: _J) -> None:
        with reported(lambda error: self._failed(job, error)):
            await self._run(job)

    def _ended(self, name: str, job: _J, task: asyncio.Task[None]) -> None:
        try:
            if task.cancelled() and self.jobs.get(name) is job:
                self._failed(job, RuntimeError("cancelled and not stopped"))
        finally:
            if name in self.jobs:
                self._plan(name)

    def _failed(self, job: _J, error: Exception) -> None:
        job.due = loop_time() + self._pause(job)
        self._on_error(job, error)

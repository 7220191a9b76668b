"""One running task per key, which all its callers share."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Hashable
from contextvars import Context
from typing import Any, Generic, TypeVar

_Key = TypeVar("_Key", bound=Hashable)
_Result = TypeVar("_Result")


class SingleFlight(Generic[_Key, _Result]):
    """Runs at most one task per key. Use it from one event loop."""

    def __init__(self) -> None:
        self._tasks: dict[_Key, asyncio.Task[_Result]] = {}

    def running(self, key: _Key) -> bool:
        task = self._tasks.get(key)
        return task is not None and not task.done()

    def start(
        self, key: _Key, work: Coroutine[Any, Any, _Result], *, name: str, context: Context | None = None
    ) -> asyncio.Task[_Result]:
        """Start the task of a key that has no running one."""
        task = self._tasks[key] = asyncio.create_task(work, name=name, context=context)
        task.add_done_callback(lambda task: self._tasks.pop(key) if self._tasks.get(key) is task else None)
        return task

    async def join(self, key: _Key, work: Callable[[], Coroutine[Any, Any, _Result]], *, name: str) -> _Result:
        """Return the result of the running task, or of a new one; raise as the task does.

        A caller that gives up cancels the task for no other.
        """
        if not self.running(key):
            self.start(key, work(), name=name).add_done_callback(_retrieve_exception)
        task = self._tasks[key]
        await asyncio.wait([task])
        return task.result()

    def cancel(self, key: _Key) -> None:
        """Cancel a running task once; it stays the task of its key until it has ended."""
        task = self._tasks.get(key)
        if task is not None and not task.cancelling():
            task.cancel()

    async def wait(self) -> None:
        """Wait until all tasks of now have ended."""
        if self._tasks:
            await asyncio.wait(list(self._tasks.values()))

    async def aclose(self) -> None:
        """Cancel all tasks and wait until they have ended."""
        for key in self._tasks:
            self.cancel(key)
        await self.wait()


def _retrieve_exception(task: asyncio.Task[Any]) -> None:
    """Mark an exception as handled: perhaps no caller waits any more."""
    if not task.cancelled():
        task.exception()

"""Tasks and threads: one running task per key, jobs that run when they are due, and a pool of daemon threads for calls that block.

Also what ends none of them: internal errors, and resources that this process lacks.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import socket
import threading
from collections import OrderedDict
from collections.abc import Callable, Coroutine, Hashable, Iterator
from contextvars import Context
from enum import StrEnum
from functools import partial
from typing import Any, Generic, Protocol, TypeVar, TypeVarTuple

from exporter.runtime.errors import every_exception, numbers_of
from exporter.runtime.loop import loop_time

# One running task per key, which all its callers share.

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
            # That marks an exception as handled: perhaps no caller waits any more.
            self.start(key, work(), name=name).add_done_callback(lambda task: task.cancelled() or task.exception())
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


# Internal errors that must not end a task, a CancelledError of another task's making included.


def is_cancelled() -> bool:
    """Whether the running task was cancelled from outside; otherwise a CancelledError in it is an internal error."""
    task = asyncio.current_task()
    return task is None or task.cancelling() > 0


@contextlib.contextmanager
def reported(on_error: Callable[[Exception], None]) -> Iterator[None]:
    """Pass an exception of the block to `on_error`; only the cancellation of this task ends it."""
    try:
        yield
    except asyncio.CancelledError as error:
        if is_cancelled():
            raise
        on_error(RuntimeError("cancelled from inside").with_traceback(error.__traceback__))
    except Exception as error:  # noqa: BLE001 - that is the purpose
        on_error(error)


class Job(Protocol):
    due: float  # loop time of its next or current run


_J = TypeVar("_J", bound=Job)


class PeriodicRunner(Generic[_J]):
    """Runs each job again and again. Use it from one event loop.

    A job that waits is a timer and no task, so that thousands cost little memory. Two runs of one name never overlap. `run(job)` sets the
    next `job.due`. After an internal error, a CancelledError of its own making included, the job is due again in `pause(job)` seconds, and
    `on_error(job, error)` is called. `name` is for the tasks.
    """

    def __init__(
        self,
        run: Callable[[_J], Coroutine[Any, Any, None]],
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
        task = self._runs.start(name, self._run(job), name=f"{self._name} {name}")
        task.add_done_callback(partial(self._ended, name, job))

    def _ended(self, name: str, job: _J, task: asyncio.Task[None]) -> None:
        try:
            task.result()
        except asyncio.CancelledError as error:
            if not task.cancelling():
                self._failed(job, RuntimeError("cancelled from inside").with_traceback(error.__traceback__))
            elif self.jobs.get(name) is job:
                self._failed(job, RuntimeError("cancelled and not stopped"))
        except Exception as error:  # noqa: BLE001 - an internal error of one job ends no other
            self._failed(job, error)
        finally:
            if name in self.jobs:
                self._plan(name)

    def _failed(self, job: _J, error: Exception) -> None:
        job.due = loop_time() + self._pause(job)
        self._on_error(job, error)


# Resources that this process can lack: descriptors, threads, memory.
#
# A shortage is never a vault's fault. It is found in an exception, however deep a library wrapped it.


class Shortage(StrEnum):
    """The missing resource. The values are those of the label `reason` of `ekm_exporter_probes_skipped_total`."""

    RESOLVER = "resolver"  # every thread, or every handshake slot, was in use
    DESCRIPTORS = "descriptors"
    THREADS = "threads"
    MEMORY = "memory"


_ERRNOS = {
    errno.EMFILE: Shortage.DESCRIPTORS,
    errno.ENFILE: Shortage.DESCRIPTORS,
    errno.ENOMEM: Shortage.MEMORY,
    errno.ENOBUFS: Shortage.MEMORY,
}


def shortage_of(error: BaseException | None) -> Shortage | None:
    """Return the lacking resource that caused the exception, else None."""
    return next((lacking for one in every_exception(error) if (lacking := _shortage_in(one)) is not None), None)


def _shortage_in(error: BaseException) -> Shortage | None:
    shortage = getattr(error, "shortage", None)
    if isinstance(shortage, Shortage):
        return shortage
    if isinstance(error, MemoryError):
        return Shortage.MEMORY
    if isinstance(error, socket.gaierror):  # its error numbers have another meaning
        return Shortage.MEMORY if error.errno == socket.EAI_MEMORY else None
    numbers = numbers_of(error) if isinstance(error, OSError) else ()
    return next((_ERRNOS[number] for number in numbers if number in _ERRNOS), None)


def require_descriptor() -> None:
    """Raise OSError if the system grants this process no descriptor.

    The C library's resolver reports that shortage as a name that cannot be resolved.
    """
    socket.socket().close()


# A few daemon threads for calls that block, above all for name resolution.
#
# The executor of asyncio has few threads, so a few dead names would block healthy ones. It joins its threads at exit, so a
# hanging resolver would delay the end of the process. Here each running probe may hold a thread, and threads end with the
# process. A call that got no thread raises `PoolExhausted`: that wait is not the network's fault.

_T = TypeVar("_T")
_Args = TypeVarTuple("_Args")

IDLE_SECONDS = 30.0  # a thread that was idle for this long ends
LEFT_FREE = 4  # threads that a pool leaves to other parts once the system grants it no more


class PoolExhausted(Exception):  # noqa: N818 - a state of the exporter, not an error of a service
    """Raised if this process lacked a resource, such as a thread. Nothing else was tested."""

    def __init__(self, text: str, shortage: Shortage = Shortage.RESOLVER) -> None:
        super().__init__(text)
        self.shortage = shortage


def _execute(call: asyncio.Future[Any], work: Callable[[], Any]) -> None:
    try:
        settle = partial(call.set_result, work())
    except BaseException as error:  # noqa: BLE001 - whatever it is, it belongs to the caller
        settle = partial(call.set_exception, error)
    with contextlib.suppress(RuntimeError):  # the loop is closed: no caller waits
        call.get_loop().call_soon_threadsafe(lambda call, settle: call.done() or settle(), call, settle)
    del call, work, settle  # the exception keeps this frame, and these keep the exception: a cycle


class DaemonThreadPool:
    """At most `size` daemon threads, started on demand, ended when idle. Use it from one event loop."""

    def __init__(self, size: int, *, name: str = "ekm") -> None:
        if size < 1:
            raise ValueError("a pool needs at least one thread")
        self._size = self._most = size  # fewer than the most while the system grants no more
        self._name = name
        self._changed = threading.Condition()
        self._waiting: OrderedDict[asyncio.Future[Any], Callable[[], Any]] = OrderedDict()
        self.threads = 0  # that exist now
        self._idle = 0
        self._started = 0
        self._refused = False  # the system did not grant the last thread
        self._closed = False

    def allow(self, size: int) -> None:
        """Raise the limit to at least `size` threads; the limit never falls."""
        with self._changed:
            if size > self._most:
                self._size = self._most = size

    async def run(self, function: Callable[[*_Args], _T], *args: *_Args) -> _T:
        """Run `function(*args)` on a thread and return its result or raise its exception.

        If cancelled before a thread took the call, the call is withdrawn, and `PoolExhausted` is the cause of the `CancelledError`. The
        `TimeoutError` of `asyncio.timeout` has that cause too (see `shortage_of`). If cancelled later, the thread still finishes.
        Raises `PoolExhausted` if the pool is closed, the system grants no thread, or the call lacked a descriptor or memory.
        """
        call: asyncio.Future[_T] = asyncio.get_running_loop().create_future()
        self._submit(call, partial(function, *args))
        try:
            return await call
        except asyncio.CancelledError as cancelled:
            with self._changed:
                withdrawn = self._waiting.pop(call, None) is not None
            if withdrawn:
                lacking = Shortage.THREADS if self._refused else Shortage.RESOLVER
                raise cancelled from PoolExhausted(f"no thread of {self._size} was free", lacking)
            raise
        except Exception as error:
            if found := shortage_of(error):
                raise PoolExhausted(f"the system grants no {found}", found) from error
            raise
        finally:
            del call  # for the same reason as in `_execute`

    def close(self) -> None:
        """Reject new calls, cancel waiting ones, and leave busy threads alone."""
        with self._changed:
            self._closed = True
            waiting, self._waiting = list(self._waiting), OrderedDict()
            self._changed.notify_all()
        for call in waiting:
            call.cancel()

    def _submit(self, call: asyncio.Future[Any], work: Callable[[], Any]) -> None:
        with self._changed:
            if self._closed:
                raise PoolExhausted("the pool is closed")
            self._waiting[call] = work
            if self._idle >= len(self._waiting):
                self._changed.notify()
            elif self.threads < self._size:
                self._spawn(call)

    def _spawn(self, call: asyncio.Future[Any]) -> None:
        self._started += 1
        thread = threading.Thread(target=self._work, name=f"{self._name}-{self._started}", daemon=True)
        try:
            thread.start()
        except RuntimeError as error:
            if not self.threads:
                del self._waiting[call]
                raise PoolExhausted("the system grants no threads", Shortage.THREADS) from error
            self._refused, self._size = True, max(1, self.threads - LEFT_FREE)
        else:
            self.threads += 1
            self._refused = False

    def _work(self) -> None:
        while (taken := self._next()) is not None:
            _execute(*taken)
            del taken  # otherwise an idle thread keeps the last result alive

    def _next(self) -> tuple[asyncio.Future[Any], Callable[[], Any]] | None:
        with self._changed:
            while not self._waiting or self.threads > self._size:
                if self._closed or self.threads > self._size or not self._rest():
                    self.threads -= 1
                    return None
            return self._waiting.popitem(last=False)

    def _rest(self) -> bool:
        """Wait for work. Return False if the thread should end instead."""
        self._idle += 1
        try:
            if self._changed.wait(IDLE_SECONDS) or self._waiting:
                return True
            self._size = self._most  # after a quiet time the system is asked again
            return False
        finally:
            self._idle -= 1

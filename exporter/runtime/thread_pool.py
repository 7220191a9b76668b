"""A few daemon threads for calls that block, above all for name resolution.

The executor of asyncio has few threads, so a few dead names would block healthy ones. It joins its threads at exit, so a
hanging resolver would delay the end of the process. Here each running probe may hold a thread, and threads end with the
process. A call that got no thread raises `PoolExhausted`: that wait is not the network's fault.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections import OrderedDict
from collections.abc import Callable
from typing import Any, TypeVar, TypeVarTuple

from exporter.runtime.shortage import Shortage, shortage_of

_T = TypeVar("_T")
_Args = TypeVarTuple("_Args")

IDLE_SECONDS = 30.0  # a thread that was idle for this long ends
LEFT_FREE = 4  # threads that a pool leaves to other parts once the system grants it no more


class PoolExhausted(Exception):  # noqa: N818 - a state of the exporter, not an error of a service
    """Raised if this process lacked a resource, such as a thread.

    Nothing else was tested.
    """

    def __init__(self, text: str, shortage: Shortage = Shortage.RESOLVER) -> None:
        super().__init__(text)
        self.shortage = shortage


class _Call:
    """One call on its way to a thread and its result on the way back."""

    __slots__ = ("_function", "_loop", "result")

    def __init__(self, function: Callable[[], Any]) -> None:
        self._function = function
        self._loop = asyncio.get_running_loop()
        self.result: asyncio.Future[Any] = self._loop.create_future()

    def execute(self) -> None:
        try:
            value = self._function()
        except BaseException as error:  # noqa: BLE001 - whatever it is, it belongs to the caller
            self._deliver(self.result.set_exception, error)
        else:
            self._deliver(self.result.set_result, value)
        finally:
            del self  # the exception keeps this frame, and the call the exception: a cycle

    def _deliver(self, setter: Callable[[Any], None], outcome: Any) -> None:
        def settle() -> None:
            if not self.result.done():  # else the caller has given up
                setter(outcome)

        with contextlib.suppress(RuntimeError):  # the loop is closed: no caller waits
            self._loop.call_soon_threadsafe(settle)


class DaemonThreadPool:
    """At most `size` daemon threads, started on demand, ended when idle.

    Use it from one event loop.
    """

    def __init__(self, size: int, *, name: str = "ekm") -> None:
        if size < 1:
            raise ValueError("a pool needs at least one thread")
        self._size = self._most = size  # fewer than the most while the system grants no more
        self._name = name
        self._changed = threading.Condition()
        self._waiting: OrderedDict[_Call, None] = OrderedDict()
        self._threads = 0
        self._idle = 0
        self._started = 0
        self._refused = False  # the system did not grant the last thread
        self._closed = False

    @property
    def threads(self) -> int:
        """The number of threads that exist now."""
        return self._threads

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
        call = _Call(lambda: function(*args))
        self._submit(call)
        try:
            return await call.result  # type: ignore[no-any-return]
        except asyncio.CancelledError as cancelled:
            if self._withdraw(call):
                raise cancelled from self._busy(f"no thread of {self._size} was free")
            raise
        except Exception as error:
            lacking = shortage_of(error)
            if lacking is None:
                raise
            raise PoolExhausted(f"the system grants no {lacking}", lacking) from error
        finally:
            del call  # for the same reason as in `execute`

    def close(self) -> None:
        """Reject new calls, cancel waiting ones, and leave busy threads alone."""
        with self._changed:
            self._closed = True
            waiting, self._waiting = list(self._waiting), OrderedDict()
            self._changed.notify_all()
        for call in waiting:
            call.result.cancel()

    def _submit(self, call: _Call) -> None:
        with self._changed:
            if self._closed:
                raise PoolExhausted("the pool is closed")
            self._waiting[call] = None
            if self._idle >= len(self._waiting):
                self._changed.notify()
            elif self._threads < self._size:
                self._spawn(call)

    def _spawn(self, call: _Call) -> None:
        self._started += 1
        thread = threading.Thread(target=self._work, name=f"{self._name}-{self._started}", daemon=True)
        try:
            thread.start()
        except RuntimeError as error:
            if not self._threads:
                del self._waiting[call]
                raise PoolExhausted("the system grants no threads", Shortage.THREADS) from error
            self._refused, self._size = True, max(1, self._threads - LEFT_FREE)
        else:
            self._threads += 1
            self._refused = False

    def _busy(self, text: str) -> PoolExhausted:
        return PoolExhausted(text, Shortage.THREADS if self._refused else Shortage.RESOLVER)

    def _withdraw(self, call: _Call) -> bool:
        with self._changed:
            if call not in self._waiting:
                return False
            del self._waiting[call]
            return True

    def _work(self) -> None:
        while (call := self._next()) is not None:
            call.execute()
            del call  # otherwise an idle thread keeps the last result alive

    def _next(self) -> _Call | None:
        with self._changed:
            while not self._waiting or self._threads > self._size:
                if self._closed or self._threads > self._size or not self._rest():
                    self._threads -= 1
                    return None
            return self._waiting.popitem(last=False)[0]

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

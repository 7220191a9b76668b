"""Signals of the process, from its first instruction to its last.

The module imports little: until `hold_signals` has run, SIGHUP and SIGTERM kill the process.
"""

from __future__ import annotations

import contextlib
import signal
import sys
import threading

TYPE_CHECKING = False  # the module `typing` takes two milliseconds
if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable
    from types import FrameType

_early: set[int] = set()  # signals that arrived before a loop could handle them
STOP, RELOAD = "stop", "reload"  # requests of a service manager that sends no signals: that of Windows
_requests: dict[str, Callable[[], None] | None] = {}  # what each request calls; None: it came before there was a callback
_requests_lock = threading.Lock()


def hold_signals(end: Callable[[int], object], *, reloads: bool) -> None:
    """Keep SIGHUP for a later callback, and call `end` with exit code 0 at SIGTERM.

    A command that does not reload ends at SIGHUP, unless the process was started to ignore that signal, as `nohup` does.
    """
    if sys.platform != "win32":

        def leave(number: int, _frame: FrameType | None) -> None:
            _early.add(number)  # a library may swallow an exception of `end`
            end(0)

        if reloads or signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:
            signal.signal(signal.SIGHUP, lambda number, _frame: _early.add(number))
        signal.signal(signal.SIGTERM, leave)


def request(what: str) -> None:
    """Do what the signal for it would do, from any thread."""
    with _requests_lock:
        found = _requests.setdefault(what, None)
    if found is not None:
        found()


def on_stop(callback: Callable[[], None], *, hangup: bool = False) -> None:
    """Call `callback` on the running loop at SIGTERM, Ctrl-C, Ctrl-Break and a requested stop.

    With `hangup`, SIGHUP calls it too, unless the process was started to ignore that signal, as `nohup` does.
    """
    _handle(signal.SIGINT, callback)
    _handle(signal.SIGTERM, callback)
    if sys.platform == "win32":
        _handle(signal.SIGBREAK, callback)
        _wake(_loop())
    elif hangup and signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:
        _handle(signal.SIGHUP, callback)
    _on_request(STOP, callback)


def on_reload(callback: Callable[[], None]) -> None:
    """Call `callback` on the running loop at SIGHUP and a requested reload, also for a held one. Windows has no SIGHUP."""
    if sys.platform != "win32":
        _handle(signal.SIGHUP, callback)
    _on_request(RELOAD, callback)


def ignore_signals() -> None:
    """Ignore signals after the end of the loop: they must not change the exit code."""
    for number in (signal.SIGINT, signal.SIGTERM, *(() if sys.platform == "win32" else (signal.SIGHUP,))):
        signal.signal(number, signal.SIG_IGN)


def _wake(loop: asyncio.AbstractEventLoop) -> None:
    """Wake the loop twice a second: Python handles Ctrl-C after a wait, and the `select` of Windows waits on."""
    loop.call_later(0.5, _wake, loop)


def _handle(number: int, callback: Callable[[], None]) -> None:
    """Install a handler that outlives the loop. A late signal must not kill the process."""
    call = _on_loop(callback)
    signal.signal(number, lambda _number, _frame: call())
    if number in _early:
        _early.discard(number)
        call()


def _on_request(what: str, callback: Callable[[], None]) -> None:
    call = _on_loop(callback)
    with _requests_lock:
        is_early, _requests[what] = _requests.get(what, call) is None, call
    if is_early:
        call()


def _on_loop(callback: Callable[[], None]) -> Callable[[], None]:
    """Return a function that any thread may call: it calls `callback` on the running loop."""
    loop = _loop()

    def call() -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed
            loop.call_soon_threadsafe(callback)

    return call


def _loop() -> asyncio.AbstractEventLoop:
    import asyncio  # noqa: PLC0415 - this import is slow, and signals must be held before it

    return asyncio.get_running_loop()

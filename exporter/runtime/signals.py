"""Signals of the process, from its first instruction to its last.

The module imports little: until `hold_signals` has run, SIGHUP and SIGTERM kill the process.
"""

from __future__ import annotations

import contextlib
import signal
import sys

TYPE_CHECKING = False  # the module `typing` takes two milliseconds
if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable
    from types import FrameType

_early: set[int] = set()  # signals that arrived before a loop could handle them


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


def on_stop(callback: Callable[[], None], *, hangup: bool = False) -> None:
    """Call `callback` on the running loop at SIGTERM, Ctrl-C and Ctrl-Break.

    With `hangup`, SIGHUP calls it too, unless the process was started to ignore that signal, as `nohup` does.
    """
    _handle(signal.SIGINT, callback)
    _handle(signal.SIGTERM, callback)
    if sys.platform == "win32":
        _handle(signal.SIGBREAK, callback)
        _wake(_loop())
    elif hangup and signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:
        _handle(signal.SIGHUP, callback)


def on_reload(callback: Callable[[], None]) -> None:
    """Call `callback` on the running loop at SIGHUP, also for a held one. Windows has no SIGHUP."""
    if sys.platform != "win32":
        _handle(signal.SIGHUP, callback)


def ignore_signals() -> None:
    """Ignore signals after the end of the loop: they must not change the exit code."""
    for number in (signal.SIGINT, signal.SIGTERM, *(() if sys.platform == "win32" else (signal.SIGHUP,))):
        signal.signal(number, signal.SIG_IGN)


def _wake(loop: asyncio.AbstractEventLoop) -> None:
    """Wake the loop twice a second: Python handles Ctrl-C after a wait, and the `select` of Windows waits on."""
    loop.call_later(0.5, _wake, loop)


def _handle(number: int, callback: Callable[[], None]) -> None:
    """Install a handler that outlives the loop.

    A late signal must not kill the process.
    """
    loop = _loop()

    def handle(_number: int, _frame: FrameType | None) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed
            loop.call_soon_threadsafe(callback)

    signal.signal(number, handle)
    if number in _early:
        _early.discard(number)
        loop.call_soon(callback)


def _loop() -> asyncio.AbstractEventLoop:
    import asyncio  # noqa: PLC0415 - this import is slow, and signals must be held before it

    return asyncio.get_running_loop()

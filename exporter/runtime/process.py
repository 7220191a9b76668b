"""The process: signals, limits, locks and garbage collection.

For: what differs between operating systems, so that the exporter also runs on Windows, and the settings of the collector.
Not for: anything that Python already makes the same everywhere.
"""

from __future__ import annotations

import contextlib
import gc
import os
import signal
import stat
import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import asyncio

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl
    import resource


_early: set[int] = set()  # signals that came before a loop could obey them


def hold_signals(end: Callable[[int], object]) -> None:
    """From now on SIGHUP waits for a callback, and SIGTERM calls `end` with exit code 0.

    For the first moments of a process: without it, both signals kill until the loop runs.
    """
    if sys.platform != "win32":

        def leave(number: int, _frame: FrameType | None) -> None:
            _early.add(number)  # in case that a library swallows an exception of `end`
            end(0)

        signal.signal(signal.SIGTERM, leave)
        if signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:
            signal.signal(signal.SIGHUP, lambda number, _frame: _early.add(number))


def on_stop(callback: Callable[[], None], *, hangup: bool = False) -> None:
    """Calls `callback` on the running loop at SIGTERM and Ctrl-C (on Windows also at Ctrl-Break).

    With `hangup` also at SIGHUP, unless the process was started to ignore it, as `nohup` does.
    """
    _on(signal.SIGINT, callback)
    _on(signal.SIGTERM, callback)
    if sys.platform == "win32":
        _on(signal.SIGBREAK, callback)
    elif hangup and signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:
        _on(signal.SIGHUP, callback)


def on_reload(callback: Callable[[], None]) -> None:
    """Calls `callback` on the running loop at SIGHUP, also for one that was held; Windows has no such signal."""
    if sys.platform != "win32":
        _on(signal.SIGHUP, callback)


def ignore_signals() -> None:
    """Nothing that comes from now on changes how the process ends. For its last moments, after the loop."""
    for number in (signal.SIGINT, signal.SIGTERM, *(() if sys.platform == "win32" else (signal.SIGHUP,))):
        signal.signal(number, signal.SIG_IGN)


def _on(number: int, callback: Callable[[], None]) -> None:
    """Unlike a handler of the loop, this one stays when the loop is closed, so a late signal does not kill."""
    loop = _loop()

    def obey(_number: int, _frame: FrameType | None) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed
            loop.call_soon_threadsafe(callback)

    signal.signal(number, obey)
    if number in _early:
        _early.discard(number)
        loop.call_soon(callback)


def _loop() -> asyncio.AbstractEventLoop:
    import asyncio  # noqa: PLC0415 - takes longer than the rest of this module, which a signal must not overtake

    return asyncio.get_running_loop()


def forbid_core_dumps() -> None:
    """Makes a crash leave no copy of the memory, which holds secrets, on disk."""
    if sys.platform != "win32":
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def raise_file_limit() -> None:
    """As many open files as the system allows: each probe in flight holds a socket or two, each scrape one."""
    if sys.platform != "win32":
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        if soft != hard:
            # Some systems name a hard limit that they do not grant.
            with contextlib.suppress(ValueError, OSError):
                resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def file_limit() -> int | None:
    """How many files this process may have open; None where the system names no number."""
    if sys.platform == "win32":
        return None
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return None if soft == resource.RLIM_INFINITY else soft


def open_directory(path: Path) -> int | None:
    """A descriptor to which names can be relative; None on Windows, where they cannot. Raises OSError."""
    return None if sys.platform == "win32" else os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)


def other_writers(seen: os.stat_result) -> str:
    """Why others than this process and root may change a file, as a clause; empty if none may.

    Write access for the process's own group is no reason: Kubernetes gives it to volumes with `fsGroup`. Windows has access
    lists instead of these bits, and nothing is checked there.
    """
    if sys.platform == "win32":
        return ""
    if seen.st_uid not in (0, os.geteuid()):
        return f"user {seen.st_uid} owns it"
    if stat.S_ISLNK(seen.st_mode):
        return ""  # the bits of a link mean nothing
    if seen.st_mode & stat.S_IWOTH:
        return "every user may write to it"
    if seen.st_mode & stat.S_IWGRP and seen.st_gid != os.getegid():
        return f"group {seen.st_gid} may write to it"
    return ""


def lock(descriptor: int) -> None:
    """Lock a file until its descriptor is closed, also by the end of the process. Raises BlockingIOError if it is locked."""
    try:
        if sys.platform == "win32":
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        else:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except PermissionError:  # what Windows says
        raise BlockingIOError from None


# A full collection of what is known of 5,000 targets stops everything for a quarter of a second. By default there is one after ten
# younger ones, which is once a minute with as many targets; what it then finds is less than a megabyte.
YOUNGER_COLLECTIONS = 200


def collect_rarely() -> None:
    """The configuration and the catalogue, which are there now, stay until the next reload: no collection looks at them until then.

    Full collections of the rest become rare; the younger generations are collected as ever. What a reload has thrown away goes now.
    Blocks for up to half a second with 5,000 targets.
    """
    gc.unfreeze()
    gc.collect()
    gc.freeze()
    youngest, younger, _ = gc.get_threshold()
    gc.set_threshold(youngest, younger, YOUNGER_COLLECTIONS)

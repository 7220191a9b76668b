"""What differs between operating systems: signals and limits.

For: the one place that asks which system this is, so that the exporter also runs on Windows, beside SQL Server.
Not for: anything that Python already makes the same everywhere.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
import sys
from collections.abc import Callable

if sys.platform != "win32":
    import resource


def on_stop(callback: Callable[[], None]) -> None:
    """Calls `callback` on the running loop at SIGTERM and Ctrl-C (on Windows also at Ctrl-Break)."""
    loop = asyncio.get_running_loop()
    if sys.platform == "win32":
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGBREAK):
            signal.signal(number, lambda *_: loop.call_soon_threadsafe(callback))
    else:
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, callback)


def on_reload(callback: Callable[[], None]) -> None:
    """Calls `callback` on the running loop at SIGHUP; Windows has no such signal."""
    if sys.platform != "win32":
        asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, callback)


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

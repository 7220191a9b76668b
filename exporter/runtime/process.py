"""The process: its end, its limits, the rights and locks of its files.

Only this module, `signals` and `os_errors` depend on the operating system: other modules do not read the platform.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
import sys
import threading
from pathlib import Path
from typing import NoReturn

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl
    import resource


_MOST_OPEN_AT_START = 1024


def leave(code: int) -> NoReturn:
    """End the process with that exit code, without freeing its objects one by one.

    Python would take seconds for that after a long run with thousands of targets, and a sixth of the time of a short command.
    """
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(AttributeError, OSError, ValueError):  # a service of Windows has None in place of streams
            stream.flush()
    os._exit(code)


def forbid_core_dumps() -> None:
    """Prevent core dumps: the memory holds secrets."""
    if sys.platform != "win32":
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def raise_file_limit() -> None:
    """Raise the limit of open files to the hard limit.

    Probes and scrapes hold sockets.
    """
    if sys.platform != "win32":
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        if soft != hard:
            # Some systems report a hard limit that they do not grant.
            with contextlib.suppress(ValueError, OSError):
                resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def file_limit() -> int | None:
    """Return how many files this process may open; None if the system has no limit."""
    if sys.platform == "win32":
        return None
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return None if soft == resource.RLIM_INFINITY else soft


def open_files(limit: int) -> int:
    """Return how many files this process has open below that limit, inherited ones too."""

    def is_open(descriptor: int) -> bool:
        try:
            os.fstat(descriptor)
        except OSError:
            return False
        return True

    return sum(map(is_open, range(min(limit, _MOST_OPEN_AT_START))))


def threads_granted(wanted: int) -> int:
    """Start so many threads at once, end them, and return how many the system granted."""
    ended = threading.Event()
    started: list[threading.Thread] = []
    with contextlib.suppress(RuntimeError):
        for _ in range(wanted):
            thread = threading.Thread(target=ended.wait, daemon=True)
            thread.start()
            started.append(thread)
    ended.set()
    for thread in started:
        thread.join()
    return len(started)


# A FIFO opened for reading would wait for a writer; Windows has no such flags and needs none.
OPEN_FLAGS = getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)
NO_LINKS = getattr(os, "O_NOFOLLOW", 0)


def is_windows() -> bool:
    """Whether this is Windows: its processes have an account to sign in at other hosts."""
    return sys.platform == "win32"


def every_user_may_read(mode: int) -> bool:
    """Whether the bits of a file admit every user; False on Windows, which has access lists instead."""
    return sys.platform != "win32" and bool(mode & stat.S_IROTH)


def open_directory(path: Path) -> int | None:
    """Return a descriptor for relative names; None on Windows. Raises OSError."""
    return None if sys.platform == "win32" else os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)


def other_writers(seen: os.stat_result) -> str:
    """Return why others than this process and root may change a file.

    The text is empty if they may not.

    Write access for the group of the process is allowed: Kubernetes gives it to volumes with `fsGroup`. Windows has access
    lists instead of these bits; they are not checked.
    """
    if sys.platform == "win32":
        return ""
    if seen.st_uid not in (0, os.geteuid()):
        return f"user {seen.st_uid} owns it"
    if stat.S_ISLNK(seen.st_mode):
        return ""  # the bits of a link have no effect
    if seen.st_mode & stat.S_IWOTH:
        return "every user may write to it"
    if seen.st_mode & stat.S_IWGRP and seen.st_gid != os.getegid():
        return f"group {seen.st_gid} may write to it"
    return ""


def lock(descriptor: int) -> None:
    """Lock a file until its descriptor is closed.

    Raises BlockingIOError if it is locked.
    """
    if sys.platform == "win32":
        try:
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        except OSError as error:
            if error.errno in (errno.EACCES, 0):  # Wine gives no number
                raise BlockingIOError from None
            raise
    else:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)


def switch_threads_often() -> None:
    """Let the event loop continue soon while another thread computes.

    A probe has many turns, and each would wait for the 5 ms of Python's default.
    """
    sys.setswitchinterval(0.001)

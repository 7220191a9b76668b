"""The process: its end, its output, its limits, its collector, the rights and locks of its files, its computer's name, and libraries it may lack.

With `signals`, `errors` and `files`, it has what the process does in another way on Windows. Elsewhere `is_windows` chooses a word, a collector
or a command; `exporter.windows` runs there alone.
"""

from __future__ import annotations

import codecs
import contextlib
import errno
import gc
import io
import os
import stat
import sys
import threading
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NoReturn

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
    """Raise the limit of open files to the hard limit. Probes and scrapes hold sockets."""
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
    bits = 0 if stat.S_ISLNK(seen.st_mode) else seen.st_mode  # those of a link have no effect
    if bits & stat.S_IWOTH:
        return "every user may write to it"
    return f"group {seen.st_gid} may write to it" if bits & stat.S_IWGRP and seen.st_gid != os.getegid() else ""


def lock(descriptor: int) -> None:
    """Lock a file until its descriptor is closed. Raises BlockingIOError if it is locked."""
    if sys.platform == "win32":
        try:
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        except OSError as error:
            if error.errno in (errno.EACCES, 0):  # Wine gives no number
                raise BlockingIOError from None
            raise
    else:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)


# Its output, and the console that shows it.


def output_code_page() -> int:
    """Return the number of the code page in which the console shows bytes; 0 without a console, as a service is."""
    import ctypes  # noqa: PLC0415 - every command imports this module

    libraries: Any = ctypes
    return int(libraries.windll.kernel32.GetConsoleOutputCP())


def adapt_output() -> None:
    """Write a character that the encoding of the output lacks as its number.

    Pipes and files of Windows get what PowerShell and cmd read there, the code page of the console: Python would take that of the system.
    """
    read = _code_page() if is_windows() and not sys.flags.utf8_mode else None
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(encoding=None if stream.isatty() else read, errors="backslashreplace")


def _code_page() -> str:
    encoding = f"cp{output_code_page()}"
    try:
        codecs.lookup(encoding)
    except LookupError:
        return "utf-8"
    return encoding


# The name of this computer.


def computer_name() -> str:
    """Return the name in lower case; it may have a domain."""
    import socket  # noqa: PLC0415 - a short command needs no sockets

    return socket.gethostname().lower().rstrip(".")


# Python's garbage collector: when it runs, and which objects it searches.

# - Objects that are tracked before the youngest are collected: 2,000 by default, 700 before Python 3.13. Most objects of probes in
#   flight are freed before so many exist: collections take a third of the time, at 4 ms the longest. With 20,000, one takes longer
#   than a pause may.
# - Collections of the youngest before the middle generation is collected: 20,000 objects at most, as by default.
# - Collections of the middle generation before a full one. With 5,000 targets, a full one blocks the process for a quarter of a
#   second, and frees less than a megabyte.
THRESHOLDS = (5000, 4, 200)


@contextlib.contextmanager
def importing() -> Iterator[None]:
    """Collect no garbage during imports, which leave little, and freeze what they made."""
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()


def collect_rarely() -> None:
    """Collect garbage now, freeze the rest, and make collections rare.

    Frozen objects, such as the configuration and the codes, live until `gc.unfreeze`. Blocks for up to half a second with 5,000 targets.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(*THRESHOLDS)


# Libraries that only some installations have.

MODULES = {"sql": "pytds"}  # of the extras that a configuration may need


def is_installed(extra: str) -> bool:
    """Whether the library of an extra is installed. Imports nothing."""
    return find_spec(MODULES[extra]) is not None


def install_command(extra: str) -> str:
    """Return the command that adds an extra to the environment of the running exporter: for sh, and on Windows for PowerShell."""
    from exporter.core.quoting import powershell, sh  # noqa: PLC0415 - a twelfth of the time of a short command, none of which prints this

    python = f"& {powershell(sys.executable)}" if sys.platform == "win32" else sh(sys.executable)
    return f'{python} -m pip install "ekm-exporter[{extra}]"'


class ExtraMissingError(Exception):
    """An optional library is not installed; the text shows the command that installs it."""

    def __init__(self, extra: str) -> None:
        super().__init__(f"this command needs an optional library: {install_command(extra)}")

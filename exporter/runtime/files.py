"""Read a small regular file; never wait for a pipe or read without a limit."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

from exporter.runtime.process import NO_LINKS, OPEN_FLAGS, every_user_may_read

CERTIFICATE_LIMIT = 1024 * 1024  # bytes
_REFUSALS = {errno.ELOOP: "a symbolic link that is not followed", errno.ENXIO: "not a regular file"}  # a socket is the second


class FileUnreadableError(Exception):
    """The reason why a file is unreadable, without its name or content."""


class FileMissingError(FileUnreadableError):
    """There is no such file."""


def read_whole(path: Path, *, limit: int, follow: bool = True, folder: int | None = None) -> bytes:
    """Read a regular file of at most `limit` bytes.

    Blocks. Raises FileUnreadableError only.
    Without `follow` a symbolic link is refused. A relative path is relative to the descriptor `folder` if there is one.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | OPEN_FLAGS | (0 if follow else NO_LINKS), dir_fd=folder)
        try:
            data = _read(descriptor, limit + 1)
        finally:
            os.close(descriptor)
    except ValueError:
        raise FileUnreadableError("not a valid path") from None
    except FileNotFoundError:
        raise FileMissingError("no such file") from None
    except OSError as error:
        raise FileUnreadableError(plainly(error)) from None
    if len(data) > limit:
        raise FileUnreadableError(f"larger than {limit // 1024} KiB")
    return data


def _read(descriptor: int, amount: int) -> bytes:
    mode = os.fstat(descriptor).st_mode
    if stat.S_ISDIR(mode):
        raise FileUnreadableError("a directory, not a file")
    if not stat.S_ISREG(mode):
        raise FileUnreadableError("not a regular file")
    with os.fdopen(descriptor, "rb", closefd=False) as stream:
        return stream.read(amount)


def world_readable(path: Path) -> bool:
    """Whether every user of this host can read the file; False if unknown."""
    try:
        mode = path.stat().st_mode
        return stat.S_ISREG(mode) and every_user_may_read(mode)
    except (OSError, ValueError):
        return False


def plainly(error: OSError) -> str:
    """Return the cause in lower case, without number and name."""
    if isinstance(error, IsADirectoryError):
        return "a directory, not a file"
    if isinstance(error, PermissionError):
        return "permission denied"
    if error.errno in _REFUSALS:
        return _REFUSALS[error.errno]
    return (error.strerror or type(error).__name__).lower()

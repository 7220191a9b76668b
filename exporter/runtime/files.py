"""Read a small regular file, and text of other programs; never wait for a pipe or read without a limit."""

from __future__ import annotations

import errno
import glob
import os
import stat
from pathlib import Path

from exporter.runtime.errors import number_of, text_of
from exporter.runtime.process import NO_LINKS, OPEN_FLAGS, every_user_may_read, is_windows

CERTIFICATE_LIMIT = 1024 * 1024  # bytes
_REFUSALS = {
    errno.EBADF: "a device, not a file",  # of Windows, such as CON
    errno.EINVAL: "not a valid path",
    errno.ELOOP: "a symbolic link that is not followed",
    errno.ENXIO: "not a regular file",  # a socket
}
_SHARING = frozenset({32, 33})  # ERROR_SHARING_VIOLATION, ERROR_LOCK_VIOLATION
_OPEN_ELSEWHERE = "another program has it open"
_LONGEST_PATH = 247  # characters of a folder; of a file 259


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
        raise FileMissingError(f"no such file{_if_long(path)}") from None
    except PermissionError as error:
        is_folder = is_windows() and path.is_dir()  # which Windows refuses to open
        raise FileUnreadableError(plainly(IsADirectoryError() if is_folder else error)) from None
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
    """Return the cause in lower case, without number and name.

    To open a file on Windows is refused with the same number for a missing right and for a file that another program holds.
    """
    if isinstance(error, IsADirectoryError):
        return "a directory, not a file"
    if getattr(error, "winerror", None) in _SHARING:
        return _OPEN_ELSEWHERE
    if isinstance(error, PermissionError):
        either = is_windows() and not getattr(error, "winerror", None)
        return f"permission denied, or {_OPEN_ELSEWHERE}" if either else "permission denied"
    number = number_of(error)
    if number is None:
        return (error.strerror or type(error).__name__).lower()
    return (_REFUSALS.get(number) or text_of(number)) + (_if_long(error.filename) if number == errno.ENOENT else "")


def _if_long(path: Path | str | None) -> str:
    """Return why Windows may not find a file that is there."""
    is_long = path is not None and is_windows() and len(os.path.abspath(path)) > _LONGEST_PATH  # noqa: PTH100 - as Windows computes it
    return ", or Windows refuses its path, which is long: shorten it, or set LongPathsEnabled" if is_long else ""


def real_path(path: Path | str) -> str:
    """Return the absolute path without links; with them if the system cannot follow it, as a device of Windows."""
    try:
        return os.path.realpath(path)
    except OSError:
        return os.path.abspath(path)  # noqa: PTH100 - Path.absolute keeps `..`


# Bytes of text that other programs write.


def decoded(data: bytes) -> str:
    """Decode what sqlcmd, PowerShell, reg and editors write. A wrong guess breaks a checksum.

    A part of a UTF-16 file, such as lines that findstr found, has no mark at its beginning.
    """
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        return data[: len(data) // 2 * 2].decode("utf-16", "surrogatepass")  # a line of a section may end within a pair
    plain = data.replace(b"\0", b"")
    try:
        return plain.decode("utf-8-sig")
    except UnicodeDecodeError:
        return plain.decode("cp1252", "replace")


def expand(pattern: str) -> list[Path]:
    """Return the paths of a pattern in order: PowerShell leaves patterns to the program, and a name may have brackets."""
    if not glob.has_magic(pattern) or os.path.lexists(pattern):
        return [Path(pattern)]
    return [Path(match) for match in sorted(glob.glob(pattern))]  # noqa: PTH207 - Path.glob refuses whole paths

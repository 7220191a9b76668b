"""A directory of small files for one process, safe from links and other users.

A descriptor holds the directory, so a renamed or replaced parent has no effect. Links, pipes, sockets and devices are refused:
reads and writes do not follow or wait for them. Every method blocks; any thread may call.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path

from exporter.runtime import process
from exporter.runtime.files import read_whole

_FLAGS = process.NO_LINKS | process.OPEN_FLAGS
_LOCK, _TRIAL = "lock", "probe"


class UnsafeError(Exception):
    """Other users can change files in the directory.

    The text is a message for the operator.
    """


class PrivateDirectory:
    def __init__(self, path: Path) -> None:
        self.path = path
        self._folder: int | None = None
        self._lock: int | None = None
        self.is_trusted = False  # no other user can write to it

    def open(self) -> None:
        """Create the directory if missing, and lock it; a directory that this object has opened stays as it is.

        Raise UnsafeError, OSError, or BlockingIOError if locked. After an OSError files can be read if there are any, and each
        write tries to lock the directory again.
        """
        if self._lock is not None:
            return
        self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
        if self._folder is None:
            self._folder = process.open_directory(self.path)
        self._refuse_other_writers()
        self.is_trusted = True
        descriptor = self._opened(_LOCK, os.O_RDWR | os.O_CREAT)
        try:
            self._take(descriptor)
            self._lock = descriptor
        finally:
            if self._lock is None:
                os.close(descriptor)

    def _take(self, descriptor: int) -> None:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise UnsafeError(f"{self.path / _LOCK}: is not a regular file; remove it")
        process.lock(descriptor)
        self._replace(_TRIAL, b"")
        self.remove(_TRIAL)

    def close(self) -> None:
        """Release the lock and the directory."""
        for descriptor in (self._lock, self._folder):
            if descriptor is not None:
                os.close(descriptor)
        self._lock = self._folder = None
        self.is_trusted = False

    def read(self, name: str, *, limit: int) -> bytes:
        """Raises FileUnreadableError, nothing else."""
        return read_whole(self._place(name), limit=limit, follow=False, folder=self._folder)

    def write(self, name: str, content: bytes) -> None:
        """Replace a file completely or not at all. Raise OSError or UnsafeError.

        A killed process loses no file: the kernel has it. Only a power failure can, and waiting for the disk would cost a busy
        host a flush for each probe.
        """
        self.open()
        self._replace(name, content)

    def _replace(self, name: str, content: bytes) -> None:
        temporary = Path(name).with_suffix(".tmp").name
        self.remove(temporary)  # of a process that was killed
        descriptor = self._opened(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL)
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
        os.replace(self._place(temporary), self._place(name), src_dir_fd=self._folder, dst_dir_fd=self._folder)

    def remove(self, name: str) -> None:
        """Remove a file if there is one. Raises OSError."""
        try:
            os.unlink(self._place(name), dir_fd=self._folder)
        except FileNotFoundError:
            return

    def _opened(self, name: str, flags: int) -> int:
        return os.open(self._place(name), flags | _FLAGS, 0o600, dir_fd=self._folder)

    def _place(self, name: str) -> Path:
        return self.path / name if self._folder is None else Path(name)

    def _refuse_other_writers(self) -> None:
        held = self.path.stat() if self._folder is None else os.fstat(self._folder)
        reason = process.other_writers(held) or process.other_writers(self.path.lstat())
        if reason:
            raise UnsafeError(
                f"{self.path}: {reason}, so its content cannot be trusted; give it to the exporter's user alone (chown, chmod 0700)"
                " or name a new directory inside it"
            )

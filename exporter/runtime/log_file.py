"""A log file that rotates, as a text stream: whatever the process prints is in it."""

from __future__ import annotations

import contextlib
import io
import logging
import threading
from collections import deque
from logging.handlers import RotatingFileHandler
from pathlib import Path

LARGEST, KEPT = 10 * 1024 * 1024, 8  # bytes of a file; older files
_REMEMBERED = 20  # lines


class LogStream(io.TextIOBase):
    """Writes whole lines to a rotating file, and remembers the last ones. Any thread may write."""

    def __init__(self, path: Path, *, largest: int = LARGEST, kept: int = KEPT) -> None:
        """Raises OSError if the file cannot be written."""
        self._handler = _RotatingFile(path, maxBytes=largest, backupCount=kept, encoding="utf-8", errors="backslashreplace")
        self._lock = threading.Lock()
        self._begun = ""  # a line without its end
        self._last: deque[str] = deque(maxlen=_REMEMBERED)

    def write(self, text: str) -> int:
        with self._lock:
            *lines, self._begun = (self._begun + text).split("\n")
            for line in lines:
                self._last.append(line)
                self._handler.handle(logging.makeLogRecord({"msg": line}))
        return len(text)

    def writable(self) -> bool:
        return True

    def close(self) -> None:
        self._handler.close()
        super().close()

    def last_lines(self) -> tuple[str, ...]:
        return tuple(self._last)


class _RotatingFile(RotatingFileHandler):
    """A failure to rotate or to write never ends the exporter: another program may hold the file."""

    def doRollover(self) -> None:  # noqa: N802 - the name of the library
        with contextlib.suppress(OSError):
            super().doRollover()
        if self.stream is None:
            self.stream = self._open()

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - the name of the library
        """Lose the line: standard error is this very file."""

"""A log file that rotates, as a text stream: whatever the process prints is in it."""

from __future__ import annotations

import io
import logging
import threading
import time
from collections import deque
from logging.handlers import RotatingFileHandler
from pathlib import Path

LARGEST, KEPT = 10 * 1024 * 1024, 8  # bytes of a file; older files
_REMEMBERED = 20  # lines
_PAUSE = 60.0  # seconds before a rotation that failed is tried again


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
    """A failure to rotate or to write never ends the exporter, and loses no file: another program may hold one."""

    _next_try = float("-inf")  # monotonic

    def doRollover(self) -> None:  # noqa: N802 - the name of the library
        now = time.monotonic()
        if now < self._next_try:
            return
        if self.stream is not None:
            self.stream.close()
            self.stream = None
        try:
            self._move()
        except OSError:
            self._next_try = now + _PAUSE
        self.stream = self._open()

    def _move(self) -> None:
        """Move the current file aside before any other, and no file onto another one but the oldest. Raises OSError."""
        current = Path(self.baseFilename)
        aside, *older = (Path(f"{current}.{end}") for end in ("new", *range(1, self.backupCount + 1)))
        if not aside.exists():  # it does if this could not end the last time
            current.rename(aside)
        free = next((place for place, file in enumerate(older) if not file.exists()), len(older) - 1)
        for place in range(free, -1, -1):
            (older[place - 1] if place else aside).replace(older[place])

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - the name of the library
        """Lose the line: standard error is this very file."""

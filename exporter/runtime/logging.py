"""Log lines: one event, one line, in logfmt or JSON, to standard error or to a file that rotates.

Text from a server must be masked before it is logged.
"""

from __future__ import annotations

import io
import json
import logging
import re
import sys
import threading
import time
from collections import deque
from collections.abc import Iterator
from datetime import UTC, datetime
from enum import StrEnum
from logging.handlers import RotatingFileHandler
from pathlib import Path
from traceback import walk_tb
from typing import Any, TextIO

from exporter.core.secrets import hide, mask

Value = str | int | float | bool | None


class LogFormat(StrEnum):
    LOGFMT = "logfmt"
    JSON = "json"


LEVELS: dict[str, int] = {"debug": logging.DEBUG, "info": logging.INFO, "warn": logging.WARNING, "error": logging.ERROR}
# The logger of probe results; it can have another level.
PROBES = "exporter.presentation.log"
# azure and msal log requests and responses; the two of aiohttp log a line for every request, valid or malformed.
EXCLUDED = ("azure", "msal", "urllib3", "aiohttp.access", "aiohttp.server")
_FRAMES = 4
# Unquoted in logfmt; anything else becomes a JSON string, which escapes line breaks and control characters.
_BARE = re.compile(r"[^\s\"=\\\x00-\x20\x7f-\xa0\u2028\u2029]+")


def configure(level: str, fmt: LogFormat, *, probes: str | None = None, stream: TextIO | None = None) -> None:
    """Send every logger of the process to `stream` (standard error by default).

    `probes` is the level of lines about probes, if it differs. Raises ValueError for an unknown level.
    """
    for each in (level, probes or level):
        if each not in LEVELS:
            raise ValueError(f"unknown log level {each!r} (one of {', '.join(LEVELS)})")
    handler = logging.StreamHandler(sys.stderr if stream is None else stream)
    handler.setFormatter(JsonFormatter() if fmt is LogFormat.JSON else LogfmtFormatter())
    handler.addFilter(is_allowed)
    logging.basicConfig(level=LEVELS[level], handlers=[handler], force=True)
    logging.getLogger(PROBES).setLevel(logging.NOTSET if probes is None else LEVELS[probes])


def is_allowed(record: logging.LogRecord) -> bool:
    """Return False for the loggers in `EXCLUDED` and their children."""
    return not any(record.name == name or record.name.startswith(f"{name}.") for name in EXCLUDED)


def fields(**values: Value) -> dict[str, dict[str, Value]]:
    """Return the `extra` of a log call, without the fields that are None.

    An example is `log.info("listening", extra=fields(address=address))`.
    """
    return {"fields": {name: value for name, value in values.items() if value is not None}}


def place_of(error: BaseException) -> dict[str, Value]:
    """Return the log fields of an exception: class, masked message, innermost frames."""
    return {
        "exception": type(error).__name__,
        "detail": mask(str(error)) or None,
        "at": frames_of(error),
    }


def frames_of(error: BaseException) -> str | None:
    """Return the innermost frames, `file:line < file:line`. The result is None if the exception was never raised."""
    frames = list(walk_tb(error.__traceback__))[-_FRAMES:]
    return " < ".join(f"{Path(frame.f_code.co_filename).name}:{line}" for frame, line in reversed(frames)) or None


class LogfmtFormatter(logging.Formatter):
    """`ts=2026-01-02T03:04:05.678Z level=info msg="probe failed" target=a`."""

    def format(self, record: logging.LogRecord) -> str:
        return " ".join(f"{name}={logfmt_value(value)}" for name, value in _items(record))


class JsonFormatter(logging.Formatter):
    """A log line as one JSON object, in ASCII: no kind of line separator can break it."""

    def format(self, record: logging.LogRecord) -> str:
        return json.dumps(dict(_items(record)))


def logfmt_value(value: Value) -> str:
    """Format a value for logfmt: unquoted if that is unambiguous, else a JSON string."""
    if isinstance(value, bool) or value is None:
        return json.dumps(value)
    if isinstance(value, float):
        return format(value, ".6g")
    text = str(value)
    return text if _BARE.fullmatch(text) else json.dumps(text)


def _items(record: logging.LogRecord) -> Iterator[tuple[str, Any]]:
    moment = datetime.fromtimestamp(record.created, UTC)
    yield "ts", moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    yield "level", next(name for name, number in reversed(LEVELS.items()) if record.levelno >= number or name == "debug")
    yield "msg", hide(record.getMessage())
    yield from ((name, hide(value) if isinstance(value, str) else value) for name, value in getattr(record, "fields", {}).items())
    if record.exc_info is not None and (error := record.exc_info[1]) is not None:
        yield from ((name, value) for name, value in place_of(error).items() if value is not None)


# A limit on how many messages leave in a period.


class Throttle:
    """Admits a number of messages in any period of seconds, and counts the others."""

    def __init__(self, most: int, seconds: float) -> None:
        self._seconds = seconds
        self._times: deque[float] = deque(maxlen=most)
        self._omitted = 0

    def admit(self, now: float) -> int | None:
        """Return how many messages were omitted since the last one, or None to omit this one. `now` is monotonic."""
        if len(self._times) == self._times.maxlen and now - self._times[0] < self._seconds:
            self._omitted += 1
            return None
        self._times.append(now)
        omitted, self._omitted = self._omitted, 0
        return omitted


# A log file that rotates, as a text stream: whatever the process prints is in it.

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

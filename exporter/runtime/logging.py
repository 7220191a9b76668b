"""Log lines: one event, one line, in logfmt or JSON, to standard error.

Text from a server must be masked before it is logged.
"""

from __future__ import annotations

import json
import logging
import re
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from traceback import walk_tb
from typing import Any, TextIO

from exporter.core.known_secrets import hide
from exporter.core.masking import mask

Value = str | int | float | bool | None


class LogFormat(StrEnum):
    LOGFMT = "logfmt"
    JSON = "json"


LEVELS: dict[str, int] = {"debug": logging.DEBUG, "info": logging.INFO, "warn": logging.WARNING, "error": logging.ERROR}
# The logger of probe results; it can have another level.
PROBES = "exporter.presentation.probe_log"
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
    """Return the innermost frames, `file:line < file:line`.

    The result is None if the exception was never raised.
    """
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

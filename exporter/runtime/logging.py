"""Log lines: one event, one line, in logfmt or JSON, to standard error.

For: the two formats, the levels by the names that Prometheus' exporters use, and which libraries are not let in.
Not for: what is said about a probe (see `presentation.probe_log`), metrics, or texts of a server that nobody has masked.
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
# The logger of what is said about probes, which has a level of its own.
PROBES = "exporter.presentation.probe_log"
# azure and msal write what was sent and answered; aiohttp's two write a line for every request, good or malformed.
KEPT_OUT = ("azure", "msal", "urllib3", "aiohttp.access", "aiohttp.server")
_FRAMES = 4
# Bare in logfmt; anything else is quoted as JSON quotes it, which escapes line breaks and control characters.
_BARE = re.compile(r"[^\s\"=\\\x00-\x20\x7f-\xa0\u2028\u2029]+")


def configure(level: str, fmt: LogFormat, *, probes: str | None = None, stream: TextIO | None = None) -> None:
    """Send every logger of the process to `stream` (standard error by default). Raises ValueError for an unknown level.

    `probes` is the level of lines about probes where it is another one.
    """
    for each in (level, probes or level):
        if each not in LEVELS:
            raise ValueError(f"unknown log level {each!r} (one of {', '.join(LEVELS)})")
    handler = logging.StreamHandler(sys.stderr if stream is None else stream)
    handler.setFormatter(JsonFormatter() if fmt is LogFormat.JSON else LogfmtFormatter())
    handler.addFilter(is_let_in)
    logging.basicConfig(level=LEVELS[level], handlers=[handler], force=True)
    logging.getLogger(PROBES).setLevel(logging.NOTSET if probes is None else LEVELS[probes])


def is_let_in(record: logging.LogRecord) -> bool:
    """False for the loggers of `KEPT_OUT` and those below them."""
    return not any(record.name == name or record.name.startswith(f"{name}.") for name in KEPT_OUT)


def fields(**values: Value) -> dict[str, dict[str, Value]]:
    """`extra` of a log call: `log.info("listening", extra=fields(address=address))`. None leaves a field out."""
    return {"fields": {name: value for name, value in values.items() if value is not None}}


def place_of(error: BaseException) -> dict[str, Value]:
    """What may be said of an exception on one line: its class, its masked message, and where it came from."""
    return {
        "exception": type(error).__name__,
        "detail": mask(str(error)) or None,
        "at": frames_of(error),
    }


def frames_of(error: BaseException) -> str | None:
    """The innermost frames of an exception, `file:line < file:line`; None for one that was never raised."""
    frames = list(walk_tb(error.__traceback__))[-_FRAMES:]
    return " < ".join(f"{Path(frame.f_code.co_filename).name}:{line}" for frame, line in reversed(frames)) or None


class LogfmtFormatter(logging.Formatter):
    """`ts=2026-01-02T03:04:05.678Z level=info msg="probe failed" target=a`."""

    def format(self, record: logging.LogRecord) -> str:
        return " ".join(f"{name}={logfmt_value(value)}" for name, value in _said(record))


class JsonFormatter(logging.Formatter):
    """The same fields as one JSON object; in ASCII, so that no line separator of any kind can break the line."""

    def format(self, record: logging.LogRecord) -> str:
        return json.dumps(dict(_said(record)))


def logfmt_value(value: Value) -> str:
    """As logfmt has it: bare where that is unambiguous, else a JSON string; numbers as they are."""
    if isinstance(value, bool) or value is None:
        return json.dumps(value)
    if isinstance(value, float):
        return format(value, ".6g")
    text = str(value)
    return text if _BARE.fullmatch(text) else json.dumps(text)


def _said(record: logging.LogRecord) -> Iterator[tuple[str, Any]]:
    moment = datetime.fromtimestamp(record.created, UTC)
    yield "ts", moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    yield "level", next(name for name, number in reversed(LEVELS.items()) if record.levelno >= number or name == "debug")
    yield "msg", hide(record.getMessage())
    yield from ((name, hide(value) if isinstance(value, str) else value) for name, value in getattr(record, "fields", {}).items())
    if record.exc_info is not None and (error := record.exc_info[1]) is not None:
        yield from ((name, value) for name, value in place_of(error).items() if value is not None)

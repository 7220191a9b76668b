"""Entries in the event log of Windows, in the log Application; and the last events of any log.

An entry needs a file with its text. `EventCreate.exe`, which every Windows has, shows one string for each number from 1 to 1000.
"""

from __future__ import annotations

import contextlib
import ctypes
import logging
import time
from collections.abc import Iterator, Mapping
from ctypes import wintypes
from typing import Any, Literal

from exporter.runtime.logging import LogfmtFormatter, Throttle, is_allowed
from exporter.windows.api import call, checked, delete_key, write_key

_SOURCES = r"SYSTEM\CurrentControlSet\Services\EventLog\Application"
_MESSAGE_FILE = r"%SystemRoot%\System32\EventCreate.exe"
_ERROR, _WARNING, _INFORMATION = 1, 2, 4  # types of entries
_LONGEST = 30_000  # characters; Windows takes 31,839
_MOST, _PERIOD = 20, 600.0  # entries of log lines, in so many seconds


EventKind = Literal["started", "stopped", "start failed", "log error", "log warning"]
# Number and type of each kind of entry; docs/windows.md lists them.
NUMBERS: Mapping[EventKind, tuple[int, int]] = {
    "started": (1, _INFORMATION),
    "stopped": (2, _INFORMATION),
    "start failed": (3, _ERROR),
    "log error": (10, _ERROR),
    "log warning": (11, _WARNING),
}


class EventLog:
    """Writes entries of one source. Without the right to write, it does nothing."""

    def __init__(self, source: str) -> None:
        self._handle: Any = call("RegisterEventSourceW", None, source)

    def write(self, event: EventKind, text: str) -> None:
        """Write an entry. Any thread may call it."""
        number, kind = NUMBERS[event]
        strings = (wintypes.LPCWSTR * 1)(text[:_LONGEST])
        if self._handle:
            call("ReportEventW", self._handle, kind, 0, number, None, 1, 0, strings, None)


class EventLogHandler(logging.Handler):
    """Copies warnings and errors of the log into the event log, throttled."""

    def __init__(self, events: EventLog) -> None:
        super().__init__(logging.WARNING)
        self._events, self._throttle = events, Throttle(_MOST, _PERIOD)
        self.setFormatter(LogfmtFormatter())
        self.addFilter(is_allowed)

    def emit(self, record: logging.LogRecord) -> None:
        omitted = self._throttle.admit(time.monotonic())
        if omitted is not None:
            event: EventKind = "log error" if record.levelno >= logging.ERROR else "log warning"
            note = f"\n{omitted} earlier lines are only in the log file." if omitted else ""
            self._events.write(event, self.format(record) + note)


def register_source(source: str) -> None:
    """Register a source of entries. Raises OSError."""
    values: dict[str, str | int] = {"EventMessageFile": _MESSAGE_FILE, "TypesSupported": _ERROR | _WARNING | _INFORMATION}
    write_key(f"{_SOURCES}\\{source}", {**values, "CustomSource": 1})


def remove_source(source: str) -> None:
    """Remove a source; entries stay. Raises OSError."""
    with contextlib.suppress(FileNotFoundError):
        delete_key(f"{_SOURCES}\\{source}")


# The last events of a log as XML, the newest first.

_NEWEST_FIRST = 0x1 | 0x200  # of a channel
_AS_XML = 1
_NO_MORE = 259
_PAUSE = 5000  # milliseconds to wait for the next event
_LARGEST = 1024 * 1024  # bytes of one event


def newest_events(channel: str, query: str, most: int) -> tuple[str, ...]:
    """Return at most so many events that an XPath selects. Raises WindowsCallError if the log cannot be read."""
    with _closed(checked("read the event log", "EvtQuery", None, channel, query, _NEWEST_FIRST)) as result:
        return tuple(_events(result, most))


def _events(result: int, most: int) -> Iterator[str]:
    event, count = ctypes.c_void_p(), wintypes.DWORD()
    for _ in range(most):
        where = (ctypes.byref(event), _PAUSE, 0, ctypes.byref(count))
        if not checked("read an event", "EvtNext", result, 1, *where, harmless=(_NO_MORE,)) or not event.value:
            return
        with _closed(event.value):
            yield _xml(event.value)


def _xml(event: int) -> str:
    used, count = wintypes.DWORD(), wintypes.DWORD()
    call("EvtRender", None, event, _AS_XML, 0, None, ctypes.byref(used), ctypes.byref(count))
    buffer = ctypes.create_unicode_buffer(min(used.value, _LARGEST) // 2 + 1)
    into = (ctypes.sizeof(buffer), buffer, ctypes.byref(used), ctypes.byref(count))
    return buffer.value if call("EvtRender", None, event, _AS_XML, *into) else ""


@contextlib.contextmanager
def _closed(handle: int) -> Iterator[int]:
    try:
        yield handle
    finally:
        call("EvtClose", handle)

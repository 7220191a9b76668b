"""Entries in the event log of Windows, in the log Application; and the last events of any log.

An entry needs a file with its text. `EventCreate.exe`, which every Windows has, shows one string for each number from 1 to 1000.
"""

from __future__ import annotations

import contextlib
import ctypes
import logging
import time
from collections.abc import Iterator
from ctypes import wintypes
from enum import Enum
from typing import Any

from exporter.runtime.logging import LogfmtFormatter, Throttle, is_allowed
from exporter.windows.api import checked, delete_key, function, write_key

_TEXT, _POINTER, _DWORD = wintypes.LPCWSTR, ctypes.c_void_p, wintypes.DWORD
_SOURCES = r"SYSTEM\CurrentControlSet\Services\EventLog\Application"
_MESSAGE_FILE = r"%SystemRoot%\System32\EventCreate.exe"
_ERROR, _WARNING, _INFORMATION = 1, 2, 4  # types of entries
_LONGEST = 30_000  # characters; Windows takes 31,839
_MOST, _PERIOD = 20, 600.0  # entries of log lines, in so many seconds


class EventKind(Enum):
    """Number and type of each kind of entry; docs/windows.md lists them."""

    STARTED = (1, _INFORMATION)
    STOPPED = (2, _INFORMATION)
    START_FAILED = (3, _ERROR)
    LOG_ERROR = (10, _ERROR)
    LOG_WARNING = (11, _WARNING)


class EventLog:
    """Writes entries of one source. Without the right to write, it does nothing."""

    def __init__(self, source: str) -> None:
        head = (_POINTER, wintypes.WORD, wintypes.WORD, _DWORD, _POINTER)
        self._report = function("advapi32", "ReportEventW", wintypes.BOOL, *head, wintypes.WORD, _DWORD, _POINTER, _POINTER)
        register = function("advapi32", "RegisterEventSourceW", _POINTER, _TEXT, _TEXT)
        self._handle: Any = register(None, source)

    def write(self, event: EventKind, text: str) -> None:
        """Write an entry. Any thread may call it."""
        number, kind = event.value
        strings = (wintypes.LPCWSTR * 1)(text[:_LONGEST])
        if self._handle:
            self._report(self._handle, kind, 0, number, None, 1, 0, strings, None)


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
            event = EventKind.LOG_ERROR if record.levelno >= logging.ERROR else EventKind.LOG_WARNING
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
    start = function("wevtapi", "EvtQuery", _POINTER, _POINTER, _TEXT, _TEXT, _DWORD)
    result = checked("read the event log", start(None, channel, query, _NEWEST_FIRST))
    try:
        return tuple(_events(result, most))
    finally:
        _close(result)


def _events(result: int, most: int) -> Iterator[str]:
    following = function("wevtapi", "EvtNext", wintypes.BOOL, _POINTER, _DWORD, _POINTER, _DWORD, _DWORD, wintypes.LPDWORD)
    event, count = _POINTER(), _DWORD()
    for _ in range(most):
        found = following(result, 1, ctypes.byref(event), _PAUSE, 0, ctypes.byref(count))
        if not checked("read an event", found, harmless=(_NO_MORE,)) or not event.value:
            return
        try:
            yield _xml(event.value)
        finally:
            _close(event.value)


def _xml(event: int) -> str:
    render = function(
        "wevtapi",
        "EvtRender",
        wintypes.BOOL,
        *(_POINTER, _POINTER, _DWORD, _DWORD, _POINTER, wintypes.LPDWORD, wintypes.LPDWORD),
    )
    used, count = _DWORD(), _DWORD()
    render(None, event, _AS_XML, 0, None, ctypes.byref(used), ctypes.byref(count))
    buffer = ctypes.create_unicode_buffer(min(used.value, _LARGEST) // 2 + 1)
    whole = render(None, event, _AS_XML, ctypes.sizeof(buffer), buffer, ctypes.byref(used), ctypes.byref(count))
    return buffer.value if whole else ""


def _close(handle: int) -> None:
    function("wevtapi", "EvtClose", wintypes.BOOL, _POINTER)(handle)

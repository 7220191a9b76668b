"""Reads the last events of a log of Windows as XML, the newest first."""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from ctypes import wintypes

from exporter.runtime.windows.api import checked, function

_TEXT, _POINTER, _DWORD = wintypes.LPCWSTR, ctypes.c_void_p, wintypes.DWORD
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

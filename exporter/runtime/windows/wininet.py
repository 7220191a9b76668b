"""A request by WinINet, the HTTP client of Windows that the connector uses too."""

from __future__ import annotations

import contextlib
import ctypes
from collections.abc import Iterator
from ctypes import wintypes
from typing import Any

from exporter.core.windows_host.facts import WindowsResponse
from exporter.runtime.windows.api import WindowsCallError, checked, function

_TEXT, _POINTER, _DWORD = wintypes.LPCWSTR, ctypes.c_void_p, wintypes.DWORD
_HTTP = 3  # a service of InternetConnect
_TIMEOUTS = (2, 5, 6)  # options: to connect, to send, to receive
# No cache, no cookies, no dialogue, no sign-in, no other host.
_FLAGS = 0x80000000 | 0x04000000 | 0x00080000 | 0x00000200 | 0x00040000 | 0x00200000
_SECURE = 0x00800000
_STATUS = 19 | 0x20000000  # HTTP_QUERY_STATUS_CODE as a number


def request_by_windows(host: str, port: int, path: str, seconds: float) -> WindowsResponse:
    """Send GET without a credential, by the proxy of this account, and return the status or the error."""
    try:
        with _handle("InternetOpenW", ("ekm-exporter", 0, None, None, 0), _TEXT, _DWORD, _TEXT, _TEXT, _DWORD) as session:
            _limit(session, int(seconds * 1000))
            return WindowsResponse(_status(session, host, port, path))
    except WindowsCallError as error:
        return WindowsResponse(None, error.winerror)


def _status(session: int, host: str, port: int, path: str) -> int:
    to_host = (session, host, port, None, None, _HTTP, 0, None)
    of_host = (_POINTER, _TEXT, wintypes.WORD, _TEXT, _TEXT, _DWORD, _DWORD, _POINTER)
    with _handle("InternetConnectW", to_host, *of_host) as connection:
        get = (connection, "GET", path, None, None, None, _FLAGS | _SECURE, None)
        of_get = (_POINTER, _TEXT, _TEXT, _TEXT, _TEXT, _POINTER, _DWORD, _POINTER)
        with _handle("HttpOpenRequestW", get, *of_get) as request:
            send = function("wininet", "HttpSendRequestW", wintypes.BOOL, _POINTER, _TEXT, _DWORD, _POINTER, _DWORD)
            checked("send the request", send(request, None, 0, None, 0))
            return _number(request)


def _number(request: int) -> int:
    query = function("wininet", "HttpQueryInfoW", wintypes.BOOL, _POINTER, _DWORD, _POINTER, wintypes.LPDWORD, wintypes.LPDWORD)
    status, size = _DWORD(), _DWORD(4)
    checked("read the status", query(request, _STATUS, ctypes.byref(status), ctypes.byref(size), None))
    return status.value


@contextlib.contextmanager
def _handle(name: str, values: tuple[Any, ...], *types: Any) -> Iterator[int]:
    """Open a handle, and close it afterwards. Raises WindowsCallError."""
    handle = checked("prepare the request", function("wininet", name, _POINTER, *types)(*values))
    try:
        yield handle
    finally:
        function("wininet", "InternetCloseHandle", wintypes.BOOL, _POINTER)(handle)


def _limit(session: int, milliseconds: int) -> None:
    set_option = function("wininet", "InternetSetOptionW", wintypes.BOOL, _POINTER, _DWORD, _POINTER, _DWORD)
    for option in _TIMEOUTS:
        set_option(session, option, ctypes.byref(_DWORD(milliseconds)), 4)

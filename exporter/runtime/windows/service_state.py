"""The state of a service of Windows."""

from __future__ import annotations

import ctypes
from ctypes import wintypes
from typing import Final

from exporter.runtime.windows.api import function, last_error

_TEXT, _POINTER, _DWORD = wintypes.LPCWSTR, ctypes.c_void_p, wintypes.DWORD
_CONNECT, _QUERY_STATUS = 1, 4
_STATES: Final = {1: "stopped", 2: "starting", 3: "stopping", 4: "running", 5: "continuing", 6: "pausing", 7: "paused"}


def service_state(name: str) -> str:
    """Return the state in a word. Raises OSError if it cannot be read."""
    open_manager = function("advapi32", "OpenSCManagerW", _POINTER, _TEXT, _TEXT, _DWORD)
    open_service = function("advapi32", "OpenServiceW", _POINTER, _POINTER, _TEXT, _DWORD)
    close = function("advapi32", "CloseServiceHandle", wintypes.BOOL, _POINTER)
    query = function("advapi32", "QueryServiceStatus", wintypes.BOOL, _POINTER, _POINTER)
    handles = [_opened(open_manager(None, None, _CONNECT))]
    try:
        handles.append(_opened(open_service(handles[0], name, _QUERY_STATUS)))
        status = (_DWORD * 7)()  # SERVICE_STATUS: kind, state and five more
        _opened(query(handles[1], status))
        return _STATES.get(status[1], "in an unknown state")
    finally:
        for handle in reversed(handles):
            close(handle)


def _opened(result: int | None) -> int:
    if not result:
        raise OSError(0, "a service", None, last_error())
    return result

"""A process that the service manager of Windows has started: its status, and the requests to stop and to reload."""

from __future__ import annotations

import ctypes
import threading
from collections.abc import Callable
from ctypes import wintypes
from typing import Any

from exporter.runtime.windows.api import callback, function, last_error

NOT_STARTED_BY_MANAGER = 1063  # ERROR_FAILED_SERVICE_CONTROLLER_CONNECT
STOPPED, START_PENDING, STOP_PENDING, RUNNING = 1, 2, 3, 4
_STOP, _INTERROGATE, _SHUTDOWN, _PARAMETER_CHANGE, _PRESHUTDOWN = 1, 4, 5, 6, 15  # controls
_STOPS = (_STOP, _SHUTDOWN, _PRESHUTDOWN)
_ACCEPTED = 0x1 | 0x4 | 0x8 | 0x100  # stop, shutdown, parameter change, preshutdown
_OWN_PROCESS, _SERVICE_SPECIFIC, _NOT_IMPLEMENTED = 0x10, 1066, 120
_CHECKPOINT_SECONDS, _WAIT_HINT = 2.0, 20_000  # milliseconds


class ServiceStatus(ctypes.Structure):
    _fields_ = tuple(
        (name, wintypes.DWORD)
        for name in ("type", "state", "accepted", "exit_code", "specific_exit_code", "checkpoint", "wait_hint")
    )


class _TableEntry(ctypes.Structure):
    _fields_ = (("name", wintypes.LPWSTR), ("main", ctypes.c_void_p))


_MAIN = callback(None, wintypes.DWORD, ctypes.c_void_p)
_HANDLER = callback(wintypes.DWORD, wintypes.DWORD, wintypes.DWORD, ctypes.c_void_p, ctypes.c_void_p)


class ServiceControl:
    """The connection of this process to the service manager. A process has one.

    `on_stop` and `on_reload` are called on a thread of Windows.
    """

    def __init__(self, name: str, *, on_stop: Callable[[], None], on_reload: Callable[[], None]) -> None:
        self._name, self._on_stop, self._on_reload = name, on_stop, on_reload
        self._main, self._handler = _MAIN(self._serve), _HANDLER(self._handle)  # Windows keeps no reference
        self._lock = threading.Lock()
        self._connected, self._ended = threading.Event(), threading.Event()
        self._error, self._state, self._checkpoint = 0, START_PENDING, 0
        self._status_handle: Any = None
        self._dispatcher = threading.Thread(target=self._dispatch, name="service-control", daemon=True)

    def connect(self) -> int:
        """Connect and report a pending start; return 0 or an error number of Windows."""
        self._dispatcher.start()
        self._connected.wait()
        return self._error

    def report_running(self) -> None:
        self._report(RUNNING)

    def report_stopped(self, code: int) -> None:
        """Report the end with an exit code, and wait until the service manager has it."""
        self._report(STOPPED, code)
        self._ended.set()
        self._dispatcher.join(timeout=5.0)

    def _dispatch(self) -> None:
        table = (_TableEntry * 2)(_TableEntry(self._name, ctypes.cast(self._main, ctypes.c_void_p)))  # an empty entry ends it
        start = function("advapi32", "StartServiceCtrlDispatcherW", wintypes.BOOL, ctypes.c_void_p)
        if not start(ctypes.byref(table)):
            self._error = last_error()
        self._connected.set()

    def _serve(self, _count: int, _arguments: Any) -> None:
        """Stay until the end of the service, as Windows expects; report progress while a start or stop is pending."""
        types = (wintypes.LPCWSTR, _HANDLER, ctypes.c_void_p)
        register = function("advapi32", "RegisterServiceCtrlHandlerExW", ctypes.c_void_p, *types)
        self._status_handle = register(self._name, self._handler, None)
        if not self._status_handle:
            self._error = last_error()
            self._connected.set()
            return
        self._report(START_PENDING)
        self._connected.set()
        while not self._ended.wait(_CHECKPOINT_SECONDS):
            if self._state in (START_PENDING, STOP_PENDING):
                self._report(self._state)

    def _handle(self, control: int, _event: int, _data: Any, _context: Any) -> int:
        if control in _STOPS:
            self._report(STOP_PENDING)
            self._on_stop()
        elif control == _PARAMETER_CHANGE:
            self._on_reload()
        elif control != _INTERROGATE:
            return _NOT_IMPLEMENTED
        return 0

    def _report(self, state: int, code: int = 0) -> None:
        """Set the status; a pending one counts its checkpoints. A stop is never taken back."""
        with self._lock:
            if self._state == STOPPED or (self._state == STOP_PENDING and state in (START_PENDING, RUNNING)):
                return
            pending = state in (START_PENDING, STOP_PENDING)
            self._state, self._checkpoint = state, self._checkpoint + 1 if pending else 0
            accepted = _ACCEPTED if state == RUNNING else 0
            result = _SERVICE_SPECIFIC if code else 0
            hint = _WAIT_HINT if pending else 0
            status = ServiceStatus(_OWN_PROCESS, state, accepted, result, code, self._checkpoint, hint)
            types = (ctypes.c_void_p, ctypes.c_void_p)
            function("advapi32", "SetServiceStatus", wintypes.BOOL, *types)(self._status_handle, ctypes.byref(status))

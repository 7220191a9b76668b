"""The service manager of Windows: create, change, start, stop and delete a service."""

from __future__ import annotations

import ctypes
from collections.abc import Iterable, Sequence
from ctypes import wintypes
from typing import Any, Self

from exporter.runtime.windows.api import WindowsCallError, checked, function, last_error
from exporter.runtime.windows.service_control import ServiceStatus
from exporter.runtime.windows.service_definition import ServiceDefinition, ServiceState

DESCRIPTION = "Prometheus exporter for SQL Server's Azure Key Vault round trip"
RESTART_SECONDS = (10, 10, 60)  # after the first, second and each further failure
RESET_SECONDS = 3600  # without a failure, after which the count begins again
LOGON_FAILED = 1069
STOP, RELOAD = 1, 6  # controls
READ, CHANGE = 0x1, 0x3  # rights to the service manager: to connect, and to create services too
_SPECIFIC, _MISSING, _ALREADY_RUNNING, _CANNOT_NOW, _NOT_ACTIVE, _MARKED_FOR_DELETE = 1066, 1060, 1056, 1061, 1062, 1072
# Rights to a service.
_FIND, _STATE, _START, _SAVE, _DELETE = 0x1, 0x4, 0x10, 0x2 | 0x10, 0x10000  # Windows needs that to start to set a restart
_CONTROL = {STOP: 0x20, RELOAD: 0x40}
_OWN_PROCESS, _AUTOMATIC, _NORMAL_ERRORS = 0x10, 2, 1
_RESTART, _UNRESTRICTED = 1, 1

_HANDLE, _TEXT, _NUMBER, _TRUTH = ctypes.c_void_p, wintypes.LPCWSTR, wintypes.DWORD, wintypes.BOOL
_CONFIGURATION = (_NUMBER, _NUMBER, _NUMBER, _TEXT, _TEXT, ctypes.c_void_p, _TEXT, _TEXT, _TEXT)
_FUNCTIONS: dict[str, tuple[Any, ...]] = {  # the result, then the arguments
    "OpenSCManagerW": (_HANDLE, _TEXT, _TEXT, _NUMBER),
    "OpenServiceW": (_HANDLE, _HANDLE, _TEXT, _NUMBER),
    "CreateServiceW": (_HANDLE, _HANDLE, _TEXT, _TEXT, _NUMBER, *_CONFIGURATION),
    "ChangeServiceConfigW": (_TRUTH, _HANDLE, *_CONFIGURATION, _TEXT),
    "ChangeServiceConfig2W": (_TRUTH, _HANDLE, _NUMBER, ctypes.c_void_p),
    "QueryServiceConfigW": (_TRUTH, _HANDLE, ctypes.c_void_p, _NUMBER, ctypes.c_void_p),
    "QueryServiceStatus": (_TRUTH, _HANDLE, ctypes.c_void_p),
    "StartServiceW": (_TRUTH, _HANDLE, _NUMBER, ctypes.c_void_p),
    "ControlService": (_TRUTH, _HANDLE, _NUMBER, ctypes.c_void_p),
    "DeleteService": (_TRUTH, _HANDLE),
    "CloseServiceHandle": (_TRUTH, _HANDLE),
}


def _structure(*fields: tuple[str, Any]) -> Any:
    return type("Structure", (ctypes.Structure,), {"_fields_": fields})


_Query = _structure(
    *((name, _NUMBER) for name in ("type", "start", "errors")),
    *((name, _TEXT) for name in ("command", "group")),
    ("tag", _NUMBER),
    *((name, _TEXT) for name in ("needs", "account", "title")),
)
_Text = _structure(("text", _TEXT))
_Number = _structure(("number", _NUMBER))
_Action = _structure(("type", _NUMBER), ("milliseconds", _NUMBER))
_Failure = _structure(("reset", _NUMBER), ("reboot", _TEXT), ("command", _TEXT), ("count", _NUMBER), ("actions", ctypes.c_void_p))


def _recovery(seconds: Sequence[int]) -> tuple[Any, Any]:
    """Return the structure of the actions after a failure, and the array that it points to. Without a pointer, Windows keeps its own."""
    actions = (_Action * (len(seconds) + 1))(*((_RESTART, one * 1000) for one in seconds))
    return _Failure(RESET_SECONDS, None, None, len(seconds), ctypes.addressof(actions)), actions


class ServiceManager:
    """A connection, as a context manager. Use it from one thread."""

    def __init__(self, access: int = CHANGE) -> None:
        """Connect with the right to READ or to CHANGE. Raises WindowsCallError, and OSError elsewhere than on Windows."""
        self._manager = self._call("open the service manager", "OpenSCManagerW", None, None, access)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._close(self._manager)

    def find(self, name: str) -> ServiceDefinition | None:
        """Return a registered service. Raises WindowsCallError."""
        with self._opened(name, _FIND) as service:
            if service.handle is None:
                return None
            size, buffer = _NUMBER(), ctypes.create_string_buffer(8192)  # the largest that Windows has
            self._call("read the service", "QueryServiceConfigW", service.handle, buffer, len(buffer), ctypes.byref(size))
            found = _Query.from_buffer(buffer)
            return ServiceDefinition(name=name, command=found.command, account=found.account or "")

    def save(self, wanted: ServiceDefinition) -> tuple[str, ...]:
        """Create or change a service; return what this Windows does not support. Raises WindowsCallError."""
        values = (_OWN_PROCESS, _AUTOMATIC, _NORMAL_ERRORS, wanted.command, None, None, None, wanted.account, None)
        with self._opened(wanted.name, _SAVE) as service:
            if service.handle is None:
                head = (self._manager, wanted.name, wanted.name, _SAVE)
                service.handle = self._call("create the service", "CreateServiceW", *head, *values)
            else:
                self._call("change the service", "ChangeServiceConfigW", service.handle, *values, wanted.name)
            details = (
                ("the description", 1, _Text(DESCRIPTION)),
                ("the delayed start", 3, _Number(1)),
                ("the identity of the service", 5, _Number(_UNRESTRICTED)),
            )
            return self._set(service.handle, details)

    def set_restarts(self, name: str, seconds: Sequence[int]) -> tuple[str, ...]:
        """Set after how long each failure is followed by a start, or no start; return as `save`. Raises WindowsCallError."""
        recovery, _actions = _recovery(seconds)
        with self._opened(name, _SAVE) as service:
            details = (
                ("the restart after a failure", 2, recovery),
                ("the restart after an error", 4, _Number(bool(seconds))),
            )
            return self._set(service.handle, details)

    def _set(self, handle: Any, details: Iterable[tuple[str, int, Any]]) -> tuple[str, ...]:
        call = function("advapi32", "ChangeServiceConfig2W", *_FUNCTIONS["ChangeServiceConfig2W"])
        failed = [(what, last_error()) for what, level, value in details if not call(handle, level, ctypes.byref(value))]
        return tuple(str(WindowsCallError(f"set {what}", number)) for what, number in failed)

    def state(self, name: str) -> ServiceState | None:
        """Return the state of a service; None if there is no such service. Raises WindowsCallError."""
        with self._opened(name, _STATE) as service:
            if service.handle is None:
                return None
            status = ServiceStatus()
            self._call("read the state", "QueryServiceStatus", service.handle, ctypes.byref(status))
            code = status.specific_exit_code if status.exit_code == _SPECIFIC else status.exit_code
            return ServiceState(status.state, code)

    def start(self, name: str) -> None:
        """Request a start. Raises WindowsCallError."""
        with self._opened(name, _START) as service:
            self._call("start the service", "StartServiceW", service.handle, 0, None, harmless=(_ALREADY_RUNNING,))

    def control(self, name: str, control: int) -> None:
        """Request a stop or a reload of a service, if it runs and can do so now. Raises WindowsCallError."""
        with self._opened(name, _CONTROL[control]) as service:
            if service.handle is not None:
                arguments = (service.handle, control, ctypes.byref(ServiceStatus()))
                self._call("control the service", "ControlService", *arguments, harmless=(_NOT_ACTIVE, _CANNOT_NOW))

    def delete(self, name: str) -> None:
        """Delete a service; Windows deletes it when all programs have closed it. Raises WindowsCallError."""
        with self._opened(name, _DELETE) as service:
            if service.handle is not None:
                self._call("delete the service", "DeleteService", service.handle, harmless=(_MARKED_FOR_DELETE,))

    def _opened(self, name: str, access: int) -> _Opened:
        arguments = (self._manager, name, access)
        return _Opened(self._call("open the service", "OpenServiceW", *arguments, harmless=(_MISSING,)), self._close)

    def _call(self, action: str, name: str, *arguments: Any, harmless: tuple[int, ...] = ()) -> Any:
        return checked(action, function("advapi32", name, *_FUNCTIONS[name])(*arguments), harmless=harmless)

    def _close(self, handle: Any) -> None:
        function("advapi32", "CloseServiceHandle", *_FUNCTIONS["CloseServiceHandle"])(handle)


class _Opened:
    """A handle of a service, closed at the end; None without such a service."""

    def __init__(self, handle: Any, close: Any) -> None:
        self.handle, self._close = handle, close

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self.handle is not None:
            self._close(self.handle)

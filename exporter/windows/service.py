"""The service manager of Windows: a service as a process, its registration with start and stop, and its rule of the firewall."""

from __future__ import annotations

import contextlib
import ctypes
import os
import subprocess
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from ctypes import wintypes
from pathlib import Path
from typing import Any, Self

from exporter.windows.api import WindowsCallError, call, checked, last_error
from exporter.windows.rules import ServiceDefinition, ServiceState

# A process that the service manager has started: its status, and the requests to stop and to reload.

NOT_STARTED_BY_MANAGER = 1063  # ERROR_FAILED_SERVICE_CONTROLLER_CONNECT
STOPPED, START_PENDING, STOP_PENDING, RUNNING = 1, 2, 3, 4
_STOP, _INTERROGATE, _SHUTDOWN, _PARAMETER_CHANGE, _PRESHUTDOWN = 1, 4, 5, 6, 15  # controls
_STOPS = (_STOP, _SHUTDOWN, _PRESHUTDOWN)
_ACCEPTED = 0x1 | 0x4 | 0x8 | 0x100  # stop, shutdown, parameter change, preshutdown
_OWN_PROCESS = 0x10
_SPECIFIC, _NOT_IMPLEMENTED = 1066, 120  # errors
_CHECKPOINT_SECONDS, _WAIT_HINT = 2.0, 20_000  # milliseconds


class ServiceStatus(ctypes.Structure):
    _fields_ = tuple(
        (name, wintypes.DWORD)
        for name in ("type", "state", "accepted", "exit_code", "specific_exit_code", "checkpoint", "wait_hint")
    )


class _TableEntry(ctypes.Structure):
    _fields_ = (("name", wintypes.LPWSTR), ("main", ctypes.c_void_p))


# On 64 bits, Windows has one way to call.
_MAIN = ctypes.CFUNCTYPE(None, wintypes.DWORD, ctypes.c_void_p)
_HANDLER = ctypes.CFUNCTYPE(wintypes.DWORD, wintypes.DWORD, wintypes.DWORD, ctypes.c_void_p, ctypes.c_void_p)


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
        if not call("StartServiceCtrlDispatcherW", ctypes.byref(table)):
            self._error = last_error()
        self._connected.set()

    def _serve(self, _count: int, _arguments: Any) -> None:
        """Stay until the end of the service, as Windows expects; report progress while a start or stop is pending."""
        self._status_handle = call("RegisterServiceCtrlHandlerExW", self._name, self._handler, None)
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
            accepted, hint = _ACCEPTED if state == RUNNING else 0, _WAIT_HINT if pending else 0
            result = _SPECIFIC if code else 0
            status = ServiceStatus(_OWN_PROCESS, state, accepted, result, code, self._checkpoint, hint)
            call("SetServiceStatus", self._status_handle, ctypes.byref(status))


# Registered services.

DESCRIPTION = "Prometheus exporter for SQL Server's Azure Key Vault round trip"
RESTART_SECONDS = (10, 10, 60)  # after the first, second and each further failure
RESET_SECONDS = 3600  # without a failure, after which the count begins again
LOGON_FAILED = 1069
STOP, RELOAD = 1, 6  # controls
READ, CHANGE = 0x1, 0x3  # rights to the service manager: to connect, and to create services too
_MISSING, _ALREADY_RUNNING, _CANNOT_NOW, _NOT_ACTIVE, _MARKED_FOR_DELETE = 1060, 1056, 1061, 1062, 1072
# Rights to a service.
_FIND, _STATE, _START, _SAVE, _DELETE = 0x1, 0x4, 0x10, 0x2 | 0x10, 0x10000  # Windows needs that to start to set a restart
_CONTROL = {STOP: 0x20, RELOAD: 0x40}
_AUTOMATIC, _NORMAL_ERRORS = 2, 1
_RESTART, _UNRESTRICTED = 1, 1

_TEXT, _NUMBER = wintypes.LPCWSTR, wintypes.DWORD


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
        self._manager = checked("open the service manager", "OpenSCManagerW", None, None, access)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        call("CloseServiceHandle", self._manager)

    def find(self, name: str) -> ServiceDefinition | None:
        """Return a registered service. Raises WindowsCallError."""
        with self._opened(name, _FIND) as service:
            if service is None:
                return None
            size, buffer = _NUMBER(), ctypes.create_string_buffer(8192)  # the largest that Windows has
            checked("read the service", "QueryServiceConfigW", service, buffer, len(buffer), ctypes.byref(size))
            found = _Query.from_buffer(buffer)
            return ServiceDefinition(name=name, command=found.command, account=found.account or "")

    def save(self, wanted: ServiceDefinition) -> tuple[str, ...]:
        """Create or change a service; return what this Windows does not support. Raises WindowsCallError."""
        values = (_OWN_PROCESS, _AUTOMATIC, _NORMAL_ERRORS, wanted.command, None, None, None, wanted.account, None)
        with self._opened(wanted.name, _SAVE, create=values) as service:
            checked("change the service", "ChangeServiceConfigW", service, *values, wanted.name)
            details = (
                ("the description", 1, _Text(DESCRIPTION)),
                ("the delayed start", 3, _Number(1)),
                ("the identity of the service", 5, _Number(_UNRESTRICTED)),
            )
            return _set_details(service, details)

    def set_restarts(self, name: str, seconds: Sequence[int]) -> tuple[str, ...]:
        """Set after how long each failure is followed by a start, or no start; return as `save`. Raises WindowsCallError."""
        recovery, _actions = _recovery(seconds)
        with self._opened(name, _SAVE) as service:
            details = (
                ("the restart after a failure", 2, recovery),
                ("the restart after an error", 4, _Number(bool(seconds))),
            )
            return _set_details(service, details)

    def state(self, name: str) -> ServiceState | None:
        """Return the state of a service; None if there is no such service. Raises WindowsCallError."""
        with self._opened(name, _STATE) as service:
            if service is None:
                return None
            status = ServiceStatus()
            checked("read the state", "QueryServiceStatus", service, ctypes.byref(status))
            code = status.specific_exit_code if status.exit_code == _SPECIFIC else status.exit_code
            return ServiceState(status.state, code)

    def start(self, name: str) -> None:
        """Request a start. Raises WindowsCallError."""
        with self._opened(name, _START) as service:
            checked("start the service", "StartServiceW", service, 0, None, harmless=(_ALREADY_RUNNING,))

    def control(self, name: str, control: int) -> None:
        """Request a stop or a reload of a service, if it runs and can do so now. Raises WindowsCallError."""
        with self._opened(name, _CONTROL[control]) as service:
            if service is not None:
                status = ctypes.byref(ServiceStatus())
                checked("control the service", "ControlService", service, control, status, harmless=(_NOT_ACTIVE, _CANNOT_NOW))

    def delete(self, name: str) -> None:
        """Delete a service; Windows deletes it when all programs have closed it. Raises WindowsCallError."""
        with self._opened(name, _DELETE) as service:
            if service is not None:
                checked("delete the service", "DeleteService", service, harmless=(_MARKED_FOR_DELETE,))

    @contextlib.contextmanager
    def _opened(self, name: str, access: int, create: Sequence[Any] = ()) -> Iterator[Any]:
        """Yield the handle of a service; of one that does not exist None, or of a new one that is made of `create`."""
        handle = checked("open the service", "OpenServiceW", self._manager, name, access, harmless=(_MISSING,)) or None
        if handle is None and create:
            handle = checked("create the service", "CreateServiceW", self._manager, name, name, access, *create)
        try:
            yield handle
        finally:
            if handle is not None:
                call("CloseServiceHandle", handle)


def _set_details(service: Any, details: Iterable[tuple[str, int, Any]]) -> tuple[str, ...]:
    failed = [
        (what, last_error())
        for what, level, value in details
        if not call("ChangeServiceConfig2W", service, level, ctypes.byref(value))
    ]
    return tuple(str(WindowsCallError(f"set {what}", number)) for what, number in failed)


# The firewall.

_SECONDS = 60.0
_PREFIX = "ekm-exporter: "  # no other rule has it, and netsh takes the name `all` for every rule


class FirewallError(Exception):
    """The firewall did not accept the rule; the text names the command and its answer."""


def set_rule(name: str, port: int, addresses: Sequence[str]) -> None:
    """Admit these addresses to the port, and no others of an earlier rule; without addresses, remove the rule. Raises FirewallError."""
    rule = f"name={_PREFIX}{name}"
    _netsh("delete", "rule", rule, required=False)
    if addresses:
        where = (f"localport={port}", f"remoteip={','.join(addresses)}")
        _netsh("add", "rule", rule, "dir=in", "action=allow", "protocol=TCP", *where, required=True)


def _netsh(*words: str, required: bool) -> None:
    program = Path(os.environ.get("SYSTEMROOT", r"C:\Windows")) / "System32" / "netsh.exe"
    command = [str(program), "advfirewall", "firewall", *words]
    try:
        done = subprocess.run(command, capture_output=True, timeout=_SECONDS, check=False)  # noqa: S603 - checked names and addresses
    except (OSError, subprocess.TimeoutExpired) as error:
        raise FirewallError(f"cannot start netsh: {error}") from None
    if required and done.returncode:
        raise FirewallError(f"{' '.join(command)}: {done.stdout.decode(errors='replace').strip()}")

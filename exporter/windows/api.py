"""Functions of Windows' libraries with their errors, and what needs no module of its own: version, resources, registry, request."""

from __future__ import annotations

import contextlib
import ctypes
import importlib
import struct
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from ctypes import wintypes
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from exporter.windows.rules import WindowsResponse

ACCESS_DENIED: Final = 5

# Every function that is called, by library: its result, then its arguments.

_TEXT, _NUMBER, _TRUTH, _POINTER, _NUMBERS = wintypes.LPCWSTR, wintypes.DWORD, wintypes.BOOL, ctypes.c_void_p, wintypes.LPDWORD
_WORD, _LONG = wintypes.WORD, wintypes.LONG
_SERVICE = (_NUMBER, _NUMBER, _NUMBER, _TEXT, _TEXT, _POINTER, _TEXT, _TEXT, _TEXT)  # what a service is made of
_FUNCTIONS: Mapping[str, Mapping[str, tuple[Any, ...]]] = {
    "advapi32": {
        "OpenSCManagerW": (_POINTER, _TEXT, _TEXT, _NUMBER),
        "OpenServiceW": (_POINTER, _POINTER, _TEXT, _NUMBER),
        "CreateServiceW": (_POINTER, _POINTER, _TEXT, _TEXT, _NUMBER, *_SERVICE),
        "ChangeServiceConfigW": (_TRUTH, _POINTER, *_SERVICE, _TEXT),
        "ChangeServiceConfig2W": (_TRUTH, _POINTER, _NUMBER, _POINTER),
        "QueryServiceConfigW": (_TRUTH, _POINTER, _POINTER, _NUMBER, _POINTER),
        "QueryServiceStatus": (_TRUTH, _POINTER, _POINTER),
        "StartServiceW": (_TRUTH, _POINTER, _NUMBER, _POINTER),
        "ControlService": (_TRUTH, _POINTER, _NUMBER, _POINTER),
        "DeleteService": (_TRUTH, _POINTER),
        "CloseServiceHandle": (_TRUTH, _POINTER),
        "StartServiceCtrlDispatcherW": (_TRUTH, _POINTER),
        "RegisterServiceCtrlHandlerExW": (_POINTER, _TEXT, _POINTER, _POINTER),
        "SetServiceStatus": (_TRUTH, _POINTER, _POINTER),
        "RegisterEventSourceW": (_POINTER, _TEXT, _TEXT),
        "ReportEventW": (_TRUTH, _POINTER, _WORD, _WORD, _NUMBER, _POINTER, _WORD, _NUMBER, _POINTER, _POINTER),
        "RegGetKeySecurity": (_LONG, _POINTER, _NUMBER, _POINTER, _NUMBERS),
        "LookupAccountSidW": (_TRUTH, _TEXT, _POINTER, _TEXT, _NUMBERS, _TEXT, _NUMBERS, _NUMBERS),
        "LookupAccountNameW": (_TRUTH, _TEXT, _TEXT, _POINTER, _NUMBERS, _TEXT, _NUMBERS, _NUMBERS),
        "ConvertSidToStringSidW": (_TRUTH, _POINTER, _POINTER),
        "ConvertStringSecurityDescriptorToSecurityDescriptorW": (_TRUTH, _TEXT, _NUMBER, _POINTER, _POINTER),
        "GetSecurityDescriptorDacl": (_TRUTH, *[_POINTER] * 4),
        "GetSecurityDescriptorOwner": (_TRUTH, *[_POINTER] * 3),
        "SetNamedSecurityInfoW": (_NUMBER, _TEXT, _NUMBER, _NUMBER, *[_POINTER] * 4),
    },
    "kernel32": {
        "LocalFree": (_POINTER, _POINTER),
        "GetProcessTimes": (_TRUTH, *[_POINTER] * 5),
        "K32GetProcessMemoryInfo": (_TRUTH, _POINTER, _POINTER, _NUMBER),
        "GetProcessHandleCount": (_TRUTH, _POINTER, _NUMBERS),
    },
    "netapi32": {
        "NetLocalGroupGetMembers": (_NUMBER, _TEXT, _TEXT, _NUMBER, _POINTER, _NUMBER, _NUMBERS, _NUMBERS, _POINTER),
        "NetApiBufferFree": (_NUMBER, _POINTER),
    },
    "secur32": {"GetUserNameExW": (wintypes.BOOLEAN, ctypes.c_int, _TEXT, _NUMBERS)},
    "version": {
        "GetFileVersionInfoSizeW": (_NUMBER, _TEXT, _POINTER),
        "GetFileVersionInfoW": (_TRUTH, _TEXT, _NUMBER, _NUMBER, _POINTER),
        "VerQueryValueW": (_TRUTH, _POINTER, _TEXT, _POINTER, wintypes.PUINT),
    },
    "wevtapi": {
        "EvtQuery": (_POINTER, _POINTER, _TEXT, _TEXT, _NUMBER),
        "EvtNext": (_TRUTH, _POINTER, _NUMBER, _POINTER, _NUMBER, _NUMBER, _NUMBERS),
        "EvtRender": (_TRUTH, _POINTER, _POINTER, _NUMBER, _NUMBER, _POINTER, _NUMBERS, _NUMBERS),
        "EvtClose": (_TRUTH, _POINTER),
    },
    "wininet": {
        "InternetOpenW": (_POINTER, _TEXT, _NUMBER, _TEXT, _TEXT, _NUMBER),
        "InternetSetOptionW": (_TRUTH, _POINTER, _NUMBER, _POINTER, _NUMBER),
        "InternetConnectW": (_POINTER, _POINTER, _TEXT, _WORD, _TEXT, _TEXT, _NUMBER, _NUMBER, _POINTER),
        "HttpOpenRequestW": (_POINTER, _POINTER, _TEXT, _TEXT, _TEXT, _TEXT, _POINTER, _NUMBER, _POINTER),
        "HttpSendRequestW": (_TRUTH, _POINTER, _TEXT, _NUMBER, _POINTER, _NUMBER),
        "HttpQueryInfoW": (_TRUTH, _POINTER, _NUMBER, _POINTER, _NUMBERS, _NUMBERS),
        "InternetCloseHandle": (_TRUTH, _POINTER),
    },
}


class WindowsCallError(OSError):
    """A function of Windows failed; `winerror` is its error, and the text names the action and the cause."""

    def __init__(self, action: str, number: int) -> None:
        text = "error"
        if sys.platform == "win32":
            text = ctypes.FormatError(number).strip().rstrip(".")
        super().__init__(f"{action}: {text} (Windows error {number})")
        self.winerror = number


def call(name: str, *arguments: Any) -> Any:
    """Call a function of Windows, and return its result. Raises OSError elsewhere than on Windows."""
    if sys.platform == "win32":
        (library,) = (library for library, names in _FUNCTIONS.items() if name in names)
        found = getattr(ctypes.WinDLL(library, use_last_error=True), name)
        found.restype, *types = _FUNCTIONS[library][name]
        found.argtypes = types
        return found(*arguments)
    raise OSError("only Windows has these functions")


def last_error() -> int:
    """Return the error number of this thread's last call."""
    if sys.platform == "win32":
        return ctypes.get_last_error()
    return 0


def checked(action: str, name: str, *arguments: Any, harmless: Sequence[int] = ()) -> Any:
    """Call a function, and return its result. Raises WindowsCallError if that is zero, unless the error is harmless."""
    result = call(name, *arguments)
    if not result and (number := last_error()) not in harmless:
        raise WindowsCallError(action, number)
    return result


# The version of a program's file, from its resource.

_NO_RESOURCE = (1812, 1813, 1814)  # no resources; none of this type or name
_PLACE = 8  # of the version in VS_FIXEDFILEINFO, in bytes
_LENGTH = 8


def file_version(path: Path) -> tuple[int, ...] | None:
    """Return the four numbers; empty if the file has no version, None if there is no file. Raises WindowsCallError."""
    if not path.is_file():
        return None
    size = checked("read the version of a file", "GetFileVersionInfoSizeW", str(path), None, harmless=_NO_RESOURCE)
    buffer, start, length = ctypes.create_string_buffer(size or 1), _POINTER(), wintypes.UINT()
    found = size and call("GetFileVersionInfoW", str(path), 0, size, buffer)
    found = found and call("VerQueryValueW", buffer, "\\", ctypes.byref(start), ctypes.byref(length))
    if not found or start.value is None or length.value < _PLACE + _LENGTH:
        return ()
    second, first, fourth, third = struct.unpack("<4H", ctypes.string_at(start.value + _PLACE, _LENGTH))
    return first, second, third, fourth


_FIRST_CONNECTOR: Final = 1_420_070_400  # 2015, as a Unix time
_HEADER: Final = 0x3C  # where the place of the header of a program file stands


def link_time(path: Path) -> float | None:
    """Return when a program file was linked, as a Unix time; None if the file cannot be read, is no program, or has no time.

    A copy of the file keeps this time, and may change that of the file. Some builds have a number without meaning there: none is of the future.
    """
    try:
        with path.open("rb") as file:
            file.seek(_HEADER)
            file.seek(int.from_bytes(file.read(4), "little"))
            header = file.read(12)
    except OSError:
        return None
    linked = int.from_bytes(header[8:], "little") if header.startswith(b"PE\0\0") else 0
    return float(linked) if _FIRST_CONNECTOR <= linked <= time.time() else None


# What the process has used.

_TICKS = 10_000_000  # in a second
_UNIX_EPOCH = 11_644_473_600  # seconds from 1601, where Windows starts to count, to 1970
_THIS_PROCESS = _POINTER(-1)  # what GetCurrentProcess returns


@dataclass(frozen=True, slots=True)
class Resources:
    """`started` is a Unix time; `private_bytes` is the memory that no other process shares, in use or paged out."""

    cpu_seconds: float
    started: float
    resident_bytes: int
    private_bytes: int
    handles: int


class _Memory(ctypes.Structure):
    """PROCESS_MEMORY_COUNTERS_EX."""

    _fields_ = (
        ("size", wintypes.DWORD),
        ("page_faults", wintypes.DWORD),
        *((name, ctypes.c_size_t) for name in ("peak_resident", "resident", "paged_peak", "paged", "nonpaged_peak", "nonpaged")),
        *((name, ctypes.c_size_t) for name in ("pagefile", "pagefile_peak", "private")),
    )


def resources() -> Resources:
    """Return the resources of this process. Raises OSError."""
    created, _ended, kernel, user = times = [ctypes.c_uint64() for _ in range(4)]  # FILETIME: both halves of a number
    memory, handles = _Memory(ctypes.sizeof(_Memory)), wintypes.DWORD()
    checked("read the times of this process", "GetProcessTimes", _THIS_PROCESS, *map(ctypes.byref, times))
    checked("read the memory of this process", "K32GetProcessMemoryInfo", _THIS_PROCESS, ctypes.byref(memory), memory.size)
    checked("count the handles of this process", "GetProcessHandleCount", _THIS_PROCESS, ctypes.byref(handles))
    return Resources(
        cpu_seconds=(kernel.value + user.value) / _TICKS,
        started=created.value / _TICKS - _UNIX_EPOCH,
        resident_bytes=memory.resident,
        private_bytes=memory.private,
        handles=handles.value,
    )


# Reads the registry of Windows, of programs with 64 bits. Changes nothing.

MACHINE, USERS = "HKEY_LOCAL_MACHINE", "HKEY_USERS"
_ACCESS_LIST = 4  # DACL_SECURITY_INFORMATION
_BUFFER_TOO_SMALL = 122


class RegistryReader:
    """Reads keys. Each method raises FileNotFoundError if the key is missing, and OSError if it cannot be read."""

    def __init__(self) -> None:
        self._winreg: Any = importlib.import_module("winreg")

    def values(self, path: str, root: str = MACHINE) -> dict[str, object]:
        """Return the values of a key by name, numbers and texts as they are."""
        with self._open(path, root) as key:
            _, count, _ = self._winreg.QueryInfoKey(key)
            return {name: value for name, value, _ in (self._winreg.EnumValue(key, place) for place in range(count))}

    def keys(self, path: str, root: str = MACHINE) -> tuple[str, ...]:
        """Return the names of the keys below."""
        with self._open(path, root) as key:
            count, _, _ = self._winreg.QueryInfoKey(key)
            return tuple(self._winreg.EnumKey(key, place) for place in range(count))

    def exists(self, path: str, root: str = MACHINE) -> bool:
        """Return whether there is such a key, also one that this account may not read."""
        try:
            self._open(path, root).Close()
        except FileNotFoundError:
            return False
        except PermissionError:
            return True
        return True

    def descriptor(self, path: str) -> bytes:
        """Return the security descriptor of a key of the machine, with its access list alone."""
        size = wintypes.DWORD(0)
        with self._open(path, MACHINE) as key:
            failure = call("RegGetKeySecurity", int(key), _ACCESS_LIST, None, ctypes.byref(size))
            buffer = ctypes.create_string_buffer(size.value)
            if failure in (0, _BUFFER_TOO_SMALL):
                failure = call("RegGetKeySecurity", int(key), _ACCESS_LIST, buffer, ctypes.byref(size))
        if failure:
            raise WindowsCallError("read the rights of a key", failure)
        return buffer.raw[: size.value]

    def tree(self, path: str, most: int) -> Iterator[str]:
        """Yield a key and the keys below, at most so many."""
        waiting = [path]
        while waiting and most > 0:
            found, most = waiting.pop(0), most - 1
            yield found
            waiting += [f"{found}\\{name}" for name in self.keys(found)]

    def _open(self, path: str, root: str) -> Any:
        access = self._winreg.KEY_READ | self._winreg.KEY_WOW64_64KEY
        return self._winreg.OpenKeyEx(getattr(self._winreg, root), path, 0, access)


# Keys of the registry below HKEY_LOCAL_MACHINE that an installation writes.

if sys.platform == "win32":
    import winreg


def write_key(path: str, values: Mapping[str, str | int]) -> None:
    """Create a key with these values; a text with a percent sign expands variables. Raises OSError."""
    if sys.platform == "win32":
        with winreg.CreateKeyEx(winreg.HKEY_LOCAL_MACHINE, path, 0, winreg.KEY_WRITE) as key:
            for name, value in values.items():
                text = winreg.REG_EXPAND_SZ if "%" in str(value) else winreg.REG_SZ
                winreg.SetValueEx(key, name, 0, winreg.REG_DWORD if isinstance(value, int) else text, value)


def delete_key(path: str) -> None:
    """Delete a key without keys below it. Raises OSError."""
    if sys.platform == "win32":
        winreg.DeleteKey(winreg.HKEY_LOCAL_MACHINE, path)


# A request by WinINet, the HTTP client of Windows that the connector uses too.

_HTTP = 3  # a service of InternetConnect
_TIMEOUTS = (2, 5, 6)  # options: to connect, to send, to receive
# No cache, no cookies, no dialogue, no sign-in, no other host; TLS.
_FLAGS = 0x80000000 | 0x04000000 | 0x00080000 | 0x00000200 | 0x00040000 | 0x00200000 | 0x00800000
_STATUS = 19 | 0x20000000  # HTTP_QUERY_STATUS_CODE as a number


def request_by_windows(host: str, port: int, path: str, seconds: float) -> WindowsResponse:
    """Send GET without a credential, by the proxy of this account, and return the status or the error."""
    status, size, milliseconds = _NUMBER(), _NUMBER(4), _NUMBER(int(seconds * 1000))
    with contextlib.ExitStack() as handles:

        def opened(name: str, *values: Any) -> Any:
            handle = checked("prepare the request", name, *values)
            handles.callback(call, "InternetCloseHandle", handle)
            return handle

        try:
            session = opened("InternetOpenW", "ekm-exporter", 0, None, None, 0)
            for option in _TIMEOUTS:
                call("InternetSetOptionW", session, option, ctypes.byref(milliseconds), 4)
            connection = opened("InternetConnectW", session, host, port, None, None, _HTTP, 0, None)
            request = opened("HttpOpenRequestW", connection, "GET", path, None, None, None, _FLAGS, None)
            checked("send the request", "HttpSendRequestW", request, None, 0, None, 0)
            checked("read the status", "HttpQueryInfoW", request, _STATUS, ctypes.byref(status), ctypes.byref(size), None)
        except WindowsCallError as error:
            return WindowsResponse(None, error.winerror)
    return WindowsResponse(status.value)

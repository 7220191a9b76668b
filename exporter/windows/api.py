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


class WindowsCallError(OSError):
    """A function of Windows failed; `winerror` is its error, and the text names the action and the cause."""

    def __init__(self, action: str, number: int) -> None:
        super().__init__(f"{action}: {_text(number)} (Windows error {number})")
        self.winerror = number


def function(library: str, name: str, result: Any, *arguments: Any) -> Any:
    """Return a function of a DLL with its types. Raises OSError elsewhere than on Windows."""
    if sys.platform == "win32":
        found = getattr(ctypes.WinDLL(library, use_last_error=True), name)
        found.restype, found.argtypes = result, arguments
        return found
    raise OSError("only Windows has these functions")


def callback(result: Any, *arguments: Any) -> Any:
    """Return the type of a function that Windows calls."""
    return ctypes.CFUNCTYPE(result, *arguments)  # on 64 bits, Windows has one way to call


def last_error() -> int:
    """Return the error number of this thread's last call."""
    if sys.platform == "win32":
        return ctypes.get_last_error()
    return 0


def checked(action: str, result: Any, *, harmless: Sequence[int] = ()) -> Any:
    """Return the result of a call. Raises WindowsCallError if it is zero, unless the error is harmless."""
    number = 0 if result else last_error()
    if result or number in harmless:
        return result
    raise WindowsCallError(action, number)


def _text(number: int) -> str:
    if sys.platform == "win32":
        return ctypes.FormatError(number).strip().rstrip(".")
    return "error"


# The version of a program's file, from its resource.

_NO_RESOURCE = (1812, 1813, 1814)  # no resources; none of this type or name
_TEXT = wintypes.LPCWSTR
_POINTER = ctypes.c_void_p
_PLACE = 8  # of the version in VS_FIXEDFILEINFO, in bytes
_LENGTH = 8


def file_version(path: Path) -> tuple[int, ...] | None:
    """Return the four numbers; empty if the file has no version, None if there is no file. Raises WindowsCallError."""
    if not path.is_file():
        return None
    measure = function("version", "GetFileVersionInfoSizeW", wintypes.DWORD, _TEXT, _POINTER)
    size = checked("read the version of a file", measure(str(path), None), harmless=_NO_RESOURCE)
    return _fixed_version(str(path), size) if size else ()


def _fixed_version(path: str, size: int) -> tuple[int, ...]:
    read = function("version", "GetFileVersionInfoW", wintypes.BOOL, _TEXT, wintypes.DWORD, wintypes.DWORD, _POINTER)
    query = function("version", "VerQueryValueW", wintypes.BOOL, _POINTER, _TEXT, _POINTER, wintypes.PUINT)
    buffer, start, length = ctypes.create_string_buffer(size), _POINTER(), wintypes.UINT()
    found = read(path, 0, size, buffer) and query(buffer, "\\", ctypes.byref(start), ctypes.byref(length))
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
            signature, rest = file.read(4), file.read(8)
    except OSError:
        return None
    linked = int.from_bytes(rest[4:], "little") if signature == b"PE\0\0" else 0
    return float(linked) if _FIRST_CONNECTOR <= linked <= time.time() else None


# What the process has used.

_TICKS = 10_000_000  # in a second
_UNIX_EPOCH = 11_644_473_600  # seconds from 1601, where Windows starts to count, to 1970


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
    created, ended, kernel, user = (ctypes.c_uint64() for _ in range(4))  # FILETIME: both halves of a number
    memory, handles = _Memory(ctypes.sizeof(_Memory)), wintypes.DWORD()
    _call("GetProcessTimes", created, ended, kernel, user)
    _call("K32GetProcessMemoryInfo", memory, size=memory.size)
    _call("GetProcessHandleCount", handles)
    return Resources(
        cpu_seconds=(kernel.value + user.value) / _TICKS,
        started=created.value / _TICKS - _UNIX_EPOCH,
        resident_bytes=memory.resident,
        private_bytes=memory.private,
        handles=handles.value,
    )


def _call(name: str, *results: ctypes._CData, size: int | None = None) -> None:
    """Call a function of kernel32 for this process, with addresses for its results. Raises OSError."""
    if sys.platform == "win32":
        kernel = ctypes.WinDLL("kernel32", use_last_error=True)
        this = ctypes.c_void_p(-1)  # what GetCurrentProcess returns
        if not kernel[name](this, *map(ctypes.byref, results), *(() if size is None else (wintypes.DWORD(size),))):
            raise ctypes.WinError(ctypes.get_last_error())


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
        read = function(
            "advapi32", "RegGetKeySecurity", wintypes.LONG, ctypes.c_void_p, wintypes.DWORD, ctypes.c_void_p, wintypes.LPDWORD
        )
        with self._open(path, MACHINE) as key:
            size = wintypes.DWORD(0)
            failure = read(int(key), _ACCESS_LIST, None, ctypes.byref(size))
            buffer = ctypes.create_string_buffer(size.value)
            if failure in (0, _BUFFER_TOO_SMALL):
                failure = read(int(key), _ACCESS_LIST, buffer, ctypes.byref(size))
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

_DWORD = wintypes.DWORD
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

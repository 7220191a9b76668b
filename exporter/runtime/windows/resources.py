"""What the process has used, as Windows counts it."""

from __future__ import annotations

import ctypes
import sys
from ctypes import wintypes
from dataclasses import dataclass

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

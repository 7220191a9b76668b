"""The version of a program's file, from its resource."""

from __future__ import annotations

import ctypes
import struct
from ctypes import wintypes
from pathlib import Path

from exporter.runtime.windows.api import checked, function

_NO_RESOURCE = (1812, 1813, 1814)  # no resources; none of this type or name
_TEXT, _POINTER = wintypes.LPCWSTR, ctypes.c_void_p
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

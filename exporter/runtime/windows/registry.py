"""Reads the registry of Windows, of programs with 64 bits. Changes nothing."""

from __future__ import annotations

import ctypes
import importlib
from collections.abc import Iterator
from ctypes import wintypes
from typing import Any

from exporter.runtime.windows.api import WindowsCallError, function

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

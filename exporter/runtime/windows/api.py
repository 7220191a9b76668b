"""Functions of Windows' libraries."""

from __future__ import annotations

import ctypes
from typing import Any


def function(library: str, name: str, result: Any, *arguments: Any) -> Any:
    """Return a function of a DLL with its types."""
    module: Any = ctypes  # its types are those of Linux where mypy runs
    found = getattr(module.WinDLL(library, use_last_error=True), name)
    found.restype, found.argtypes = result, arguments
    return found


def last_error() -> int:
    """Return the error number of this thread's last call."""
    module: Any = ctypes
    return int(module.get_last_error())

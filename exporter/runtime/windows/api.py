"""Functions of Windows' libraries, and the text of its error numbers."""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Sequence
from typing import Any, Final

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

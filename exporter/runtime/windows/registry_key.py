"""Keys of the registry below HKEY_LOCAL_MACHINE that an installation writes."""

from __future__ import annotations

import sys
from collections.abc import Mapping

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

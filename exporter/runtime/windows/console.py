"""The console of this process."""

from __future__ import annotations

from typing import Any


def output_code_page() -> int:
    """Return the number of the code page in which the console shows bytes; 0 without a console, as a service is."""
    import ctypes  # noqa: PLC0415 - every command imports this module

    libraries: Any = ctypes
    return int(libraries.windll.kernel32.GetConsoleOutputCP())

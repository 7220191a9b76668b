"""Libraries that only some installations have."""

from __future__ import annotations

import sys
from importlib.util import find_spec

from exporter.core.quoting import powershell, sh

MODULES = {"sql": "pytds"}  # of the extras that a configuration may need


def is_installed(extra: str) -> bool:
    """Whether the library of an extra is installed. Imports nothing."""
    return find_spec(MODULES[extra]) is not None


def install_command(extra: str) -> str:
    """Return the command that adds an extra to the environment of the running exporter: for sh, and on Windows for PowerShell."""
    python = f"& {powershell(sys.executable)}" if sys.platform == "win32" else sh(sys.executable)
    return f'{python} -m pip install "ekm-exporter[{extra}]"'


class ExtraMissingError(Exception):
    """An optional library is not installed; the text shows the command that installs it."""

    def __init__(self, extra: str) -> None:
        super().__init__(f"this command needs an optional library: {install_command(extra)}")

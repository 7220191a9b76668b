"""Commands that a text shows for copying: for sh, and on Windows for PowerShell."""

from __future__ import annotations

from collections.abc import Mapping

from exporter.core.quoting import powershell, sh
from exporter.runtime.process import is_windows


def quoted(text: object) -> str:
    """Return a text as one word of a command."""
    return powershell(str(text)) if is_windows() else sh(str(text))


def with_variables(values: Mapping[str, str], command: str) -> str:
    """Return a command with the environment variables that it needs."""
    if is_windows():
        return "".join(f"$env:{name} = {quoted(value)}; " for name, value in values.items()) + command
    return "".join(f"{name}={quoted(value)} " for name, value in values.items()) + command


def request(url: str, method: str = "GET", body: str = "") -> str:
    """Return a command that sends a request. PowerShell 5.1 has another program under the name of curl, and drops quotes in its words."""
    if is_windows():
        words = ["irm", *(["-Method", method] if method != "GET" else []), *(["-Body", quoted(body)] if body else []), url]
    else:
        words = ["curl", *(["-d", quoted(body)] if body else ["-X", method] if method != "GET" else []), url]
    return " ".join(words)

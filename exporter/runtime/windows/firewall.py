"""The firewall of Windows: one rule for a service."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence
from pathlib import Path

_SECONDS = 60.0
_PREFIX = "ekm-exporter: "  # no other rule has it, and netsh takes the name `all` for every rule


class FirewallError(Exception):
    """The firewall did not accept the rule; the text names the command and its answer."""


def set_rule(name: str, port: int, addresses: Sequence[str]) -> None:
    """Admit these addresses to the port, and no others of an earlier rule; without addresses, remove the rule. Raises FirewallError."""
    rule = f"name={_PREFIX}{name}"
    _netsh("delete", "rule", rule, required=False)
    if addresses:
        where = (f"localport={port}", f"remoteip={','.join(addresses)}")
        _netsh("add", "rule", rule, "dir=in", "action=allow", "protocol=TCP", *where, required=True)


def _netsh(*words: str, required: bool) -> None:
    program = Path(os.environ.get("SYSTEMROOT", r"C:\Windows")) / "System32" / "netsh.exe"
    command = [str(program), "advfirewall", "firewall", *words]
    try:
        done = subprocess.run(command, capture_output=True, timeout=_SECONDS, check=False)  # noqa: S603 - checked names and addresses
    except (OSError, subprocess.TimeoutExpired) as error:
        raise FirewallError(f"cannot start netsh: {error}") from None
    if required and done.returncode:
        raise FirewallError(f"{' '.join(command)}: {done.stdout.decode(errors='replace').strip()}")

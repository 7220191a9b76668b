"""The name of this computer."""

from __future__ import annotations

import socket


def computer_name() -> str:
    """Return the name in lower case; it may have a domain."""
    return socket.gethostname().lower().rstrip(".")

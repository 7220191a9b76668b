"""How the commands that probe end: their exit codes, and the line of one that did nothing."""

from __future__ import annotations

import sys

FINE, FAILED, BAD_USAGE, INTERNAL = 0, 1, 2, 3


def refuse(message: object) -> int:
    """Print why nothing was done, and return the exit code."""
    print(f"ekm-exporter: {message}", file=sys.stderr)
    return BAD_USAGE

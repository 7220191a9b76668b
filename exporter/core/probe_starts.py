"""The spacing and jitter of probe starts, and the probes in flight."""

from __future__ import annotations

import math
from collections.abc import Collection

SPACING = 0.012  # seconds between two first probes: about the cost of a few TLS handshakes on one core
JITTER = 0.1  # the largest deviation of a gap from the interval
LOOKUP_SECONDS = 3600.0  # between two expiry lookups at Microsoft Graph or in a Key Vault
DATABASE_TOKEN_SECONDS = 300.0  # for which SQL Servers with one credential share a token
ALERTED_SECONDS = 300.0  # the longest interval that the shipped alerts support (see docs/alert-timing.md)
FEWEST_SLOTS = 64
MARGIN = 1.25  # starts are random, so the number in flight exceeds the mean at times


def slots_for(paces: Collection[tuple[float, float]]) -> int:
    """Return the number of slots with which every target may time out and none waits.

    `paces` holds (interval, timeout) of each target in seconds. The result covers the steady state, in which each target
    holds a slot for timeout / interval of the time, and the start, in which probes begin `SPACING` apart and hold a slot for
    a timeout.
    """
    steady = MARGIN * math.fsum(timeout / interval for interval, timeout in paces)
    longest = max((timeout for _, timeout in paces), default=0.0)
    starting = min(float(len(paces)), longest / SPACING)
    return max(FEWEST_SLOTS, math.ceil(steady), math.ceil(starting))

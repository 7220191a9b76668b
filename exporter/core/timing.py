"""How starts of probes are spread in time, and how many probes that lets be in flight at once.

For: the numbers that the configuration, its cost and the schedule have in common.
Not for: planning a start (see `exporter.probing.backoff`) or waiting for one.
"""

from __future__ import annotations

import math
from collections.abc import Collection

SPACING = 0.012  # seconds between two first probes: about what a few TLS handshakes cost one core
JITTER = 0.1  # a gap between two starts is this much shorter or longer than the interval, at most
LOOK_UP_SECONDS = 3600.0  # between two look-ups of when a credential ends, at Microsoft Graph or in a Key Vault
ALERTED_SECONDS = 300.0  # the longest interval for which the shipped alerts keep what they promise (see docs/alerts.md)
FEWEST_SLOTS = 64
MARGIN = 1.25  # starts are random, so more probes than the mean are sometimes in flight


def slots_for(paces: Collection[tuple[float, float]]) -> int:
    """How many probes must be allowed at once, so that every target may time out and none waits for a slot.

    `paces` holds (interval, timeout) of each target in seconds. The larger of two moments: the steady state, where each target
    holds a slot for timeout / interval of the time, and the start, where they begin `SPACING` apart and each holds its slot
    for a whole timeout.
    """
    steady = MARGIN * math.fsum(timeout / interval for interval, timeout in paces)
    longest = max((timeout for _, timeout in paces), default=0.0)
    starting = min(float(len(paces)), longest / SPACING)
    return max(FEWEST_SLOTS, math.ceil(steady), math.ceil(starting))

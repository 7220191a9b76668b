"""The published limits of requests, and the exporter's own: spacing of probe starts, probes in flight, retries, first probes.

Source: "Azure Key Vault service limits", July 2025: transactions in 10 seconds, per vault and region, weighted and enforced on
the sum. Reading a key counts like any other request about it: by type and size of the key. A managed HSM has a capacity in unwraps
per second instead.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from types import MappingProxyType

WINDOW_SECONDS = 10.0
OTHER_OPERATIONS = 4000.0  # requests about no key
OWN_SHARE = 0.01  # of a vault's limit: exporters that use more could slow down SQL Server

# (kept in hardware, size in bits) -> requests about the key in one window
KEY_OPERATIONS: Mapping[tuple[bool, int], float] = MappingProxyType(
    {
        (True, 2048): 2000.0,
        (True, 3072): 500.0,
        (True, 4096): 250.0,
        (False, 2048): 4000.0,
        (False, 3072): 1000.0,
        (False, 4096): 500.0,
    }
)
# Of the sizes that the connector supports.
MANAGED_HSM_OPERATIONS: Mapping[int, float] = MappingProxyType({2048: 11_000.0, 3072: 3_600.0})
KEY_LIMITS = ", ".join(
    f"{limit:,.0f} for RSA{'-HSM' if hardware else ''} {bits}"
    for (hardware, bits), limit in sorted(KEY_OPERATIONS.items(), key=lambda each: each[1])
    if bits in MANAGED_HSM_OPERATIONS
)

SPACING = 0.012  # seconds between two first probes: about the cost of a few TLS handshakes on one core
JITTER = 0.1  # the largest deviation of a gap from the interval
LOOKUP_SECONDS = 3600.0  # between two expiry lookups at Microsoft Graph or in a Key Vault
DATABASE_TOKEN_SECONDS = 300.0  # for which SQL Servers with one credential share a token
ALERTED_SECONDS = 300.0  # the longest interval that the shipped alerts support (see docs/maintainers/alert-timing.md)
FEWEST_SLOTS = 64
MARGIN = 1.25  # starts are random, so the number in flight exceeds the mean at times
MOST_SLOTS = 100_000
FEWEST_AUXILIARY = 8  # concurrent auxiliary probes
FILES_OF_A_PROBE = 2  # connections to a vault and to Entra ID


def slots_for(paces: Collection[tuple[float, float]]) -> int:
    """Return the number of slots with which every target may time out and none waits.

    `paces` holds (interval, timeout) of each target in seconds. The result covers the steady state, in which each target
    holds a slot for timeout / interval of the time, and the start, in which probes begin `SPACING` apart and hold a slot for
    a timeout.
    """
    steady = MARGIN * math.fsum(timeout / interval for interval, timeout in paces)
    starting = min(float(len(paces)), max((timeout for _, timeout in paces), default=0.0) / SPACING)
    return max(FEWEST_SLOTS, math.ceil(steady), math.ceil(starting))


def auxiliary_slots(slots: int) -> int:
    """Return how many auxiliary probes may run at once beside so many scheduled ones."""
    return min(slots, max(FEWEST_AUXILIARY, slots // 4))


def files_of(slots: int) -> int:
    """Return how many files so many scheduled probes open, with as many on demand and the auxiliary ones."""
    return FILES_OF_A_PROBE * (2 * slots + auxiliary_slots(slots))


def slots_within(files: int) -> int:
    """Return the most slots whose probes open no more files; 0 if there is none."""
    return bisect_right(range(1, MOST_SLOTS + 1), files, key=files_of)


@dataclass(frozen=True, slots=True, kw_only=True)
class FirstProbes:
    """Targets without a result since the start or since they were added.

    `delayed` of them could not be probed yet because this host was too busy. `pace` is in results per second, 0 if there is none.
    """

    targets: int
    missing: int
    delayed: int
    pace: float

    @property
    def seconds_left(self) -> float | None:
        """Seconds until all targets have a result at this pace; None if that is unknown."""
        return self.missing / self.pace if self.pace > 0 else None

    def text(self) -> str:
        """Return a notice, or an empty text if no first probe is delayed."""
        if not self.delayed:
            return ""
        left = self.seconds_left
        minutes = None if left is None else max(1, math.ceil(left / 60))
        pace = "So far no target has one." if minutes is None else f"At this pace all have one in {minutes} min."
        return (
            f"{self.missing:,} of {self.targets:,} targets have no result yet: this host is too busy to probe them in time. "
            f"{pace} The exporter tries them again until each has a result."
        )

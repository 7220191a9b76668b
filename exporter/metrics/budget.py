"""How much of a vault's published request limit this exporter uses.

For: the table of limits, what a probe's requests weigh against it, and the busiest ten seconds of the last minute per vault.
Not for: sending fewer requests (see `scheduler`), nor for what others send to the vault: no one outside it can see that.
"""

from __future__ import annotations

from collections.abc import Mapping

from exporter.core.endpoints import cloud_of
from exporter.core.model import KeyFacts, Outcome, ProbeReport, Step
from exporter.metrics.tally import is_throttled

SLOT_SECONDS = 10
SLOTS = 6

# Requests in 10 s to one vault in its region, by (kept in an HSM, RSA size), as Microsoft publishes them; what is not done
# with a key has the limit of all other requests. The limits hold for the weighted sum, and 429 answers do not count.
LIMITS: Mapping[tuple[bool, int], int] = {
    (True, 2048): 2000,
    (True, 3072): 500,
    (True, 4096): 250,
    (False, 2048): 4000,
    (False, 3072): 1000,
    (False, 4096): 500,
}
OTHER_REQUESTS = 4000
_WITH_THE_KEY = (Step.WRAP_KEY, Step.UNWRAP_KEY)


def share_of(report: ProbeReport) -> float:
    """The share of its vault's ten-second limit that one probe used."""
    return sum(
        1 / _limit(result.step, report.key)
        for result in report.steps
        if result.step is not Step.TOKEN and result.outcome is not Outcome.SKIPPED and not is_throttled(result)
    )


def _limit(step: Step, key: KeyFacts | None) -> int:
    if step not in _WITH_THE_KEY or key is None:
        return OTHER_REQUESTS
    return LIMITS.get((key.kty.endswith("-HSM"), key.size_bits), OTHER_REQUESTS)


class Budget:
    """The last minute of one vault, in slots of ten seconds."""

    def __init__(self) -> None:
        self._slots: dict[int, float] = {}

    def add(self, report: ProbeReport) -> float:
        """Counts a probe's requests in the slot it started in; returns the largest share of a slot in the last minute."""
        slot = int(report.started_at // SLOT_SECONDS)
        self._slots[slot] = self._slots.get(slot, 0.0) + share_of(report)
        newest = max(self._slots)
        self._slots = {slot: share for slot, share in self._slots.items() if slot > newest - SLOTS}
        return max(self._slots.values())


def has_limits(vault: str) -> bool:
    """Whether limits are published for this vault: for a managed HSM and for an unknown cloud none are."""
    cloud = cloud_of(vault)
    return cloud is not None and not cloud.managed_hsm

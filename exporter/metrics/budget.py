"""How much of a vault's published request limit this exporter uses.

For: what a probe's requests weigh against the limit, and the busiest ten seconds of the last minute per vault.
Not for: the limits themselves (see `core.limits`), sending fewer requests (see `scheduler`), nor for what others send to the
vault: no one outside it can see that.
"""

from __future__ import annotations

from exporter.core.endpoints import cloud_of
from exporter.core.limits import KEY_OPERATIONS, OPERATIONS, OTHER_OPERATIONS, WINDOW_SECONDS
from exporter.core.model import KeyFacts, Outcome, ProbeReport, Step
from exporter.metrics.tally import is_throttled

SLOTS = 6

_WITH_THE_KEY = frozenset(operation.step for operation in OPERATIONS if operation.with_key)


def share_of(report: ProbeReport) -> float:
    """The share of its vault's ten-second limit that one probe used. Answers with 429 do not count against it."""
    return sum(
        1 / _limit(result.step, report.key)
        for result in report.steps
        if result.step is not Step.TOKEN and result.outcome is not Outcome.SKIPPED and not is_throttled(result)
    )


def _limit(step: Step, key: KeyFacts | None) -> float:
    if step not in _WITH_THE_KEY or key is None:
        return OTHER_OPERATIONS
    return KEY_OPERATIONS.get((key.kty.endswith("-HSM"), key.size_bits), OTHER_OPERATIONS)


class Budget:
    """The last minute of one vault, in slots of ten seconds."""

    def __init__(self) -> None:
        self._slots: dict[int, float] = {}

    def add(self, report: ProbeReport) -> float:
        """Counts a probe's requests in the slot it started in; returns the largest share of a slot in the last minute."""
        now = int(report.started_at // WINDOW_SECONDS)
        self._slots[now] = self._slots.get(now, 0.0) + share_of(report)
        # On both sides: probes end in another order than they began, and a clock that was set back leaves a future behind.
        self._slots = {slot: share for slot, share in self._slots.items() if abs(slot - now) < SLOTS}
        return max(self._slots.values())


def has_limits(vault: str) -> bool:
    """Whether limits are published for this vault: for a managed HSM and for an unknown cloud none are."""
    cloud = cloud_of(vault)
    return cloud is not None and not cloud.managed_hsm

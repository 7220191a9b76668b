"""How much of a vault's published request limit this exporter uses.

For: what the requests of probes and looks weigh against the limit, and the busiest ten seconds of the last minute per vault.
Not for: the limits themselves (see `core.vault_limits`), sending fewer requests (see `probing.scheduler`), nor for what others send to the
vault: no one outside it can see that.
"""

from __future__ import annotations

from collections.abc import Iterable

from exporter.core.endpoints import cloud_of
from exporter.core.model import KeyFacts, ProbeReport, Step, StepResult
from exporter.core.vault_limits import KEY_OPERATIONS, OPERATIONS, OTHER_OPERATIONS, WINDOW_SECONDS
from exporter.metrics.counters import is_throttled

SLOTS = 6

_OF_THE_VAULT = frozenset(operation.step for operation in OPERATIONS)
_WITH_THE_KEY = frozenset(operation.step for operation in OPERATIONS if operation.with_key)


def share_of(steps: Iterable[StepResult], key: KeyFacts | None) -> float:
    """The share of a vault's ten-second limit that these steps used: those whose request left this host.

    Answers with 429 do not count against the limit.
    """
    return sum(
        1 / _limit(result.step, key)
        for result in steps
        if result.step in _OF_THE_VAULT and result.sent and not is_throttled(result)
    )


def _limit(step: Step, key: KeyFacts | None) -> float:
    if step not in _WITH_THE_KEY or key is None:
        return OTHER_OPERATIONS
    return KEY_OPERATIONS.get((key.kty.endswith("-HSM"), key.size_bits), OTHER_OPERATIONS)


class Budget:
    """The last minute of one vault, in slots of ten seconds. All times are Unix times."""

    def __init__(self) -> None:
        self._slots: dict[int, float] = {}

    def add(self, report: ProbeReport) -> float:
        """Counts a probe's requests; returns the ratio at its end."""
        self.add_steps(report.started_at, report.steps, report.key)
        return self.ratio(report.started_at + report.duration)

    def add_steps(self, at: float, steps: Iterable[StepResult], key: KeyFacts | None) -> None:
        """Counts requests in the slot of `at`, when the first of them was made."""
        slot = _slot(at)
        self._slots[slot] = self._slots.get(slot, 0.0) + share_of(steps, key)

    def ratio(self, now: float) -> float:
        """The largest share of a slot in the last minute before `now`; 0 where nothing was sent in it."""
        current = _slot(now)
        # On both sides: a clock that was set back leaves a future behind.
        self._slots = {slot: share for slot, share in self._slots.items() if abs(slot - current) < SLOTS}
        return max(self._slots.values(), default=0.0)


class Budgets:
    """Those of all vaults that have published limits. Each method returns what changed: ratios by vault."""

    def __init__(self) -> None:
        self._budgets: dict[str, Budget] = {}
        self._told: dict[str, float] = {}
        self._swept: int | None = None

    def add(self, vault: str, at: float, steps: Iterable[StepResult], key: KeyFacts | None, *, now: float) -> dict[str, float]:
        """Counts requests that were made from `at` on and have ended by `now` (Unix times)."""
        if not has_limits(vault):
            return {}
        budget = self._budgets.setdefault(vault, Budget())
        budget.add_steps(at, steps, key)
        return self._changed([vault], now)

    def sweep(self, now: float) -> dict[str, float]:
        """Lets time pass. Ratios change from slot to slot only, so that most calls cost nothing."""
        if self._swept == _slot(now):
            return {}
        self._swept = _slot(now)
        return self._changed(self._budgets, now)

    def forget(self, vault: str) -> None:
        self._budgets.pop(vault, None)
        self._told.pop(vault, None)

    def _changed(self, vaults: Iterable[str], now: float) -> dict[str, float]:
        ratios = {vault: self._budgets[vault].ratio(now) for vault in vaults}
        changed = {vault: ratio for vault, ratio in ratios.items() if self._told.get(vault) != ratio}
        self._told.update(changed)
        return changed


def has_limits(vault: str) -> bool:
    """Whether limits are published for this vault: for a managed HSM and for an unknown cloud none are."""
    cloud = cloud_of(vault)
    return cloud is not None and not cloud.managed_hsm


def _slot(at: float) -> int:
    return int(at // WINDOW_SECONDS)

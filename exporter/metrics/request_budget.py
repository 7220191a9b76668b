"""Share of each vault's published request limit that this exporter uses.

The requests of other clients are unknown. The limits are in `core.vault_limits`.
"""

from __future__ import annotations

from collections.abc import Iterable

from exporter.core.endpoints import cloud_of
from exporter.core.model import KeyFacts, Step, StepResult
from exporter.core.vault_limits import KEY_OPERATIONS, OPERATIONS, OTHER_OPERATIONS, WINDOW_SECONDS
from exporter.metrics.counters import is_throttled

SLOTS = 6

_VAULT_STEPS = frozenset(operation.step for operation in OPERATIONS)
_KEY_LIMITED_STEPS = frozenset(operation.step for operation in OPERATIONS if operation.with_key)


def share_of(steps: Iterable[StepResult], key: KeyFacts | None) -> float:
    """Return the share of a vault's ten-second limit that these steps used.

    Responses with 429 do not count against the limit.
    """
    return sum(
        (2 if result.facts is not None and result.facts.resent else 1) / _limit(result.step, key)
        for result in steps
        if result.step in _VAULT_STEPS and result.sent and not is_throttled(result)
    )


def _limit(step: Step, key: KeyFacts | None) -> float:
    if step not in _KEY_LIMITED_STEPS or key is None:
        return OTHER_OPERATIONS
    return KEY_OPERATIONS.get((key.kty.endswith("-HSM"), key.size_bits), OTHER_OPERATIONS)


class Budget:
    """Usage of one vault in the last minute, in slots of ten seconds.

    All times are Unix times.
    """

    def __init__(self) -> None:
        self._slots: dict[int, float] = {}

    def add_steps(self, at: float, steps: Iterable[StepResult], key: KeyFacts | None) -> None:
        """Count requests in the slot of `at`, the time of the first request."""
        slot = _slot(at)
        self._slots[slot] = self._slots.get(slot, 0.0) + share_of(steps, key)

    def ratio(self, now: float) -> float:
        """Return the largest share of a slot in the minute before `now`.

        The share is 0 without requests.
        """
        current = _slot(now)
        # Compare in both directions: after a clock was set back, old slots lie in the future.
        self._slots = {slot: share for slot, share in self._slots.items() if abs(slot - current) < SLOTS}
        return max(self._slots.values(), default=0.0)


class Budgets:
    """Budgets of all vaults with published limits.

    Each method returns the changed ratios by vault.
    """

    def __init__(self) -> None:
        self._budgets: dict[str, Budget] = {}
        self._shown: dict[str, float] = {}
        self._swept: int | None = None

    def add(self, vault: str, at: float, steps: Iterable[StepResult], key: KeyFacts | None, *, now: float) -> dict[str, float]:
        """Count requests between `at` and `now` (Unix times)."""
        if not has_limits(vault):
            return {}
        budget = self._budgets.setdefault(vault, Budget())
        budget.add_steps(at, steps, key)
        return self._changed([vault], now)

    def sweep(self, now: float) -> dict[str, float]:
        """Update the ratios for `now`.

        They change once per slot, so most calls return at once.
        """
        if self._swept == _slot(now):
            return {}
        self._swept = _slot(now)
        return self._changed(self._budgets, now)

    def forget(self, vault: str) -> None:
        self._budgets.pop(vault, None)
        self._shown.pop(vault, None)

    def _changed(self, vaults: Iterable[str], now: float) -> dict[str, float]:
        ratios = {vault: self._budgets[vault].ratio(now) for vault in vaults}
        changed = {vault: ratio for vault, ratio in ratios.items() if self._shown.get(vault) != ratio}
        self._shown.update(changed)
        return changed


def has_limits(vault: str) -> bool:
    """Return whether limits are published: not for a managed HSM or an unknown cloud."""
    cloud = cloud_of(vault)
    return cloud is not None and not cloud.managed_hsm


def _slot(at: float) -> int:
    return int(at // WINDOW_SECONDS)

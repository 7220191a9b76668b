"""Share of each vault's published request limit that this exporter uses.

The requests of other clients are unknown. The limits are in `core.request_limits`.
"""

from __future__ import annotations

from collections.abc import Iterable

from exporter.core.model import KeyFacts, StepResult
from exporter.core.request_limits import WINDOW_SECONDS
from exporter.core.vault_limits import OPERATIONS, Operation, has_limits, operation_limit
from exporter.metrics.counters import is_throttled

SLOTS = 6

_OPERATIONS = {operation.step: operation for operation in OPERATIONS}


def share_of(vault: str, steps: Iterable[StepResult], key: KeyFacts | None) -> float:
    """Return the share of a vault's ten-second limit that these steps used.

    Responses with 429 do not count against the limit. A key that was never read has the lowest limit, as in `check`.
    """
    return sum(
        (2 if result.facts is not None and result.facts.resent else 1) / _limit(vault, _OPERATIONS[result.step], key)
        for result in steps
        if result.step in _OPERATIONS and result.sent and not is_throttled(result)
    )


def _limit(vault: str, operation: Operation, key: KeyFacts | None) -> float:
    if key is None:
        return operation_limit(operation, vault)
    return operation_limit(operation, vault, hardware=key.kty.endswith("-HSM"), size_bits=key.size_bits)


class Budget:
    """Usage of one vault in the last minute, in slots of ten seconds.

    All times are Unix times.
    """

    def __init__(self, vault: str) -> None:
        self._vault = vault
        self._slots: dict[int, float] = {}

    def add_steps(self, at: float, steps: Iterable[StepResult], key: KeyFacts | None) -> None:
        """Count requests in the slot of `at`, the time of the first request."""
        slot = _slot(at)
        self._slots[slot] = self._slots.get(slot, 0.0) + share_of(self._vault, steps, key)

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
        if vault not in self._budgets:
            if not has_limits(vault):
                return {}
            self._budgets[vault] = Budget(vault)
        self._budgets[vault].add_steps(at, steps, key)
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


def _slot(at: float) -> int:
    return int(at // WINDOW_SECONDS)

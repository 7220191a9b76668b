"""How much one vault takes, as Azure publishes it, and what one probe asks of it.

For: literal tables, for warnings before and for a ratio while running.
Not for: counting what was sent. Source: "Azure Key Vault service limits", edition of July 2025: transactions in 10 seconds,
for one vault in one region, weighted and enforced on the sum. A managed HSM has a capacity instead: unwraps a second.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from exporter.core.endpoints import cloud_of
from exporter.core.model import Mode, Step

WINDOW_SECONDS = 10.0
OTHER_OPERATIONS = 4000.0  # reading a key, and whatever is no operation with it

# (kept in hardware, size in bits) -> operations with the key in one window
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
MANAGED_HSM_OPERATIONS: Mapping[int, float] = MappingProxyType({2048: 11_000.0, 3072: 3_600.0})


@dataclass(frozen=True, slots=True)
class Operation:
    """What one step asks of the vault: `with_key` counts against the key's limit, `billable` is on the invoice."""

    step: Step
    with_key: bool
    billable: bool


# The token is asked of Entra. A request without a token is refused before anything is done, so it is not billed.
OPERATIONS: tuple[Operation, ...] = (
    Operation(Step.CHALLENGE, with_key=False, billable=False),
    Operation(Step.GET_KEY, with_key=False, billable=True),
    Operation(Step.WRAP_KEY, with_key=True, billable=True),
    Operation(Step.UNWRAP_KEY, with_key=True, billable=True),
)


def operations_of(mode: Mode) -> tuple[Operation, ...]:
    """What a probe in this mode asks of the vault."""
    return tuple(operation for operation in OPERATIONS if mode is not Mode.READ_ONLY or not operation.with_key)


def key_operations_limit(vault: str, *, hardware: bool = True, size_bits: int = 3072) -> float:
    """Operations with a key in one window; without knowing the key, the least of those the connector supports."""
    cloud = cloud_of(vault)
    if cloud is not None and cloud.managed_hsm:
        return MANAGED_HSM_OPERATIONS[size_bits]
    return KEY_OPERATIONS[hardware, size_bits]

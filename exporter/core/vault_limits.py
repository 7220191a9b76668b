"""The published limits of one vault, and the operations of one probe.

Source: "Azure Key Vault service limits", July 2025: transactions in 10 seconds, per vault and region, weighted and enforced on
the sum. A managed HSM has a capacity in unwraps per second instead.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from exporter.core.endpoints import cloud_of
from exporter.core.model import Mode, Step

WINDOW_SECONDS = 10.0
OTHER_OPERATIONS = 4000.0  # reading a key, and other requests that do not use it

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
    """The request of one step.

    `with_key` counts against the key's limit, `billable` is invoiced.
    """

    step: Step
    with_key: bool
    billable: bool


# The token request goes to Entra. A request without a token is refused at once, so it is not billed.
OPERATIONS: tuple[Operation, ...] = (
    Operation(Step.CHALLENGE, with_key=False, billable=False),
    Operation(Step.GET_KEY, with_key=False, billable=True),
    Operation(Step.WRAP_KEY, with_key=True, billable=True),
    Operation(Step.UNWRAP_KEY, with_key=True, billable=True),
)


def operations_of(mode: Mode) -> tuple[Operation, ...]:
    """Return the vault operations of a probe in this mode."""
    return tuple(operation for operation in OPERATIONS if mode is not Mode.READ_ONLY or not operation.with_key)


def key_operations_limit(vault: str, *, hardware: bool = True, size_bits: int = 3072) -> float:
    """Return the operations with a key in one window.

    The default is the lowest limit of the supported keys.
    """
    cloud = cloud_of(vault)
    if cloud is not None and cloud.managed_hsm:
        return MANAGED_HSM_OPERATIONS[size_bits]
    return KEY_OPERATIONS[hardware, size_bits]

"""The published limits of one vault, and the operations of one probe.

Source: "Azure Key Vault service limits", July 2025: transactions in 10 seconds, per vault and region, weighted and enforced on
the sum. Reading a key counts like any other request about it: by type and size of the key. A managed HSM has a capacity in unwraps
per second instead.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from exporter.core.endpoints import cloud_of
from exporter.core.model import Mode, Step

WINDOW_SECONDS = 10.0
OTHER_OPERATIONS = 4000.0  # requests about no key
SUBSCRIPTION_VAULTS = 5  # the limit of a subscription is that of so many vaults
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
MANAGED_HSM_OPERATIONS: Mapping[int, float] = MappingProxyType(
    {2048: 11_000.0, 3072: 3_600.0}
)  # of the sizes that the connector supports
KEY_LIMITS = ", ".join(
    f"{limit:,.0f} for RSA{'-HSM' if hardware else ''} {bits}"
    for (hardware, bits), limit in sorted(KEY_OPERATIONS.items(), key=lambda each: each[1])
    if bits in MANAGED_HSM_OPERATIONS
)


@dataclass(frozen=True, slots=True)
class Operation:
    """The request of one step.

    `of_key` counts against the key's limit, `with_key` also uses the key, `billable` is invoiced.
    """

    step: Step
    of_key: bool
    with_key: bool
    billable: bool


# The token request goes to Entra. A request without a token is refused at once, so it is not billed.
OPERATIONS: tuple[Operation, ...] = (
    Operation(Step.CHALLENGE, of_key=False, with_key=False, billable=False),
    Operation(Step.GET_KEY, of_key=True, with_key=False, billable=True),
    Operation(Step.WRAP_KEY, of_key=True, with_key=True, billable=True),
    Operation(Step.UNWRAP_KEY, of_key=True, with_key=True, billable=True),
)


def operations_of(mode: Mode) -> tuple[Operation, ...]:
    """Return the vault operations of a probe in this mode."""
    return tuple(operation for operation in OPERATIONS if mode is not Mode.READ_ONLY or not operation.with_key)


def key_operations_limit(vault: str, *, hardware: bool = True, size_bits: int = 3072) -> float:
    """Return the requests about a key in one window.

    The default is the lowest limit of the supported keys.
    """
    return MANAGED_HSM_OPERATIONS[size_bits] if _is_managed_hsm(vault) else KEY_OPERATIONS[hardware, size_bits]


def operation_limit(operation: Operation, vault: str, *, hardware: bool = True, size_bits: int = 3072) -> float:
    """Return how many of these operations a vault allows in one window.

    A key of an unsupported size has the default's limit. A managed HSM has a capacity for operations that use a key alone.
    """
    if not operation.of_key or (_is_managed_hsm(vault) and not operation.with_key):
        return OTHER_OPERATIONS
    try:
        return key_operations_limit(vault, hardware=hardware, size_bits=size_bits)
    except KeyError:
        return key_operations_limit(vault)


def has_limits(vault: str) -> bool:
    """Return whether limits are published: not for a managed HSM or an unknown cloud."""
    return cloud_of(vault) is not None and not _is_managed_hsm(vault)


def _is_managed_hsm(vault: str) -> bool:
    cloud = cloud_of(vault)
    return cloud is not None and cloud.managed_hsm

"""The operations of one probe, and how many of each a vault allows."""

from __future__ import annotations

from dataclasses import dataclass

from exporter.core.endpoints import cloud_of
from exporter.core.model import Mode, Step
from exporter.core.request_limits import KEY_OPERATIONS, MANAGED_HSM_OPERATIONS, OTHER_OPERATIONS


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

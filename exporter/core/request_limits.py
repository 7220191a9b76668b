"""The published limits of requests, which documents, advice and arithmetic share.

Source: "Azure Key Vault service limits", July 2025: transactions in 10 seconds, per vault and region, weighted and enforced on
the sum. Reading a key counts like any other request about it: by type and size of the key. A managed HSM has a capacity in unwraps
per second instead.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

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

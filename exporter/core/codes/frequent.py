"""The 25 codes that a DBA meets, with the event behind each.

They are the codes of the faults that occur in vaults, sign-ins and networks, and those of the setup of SQL Server. Most of the other
121 need a damaged response, a lack of memory, or a fault inside Windows.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

# The classic number of a pair; a DBA meets the current one, too. The most frequent ones come first.
FREQUENT: Mapping[int, str] = MappingProxyType(
    {
        3303: "the client secret expired, or a copy of it is wrong",
        3077: "a role or access policy is missing, the vault's firewall refuses the host, or the key is disabled",
        3008: "a firewall, a proxy or the inspection of TLS stops the connection",
        3900: "DNS does not resolve the vault's name, often after a change of private endpoints",
        3011: "more requests reach the vault than it allows",
        3076: "the key or its version was deleted, or the name leads to another vault",
        3128: "the application was deleted or disabled, or its id or tenant is wrong",
        3305: "vault and application are in different tenants",
        3013: "Key Vault, Entra ID or a proxy fails",
        3010: "older connectors show it for 3303 and 3305",
        3012: "older connectors show it for 3128; a newer one, for a request that the vault cannot accept",
        401: "the event log of Windows shows a refused sign-in",
        404: "the event log of Windows shows a missing key",
        2058: "CREATE ASYMMETRIC KEY fails, and the service account lacks a right on the registry",
        2050: "the SECRET of CREATE CREDENTIAL is incomplete",
        3: "the key has a type or a size that the connector does not support",
        4: "a statement names a key that the provider does not have",
        5: "SQL Server cannot open a session with the provider",
    }
)

"""The teams that repair failures, in words: tickets, pages and the command `explain` use the same ones."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from exporter.core.codes.model import Owner

OWNERS: Mapping[Owner, str] = MappingProxyType(
    {
        Owner.DBA: "the DBA",
        Owner.IDENTITY: "the identity team (Entra ID)",
        Owner.NETWORK: "the network team",
        Owner.VAULT: "the vault team (Azure Key Vault)",
        Owner.EXPORTER: "the exporter's operator",
    }
)

"""Vaults, Managed HSMs and their keys as Azure lists them; the cloud that has them."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field

from exporter.core.credential_expiry import graph_of
from exporter.core.endpoints import CLOUDS, MANAGEMENT_HOSTS, cloud_of, vault_host

QUERY = """\
resources
| where type in~ ('microsoft.keyvault/vaults', 'microsoft.keyvault/managedhsms')
| project id, name, type, subscriptionId, location, uri = coalesce(tostring(properties.vaultUri), tostring(properties.hsmUri))
| order by id asc"""
PAGE = 1000  # rows, the most that the service allows
_GUID = re.compile(r"[0-9A-Fa-f]{8}-(?:[0-9A-Fa-f]{4}-){3}[0-9A-Fa-f]{12}")
_WORD = re.compile(r"[A-Za-z0-9 _-]{1,64}")


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class AzureVault:
    """A vault or a Managed HSM; `host` is its full name in lower case."""

    host: str
    subscription: str
    location: str

    @property
    def is_hsm(self) -> bool:
        cloud = cloud_of(self.host)
        return cloud is not None and cloud.managed_hsm


@dataclass(frozen=True, slots=True, kw_only=True)
class AzureKey:
    """The newest version of an RSA key. `enabled` is False if it is disabled."""

    name: str
    version: str
    bits: int
    enabled: bool


@dataclass(slots=True)
class Azure:
    """What Azure listed: vaults in order, the keys of each vault that was read, and one line for each failure."""

    host: str
    vaults: list[AzureVault] = field(default_factory=list)
    keys: dict[str, tuple[AzureKey, ...]] = field(default_factory=dict)
    failures: list[str] = field(default_factory=list)


def is_subscription(text: str) -> bool:
    """Whether the text is the id of a subscription."""
    return _GUID.fullmatch(text) is not None


def read_rows(rows: object, cloud: str) -> tuple[list[AzureVault], int]:
    """Return the vaults of a page, and the number of rows that name no vault of this cloud."""
    listed = rows if isinstance(rows, list) else []
    vaults = [_vault(row, cloud) for row in listed]
    found = [one for one in vaults if one is not None]
    return found, len(vaults) - len(found)


def _vault(row: object, cloud: str) -> AzureVault | None:
    if not isinstance(row, dict) or not isinstance(row.get("uri"), str):
        return None
    try:
        host = vault_host(row["uri"])
    except ValueError:
        return None
    known = cloud_of(host)
    if known is None or known.name != cloud or ":" in host:
        return None
    return AzureVault(
        host=host, subscription=_matching(_GUID, row.get("subscriptionId")), location=_matching(_WORD, row.get("location"))
    )


def _matching(pattern: re.Pattern[str], value: object) -> str:
    return value if isinstance(value, str) and pattern.fullmatch(value) else "?"


def authority_of(cloud: str) -> str:
    """Return the host of Entra ID for a cloud of MANAGEMENT_HOSTS."""
    domain = next(one.domain for one in CLOUDS if one.name == cloud)
    return graph_of(f"vault.{domain}", None).authority


def cloud_from(authority_host: str | None, vaults: Iterable[str]) -> str | None:
    """Return the cloud of the configured Entra host, else of the vaults; None if they are in several.

    Without either it is the public cloud.
    """
    names = {cloud.name for vault in vaults if (cloud := cloud_of(vault)) is not None}
    if authority_host is not None:
        authority = graph_of("", authority_host).authority
        return next(name for name in MANAGEMENT_HOSTS if authority_of(name) == authority)
    return None if len(names) > 1 else next(iter(names), CLOUDS[0].name)

"""Vaults, Managed HSMs and keys as Azure lists them, which of them no target covers, and the report."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field

from exporter.core.connector import key_name_findings
from exporter.core.names import CLOUDS, MANAGEMENT_HOSTS, cloud_of, vault_host
from exporter.core.values import KeyFacts
from exporter.knowledge.expiry import graph_of
from exporter.sqlserver.instance import counted, listed

QUERY = """\
resources
| where type in~ ('microsoft.keyvault/vaults', 'microsoft.keyvault/managedhsms')
| project id, name, type, subscriptionId, location, uri = coalesce(tostring(properties.vaultUri), tostring(properties.hsmUri))
| order by id asc"""
PAGE = 1000  # rows, the most that the service allows
GUID = re.compile(r"[0-9A-Fa-f]{8}-(?:[0-9A-Fa-f]{4}-){3}[0-9A-Fa-f]{12}")


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


@dataclass(slots=True)
class Azure:
    """What Azure listed: vaults in order, the newest RSA keys of each vault that was read, and one line for each failure."""

    host: str
    vaults: list[AzureVault] = field(default_factory=list)
    keys: dict[str, tuple[KeyFacts, ...]] = field(default_factory=dict)
    failures: list[str] = field(default_factory=list)


def read_rows(rows: object, cloud: str) -> tuple[list[AzureVault], int]:
    """Return the vaults of a page, and the number of rows that name no vault of this cloud."""
    vaults = [_vault(row, cloud) for row in rows] if isinstance(rows, list) else []
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
    location = _matching(r"[A-Za-z0-9 _-]{1,64}", row.get("location"))
    return AzureVault(host=host, subscription=_matching(GUID, row.get("subscriptionId")), location=location)


def _matching(pattern: str | re.Pattern[str], value: object) -> str:
    return value if isinstance(value, str) and re.fullmatch(pattern, value) else "?"


def authority_of(cloud: str) -> str:
    """Return the host of Entra ID for a cloud of MANAGEMENT_HOSTS."""
    return graph_of("vault." + next(one.domain for one in CLOUDS if one.name == cloud), None).authority


def cloud_from(authority_host: str | None, vaults: Iterable[str]) -> str | None:
    """Return the cloud of the configured Entra host, else of the vaults; None if they are in several.

    Without either it is the public cloud.
    """
    names = {cloud.name for vault in vaults if (cloud := cloud_of(vault)) is not None}
    if authority_host is not None:
        authority = graph_of("", authority_host).authority
        return next(name for name in MANAGEMENT_HOSTS if authority_of(name) == authority)
    return None if len(names) > 1 else next(iter(names), CLOUDS[0].name)


@dataclass(slots=True)
class AzurePlan:
    """`open_vaults` have no target, `open_keys` no target in a vault that has one; `unfit` are keys that the connector rejects."""

    covered: int = 0
    open_vaults: dict[AzureVault, list[KeyFacts]] = field(default_factory=dict)
    open_keys: dict[AzureVault, list[KeyFacts]] = field(default_factory=dict)
    unfit: list[str] = field(default_factory=list)


def plan_azure(azure: Azure, covered: Collection[tuple[str, str]]) -> AzurePlan:
    """Return what no target covers; `covered` are the vaults and names of keys, in lower case."""
    plan, vaults = AzurePlan(), {vault for vault, _ in covered}
    for vault in azure.vaults:
        keys = azure.keys.get(vault.host, ())
        left = [key for key in keys if (vault.host, key.name.lower()) not in covered]
        plan.covered += len(keys) - len(left)
        if vault.host not in vaults:
            plan.open_vaults[vault] = left
        elif left:
            plan.open_keys[vault] = left
        plan.unfit += [f"{vault.host}: {key.name}: {reason}" for key in left if (reason := _unfit(key))]
    return plan


def _unfit(key: KeyFacts) -> str:
    """Return why SQL Server cannot use the key as it is, empty if it can."""
    if key.size_bits not in (2048, 3072):
        return f"{key.size_bits} bits; the connector supports 2048 and 3072"
    if key.enabled is False:
        return "its newest version is disabled"
    return next((rule.text for rule in key_name_findings(key.name)), "")


EMPTY = (
    "Resource Graph shows no vault to this identity: it lacks the role Reader on the subscriptions or their management group, "
    "the vaults are in another tenant or cloud, or there is none"
)


def azure_report(azure: Azure, plan: AzurePlan) -> str:
    hsms = sum(vault.is_hsm for vault in azure.vaults)
    numbers = (
        counted(len(azure.vaults) - hsms, "vault"),
        counted(hsms, "Managed HSM"),
        counted(sum(map(len, azure.keys.values())), "RSA key"),
        f"{plan.covered} with a target",
    )
    sections = {
        "Vaults without a target:": [_line(vault, keys, azure) for vault, keys in plan.open_vaults.items()],
        "Keys without a target:": [_line(vault, keys, azure) for vault, keys in plan.open_keys.items()],
        "Keys that SQL Server cannot use:": plan.unfit,
    }
    return f"{azure.host}: {', '.join(numbers)}; {counted(len(azure.failures), 'failure')}\n" + "".join(
        f"\n{title}\n" + "".join(f"  - {line}\n" for line in lines) for title, lines in sections.items() if lines
    )


def _line(vault: AzureVault, keys: Sequence[KeyFacts], azure: Azure) -> str:
    where = f"{vault.host} (subscription {vault.subscription}, {vault.location})"
    if vault.host not in azure.keys:
        return f"{where}: keys unknown"
    named = listed(f"{key.name} (disabled)" if key.enabled is False else key.name for key in keys)
    return f"{where}: {named or 'no RSA key'}"

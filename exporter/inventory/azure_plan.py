"""Vaults, Managed HSMs and keys as Azure lists them, which of them no target covers, and the targets that would cover them, as YAML."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain, count

from exporter.core import counted
from exporter.core.connector import key_name_findings
from exporter.core.names import CLOUDS, MANAGEMENT_HOSTS, cloud_of, vault_host
from exporter.core.quoting import yaml
from exporter.core.values import KeyFacts
from exporter.inventory.plan import short_vault
from exporter.inventory.render import signed
from exporter.knowledge.expiry import graph_of
from exporter.sqlserver.document import KeyVersion
from exporter.sqlserver.instance import listed

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


@dataclass(frozen=True, slots=True)
class Coverage:
    """What the files declare: covered keys as vault and name in lower case, names of targets and credentials.

    `credentials` are those of the targets by vault.
    """

    keys: frozenset[tuple[str, str]] = frozenset()
    names: frozenset[str] = frozenset()
    credentials: Mapping[str, str] = field(default_factory=dict)
    declared: frozenset[str] = frozenset()

    @property
    def vaults(self) -> set[str]:
        return {vault for vault, _ in self.keys}


@dataclass(frozen=True, slots=True)
class Proposal:
    """A target for the newest version of a key."""

    name: str
    vault: AzureVault
    version: KeyVersion
    credential: str
    is_declared: bool  # another file declares the credential


@dataclass(slots=True)
class AzurePlan:
    """`open_vaults` have no target, `open_keys` no target in a vault that has one; `unfit` are keys that the connector rejects."""

    covered: int = 0
    open_vaults: dict[AzureVault, list[KeyFacts]] = field(default_factory=dict)
    open_keys: dict[AzureVault, list[KeyFacts]] = field(default_factory=dict)
    unfit: list[str] = field(default_factory=list)
    proposals: list[Proposal] = field(default_factory=list)


def plan_azure(azure: Azure, coverage: Coverage) -> AzurePlan:
    plan, taken, covered = AzurePlan(), set(coverage.names), coverage.vaults
    for vault in azure.vaults:
        keys = azure.keys.get(vault.host, ())
        left = [key for key in keys if (vault.host, key.name.lower()) not in coverage.keys]
        plan.covered += len(keys) - len(left)
        if vault.host not in covered:
            plan.open_vaults[vault] = left
        elif left:
            plan.open_keys[vault] = left
        for key in left:
            if reason := _unfit(key):
                plan.unfit.append(f"{vault.host}: {key.name}: {reason}")
            else:
                plan.proposals.append(_proposal(vault, key, coverage, taken))
    return plan


def _proposal(vault: AzureVault, key: KeyFacts, coverage: Coverage, taken: set[str]) -> Proposal:
    credential = coverage.credentials.get(vault.host, short_vault(vault.host))
    stem = f"{short_vault(vault.host)}-{key.name}"
    name = next(name for name in chain([stem], (f"{stem}-{number}" for number in count(2))) if name not in taken)
    taken.add(name)
    return Proposal(name, vault, KeyVersion(vault.host, key.name, key.version), credential, credential in coverage.declared)


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
# Another mark than that of the inventory of SQL Servers, which would remove the file.
MARK = "# Written by ekm-exporter inventory --azure, which replaces this file unless it was edited: sha256 "
_NOTICE = """\
# Azure lists these keys, and no target covers them. Azure does not show whether a SQL Server uses a key, or which version:
# the inventory of the SQL Servers does. Each target has the newest version. Copy what SQL Server uses into another file.
"""


def proposals_file(plan: AzurePlan, secrets: str) -> str:
    """Return the file with its checksum, empty without a proposal."""
    return signed(proposals_text(plan, secrets), MARK) if plan.proposals else ""


def proposals_text(plan: AzurePlan, secrets: str) -> str:
    """Return the proposed credentials and targets. `secrets` is the folder of the secrets, relative to the file."""
    missing = {one.credential: one.vault for one in plan.proposals if not one.is_declared}
    lines = ["credentials:"] if missing else []
    for name, vault in missing.items():
        lines += [
            f"  # Needs the SECRET of the SQL credential for {vault.host}, in the file below.",
            f"  {yaml(name)}:",
            "    type: connector_secret",
            f"    secret_file: {yaml(f'{secrets}/{name}')}",
        ]
    lines.append("targets:")
    for proposal in plan.proposals:
        lines += [
            f"  # subscription {proposal.vault.subscription}, {proposal.vault.location}",
            f"  - name: {yaml(proposal.name)}",
            f"    key: {proposal.version.uri}",
            f"    credential: {yaml(proposal.credential)}",
        ]
    return _NOTICE + "\n".join(lines) + "\n"


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

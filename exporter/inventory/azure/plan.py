"""Which vaults and keys of Azure no target covers, and the targets that would cover them."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from exporter.core.connector_secret import key_name_findings
from exporter.inventory.azure.vaults import Azure, AzureKey, AzureVault
from exporter.tde.plan import short_vault
from exporter.tde.registry import KeyVersion

SIZES = (2048, 3072)  # bits that the connector supports


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
    def vaults(self) -> frozenset[str]:
        return frozenset(vault for vault, _ in self.keys)


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
    open_vaults: dict[AzureVault, list[AzureKey]] = field(default_factory=dict)
    open_keys: dict[AzureVault, list[AzureKey]] = field(default_factory=dict)
    unfit: list[str] = field(default_factory=list)
    proposals: list[Proposal] = field(default_factory=list)


def plan_azure(azure: Azure, coverage: Coverage) -> AzurePlan:
    """Compare the vaults and keys with the targets."""
    plan, taken, covered_vaults = AzurePlan(), set(coverage.names), coverage.vaults
    for vault in azure.vaults:
        keys = azure.keys.get(vault.host, ())
        left = [key for key in keys if (vault.host, key.name.lower()) not in coverage.keys]
        plan.covered += len(keys) - len(left)
        if vault.host not in covered_vaults:
            plan.open_vaults[vault] = left
        elif left:
            plan.open_keys[vault] = left
        for key in left:
            _propose(vault, key, coverage, plan, taken)
    return plan


def _propose(vault: AzureVault, key: AzureKey, coverage: Coverage, plan: AzurePlan, taken: set[str]) -> None:
    if (reason := _unfit(key)) is not None:
        plan.unfit.append(f"{vault.host}: {key.name}: {reason}")
        return
    credential = coverage.credentials.get(vault.host, short_vault(vault.host))
    name = _free(f"{short_vault(vault.host)}-{key.name}", taken)
    taken.add(name)
    version = KeyVersion(vault.host, key.name, key.version)
    plan.proposals.append(Proposal(name, vault, version, credential, credential in coverage.declared))


def _unfit(key: AzureKey) -> str | None:
    """Return why SQL Server cannot use the key as it is, None if it can."""
    if key.bits not in SIZES:
        return f"{key.bits} bits; the connector supports 2048 and 3072"
    if not key.enabled:
        return "its newest version is disabled"
    rules = key_name_findings(key.name)
    return rules[0].text if rules else None


def _free(stem: str, taken: Collection[str]) -> str:
    number, name = 1, stem
    while name in taken:
        number += 1
        name = f"{stem}-{number}"
    return name

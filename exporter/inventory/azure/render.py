"""The report about Azure as text, and the proposed targets as YAML."""

from __future__ import annotations

from collections.abc import Sequence

from exporter.core.quoting import yaml
from exporter.inventory.azure.plan import AzurePlan, Proposal
from exporter.inventory.azure.vaults import Azure, AzureKey, AzureVault
from exporter.inventory.render import is_own, signed
from exporter.tde.findings import counted, listed

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


def is_own_proposal(text: str) -> bool:
    """Whether `inventory --azure` wrote this text, and it was not changed since."""
    return is_own(text, MARK)


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
        lines += _target(proposal)
    return _NOTICE + "\n".join(lines) + "\n"


def azure_report(azure: Azure, plan: AzurePlan) -> str:
    """Return what Azure has and what no target covers."""
    sections = (
        ("Vaults without a target:", [_line(vault, keys, azure) for vault, keys in plan.open_vaults.items()]),
        ("Keys without a target:", [_line(vault, keys, azure) for vault, keys in plan.open_keys.items()]),
        ("Keys that SQL Server cannot use:", plan.unfit),
    )
    parts = [f"{title}\n" + "".join(f"  - {line}\n" for line in lines) for title, lines in sections if lines]
    return "\n".join([_summary(azure, plan), *parts])


def _summary(azure: Azure, plan: AzurePlan) -> str:
    hsms = sum(vault.is_hsm for vault in azure.vaults)
    keys = sum(map(len, azure.keys.values()))
    numbers = ", ".join(
        (
            counted(len(azure.vaults) - hsms, "vault"),
            counted(hsms, "Managed HSM"),
            counted(keys, "RSA key"),
            f"{plan.covered} with a target",
        )
    )
    return f"{azure.host}: {numbers}; {counted(len(azure.failures), 'failure')}\n"


def _line(vault: AzureVault, keys: Sequence[AzureKey], azure: Azure) -> str:
    where = f"{vault.host} (subscription {vault.subscription}, {vault.location})"
    if vault.host not in azure.keys:
        return f"{where}: keys unknown"
    named = listed(key.name if key.enabled else f"{key.name} (disabled)" for key in keys)
    return f"{where}: {named or 'no RSA key'}"


def _target(proposal: Proposal) -> list[str]:
    vault = proposal.vault
    return [
        f"  # subscription {vault.subscription}, {vault.location}",
        f"  - name: {yaml(proposal.name)}",
        f"    key: {proposal.version.uri}",
        f"    credential: {yaml(proposal.credential)}",
    ]

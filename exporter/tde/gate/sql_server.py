"""What is known of a SQL Server itself: its EKM option, and what the answer does not cover."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from exporter.tde.exporter_state import GateReason
from exporter.tde.findings import counted, listed
from exporter.tde.gate.conditions import Condition, reason, shown
from exporter.tde.model import CLOSED, EKM_OPTION, EkmOption, Instance
from exporter.tde.usage import Usage

# How the option is off. Each of the two values may wait for the other.
_OPTION_STATES: Mapping[EkmOption, str] = {
    EkmOption(configured=False, in_use=False): "off",
    EkmOption(configured=False, in_use=True): "on now, but off after a RECONFIGURE or a restart",
    EkmOption(configured=True, in_use=False): "off now, and on only after a RECONFIGURE or a restart",
}


def option_reasons(instance: Instance, usages: Iterable[Usage], folder: str) -> Iterator[GateReason]:
    """Yield a reason if no EKM provider may be used, or if that is not known."""
    if not (instance.uses_provider or instance.foreign):
        return
    if instance.ekm is None:
        yield from unknown("configurations", f"whether the option '{EKM_OPTION}' is set is unknown", instance, folder)
    elif instance.ekm in _OPTION_STATES:
        databases = counted(sum(len(one.databases) for one in usages), "database")
        yield reason(Condition.EKM_DISABLED, server=instance.server_name, state=_OPTION_STATES[instance.ekm], databases=databases)


def notes_of(instance: Instance) -> Iterator[str]:
    """Yield what the answer does not cover: keys of other stores, and databases whose key SQL Server does not show."""
    for provider, count in instance.foreign.items():
        yield shown(
            f"{instance.server_name}: provider [{provider}] is not of Azure Key Vault: {counted(count, 'key')} not covered"
        )
    hidden = [f"{one.name} ({one.state})" for one in instance.databases if one.hidden and one.state not in CLOSED]
    if hidden and instance.uses_provider:
        yield shown(f"{instance.server_name}: SQL Server does not show the keys of databases that are not open: {listed(hidden)}")


def unknown(section: str, gap: str, instance: Instance, folder: str) -> Iterator[GateReason]:
    """Yield a gap, unless the section's own error is one already."""
    if section not in instance.errors:
        yield reason(Condition.INVENTORY_GAP, servers=instance.server_name, gap=gap, folder=folder)

"""Whether a SQL Server could open a database now: the state of the vault, its key and the sign-in, with the active faults.

No request is sent. A fault that only changes a response counts as broken, unless it only delays the response.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from exporter.simulator.faults import FaultScope
from exporter.simulator.model import Application, NetworkAccess, Vault
from exporter.simulator.sql_model import SqlKey
from exporter.simulator.state import SimulatorState

_OPERATIONS = ("challenge", "token", "get", "unwrapKey")
_NEEDED = frozenset({"get", "unwrapKey"})
_HARMLESS = frozenset({"delayed", "informational", "keep_alive_lost"})


def opens(state: SimulatorState, key: SqlKey) -> bool:
    """Return whether the key's version can be unwrapped with by its credential."""
    vault = state.vault(key.vault)
    if vault is None or not _has_key(vault, key):
        return False
    if any(state.route(host) or state.connection(host.partition(":")[0]) for host in (vault.host, vault.authority)):
        return False
    if key.application is not None and not _signs_in(state, vault, key.application):
        return False
    return not any(_breaks_responses(state, vault, key))


def _has_key(vault: Vault, key: SqlKey) -> bool:
    found = vault.keys.get(key.key_name.lower())
    version = found.version(key.key_version) if found is not None and found.deleted is None else None
    usable = version is not None and version.enabled and "unwrapKey" in version.key_ops and version.kty.startswith("RSA")
    return usable and vault.network_access is NetworkAccess.OPEN


def _signs_in(state: SimulatorState, vault: Vault, client_id: str) -> bool:
    """Whether the application is as it was configured and has its rights."""
    configured = state.environment.tenants.get(vault.tenant_id)
    now = state.tenant(vault.tenant_id)
    if configured is None or now is None or client_id not in now.applications:
        return False
    allowed = vault.permissions.get(client_id, frozenset())
    return allowed >= _NEEDED and _plain(now.applications[client_id]) == _plain(configured.applications[client_id])


def _plain(application: Application) -> Application:
    """Return the application without what no sign-in to a vault needs."""
    return replace(application, graph_reader=False)


def _breaks_responses(state: SimulatorState, vault: Vault, key: SqlKey) -> Iterator[bool]:
    places = {(FaultScope.VAULT, vault.host), (FaultScope.AUTHORITY, vault.authority), (FaultScope.TENANT, vault.tenant_id)}
    places.add((FaultScope.APPLICATION, key.application or ""))
    subject = (key.key_name.lower(), key.key_version)
    for active in state.active:
        if active.fault.response is not None and (active.scope, active.name) in places and active.fault.name not in _HARMLESS:
            yield any(active.applies_to(operation, subject) for operation in _OPERATIONS)

"""What a SQL Server meets at the vault now: the state of vault, key and sign-in, with the active faults.

No request is sent. A fault that only changes a response counts as broken, unless it only delays the response.
"""

from __future__ import annotations

from dataclasses import fields, replace

from exporter.simulator.faults import FaultScope, Options
from exporter.simulator.model import Application, NetworkAccess, Vault
from exporter.simulator.scenarios import SIMULATED, Scenario
from exporter.simulator.sql_model import MANAGED_IDENTITY, SimulatedSqlServer, SqlKey, VaultSide
from exporter.simulator.state import ActiveFault, SimulatorState

_NEEDED = frozenset({"get", "unwrapKey"})
_HARMLESS = frozenset({"delayed", "informational", "keep_alive_lost"})
_REFUSED_SECRET = "3303"  # noqa: S105 - a code
_UNKNOWN = "3001"
_NOT_LOADED = "33027"  # a message of SQL Server itself, without a code


def vault_side(state: SimulatorState, server: SimulatedSqlServer, key: SqlKey) -> VaultSide:
    """Return what a request with the key meets. The secret is the one that this SQL Server has."""
    if not (server.provider_enabled and server.ekm_in_use and server.login_has_credential):
        return VaultSide(key="")
    if not server.library_loads:
        return VaultSide(key=_NOT_LOADED)
    vault = state.vault(key.vault)
    if vault is None:
        return VaultSide(key=_UNKNOWN)
    refusals = _Refusals(state, server, key, vault)
    return VaultSide(refusals.sign_in_side(), refusals.key_side())


class _Refusals:
    """Finds what refuses the requests of one server with one key."""

    def __init__(self, state: SimulatorState, server: SimulatedSqlServer, key: SqlKey, vault: Vault) -> None:
        self._state, self._server, self._key, self._vault = state, server, key, vault
        places = {(FaultScope.AUTHORITY, vault.authority), (FaultScope.TENANT, vault.tenant_id)}
        places.add((FaultScope.APPLICATION, key.application or ""))
        self._at_entra = [one for one in state.active if (one.scope, one.name) in places]
        self._at_vault = [one for one in state.active if (one.scope, one.name) == (FaultScope.VAULT, vault.host)]

    def sign_in_side(self) -> str | None:
        """Return the code of a refused sign-in, None if there is a token."""
        if not self._server.secret_accepted and self._key.identity != MANAGED_IDENTITY:
            return _REFUSED_SECRET
        works = self._key.application is None or self._signs_in(self._key.application)
        if not works or self._cut_off(self._vault.authority):
            return self._code_of_change(self._at_entra, _REFUSED_SECRET)
        return self._broken_response(self._at_vault, "challenge") or self._broken_response(self._at_entra, "token")

    def key_side(self) -> str | None:
        """Return the code of a request that is refused in spite of a token, None if it works."""
        allowed = self._key.application is None or self._vault.permissions.get(self._key.application, frozenset()) >= _NEEDED
        if not allowed or not self._has_key() or self._cut_off(self._vault.host):
            return self._code_of_change(self._at_vault, _UNKNOWN)
        return self._broken_response(self._at_vault, "get", "unwrapKey")

    def _code_of_change(self, faults: list[ActiveFault], unknown: str) -> str:
        """Return the code of the newest fault that changes an object or a connection."""
        changes = [one for one in reversed(faults) if one.fault.response is None or one.fault.vault is not None]
        return next((code for one in changes if (code := self._code_of(one)) is not None), unknown)

    def _broken_response(self, faults: list[ActiveFault], *operations: str) -> str | None:
        """Return the code of the first fault that breaks a response, None if there is none."""
        broken = [one for one in faults if self._breaks_response(one, operations)]
        return next((self._code_of(one) or _UNKNOWN for one in broken), None)

    def _breaks_response(self, active: ActiveFault, operations: tuple[str, ...]) -> bool:
        if active.fault.response is None or active.fault.name in _HARMLESS:
            return False
        subject = (self._key.key_name.lower(), self._key.key_version)
        return any(active.applies_to(operation, subject) for operation in operations)

    def _code_of(self, active: ActiveFault) -> str | None:
        rows = [row for row in SIMULATED if row.cause == active.fault.name]
        if not rows:
            return None
        row = min(rows, key=lambda row: _difference(row, active.options))
        return str(row.classic if self._server.file_version.startswith("1.") else row.current)

    def _cut_off(self, host: str) -> bool:
        return bool(self._state.route(host) or self._state.connection(host.partition(":")[0]))

    def _has_key(self) -> bool:
        found = self._vault.keys.get(self._key.key_name.lower())
        version = found.version(self._key.key_version) if found is not None and found.deleted is None else None
        usable = version is not None and version.enabled and "unwrapKey" in version.key_ops and version.kty.startswith("RSA")
        return usable and self._vault.network_access is NetworkAccess.OPEN

    def _signs_in(self, client_id: str) -> bool:
        """Whether the application is as it was configured."""
        configured = self._state.environment.tenants.get(self._vault.tenant_id)
        now = self._state.tenant(self._vault.tenant_id)
        if configured is None or now is None or client_id not in now.applications:
            return False
        return _plain(now.applications[client_id]) == _plain(configured.applications[client_id])


def _plain(application: Application) -> Application:
    """Return the application without what no sign-in to a vault needs."""
    return replace(application, graph_reader=False, azure_reader=False)


def _difference(row: Scenario, options: Options) -> int:
    """Return how many options of a fault differ from those of a scenario with the same fault."""
    return sum(getattr(row.options, one.name) != getattr(options, one.name) for one in fields(Options))

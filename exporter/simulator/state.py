"""The environment with the active faults applied.

A fault never changes the environment itself, so clearing it restores the state before. Other changes stay.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from typing import Any

from exporter.core.names import nearest, vault_host
from exporter.simulator.environment import Application, Environment, SimulatedSqlServer, Tenant, Vault
from exporter.simulator.faults import FAULTS, ConnectionFault, FaultScope, Options, Route, SimulatedFault, UnknownNameError
from exporter.simulator.http import SimulatedResponse

Subject = tuple[str, str | None]
_NOTHING: Subject = ("", None)


@dataclass(frozen=True, slots=True, kw_only=True)
class ActiveFault:
    """A fault that is set on an object. `name` is the object: a host, a tenant id or a client id."""

    number: int
    fault: SimulatedFault
    scope: FaultScope
    name: str
    options: Options = field(default_factory=Options)

    def applies_to(self, operation: str, subject: Subject) -> bool:
        """Return whether the fault changes the response to that operation on that subject.

        The options can limit it to another key, version, step or operation.
        """
        key, version = subject
        if self.options.key is not None and self.options.key.lower() != key:
            return False
        if self.options.version is not None and self.options.version != version:
            return False
        return self.fault.applies_to(operation, self.options)


class SimulatorState:
    """Sets and clears faults, and returns objects with the active faults applied. `before_change` is called before each change."""

    def __init__(self, environment: Environment, clock: Callable[[], float] = time.time) -> None:
        self.environment = environment
        self.before_change: Callable[[], None] = lambda: None
        self._clock = clock
        self._active: list[ActiveFault] = []
        self._numbers = itertools.count(1)
        self._vaults: dict[str, Vault] = {}
        self._tenants: dict[str, Tenant] = {}

    @property
    def active(self) -> tuple[ActiveFault, ...]:
        """Return the active faults, the oldest first."""
        return tuple(self._active)

    def set(self, fault_name: str, scope: FaultScope, name: str, options: Options | None = None) -> ActiveFault:
        """Set a fault. Raises UnknownNameError if the fault or the object does not exist."""
        fault = FAULTS.get(fault_name)
        if fault is None:
            raise UnknownNameError(f"there is no fault {fault_name!r}{nearest(fault_name, FAULTS)}")
        if scope not in fault.scopes:
            allowed = ", ".join(sorted(fault.scopes))
            raise UnknownNameError(f"the fault {fault_name!r} can be set on: {allowed}; not on: {scope}")
        found, options = self.find(scope, name), replace(options or Options(), since=self._clock())
        self._check_key(scope, found, options)
        self.before_change()
        active = ActiveFault(number=next(self._numbers), fault=fault, scope=scope, name=found, options=options)
        self._active.append(active)
        self._clear_views()
        return active

    def _check_key(self, scope: FaultScope, host: str, options: Options) -> None:
        """Raise UnknownNameError if the options name an unknown key or version."""
        if options.key is None and options.version is None:
            return
        if scope is not FaultScope.VAULT:
            raise UnknownNameError(f"only a fault of a vault can be kept to a key or a version, not one of: {scope}")
        keys = self.environment.vaults[host].keys
        if options.key is not None and options.key.lower() not in keys:
            raise UnknownNameError(f"there is no key {options.key!r} in {host}{nearest(options.key.lower(), keys)}")
        chosen = [key for name, key in keys.items() if options.key is None or name == options.key.lower()]
        versions = [version.version for key in chosen for version in key.versions]
        if options.version is not None and options.version not in versions:
            raise UnknownNameError(f"there is no version {options.version!r}{nearest(options.version, versions)}")

    def clear(self, *, number: int | None = None, fault: str | None = None, name: str | None = None) -> int:
        """Clear the faults that match all arguments; return their number. `name` is the object that the fault is set on."""
        self.before_change()
        kept = [
            active
            for active in self._active
            if (number is not None and active.number != number)
            or (fault is not None and active.fault.name != fault)
            or (name is not None and active.name != name)
        ]
        cleared = len(self._active) - len(kept)
        self._active = kept
        self._clear_views()
        return cleared

    def find(self, scope: FaultScope, name: str) -> str:
        """Return the full name of an object. Raises UnknownNameError."""
        known = self._known(scope)
        found = known.get(name.lower())
        if found is None and scope is FaultScope.VAULT:
            try:
                found = known.get(vault_host(name))
            except ValueError:
                found = None
        if found is None:
            raise UnknownNameError(f"there is no {scope} {name!r}{nearest(name.lower(), known)}")
        return found

    def _known(self, scope: FaultScope) -> dict[str, str]:
        """Return the full names of all objects of a scope, by each accepted name."""
        environment = self.environment
        by_their_names: dict[FaultScope, Iterable[str]] = {
            FaultScope.VAULT: environment.vaults,
            FaultScope.AUTHORITY: environment.authorities,
            FaultScope.GRAPH: environment.graph_hosts,
            FaultScope.MANAGEMENT: environment.management_hosts,
            FaultScope.TENANT: environment.tenants,
        }
        if scope in by_their_names:
            return {name: name for name in by_their_names[scope]}
        if scope == FaultScope.SQL:
            return {name: server.name for name, server in environment.sql_servers.items()}
        return {
            name.lower(): client_id
            for tenant in environment.tenants.values()
            for client_id, application in tenant.applications.items()
            for name in (client_id, client_id.replace("-", ""), *application.names)
        }

    def change_application(self, name: str, edit: Callable[[Application], Application]) -> None:
        """Replace an application by what `edit` returns; its faults stay active.

        `name` is a client id or a credential's name. The client id stays, and issued tokens stay valid. Raises UnknownNameError.
        """
        tenant_id, client_id = self.locate_application(name)
        tenant = self.environment.tenants[tenant_id]
        self.before_change()
        changed = replace(tenant, applications={**tenant.applications, client_id: edit(tenant.applications[client_id])})
        self.environment = replace(self.environment, tenants={**self.environment.tenants, tenant_id: changed})
        self._clear_views()

    def change_vault(self, name: str, edit: Callable[[Vault], Vault]) -> None:
        """Replace a vault by what `edit` returns; its faults stay active. Raises UnknownNameError."""
        host = self.find(FaultScope.VAULT, name)
        self.before_change()
        self.environment = replace(
            self.environment, vaults={**self.environment.vaults, host: edit(self.environment.vaults[host])}
        )
        self._clear_views()

    def locate_application(self, name: str) -> tuple[str, str]:
        """Return tenant id and client id of an application.

        `name` is a client id or the name of a credential. Raises UnknownNameError.
        """
        client_id = self.find(FaultScope.APPLICATION, name)
        return next(
            (tenant.tenant_id, client_id) for tenant in self.environment.tenants.values() if client_id in tenant.applications
        )

    def vault(self, host: str) -> Vault | None:
        """Return a vault with the active faults applied, None if it does not exist."""
        if host not in self._vaults and host in self.environment.vaults:
            vault = self.environment.vaults[host]
            for change, options in self._changes(FaultScope.VAULT, host):
                vault = change(vault, options)
            self._vaults[host] = vault
        return self._vaults.get(host)

    def tenant(self, tenant_id: str) -> Tenant | None:
        """Return a tenant with the active faults applied, None if it does not exist."""
        if tenant_id not in self._tenants and tenant_id in self.environment.tenants:
            tenant = self.environment.tenants[tenant_id]
            applications = {client_id: self._application(one) for client_id, one in tenant.applications.items()}
            self._tenants[tenant_id] = replace(tenant, applications=applications)
        return self._tenants.get(tenant_id)

    def sql_server(self, name: str) -> SimulatedSqlServer | None:
        """Return a SQL Server with the active faults applied, None if it does not exist."""
        server = self.environment.sql_servers.get(name.lower())
        if server is None:
            return None
        for change, options in self._changes(FaultScope.SQL, server.name):
            server = change(server, options, self.vault)
        return server

    def change_sql_servers(self, names: Iterable[str], edit: Callable[[SimulatedSqlServer], SimulatedSqlServer]) -> None:
        """Replace SQL Servers by what `edit` returns; their faults stay active. Raises UnknownNameError."""
        found = [self.find(FaultScope.SQL, name).lower() for name in names]
        self.before_change()
        servers = self.environment.sql_servers
        self.environment = replace(self.environment, sql_servers={**servers, **{name: edit(servers[name]) for name in found}})

    def _application(self, application: Application) -> Application:
        for change, options in self._changes(FaultScope.APPLICATION, application.client_id):
            application = change(application, options)
        return application

    def apply_faults(
        self, response: SimulatedResponse, operation: str, places: Iterable[tuple[FaultScope, str]], subject: Subject = _NOTHING
    ) -> SimulatedResponse:
        """Return the response after the active faults at these places, the oldest first.

        `subject` is the requested key and version.
        """
        if not self._active:
            return response
        there = set(places)
        for active in self._active:
            edit = active.fault.response
            if edit is not None and (active.scope, active.name) in there and active.applies_to(operation, subject):
                response = edit(response, active.options)
        return response

    def connection(self, host: str) -> ConnectionFault | None:
        """Return the newest connection fault of the host, None if there is none."""
        found = [
            active.fault.connection
            for active in self._active
            if active.fault.connection and active.name.partition(":")[0] == host
        ]
        return found[-1] if found else None

    def route(self, host: str) -> Route | None:
        """Return the newest route fault of the host, None if there is none."""
        found = [active.fault.route for active in self._active if active.name == host and active.fault.route]
        return found[-1] if found else None

    def _changes(self, scope: FaultScope, name: str) -> list[tuple[Callable[..., Any], Options]]:
        """Return the changes of an object by its active faults, with their options. A row of the table has them under the scope's name."""
        there = [active for active in self._active if active.scope is scope and active.name == name]
        return [(change, active.options) for active in there if (change := getattr(active.fault, scope)) is not None]

    def _clear_views(self) -> None:
        self._vaults.clear()
        self._tenants.clear()

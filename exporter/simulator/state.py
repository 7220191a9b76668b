"""The environment with the active faults applied.

A fault never changes the environment itself, so clearing it restores the state before. Other changes stay.
"""

from __future__ import annotations

import contextlib
import itertools
import time
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, field, replace
from typing import TypeVar

from exporter.core.names import nearest, vault_host
from exporter.core.values import KEY_STEPS
from exporter.simulator.environment import Application, Environment, SimulatedSqlServer, Tenant, Vault
from exporter.simulator.faults import FAULTS, ConnectionFault, FaultScope, Options, Route, SimulatedFault, UnknownNameError
from exporter.simulator.http import AUXILIARY_OPERATIONS, STEPS, SimulatedResponse

T = TypeVar("T")
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

        The options can limit it to another key, version, step or operation. A fault of every step also affects the auxiliary operations.
        """
        (key, version), options, steps = subject, self.options, self.fault.steps
        if (options.key or key).lower() != key or (options.version is not None and options.version != version):
            return False
        if options.at is not None:
            return operation == options.at
        step = STEPS.get(operation)
        if options.step is not None:
            return step is options.step
        return step in steps if step is not None else operation in AUXILIARY_OPERATIONS and (not steps or steps >= {*KEY_STEPS})


class SimulatorState:
    """Sets and clears faults, and returns objects with the active faults applied.

    `active` has the faults, the oldest first. `before_change` is called before each change.
    """

    def __init__(self, environment: Environment, clock: Callable[[], float] = time.time) -> None:
        self.environment = environment
        self.active: tuple[ActiveFault, ...] = ()
        self.before_change: Callable[[], None] = lambda: None
        self._clock = clock
        self._numbers = itertools.count(1)
        self._vaults: dict[str, Vault] = {}
        self._tenants: dict[str, Tenant] = {}

    def set(self, fault_name: str, scope: FaultScope, name: str, options: Options | None = None) -> ActiveFault:
        """Set a fault. Raises UnknownNameError if the fault or the object does not exist."""
        fault = FAULTS.get(fault_name)
        if fault is None:
            raise UnknownNameError(f"there is no fault {fault_name!r}{nearest(fault_name, FAULTS)}")
        if scope not in fault.scopes:
            raise UnknownNameError(f"the fault {fault_name!r} can be set on: {', '.join(sorted(fault.scopes))}; not on: {scope}")
        found, options = self.find(scope, name), replace(options or Options(), since=self._clock())
        self._check_key(scope, found, options)
        active = ActiveFault(number=next(self._numbers), fault=fault, scope=scope, name=found, options=options)
        self._change((*self.active, active), self.environment)
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
        chosen = keys.values() if options.key is None else [keys[options.key.lower()]]
        versions = [version.version for key in chosen for version in key.versions]
        if options.version is not None and options.version not in versions:
            raise UnknownNameError(f"there is no version {options.version!r}{nearest(options.version, versions)}")

    def clear(self, *, number: int | None = None, fault: str | None = None, name: str | None = None) -> int:
        """Clear the faults that match all arguments; return their number. `name` is the object that the fault is set on."""
        wanted = (number, fault, name)
        cleared = [
            one
            for one in self.active
            if all(want in (None, has) for want, has in zip(wanted, (one.number, one.fault.name, one.name), strict=True))
        ]
        self._change(tuple(one for one in self.active if one not in cleared), self.environment)
        return len(cleared)

    def find(self, scope: FaultScope, name: str) -> str:
        """Return the full name of an object. Raises UnknownNameError."""
        known = self._known(scope)
        found = known.get(name.lower())
        if found is None and scope is FaultScope.VAULT:
            with contextlib.suppress(ValueError):
                found = known.get(vault_host(name))
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
        if scope is FaultScope.SQL:
            return {name: server.name for name, server in environment.sql_servers.items()}
        return {
            name.lower(): client_id
            for tenant in environment.tenants.values()
            for client_id, application in tenant.applications.items()
            for name in (client_id, client_id.replace("-", ""), *application.names)
        }

    def locate_application(self, name: str) -> tuple[str, str]:
        """Return tenant id and client id of an application.

        `name` is a client id or the name of a credential. Raises UnknownNameError.
        """
        client_id = self.find(FaultScope.APPLICATION, name)
        return next((tenant, client_id) for tenant, one in self.environment.tenants.items() if client_id in one.applications)

    def change_application(self, name: str, edit: Callable[[Application], Application]) -> None:
        """Replace an application by what `edit` returns; its faults stay active.

        `name` is a client id or a credential's name. The client id stays, and issued tokens stay valid. Raises UnknownNameError.
        """
        tenant_id, client_id = self.locate_application(name)
        tenants = self.environment.tenants
        applications = tenants[tenant_id].applications
        changed = replace(tenants[tenant_id], applications={**applications, client_id: edit(applications[client_id])})
        self._change(self.active, replace(self.environment, tenants={**tenants, tenant_id: changed}))

    def change_vault(self, name: str, edit: Callable[[Vault], Vault]) -> None:
        """Replace a vault by what `edit` returns; its faults stay active. Raises UnknownNameError."""
        host, vaults = self.find(FaultScope.VAULT, name), self.environment.vaults
        self._change(self.active, replace(self.environment, vaults={**vaults, host: edit(vaults[host])}))

    def change_sql_servers(self, names: Iterable[str], edit: Callable[[SimulatedSqlServer], SimulatedSqlServer]) -> None:
        """Replace SQL Servers by what `edit` returns; their faults stay active. Raises UnknownNameError."""
        servers = self.environment.sql_servers
        changed = {name: edit(servers[name]) for name in [self.find(FaultScope.SQL, name).lower() for name in names]}
        self._change(self.active, replace(self.environment, sql_servers={**servers, **changed}))

    def _change(self, active: tuple[ActiveFault, ...], environment: Environment) -> None:
        self.before_change()
        self.active, self.environment = active, environment
        self._clear_views()

    def _clear_views(self) -> None:
        self._vaults.clear()
        self._tenants.clear()

    def vault(self, host: str) -> Vault | None:
        """Return a vault with the active faults applied, None if it does not exist."""
        if host not in self._vaults and host in self.environment.vaults:
            self._vaults[host] = self._with_faults(FaultScope.VAULT, host, self.environment.vaults[host])
        return self._vaults.get(host)

    def tenant(self, tenant_id: str) -> Tenant | None:
        """Return a tenant with the active faults applied, None if it does not exist."""
        if tenant_id not in self._tenants and tenant_id in self.environment.tenants:
            tenant = self.environment.tenants[tenant_id]
            changed = {name: self._with_faults(FaultScope.APPLICATION, name, one) for name, one in tenant.applications.items()}
            self._tenants[tenant_id] = replace(tenant, applications=changed)
        return self._tenants.get(tenant_id)

    def sql_server(self, name: str) -> SimulatedSqlServer:
        """Return a SQL Server with the active faults applied. Raises KeyError if it does not exist."""
        server = self.environment.sql_servers[name.lower()]
        return self._with_faults(FaultScope.SQL, server.name, server, self.vault)

    def _with_faults(self, scope: FaultScope, name: str, thing: T, *more: object) -> T:
        """Return an object after the active faults that change it. A row of the table has the change under the scope's name."""
        for active in self.active:
            if active.scope is scope and active.name == name and (change := getattr(active.fault, scope)) is not None:
                thing = change(thing, active.options, *more)
        return thing

    def apply_faults(
        self, response: SimulatedResponse, operation: str, places: Collection[tuple[FaultScope, str]], subject: Subject = _NOTHING
    ) -> SimulatedResponse:
        """Return the response after the active faults at these places, the oldest first.

        `subject` is the requested key and version.
        """
        for active in self.active:
            edit = active.fault.response
            if edit is not None and (active.scope, active.name) in places and active.applies_to(operation, subject):
                response = edit(response, active.options)
        return response

    def connection(self, host: str) -> ConnectionFault | None:
        """Return the newest connection fault of the host, None if there is none."""
        found = (one.fault.connection for one in reversed(self.active) if one.name.partition(":")[0] == host)
        return next((fault for fault in found if fault is not None), None)

    def route(self, host: str) -> Route | None:
        """Return the newest route fault of the host, None if there is none."""
        found = (one.fault.route for one in reversed(self.active) if one.name == host)
        return next((route for route in found if route is not None), None)

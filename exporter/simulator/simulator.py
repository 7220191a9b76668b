"""The simulator as a whole: start it, set faults, read its requests, stop it.

The command line and the tests use this object.
"""

from __future__ import annotations

import ipaddress
import socket
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Self

from aiohttp import web

from exporter.core.suggestions import nearest
from exporter.runtime.server_header import hide_versions
from exporter.simulator.certificates import Certificates
from exporter.simulator.control_api import ControlApi
from exporter.simulator.faults import FaultScope, Options, Route, UnknownNameError
from exporter.simulator.key_pairs import KeyPairs
from exporter.simulator.managed_identity import APP_SERVICE, ARC, PATHS, IdentityServices
from exporter.simulator.model import GRAPH_HOSTS, Environment, with_port
from exporter.simulator.scenarios import BY_NAME, Outside
from exporter.simulator.server import RequestCount, Services
from exporter.simulator.service_accounts import ServiceAccounts
from exporter.simulator.sql import SqlServers
from exporter.simulator.sql_model import SimulatedSqlServer
from exporter.simulator.state import ActiveFault, SimulatorState
from exporter.simulator.tls_frontend import TlsFrontend

_GRACE = 0.1  # seconds for unfinished requests when the simulator stops


class Simulator:
    r"""Vaults, Entra ID and Microsoft Graph on loopback, with a management port.

    A `port` of 0 selects a free one. Raises ValueError for a host that is no IPv4 loopback address.

    `arc_token_folder` is the folder for the key files of Azure Arc; without one, Azure Arc is not served. The SDK reads
    them only in /var/opt/azcmagent/tokens or %ProgramData%\AzureConnectedMachineAgent\Tokens.

    With a `sql_port`, the SQL Servers are served too, from this port on (0: on free ports), with this password or an invented one.
    """

    def __init__(
        self,
        environment: Environment,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        management_port: int = 0,
        arc_token_folder: Path | None = None,
        sql_port: int | None = None,
        sql_password: str | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        if not _is_loopback(host):
            raise ValueError(f"the simulator listens on loopback only, not on {host}")
        self.state = SimulatorState(environment, clock)
        self.on_routes_changed: Callable[[], None] | None = None
        self.on_reload: Callable[[], Awaitable[Mapping[str, str]]] | None = None
        self._address, self._port = host, port
        self._certificates = Certificates((*environment.served, *GRAPH_HOSTS))
        self._pairs = KeyPairs()
        self._services = Services(self.state, self._pairs, clock)
        identities = IdentityServices(self._services.identity_response, self._services.count_identity, arc_token_folder)
        self._control_api = ControlApi(self, host, management_port, identities)
        self.sql: SqlServers | None = None
        if sql_port is not None:
            self.sql = SqlServers(
                self.state,
                password=sql_password,
                first_port=sql_port,
                pairs=self._pairs,
                authority=self._certificates.authority,
                accepts_token=self._services.accepts_sql_token,
                clock=clock,
            )
        self._server: web.Server | None = None
        self._frontend: TlsFrontend | None = None
        self._closed_port: socket.socket | None = None  # bound, never listening: connections are refused

    async def start(self) -> None:
        """Open both ports. Raises OSError if a port is in use."""
        hide_versions()
        self._server = web.Server(self._services.handle, handler_cancellation=True, access_log=None)
        self._frontend = TlsFrontend(self._certificates, self.state.connection, self._server)
        try:
            self._port = self._frontend.open(self._address, self._port)
            self._closed_port = socket.socket()
            self._closed_port.bind((self._address, 0))
            await self._control_api.start()
            if self.sql is not None:
                await self.sql.start()
        except OSError:
            await self.stop()
            raise

    async def stop(self) -> None:
        """Close both ports and every connection; all state is lost."""
        await self._control_api.stop()
        if self.sql is not None:
            await self.sql.stop()
        if self._frontend is not None:
            await self._frontend.close()
        if self._server is not None:
            self._server.pre_shutdown()
            await self._server.shutdown(_GRACE)
        if self._closed_port is not None:
            self._closed_port.close()
        await self._pairs.close()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    @property
    def ca_pem(self) -> bytes:
        """Return the certificate of the run's authority as PEM."""
        return self._certificates.authority.pem

    @property
    def management_url(self) -> str:
        """Return the address of the management port; for an Azure VM, AZURE_POD_IDENTITY_AUTHORITY_HOST."""
        return self._control_api.url

    @property
    def identity_url(self) -> str:
        """App Service: return the value of IDENTITY_ENDPOINT.

        IDENTITY_HEADER may be any text.
        """
        return self._control_api.url + PATHS[APP_SERVICE]

    @property
    def arc_identity_url(self) -> str:
        """Azure Arc: return the value of IDENTITY_ENDPOINT.

        IDENTITY_HEADER must not be set.
        """
        return self._control_api.url + PATHS[ARC]

    @property
    def arc_imds_url(self) -> str:
        """Azure Arc: return the value of IMDS_ENDPOINT. No request goes there."""
        return self._control_api.url + "/arc"

    @property
    def service_accounts(self) -> ServiceAccounts:
        """Return the issuer of the tokens for AZURE_FEDERATED_TOKEN_FILE."""
        return self._services.service_accounts

    @property
    def address(self) -> str:
        """Return host:port of the vaults and Entra."""
        return f"{self._address}:{self._port}"

    @property
    def requests(self) -> RequestCount:
        """Return the number of requests by host, operation and status.

        The status is 0 if no response was sent.
        """
        return self._services.requests

    @property
    def connect_to(self) -> dict[str, str]:
        """Return `connect_to` of a module: each served host:port and its real address."""
        return {with_port(host): self._route(host) for host in self.state.environment.served}

    def _route(self, host: str) -> str:
        match self.state.route(host):
            case Route.UNRESOLVABLE:
                return f"{host.partition('.')[0]}.invalid:443"
            case Route.REFUSED if self._closed_port is not None:
                return f"{self._address}:{self._closed_port.getsockname()[1]}"
        return self.address

    def apply(self, scenario: str, *, key: str | None = None, version: str | None = None, **on: str) -> tuple[ActiveFault, ...]:
        """Cause a scenario on one `vault=`, `tenant=`, `application=` or `authority=`.

        If a vault is given, the fault is set on its tenant, its applications or its Entra host, as the scenario needs. `key`
        and `version` limit a scenario of a vault to one key or version. Raises UnknownNameError.
        """
        row = BY_NAME.get(scenario)
        if row is None:
            raise UnknownNameError(f"there is no scenario {scenario!r}{nearest(scenario, BY_NAME)}")
        if isinstance(row.scope, Outside):
            raise UnknownNameError(f"the scenario {scenario!r} cannot be simulated; its cause is the {row.scope}: {row.broken}")
        places = self._affected_objects(row.scope, *_single_object(on))
        options = replace(row.options, key=key, version=version)
        return self._changed(tuple(self.state.set(row.cause, scope, place, options) for scope, place in places))

    def set_fault(self, fault: str, options: Options | None = None, **on: str) -> ActiveFault:
        """Set a fault on one object.

        Name it by `vault=`, `tenant=`, `application=`, `authority=`, `graph=` or `management=`. Raises UnknownNameError.
        """
        return self._changed((self.state.set(fault, *_single_object(on), options),))[0]

    def clear(self, *, number: int | None = None, fault: str | None = None, name: str | None = None) -> int:
        """Clear the faults that match all arguments; return their number.

        Without arguments, all faults are cleared.
        """
        before = self.connect_to
        cleared = self.state.clear(number=number, fault=fault, name=name)
        if self.on_routes_changed is not None and before != self.connect_to:
            self.on_routes_changed()
        return cleared

    def restart_sql_server(self, name: str) -> SimulatedSqlServer:
        """Restart a SQL Server: its databases open if their vault side works. Raises UnknownNameError."""
        if self.sql is None:
            raise UnknownNameError("this simulator serves no SQL Servers: start it with --sql")
        return self.sql.restart(name)

    async def reload(self) -> Mapping[str, str]:
        """Read the configuration's secret and certificate files again.

        Returns the result for each credential. Raises UnknownNameError if there is no configuration.
        """
        if self.on_reload is None:
            raise UnknownNameError("this simulator has no configuration to read again")
        return await self.on_reload()

    def _affected_objects(self, wanted: FaultScope, scope: FaultScope, name: str) -> list[tuple[FaultScope, str]]:
        """Return the objects for a fault of the wanted scope, given a vault or the object."""
        found = self.state.find(scope, name)
        if scope is not FaultScope.VAULT or wanted is FaultScope.VAULT:
            return [(scope, found)]
        vault = self.state.environment.vaults[found]
        names = {
            FaultScope.TENANT: [vault.tenant_id],
            FaultScope.AUTHORITY: [vault.authority],
            FaultScope.APPLICATION: list(vault.permissions),
        }
        return [(wanted, one) for one in names[wanted]]

    def _changed(self, active: tuple[ActiveFault, ...]) -> tuple[ActiveFault, ...]:
        if self.on_routes_changed is not None and any(one.fault.route is not None for one in active):
            self.on_routes_changed()
        return active


def _single_object(on: Mapping[str, str]) -> tuple[FaultScope, str]:
    """Return the one object to set a fault on. Raises UnknownNameError."""
    if len(on) != 1 or not set(on) <= set(FaultScope):
        raise UnknownNameError(f"name one thing to break: one of {', '.join(FaultScope)}")
    scope, name = next(iter(on.items()))
    return FaultScope(scope), name


def _is_loopback(host: str) -> bool:
    """Return whether the host is an IPv4 loopback address or localhost."""
    try:
        return host == "localhost" or ipaddress.IPv4Address(host).is_loopback
    except ValueError:
        return False

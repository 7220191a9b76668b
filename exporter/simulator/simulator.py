"""The simulator as a whole: start it, break things, read what it was asked, stop it.

For: the one object that the command line and the tests hold.
Not for: anything that one of its parts does.
"""

from __future__ import annotations

import ipaddress
import socket
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from pathlib import Path

from aiohttp import web

from exporter.core.suggestions import nearest
from exporter.runtime.server_header import hide_versions
from exporter.simulator.certificates import Certificates
from exporter.simulator.control_api import ControlApi
from exporter.simulator.faults import Options, Route, Scope, UnknownNameError
from exporter.simulator.key_pairs import KeyPairs
from exporter.simulator.managed_identity import APP_SERVICE, ARC, PATHS, Identities
from exporter.simulator.model import GRAPH_HOSTS, Application, Environment, Vault, with_port
from exporter.simulator.scenarios import BY_NAME, Outside
from exporter.simulator.server import RequestCount, Services
from exporter.simulator.service_accounts import ServiceAccounts
from exporter.simulator.state import Active, SimulatorState
from exporter.simulator.tls_frontend import TlsFrontend

_GRACE = 0.1  # seconds that a request under way is given when the simulator stops


class Simulator:
    r"""`port` 0 takes a free one. Raises ValueError for a host that is no IPv4 loopback address: this is no service for others.

    `arc_token_folder` is where the key files of Azure Arc are put; without one nothing answers as Azure Arc. The SDK reads
    them in /var/opt/azcmagent/tokens alone, or in %ProgramData%\AzureConnectedMachineAgent\Tokens.
    """

    def __init__(
        self,
        environment: Environment,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        management_port: int = 0,
        arc_token_folder: Path | None = None,
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
        identities = Identities(self._services.grant_identity, self._services.count_identity, arc_token_folder)
        self._management = ControlApi(self, host, management_port, identities)
        self._server: web.Server | None = None
        self._front: TlsFrontend | None = None
        self._nobody: socket.socket | None = None  # holds a port on which nobody listens

    async def start(self) -> None:
        """Opens both ports. Raises OSError where one is in use."""
        hide_versions()
        self._server = web.Server(self._services.handle, handler_cancellation=True, access_log=None)
        self._front = TlsFrontend(self._certificates, self.state.connection, self._server)
        try:
            self._port = self._front.open(self._address, self._port)
            self._nobody = socket.socket()
            self._nobody.bind((self._address, 0))
            await self._management.start()
        except OSError:
            await self.stop()
            raise

    async def stop(self) -> None:
        """Closes both ports and every connection; what happened is forgotten."""
        await self._management.stop()
        if self._front is not None:
            await self._front.close()
        if self._server is not None:
            self._server.pre_shutdown()
            await self._server.shutdown(_GRACE)
        if self._nobody is not None:
            self._nobody.close()
        await self._pairs.close()

    @property
    def ca_pem(self) -> bytes:
        """The certificate authority of this run."""
        return self._certificates.ca_pem

    @property
    def management_url(self) -> str:
        return self._management.url

    @property
    def identity_url(self) -> str:
        """App Service: for the environment variable IDENTITY_ENDPOINT; IDENTITY_HEADER may be any text."""
        return self._management.url + PATHS[APP_SERVICE]

    @property
    def imds_url(self) -> str:
        """Azure VM: for the environment variable AZURE_POD_IDENTITY_AUTHORITY_HOST, where IDENTITY_ENDPOINT is not set."""
        return self._management.url

    @property
    def arc_identity_url(self) -> str:
        """Azure Arc: for the environment variable IDENTITY_ENDPOINT, where IDENTITY_HEADER is not set."""
        return self._management.url + PATHS[ARC]

    @property
    def arc_imds_url(self) -> str:
        """Azure Arc: for the environment variable IMDS_ENDPOINT, which has only to be there."""
        return self._management.url + "/arc"

    @property
    def service_accounts(self) -> ServiceAccounts:
        """Issues the tokens with which workload identities sign in, for the file that AZURE_FEDERATED_TOKEN_FILE names."""
        return self._services.service_accounts

    @property
    def address(self) -> str:
        """Where vaults and Entra are served, as host:port."""
        return f"{self._address}:{self._port}"

    @property
    def requests(self) -> RequestCount:
        """How often each (host, operation, status) was asked for; status 0 where no answer was sent."""
        return self._services.requests

    @property
    def connect_to(self) -> dict[str, str]:
        """For the module of a configuration: every served host:port, and where it is really found."""
        return {with_port(host): self._route(host) for host in self.state.environment.served}

    def _route(self, host: str) -> str:
        match self.state.route(host):
            case Route.UNRESOLVABLE:
                return f"{host.partition('.')[0]}.invalid:443"
            case Route.REFUSED if self._nobody is not None:
                return f"{self._address}:{self._nobody.getsockname()[1]}"
        return self.address

    def apply(self, scenario: str, *, key: str | None = None, version: str | None = None, **on: str) -> tuple[Active, ...]:
        """Causes a scenario, on `vault=`, `tenant=`, `application=` or `authority=` a name.

        Given a vault it finds the tenant, the applications or the Entra host that the fault is set on by itself. A scenario
        of a vault can be kept to one key or version. Raises UnknownNameError with a text for people.
        """
        row = BY_NAME.get(scenario)
        if row is None:
            raise UnknownNameError(f"there is no scenario {scenario!r}{nearest(scenario, BY_NAME)}")
        if isinstance(row.place, Outside):
            raise UnknownNameError(
                f"the scenario {scenario!r} is nothing to simulate: its cause is the {row.place}: {row.broken}"
            )
        places = self._places(row.place, *_one_place(on))
        options = replace(row.options, key=key, version=version)
        return self._changed(tuple(self.state.set(row.cause, scope, place, options) for scope, place in places))

    def set_fault(self, fault: str, options: Options | None = None, **on: str) -> Active:
        """Sets one fault, on `vault=`, `tenant=`, `application=`, `authority=` or `graph=` a name. Raises UnknownNameError."""
        return self._changed((self.state.set(fault, *_one_place(on), options),))[0]

    def clear(self, *, number: int | None = None, fault: str | None = None, name: str | None = None) -> int:
        """Clears what fits all that is given, everything where nothing is; how many faults."""
        before = self.connect_to
        cleared = self.state.clear(number=number, fault=fault, name=name)
        if self.on_routes_changed is not None and before != self.connect_to:
            self.on_routes_changed()
        return cleared

    def change_application(self, name: str, edit: Callable[[Application], Application]) -> None:
        """Changes an application for good: its secrets, certificates, rights. By client id or by a credential's name.

        `edit` must leave its client id. Tokens that were given stay good. Raises UnknownNameError.
        """
        self.state.change_application(name, edit)

    def change_vault(self, name: str, edit: Callable[[Vault], Vault]) -> None:
        """Changes a vault for good: its keys, versions, secrets, permissions. `edit` must leave its host. Raises UnknownNameError."""
        self.state.change_vault(name, edit)

    async def reload(self) -> Mapping[str, str]:
        """Reads the files of the configuration again, if there is one behind the estate: what became of each credential.

        Raises UnknownNameError where there is none.
        """
        if self.on_reload is None:
            raise UnknownNameError("this simulator was given no configuration that it could read again")
        return await self.on_reload()

    def _places(self, wanted: Scope, scope: Scope, name: str) -> list[tuple[Scope, str]]:
        """Where to set a fault of the wanted scope, given a vault or just that."""
        found = self.state.find(scope, name)
        if scope is not Scope.VAULT or wanted is Scope.VAULT:
            return [(scope, found)]
        vault = self.state.environment.vaults[found]
        names = {Scope.TENANT: [vault.tenant_id], Scope.AUTHORITY: [vault.authority], Scope.APPLICATION: list(vault.permissions)}
        return [(wanted, one) for one in names[wanted]]

    def _changed(self, active: tuple[Active, ...]) -> tuple[Active, ...]:
        if self.on_routes_changed is not None and any(one.fault.route is not None for one in active):
            self.on_routes_changed()
        return active


def _one_place(on: Mapping[str, str]) -> tuple[Scope, str]:
    """What a fault is to be set on. Raises UnknownNameError unless it is just one thing of a known kind."""
    if len(on) != 1 or not set(on) <= set(Scope):
        raise UnknownNameError(f"name one thing to break: one of {', '.join(Scope)}")
    scope, name = next(iter(on.items()))
    return Scope(scope), name


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.IPv4Address(host).is_loopback
    except ValueError:
        return False

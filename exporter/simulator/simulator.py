"""The simulator as a whole: start it, set faults, read its requests, stop it; and its management port over HTTP.

The command line and the tests use this object.
"""

from __future__ import annotations

import json
import socket
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping
from contextlib import AsyncExitStack
from dataclasses import asdict, fields, replace
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, Self, TypeVar

import msgspec
from aiohttp import hdrs, web

from exporter.core.json import read_object
from exporter.core.names import FORM_TYPES, is_cross_site, is_loopback, nearest
from exporter.core.values import Step
from exporter.runtime.loop import hide_versions
from exporter.simulator.environment import (
    GRAPH_HOSTS,
    RIGHTS,
    STATES,
    DaySettings,
    Environment,
    KeyPairs,
    SimulatedSqlServer,
    with_port,
)
from exporter.simulator.faults import FAULTS, FaultScope, Options, UnknownNameError
from exporter.simulator.http import APP_SERVICE, OPERATIONS, PATHS
from exporter.simulator.scenarios import BY_NAME, SIMULATED, Outside
from exporter.simulator.services import Services
from exporter.simulator.sql_servers import SqlServers
from exporter.simulator.state import ActiveFault, SimulatorState
from exporter.simulator.tls import Certificates, TlsFrontend

_ADDRESS = "127.0.0.1"  # nothing else can reach the simulator
_GRACE = 0.1  # seconds for unfinished requests when the simulator stops


class Simulator:
    r"""Vaults, Entra ID and Microsoft Graph on loopback, with a management port.

    A `port` of 0 selects a free one.

    `arc_token_folder` is the folder for the key files of Azure Arc; without one, Azure Arc is not served. The SDK reads
    them only in /var/opt/azcmagent/tokens or %ProgramData%\AzureConnectedMachineAgent\Tokens.

    With a `sql_port`, the SQL Servers are served too, from this port on (0: on free ports), with this password or an invented one.
    """

    def __init__(
        self,
        environment: Environment,
        *,
        port: int = 0,
        management_port: int = 0,
        arc_token_folder: Path | None = None,
        sql_port: int | None = None,
        sql_password: str | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.state = SimulatorState(environment, clock)
        self.on_routes_changed: Callable[[], None] = lambda: None
        self.on_reload: Callable[[], Awaitable[Mapping[str, str]]] | None = None
        self._port, self._management_port = port, management_port
        self._certificates = Certificates((*environment.served, *GRAPH_HOSTS))
        self._pairs = KeyPairs()
        self._services = Services(self.state, self._pairs, clock, arc_token_folder)
        self.service_accounts = self._services.service_accounts  # the issuer of the tokens for AZURE_FEDERATED_TOKEN_FILE
        self.requests = self._services.requests
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
        self._refusing = ""  # address of a port that is bound and never listens
        self._started = AsyncExitStack()

    async def start(self) -> None:
        """Open the ports. Raises OSError if one is in use."""
        hide_versions()
        async with AsyncExitStack() as stack:
            stack.push_async_callback(self._pairs.close)
            closed_port = stack.enter_context(socket.socket())
            closed_port.bind((_ADDRESS, 0))
            self._refusing = f"{_ADDRESS}:{closed_port.getsockname()[1]}"
            server = web.Server(self._services.handle, handler_cancellation=True, access_log=None)
            stack.push_async_callback(server.shutdown, _GRACE)
            stack.callback(server.pre_shutdown)
            frontend = TlsFrontend(self._certificates, self.state.connection, server)
            stack.push_async_callback(frontend.close)
            self._port = frontend.open(_ADDRESS, self._port)
            stack.callback(self._services.close)
            management = web.AppRunner(self._management(), access_log=None, shutdown_timeout=_GRACE)
            stack.push_async_callback(management.cleanup)
            await management.setup()
            await web.TCPSite(management, _ADDRESS, self._management_port).start()
            self._management_port = management.addresses[0][1]
            if self.sql is not None:
                await stack.enter_async_context(self.sql)
            self._started = stack.pop_all()

    async def stop(self) -> None:
        """Close the ports and every connection; all state is lost."""
        await self._started.aclose()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    def _management(self) -> web.Application:
        """Return the management port: the identity services of the exporter's host use it too."""
        app = web.Application(middlewares=[_refuse])
        self._services.add_identities(app)
        for route in ROUTES:
            app.router.add_route(route.method, route.path, partial(_respond, self, route))
        return app

    @property
    def ca_pem(self) -> bytes:
        """Return the certificate of the run's authority as PEM."""
        return self._certificates.authority.pem

    @property
    def management_url(self) -> str:
        """Return the address of the management port; for an Azure VM, AZURE_POD_IDENTITY_AUTHORITY_HOST."""
        return f"http://{_ADDRESS}:{self._management_port}"

    @property
    def identity_url(self) -> str:
        """App Service: return the value of IDENTITY_ENDPOINT. IDENTITY_HEADER may be any text."""
        return self.management_url + PATHS[APP_SERVICE]

    @property
    def address(self) -> str:
        """Return host:port of the vaults and Entra."""
        return f"{_ADDRESS}:{self._port}"

    @property
    def connect_to(self) -> dict[str, str]:
        """Return `connect_to` of a module: each served host:port and its real address."""
        return {with_port(host): self._route(host) for host in self.state.environment.served}

    def _route(self, host: str) -> str:
        match self.state.route(host):
            case "unresolvable":
                return f"{host.partition('.')[0]}.invalid:443"
            case "refused":
                return self._refusing
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
        scope, name = self._single_object(on)
        names = [name]
        if scope is FaultScope.VAULT:
            vault, scope = self.state.environment.vaults[name], row.scope
            related = {FaultScope.TENANT: [vault.tenant_id], FaultScope.AUTHORITY: [vault.authority]}
            names = {**related, FaultScope.APPLICATION: list(vault.permissions)}.get(scope, names)
        return self._set(row.cause, scope, names, replace(row.options, key=key, version=version))

    def set_fault(self, fault: str, options: Options | None = None, **on: str) -> ActiveFault:
        """Set a fault on one object.

        Name it by `vault=`, `tenant=`, `application=`, `authority=`, `graph=` or `management=`. Raises UnknownNameError.
        """
        scope, name = self._single_object(on)
        return self._set(fault, scope, [name], options)[0]

    def _single_object(self, on: Mapping[str, str]) -> tuple[FaultScope, str]:
        """Return the one object to set a fault on. Raises UnknownNameError."""
        if len(on) != 1 or not set(on) <= set(FaultScope):
            raise UnknownNameError(f"name one thing to break: one of {', '.join(FaultScope)}")
        ((scope, name),) = on.items()
        return FaultScope(scope), self.state.find(FaultScope(scope), name)

    def _set(self, fault: str, scope: FaultScope, names: Iterable[str], options: Options | None) -> tuple[ActiveFault, ...]:
        active = tuple(self.state.set(fault, scope, name, options) for name in names)
        if any(one.fault.route is not None for one in active):
            self.on_routes_changed()
        return active

    def clear(self, *, number: int | None = None, fault: str | None = None, name: str | None = None) -> int:
        """Clear the faults that match all arguments; return their number. Without arguments, all faults are cleared."""
        before = self.connect_to
        cleared = self.state.clear(number=number, fault=fault, name=name)
        if before != self.connect_to:
            self.on_routes_changed()
        return cleared

    @property
    def served_sql(self) -> SqlServers:
        """Return the SQL Servers. Raises UnknownNameError if none is served."""
        if self.sql is None:
            raise UnknownNameError("this simulator serves no SQL Servers: start it with --sql")
        return self.sql

    async def reload(self) -> Mapping[str, str]:
        """Read the configuration's secret and certificate files again.

        Returns the result for each credential. Raises UnknownNameError if there is no configuration.
        """
        if self.on_reload is None:
            raise UnknownNameError("this simulator has no configuration to read again")
        return await self.on_reload()


# The management port, by the table `ROUTES`. Each of its functions returns the document of the response.


async def _show_state(simulator: Simulator, _request: web.Request) -> object:
    state, sql = simulator.state, simulator.sql
    vaults = [vault for host in state.environment.vaults if (vault := state.vault(host)) is not None]
    return {
        "simulator": True,
        "address": simulator.address,
        "authorities": sorted(state.environment.authorities),
        "vaults": [
            {"vault": vault.host, "tenant": vault.tenant_id, "region": vault.region, "keys": sorted(vault.keys)}
            for vault in vaults
        ],
        "tenants": [
            {"tenant": tenant.tenant_id, "applications": {key: list(one.names) for key, one in tenant.applications.items()}}
            for tenant in state.environment.tenants.values()
        ],
        "sql_servers": [
            {"sql": name, "address": address, "databases": _states(sql.server(name))} for name, address in sql.addresses.items()
        ]
        if sql
        else [],
        "faults": [_fault_document(active) for active in state.active],
    }


async def _show_scenarios(_simulator: Simulator, _request: web.Request) -> object:
    return {
        "scenarios": [
            {"scenario": one.name, "fault": one.cause, "broken": one.broken, "set_on": one.scope, "step": one.step,
             "classic": one.classic, "current": one.current, "reason": one.reason, "story": one.story}
            for one in SIMULATED
        ]
    }  # fmt: skip


async def _show_faults(_simulator: Simulator, _request: web.Request) -> object:
    return {
        "faults": [{"fault": one.name, "broken": one.broken, "set_on": sorted(one.scopes)} for one in FAULTS.values()],
        "options": _OPTIONS,
    }


async def _set_fault(simulator: Simulator, request: web.Request) -> object:
    on = _json_object(
        await request.read(), '{"vault": "NAME", "fault": "throttled"}', ("fault", "scenario", *FaultScope, *_OPTIONS)
    )
    given = {name: on.pop(name) for name in _OPTIONS if name in on}
    if wrong := [name for name, value in on.items() if not isinstance(value, str)]:
        raise UnknownNameError(f"not a string: {', '.join(wrong)}")
    if ("fault" in on) == ("scenario" in on):
        raise UnknownNameError("name either a fault or a scenario (GET /sim/faults, GET /sim/scenarios)")
    if empty := [name for name, value in given.items() if value is None]:  # else a key that a script did not find is every key
        raise UnknownNameError(f"null, which is no value: {', '.join(empty)}")
    if given.get("step", Step.TOKEN) not in list(Step):
        raise UnknownNameError(f"there is no step {given['step']!r}; there are: {', '.join(Step)}")
    options = _converted(given, Options)
    if options.right.upper() not in RIGHTS:
        raise UnknownNameError(f"there is no right {options.right!r}; there are: {', '.join(sorted(RIGHTS))}")
    if options.at is not None and options.at not in OPERATIONS:
        raise UnknownNameError(f"there is no operation {options.at!r}; there are: {', '.join(OPERATIONS)}")
    if "fault" in on:
        active: tuple[ActiveFault, ...] = (simulator.set_fault(on.pop("fault"), options, **on),)
    elif idle := [name for name in given if name not in ("key", "version")]:
        raise UnknownNameError(f"a scenario takes no {', '.join(idle)}: set its fault instead")
    else:
        active = simulator.apply(on.pop("scenario"), key=options.key, version=options.version, **on)
    response: dict[str, object] = {"set": [_fault_document(one) for one in active]}
    if any(one.fault.route is not None for one in active):
        response["note"] = "the configuration was written again: reload the exporter"
    return response


async def _clear(simulator: Simulator, request: web.Request) -> object:
    _check_names(request.query, ("number", "fault", *FaultScope))
    number = request.query.get("number", "0")
    if not (number.isdecimal() and len(number) < 10):
        raise UnknownNameError("number is not a number of at most nine digits")
    places = [simulator.state.find(scope, request.query[scope]) for scope in FaultScope if scope in request.query]
    wanted = int(number) if "number" in request.query else None
    return {"cleared": simulator.clear(number=wanted, fault=request.query.get("fault"), name=next(iter(places), None))}


async def _show_days(simulator: Simulator, request: web.Request) -> object:
    servers = simulator.served_sql
    return {"days": [_day_document(servers, servers.server(name)) for name in _names(servers, request.query.get("sql"))]}


async def _change_days(simulator: Simulator, request: web.Request) -> object:
    """Change the days of all servers, or of `sql`."""
    servers = simulator.served_sql
    settings = [one.name for one in fields(DaySettings)]
    changes = _json_object(await request.read(), r'{"sql": "HOST\\INSTANCE", "every": 10}', ("sql", *settings))
    names = _names(servers, changes.pop("sql", None))
    for name in names:
        day = _converted({**asdict(servers.server(name).day), **changes}, DaySettings)
        often = [day.speed / every for every in (day.every, day.differential_every, day.full_every) if every]
        if max(*often, day.speed * day.kb_per_second / day.vlf_kb, 0.0) > _EVENTS:
            raise UnknownNameError(f"more than {_EVENTS:g} backups or VLFs a second")
    servers.change_day(names, changes)
    return {"days": [_day_document(servers, servers.server(name)) for name in names]}


async def _restart(simulator: Simulator, request: web.Request) -> object:
    example = r'{"sql": "HOST\\INSTANCE"}'
    document = _json_object(await request.read(), example)
    if set(document) != {"sql"} or not isinstance(document["sql"], str):
        raise UnknownNameError(f"send a JSON object such as {example}")
    server = simulator.served_sql.restart(document["sql"])
    return {"sql": server.name, "databases": _states(server)}


async def _reload(simulator: Simulator, _request: web.Request) -> object:
    return {"credentials": dict(await simulator.reload())}


async def _show_requests(simulator: Simulator, _request: web.Request) -> object:
    return {
        "requests": [
            {"host": host, "operation": what, "status": status, "count": count}
            for (host, what, status), count in sorted(simulator.requests.items())
        ]
    }


class ControlRoute(NamedTuple):
    """A request of the management port, and what it does, as docs/simulator.md shows it."""

    method: str
    path: str
    handler: Callable[[Simulator, web.Request], Awaitable[object]]
    effect: str


ROUTES = (
    ControlRoute("GET", "/sim/state", _show_state, "shows the served objects and the active faults; no secrets"),
    ControlRoute("GET", "/sim/scenarios", _show_scenarios, "lists the scenarios"),
    ControlRoute("GET", "/sim/faults", _show_faults, "lists the faults, their subjects and options"),
    ControlRoute("POST", "/sim/fault", _set_fault, f"sets a `fault`, or causes a `scenario`, on one of {', '.join(f'`{one}`' for one in FaultScope)}"),
    ControlRoute("DELETE", "/sim/fault", _clear, "clears everything, or what matches `?number=`, `?fault=` or a subject: `?vault=`; restores the state before"),
    ControlRoute("GET", "/sim/day", _show_days, "shows the days of all SQL Servers, or of `?sql=`"),
    ControlRoute("POST", "/sim/day", _change_days, "changes the day of the SQL Server `sql`, or of all, from now on"),
    ControlRoute("POST", "/sim/restart", _restart, "restarts the SQL Server `sql`; the response has the states of its databases"),
    ControlRoute("POST", "/sim/reload", _reload, "reads the secret and certificate files again; accepted credentials stay accepted"),
    ControlRoute("GET", "/sim/requests", _show_requests, "counts requests by host, kind and status; status 0: no response was sent"),
)  # fmt: skip


async def _respond(simulator: Simulator, route: ControlRoute, request: web.Request) -> web.Response:
    try:
        return _json(await route.handler(simulator, request))
    except UnknownNameError as error:
        return _json({"error": str(error)}, status=400)


@web.middleware
async def _refuse(request: web.Request, handler: Any) -> web.StreamResponse:
    """Refuse requests of other sites, and under foreign host names.

    Programs on this host are served. A page that another site brought into a browser is not.
    """
    host = request.headers.get(hdrs.HOST, "")
    if not is_loopback(host):
        return _json({"error": "use a loopback address"}, status=403)
    if is_cross_site(request.headers, (host,)):
        return _json({"error": "another site sent this request; send it with curl"}, status=403)
    if request.content_type in FORM_TYPES and hdrs.CONTENT_TYPE in request.headers:
        return _json({"error": "a form sent this request; send application/json"}, status=415)
    response: web.StreamResponse = await handler(request)
    return response


def _json(document: object, status: int = 200) -> web.Response:
    return web.json_response(document, status=status, dumps=lambda value: json.dumps(value, indent=1) + "\n")


def _json_object(body: bytes, example: str, known: Collection[str] = ()) -> dict[str, Any]:
    """Return the object of a request, which has no other names. Raises UnknownNameError."""
    document = read_object(body)
    if document is None:
        raise UnknownNameError(f"send a JSON object such as {example}")
    _check_names(document, known or document)
    return document


def _check_names(given: Iterable[str], known: Collection[str]) -> None:
    if strange := [name for name in given if name not in known]:
        raise UnknownNameError(f"unknown: {', '.join(strange)}; known: {', '.join(known)}")


T = TypeVar("T")


def _converted(values: dict[str, Any], kind: type[T]) -> T:
    """Return values with the types and within the ranges of a class. Raises UnknownNameError."""
    try:
        return msgspec.convert(values, kind)
    except msgspec.ValidationError as error:
        raise UnknownNameError(str(error)) from None


_OPTIONS = [one.name for one in fields(Options) if one.name != "since"]
_EVENTS = 20.0  # of one database in a second, at the most


def _fault_document(active: ActiveFault) -> dict[str, Any]:
    """Return an active fault with the options that differ from their defaults."""
    default = asdict(Options())
    changed = {name: value for name, value in asdict(active.options).items() if value != default[name]}
    return {"number": active.number, "fault": active.fault.name, active.scope: active.name, **changed}


def _names(servers: SqlServers, name: object) -> list[str]:
    return list(servers.ports) if name is None else [servers.state.find(FaultScope.SQL, str(name))]


def _states(server: SimulatedSqlServer) -> dict[str, str]:
    return {one.name: STATES[one.state] for one in server.databases}


def _day_document(servers: SqlServers, server: SimulatedSqlServer) -> dict[str, Any]:
    day = servers.day(server)
    databases = {
        one.name: {
            "used_kb": int(one.used_kb),
            "free_kb": int(one.free_kb(server.day)),
            "writes": one.writes(server.day),
            "finished": {kind: ended for kind, (_, ended) in one.finished.items()},
        }
        for one in day.shown(server)
    }
    lines = Counter(line.code for line in day.log_lines(server, 0.0))
    return {"sql": server.name, **asdict(server.day), "databases": databases, "error_log": dict(lines)}

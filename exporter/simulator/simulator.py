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
from types import MethodType
from typing import Any, ClassVar, NamedTuple, Self

from aiohttp import hdrs, web

from exporter.core.json import read_object
from exporter.core.names import FORM_TYPES, is_cross_site, is_loopback, nearest
from exporter.core.values import Step
from exporter.runtime.loop import hide_versions
from exporter.simulator.entra import IdentityServices
from exporter.simulator.environment import (
    GRAPH_HOSTS,
    PERFORMANCE,
    RIGHTS,
    STATES,
    DaySettings,
    Environment,
    KeyPairs,
    SimulatedSqlServer,
    with_port,
)
from exporter.simulator.faults import FAULTS, FaultScope, Options, Route, UnknownNameError
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
        self.on_routes_changed: Callable[[], None] | None = None
        self.on_reload: Callable[[], Awaitable[Mapping[str, str]]] | None = None
        self._port = port
        self._certificates = Certificates((*environment.served, *GRAPH_HOSTS))
        self._pairs = KeyPairs()
        self._services = Services(self.state, self._pairs, clock)
        self.service_accounts = self._services.service_accounts  # the issuer of the tokens for AZURE_FEDERATED_TOKEN_FILE
        self.requests = self._services.requests
        identities = IdentityServices(
            self._services.identity_response, partial(self._services.count, "identity"), arc_token_folder
        )
        self._control_api = ControlApi(self, management_port, identities)
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
        self._closed_port: socket.socket | None = None  # bound, never listening: connections are refused
        self._started = AsyncExitStack()

    async def start(self) -> None:
        """Open both ports. Raises OSError if a port is in use."""
        hide_versions()
        async with AsyncExitStack() as stack:
            stack.push_async_callback(self._pairs.close)
            self._closed_port = stack.enter_context(socket.socket())
            self._closed_port.bind((_ADDRESS, 0))
            server = web.Server(self._services.handle, handler_cancellation=True, access_log=None)
            stack.push_async_callback(server.shutdown, _GRACE)
            stack.callback(server.pre_shutdown)
            frontend = TlsFrontend(self._certificates, self.state.connection, server)
            stack.push_async_callback(frontend.close)
            self._port = frontend.open(_ADDRESS, self._port)
            for part in (self._control_api, self.sql):
                if part is not None:
                    stack.push_async_callback(part.stop)
                    await part.start()
            self._started = stack.pop_all()

    async def stop(self) -> None:
        """Close both ports and every connection; all state is lost."""
        await self._started.aclose()

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
        """App Service: return the value of IDENTITY_ENDPOINT. IDENTITY_HEADER may be any text."""
        return self._control_api.url + PATHS[APP_SERVICE]

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
            case Route.UNRESOLVABLE:
                return f"{host.partition('.')[0]}.invalid:443"
            case Route.REFUSED if self._closed_port is not None:
                return f"{_ADDRESS}:{self._closed_port.getsockname()[1]}"
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
        """Clear the faults that match all arguments; return their number. Without arguments, all faults are cleared."""
        before = self.connect_to
        cleared = self.state.clear(number=number, fault=fault, name=name)
        if self.on_routes_changed is not None and before != self.connect_to:
            self.on_routes_changed()
        return cleared

    def restart_sql_server(self, name: str) -> SimulatedSqlServer:
        """Restart a SQL Server: its databases open if their vault side works. Raises UnknownNameError."""
        return _served(self.sql).restart(name)

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


# The management port, by the table `ControlApi.ROUTES`. The identity services of the exporter's host use this port too.

_TYPES: Mapping[type, type | tuple[type, ...]] = {
    int: int,
    float: (int, float),
}  # of a value by that of the default: otherwise a text
_OPTION_TYPES = {one.name: _TYPES.get(type(one.default), str) for one in fields(Options) if one.name != "since"}
_OPTION_TYPES["retry_after"] = int
_RANGES: Mapping[str, tuple[int, int]] = {
    "status": (200, 599),
    "retry_after": (0, 86_400),
    "seconds": (0, 86_400),
    "bits": (1024, 16_384),
    "limit": (0, 1_000_000),
}
_NAMES = ("fault", "scenario", *FaultScope)


class ControlRoute(NamedTuple):
    """A request of the management port, and what it does, as docs/simulator.md shows it."""

    method: str
    path: str
    handler: Callable[..., Awaitable[web.Response]]
    effect: str


class ControlApi:
    """The HTTP server of the management port."""

    def __init__(self, simulator: Simulator, port: int, identities: IdentityServices) -> None:
        self._simulator = simulator
        self._identities = identities
        self._port = port
        self._runner: web.AppRunner | None = None

    @property
    def url(self) -> str:
        return f"http://{_ADDRESS}:{self._port}"

    async def start(self) -> None:
        """Listen on the port. Raises OSError if the port is in use."""
        app = web.Application(middlewares=[_refuse])
        self._identities.add_to(app)
        for route in self.ROUTES:
            app.router.add_route(route.method, route.path, MethodType(route.handler, self))
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, _ADDRESS, self._port).start()
        self._port = self._runner.addresses[0][1]

    async def stop(self) -> None:
        """Close the port and remove the key files of Azure Arc."""
        if self._runner is not None:
            await self._runner.cleanup()
        self._identities.close()

    async def _state(self, _request: web.Request) -> web.Response:
        state = self._simulator.state
        environment = state.environment
        vaults = [vault for host in environment.vaults if (vault := state.vault(host)) is not None]
        return _json(
            {
                "simulator": True,
                "address": self._simulator.address,
                "authorities": sorted(environment.authorities),
                "vaults": [
                    {"vault": vault.host, "tenant": vault.tenant_id, "region": vault.region, "keys": sorted(vault.keys)}
                    for vault in vaults
                ],
                "tenants": [
                    {
                        "tenant": tenant.tenant_id,
                        "applications": {key: list(one.names) for key, one in tenant.applications.items()},
                    }
                    for tenant in environment.tenants.values()
                ],
                "sql_servers": _sql_documents(self._simulator.sql),
                "faults": [_fault_document(active) for active in state.active],
            }
        )

    async def _scenarios(self, _request: web.Request) -> web.Response:
        rows = [
            {"scenario": one.name, "fault": one.cause, "broken": one.broken, "set_on": one.scope, "step": one.step,
             "classic": one.classic, "current": one.current, "reason": one.reason, "story": one.story}
            for one in SIMULATED
        ]  # fmt: skip
        return _json({"scenarios": rows})

    async def _faults(self, _request: web.Request) -> web.Response:
        rows = [{"fault": one.name, "broken": one.broken, "set_on": sorted(one.scopes)} for one in FAULTS.values()]
        return _json({"faults": rows, "options": list(_OPTION_TYPES)})

    async def _requests(self, _request: web.Request) -> web.Response:
        counts = sorted(self._simulator.requests.items())
        return _json(
            {"requests": [{"host": host, "operation": what, "status": status, "count": n} for (host, what, status), n in counts]}
        )

    async def _set(self, request: web.Request) -> web.Response:
        document = _read_object(await request.read())
        on = {scope: document[scope] for scope in FaultScope if scope in document}
        options = _options(document)
        if "scenario" in document:
            active = self._simulator.apply(document["scenario"], key=options.key, version=options.version, **on)
        else:
            active = (self._simulator.set_fault(document["fault"], options, **on),)
        response: dict[str, Any] = {"set": [_fault_document(one) for one in active]}
        if any(one.fault.route is not None for one in active):
            response["note"] = "the configuration was written again: reload the exporter"
        return _json(response)

    async def _reload(self, _request: web.Request) -> web.Response:
        return _json({"credentials": dict(await self._simulator.reload())})

    async def _restart(self, request: web.Request) -> web.Response:
        example = r'{"sql": "HOST\\INSTANCE"}'
        document = _json_object(await request.read(), example)
        name = document.get("sql")
        if set(document) != {"sql"} or not isinstance(name, str):
            raise UnknownNameError(f"send a JSON object such as {example}")
        server = self._simulator.restart_sql_server(name)
        return _json({"sql": server.name, "databases": _states(server)})

    async def _day(self, request: web.Request) -> web.Response:
        served = _served(self._simulator.sql)
        return _json({"days": [_day_document(served, served.server(one)) for one in _names(served, request.query.get("sql"))]})

    async def _change_day(self, request: web.Request) -> web.Response:
        return _json({"days": _change_day(self._simulator.sql, await request.read())})

    async def _clear(self, request: web.Request) -> web.Response:
        wanted = _wanted(request.query)
        places = [self._simulator.state.find(scope, request.query[scope]) for scope in FaultScope if scope in request.query]
        return _json({"cleared": self._simulator.clear(**wanted, name=places[0] if places else None)})

    ROUTES: ClassVar = (
        ControlRoute("GET", "/sim/state", _state, "shows the served objects and the active faults; no secrets"),
        ControlRoute("GET", "/sim/scenarios", _scenarios, "lists the scenarios"),
        ControlRoute("GET", "/sim/faults", _faults, "lists the faults, their subjects and options"),
        ControlRoute("POST", "/sim/fault", _set, f"sets a `fault`, or causes a `scenario`, on one of {', '.join(f'`{one}`' for one in FaultScope)}"),
        ControlRoute("DELETE", "/sim/fault", _clear, "clears everything, or what matches `?number=`, `?fault=` or a subject: `?vault=`; restores the state before"),
        ControlRoute("GET", "/sim/day", _day, "shows the days of all SQL Servers, or of `?sql=`"),
        ControlRoute("POST", "/sim/day", _change_day, "changes the day of the SQL Server `sql`, or of all, from now on"),
        ControlRoute("POST", "/sim/restart", _restart, "restarts the SQL Server `sql`; the response has the states of its databases"),
        ControlRoute("POST", "/sim/reload", _reload, "reads the secret and certificate files again; accepted credentials stay accepted"),
        ControlRoute("GET", "/sim/requests", _requests, "counts requests by host, kind and status; status 0: no response was sent"),
    )  # fmt: skip


@web.middleware
async def _refuse(request: web.Request, handler: Any) -> web.StreamResponse:
    """Refuse requests of other sites, under foreign host names, or with unknown names.

    Programs on this host are served. A page that another site brought into a browser is not.
    """
    refusal = _refusal(request)
    if refusal is not None:
        return refusal
    try:
        response: web.StreamResponse = await handler(request)
    except UnknownNameError as error:
        return _json({"error": str(error)}, status=400)
    return response


def _refusal(request: web.Request) -> web.Response | None:
    """Return the response to a request of another site, None for an allowed request."""
    host = request.headers.get(hdrs.HOST, "")
    if not is_loopback(host):
        return _json({"error": "use a loopback address"}, status=403)
    if is_cross_site(request.headers, (host,)):
        return _json({"error": "another site sent this request; send it with curl"}, status=403)
    if request.content_type in FORM_TYPES and hdrs.CONTENT_TYPE in request.headers:
        return _json({"error": "a form sent this request; send application/json"}, status=415)
    return None


def _read_object(body: bytes) -> dict[str, Any]:
    """Parse and check the body of POST /sim/fault. Raises UnknownNameError."""
    document = _json_object(body, '{"vault": "NAME", "fault": "throttled"}')
    _check_names(document, (*_NAMES, *_OPTION_TYPES))
    wrong = [name for name in _NAMES if name in document and not isinstance(document[name], str)]
    if wrong:
        raise UnknownNameError(f"not a string: {', '.join(wrong)}")
    if ("fault" in document) == ("scenario" in document):
        raise UnknownNameError("name either a fault or a scenario (GET /sim/faults, GET /sim/scenarios)")
    idle = [name for name in document if name in _OPTION_TYPES and name not in ("key", "version")]
    if idle and "scenario" in document:
        raise UnknownNameError(f"a scenario takes no {', '.join(idle)}: set its fault instead")
    return document


def _options(document: dict[str, Any]) -> Options:
    """Return the options of a fault from a request. Raises UnknownNameError."""
    given = {name: value for name, value in document.items() if name in _OPTION_TYPES}
    for name, value in given.items():
        if not isinstance(value, _OPTION_TYPES[name]) or isinstance(value, bool):
            raise UnknownNameError(f"{name} has the wrong type")
    if given.get("right", PERFORMANCE).upper() not in RIGHTS:
        raise UnknownNameError(f"there is no right {given['right']!r}; there are: {', '.join(sorted(RIGHTS))}")
    if "step" in given:
        if given["step"] not in tuple(Step):
            raise UnknownNameError(f"there is no step {given['step']!r}; there are: {', '.join(Step)}")
        given["step"] = Step(given["step"])
    if "at" in given and given["at"] not in OPERATIONS:
        raise UnknownNameError(f"there is no operation {given['at']!r}; there are: {', '.join(OPERATIONS)}")
    for name, (least, most) in _RANGES.items():
        if not least <= given.get(name, least) <= most:
            raise UnknownNameError(f"{name} is not from {least} to {most}")
    return Options(**given)


def _wanted(query: Mapping[str, str]) -> dict[str, Any]:
    """Return the number and fault of DELETE /sim/fault. Raises UnknownNameError."""
    _check_names(query, ("number", "fault", *FaultScope))
    number = query.get("number")
    if number is not None and not (number.isdecimal() and len(number) < 10):
        raise UnknownNameError("number is not a number of at most nine digits")
    return {"number": int(number) if number is not None else None, "fault": query.get("fault")}


def _fault_document(active: ActiveFault) -> dict[str, Any]:
    """Return an active fault with the options that differ from their defaults."""
    default = Options()
    changed = {
        one.name: getattr(active.options, one.name)
        for one in fields(Options)
        if getattr(active.options, one.name) != getattr(default, one.name)
    }
    return {"number": active.number, "fault": active.fault.name, active.scope: active.name, **changed}


def _json(document: object, status: int = 200) -> web.Response:
    return web.json_response(document, status=status, dumps=lambda value: json.dumps(value, indent=1) + "\n")


# What the management port shows and changes of SQL Servers.

_SETTINGS = tuple(one.name for one in fields(DaySettings))
_LEAST: Mapping[str, float] = {"speed": 0.001, "vlf_kb": 64}  # of all others: 0
_MOST = 1e12
_EVENTS = 20.0  # of one database in a second, at the most


def _sql_documents(servers: SqlServers | None) -> list[dict[str, Any]]:
    """Return each SQL Server with its address; empty if none is served."""
    if servers is None:
        return []
    return [
        {"sql": name, "address": address, "databases": _states(servers.server(name))}
        for name, address in servers.addresses.items()
    ]


def _change_day(servers: SqlServers | None, body: bytes) -> list[dict[str, Any]]:
    """Change the days of all servers, or of `sql`, and return them. Raises UnknownNameError."""
    served = _served(servers)
    document = _json_object(body, r'{"sql": "HOST\\INSTANCE", "every": 10}')
    _check_names(document, ("sql", *_SETTINGS))
    name = document.pop("sql", None)
    if wrong := [one for one, value in document.items() if not _is_allowed(one, value)]:
        raise UnknownNameError(f"not a value that it can have: {', '.join(wrong)}")
    names = _names(served, name)
    for one in names:
        _check_pace(replace(served.server(one).day, **document))
    served.change_day(names, document)
    return [_day_document(served, served.server(one)) for one in names]


def _served(servers: SqlServers | None) -> SqlServers:
    if servers is None:
        raise UnknownNameError("this simulator serves no SQL Servers: start it with --sql")
    return servers


def _names(servers: SqlServers, name: object) -> list[str]:
    return list(servers.addresses) if name is None else [servers.state.find(FaultScope.SQL, str(name))]


def _is_allowed(name: str, value: object) -> bool:
    if name in {"trace_flag", "backups"}:
        return isinstance(value, bool) or (value is None and name == "backups")
    whole = isinstance(getattr(DaySettings(), name), int)
    right = isinstance(value, int if whole else (int, float)) and not isinstance(value, bool)
    return right and isinstance(value, int | float) and _LEAST.get(name, 0) <= value <= _MOST


def _check_pace(day: DaySettings) -> None:
    """Raise UnknownNameError if more would happen than the simulator can play."""
    often = [day.speed / every for every in (day.every, day.differential_every, day.full_every) if every]
    if max(*often, day.speed * day.kb_per_second / day.vlf_kb, 0.0) > _EVENTS:
        raise UnknownNameError(f"more than {_EVENTS:g} backups or VLFs a second")


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


def _json_object(body: bytes, example: str) -> dict[str, Any]:
    """Return the object of a request. Raises UnknownNameError, with the example, if it has none."""
    document = read_object(body)
    if document is None:
        raise UnknownNameError(f"send a JSON object such as {example}")
    return document


def _check_names(given: Iterable[str], known: Collection[str]) -> None:
    """Raise UnknownNameError for names that a request cannot have."""
    strange = [name for name in given if name not in known]
    if strange:
        raise UnknownNameError(f"unknown: {', '.join(strange)}; known: {', '.join(known)}")


def _states(server: SimulatedSqlServer) -> dict[str, str]:
    return {one.name: STATES[one.state] for one in server.databases}

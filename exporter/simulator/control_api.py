"""The management port: set and clear faults and count requests over HTTP, by the table `ControlApi.ROUTES`.

The identity services of the exporter's host use this port too (see `managed_identity`).
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import fields
from types import MethodType
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

from aiohttp import hdrs, web

from exporter.core.cross_site import FORM_TYPES, is_cross_site, is_loopback
from exporter.core.model import Step
from exporter.simulator.control_sql import change_day, day_documents, json_object, restart_document, restart_name, sql_documents
from exporter.simulator.fault_table import FAULTS
from exporter.simulator.faults import FaultScope, Options, UnknownNameError
from exporter.simulator.managed_identity import IdentityServices
from exporter.simulator.request import OPERATIONS
from exporter.simulator.scenarios import SIMULATED
from exporter.simulator.sql_model import PERFORMANCE, RIGHTS
from exporter.simulator.state import ActiveFault

if TYPE_CHECKING:
    from exporter.simulator.simulator import Simulator

_OPTION_TYPES: Mapping[str, type | tuple[type, ...]] = {
    "step": str,
    "at": str,
    "key": str,
    "version": str,
    "status": int,
    "body": str,
    "retry_after": int,
    "seconds": (int, float),
    "operation": str,
    "bits": int,
    "limit": int,
    "right": str,
    "view": str,
    "database": str,
}
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

    def __init__(self, simulator: Simulator, host: str, port: int, identities: IdentityServices) -> None:
        self._simulator = simulator
        self._identities = identities
        self._host, self._port = host, port
        self._runner: web.AppRunner | None = None

    @property
    def url(self) -> str:
        """Return the address of the port, without a path."""
        return f"http://{self._host}:{self._port}"

    async def start(self) -> None:
        """Listen on the port. Raises OSError if the port is in use."""
        app = web.Application(middlewares=[_refuse])
        self._identities.add_to(app)
        for route in self.ROUTES:
            app.router.add_route(route.method, route.path, MethodType(route.handler, self))
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, self._host, self._port).start()
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
                "sql_servers": sql_documents(self._simulator.sql),
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
        return _json(restart_document(self._simulator.restart_sql_server(restart_name(await request.read()))))

    async def _day(self, request: web.Request) -> web.Response:
        return _json({"days": day_documents(self._simulator.sql, request.query.get("sql"))})

    async def _change_day(self, request: web.Request) -> web.Response:
        return _json({"days": change_day(self._simulator.sql, await request.read())})

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
    document = json_object(body)
    if document is None:
        raise UnknownNameError('send a JSON object such as {"vault": "NAME", "fault": "throttled"}')
    strange = [name for name in document if name not in _NAMES and name not in _OPTION_TYPES]
    if strange:
        raise UnknownNameError(f"unknown: {', '.join(strange)}; known: {', '.join((*_NAMES, *_OPTION_TYPES))}")
    wrong = [name for name in _NAMES if name in document and not isinstance(document[name], str)]
    if wrong:
        raise UnknownNameError(f"not a string: {', '.join(wrong)}")
    if ("fault" in document) == ("scenario" in document):
        raise UnknownNameError("name either a fault or a scenario (GET /sim/faults, GET /sim/scenarios)")
    idle = (
        [name for name in document if name in _OPTION_TYPES and name not in ("key", "version")] if "scenario" in document else []
    )
    if idle:
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
    strange = [name for name in query if name not in ("number", "fault", *FaultScope)]
    if strange:
        raise UnknownNameError(f"unknown: {', '.join(strange)}; known: number, fault, {', '.join(FaultScope)}")
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

"""The documents of the management port about SQL Servers."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, fields, replace
from typing import Any

from exporter.simulator.faults import FaultScope, UnknownNameError
from exporter.simulator.sql import SqlServers
from exporter.simulator.sql_model import STATES, DaySettings, SimulatedSqlServer

_SETTINGS = tuple(one.name for one in fields(DaySettings))
_LEAST: Mapping[str, float] = {"speed": 0.001, "vlf_kb": 64}  # of all others: 0
_MOST = 1e12
_EVENTS = 20.0  # of one database in a second, at the most


def sql_documents(servers: SqlServers | None) -> list[dict[str, Any]]:
    """Return each SQL Server with its address; empty if none is served."""
    if servers is None:
        return []
    return [
        {"sql": name, "address": address, "databases": _states(servers.server(name))}
        for name, address in servers.addresses.items()
    ]


def day_documents(servers: SqlServers | None, name: str | None) -> list[dict[str, Any]]:
    """Return the days of all servers, or of this one. Raises UnknownNameError."""
    served = _served(servers)
    return [_day_document(served, served.server(one)) for one in _names(served, name)]


def change_day(servers: SqlServers | None, body: bytes) -> list[dict[str, Any]]:
    """Change the days of all servers, or of `sql`, and return them. Raises UnknownNameError."""
    served = _served(servers)
    document = json_object(body)
    if document is None:
        raise UnknownNameError('send a JSON object such as {"sql": "HOST\\\\INSTANCE", "every": 10}')
    name = document.pop("sql", None)
    if strange := [one for one in document if one not in _SETTINGS]:
        raise UnknownNameError(f"unknown: {', '.join(strange)}; known: sql, {', '.join(_SETTINGS)}")
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
    lines = Counter(code for _, code in day.log_lines(server, 0.0))
    return {"sql": server.name, **asdict(server.day), "databases": databases, "error_log": dict(lines)}


def restart_name(body: bytes) -> str:
    """Return the server of POST /sim/restart. Raises UnknownNameError."""
    document = json_object(body) or {}
    name = document.get("sql")
    if set(document) != {"sql"} or not isinstance(name, str):
        raise UnknownNameError('send a JSON object such as {"sql": "HOST\\\\INSTANCE"}')
    return name


def json_object(body: bytes) -> dict[str, Any] | None:
    """Return the object of a request, None if it has none."""
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        return None
    return document if isinstance(document, dict) else None


def restart_document(server: SimulatedSqlServer) -> dict[str, Any]:
    """Return the response to POST /sim/restart."""
    return {"sql": server.name, "databases": _states(server)}


def _states(server: SimulatedSqlServer) -> dict[str, str]:
    return {one.name: STATES[one.state] for one in server.databases}

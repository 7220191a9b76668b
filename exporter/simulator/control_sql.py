"""The documents of the management port about SQL Servers."""

from __future__ import annotations

import json
from typing import Any

from exporter.simulator.faults import UnknownNameError
from exporter.simulator.sql import SqlServers
from exporter.simulator.sql_model import STATES, SqlServer


def sql_documents(servers: SqlServers | None) -> list[dict[str, Any]]:
    """Return each SQL Server with its address; empty if none is served."""
    if servers is None:
        return []
    return [
        {"sql": name, "address": address, "databases": _states(servers.server(name))}
        for name, address in servers.addresses.items()
    ]


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


def restart_document(server: SqlServer) -> dict[str, Any]:
    """Return the response to POST /sim/restart."""
    return {"sql": server.name, "databases": _states(server)}


def _states(server: SqlServer) -> dict[str, str]:
    return {one.name: STATES[one.state] for one in server.databases}

"""A SQL Server in the inventory, and the response of an exporter that probes its key."""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

from exporter.knowledge.verdict import NOT_TESTED
from exporter.sqlserver.document import Document, RegistryUri, read_documents
from exporter.sqlserver.gate.assess import assess
from exporter.sqlserver.gate.conditions import ExporterState, GateReason
from exporter.sqlserver.gate.exporters import read_state
from exporter.sqlserver.gate.inputs import Answer, Inventory, Question
from exporter.sqlserver.instance import Instance, instance_of
from exporter.sqlserver.reading import SqlServerReading
from tests.support.sql_inventory import rows_of, sqlcmd
from tests.support.values import replace

NOW = datetime(2026, 11, 26, 20, 0, 0, tzinfo=UTC).timestamp()
HOUR, DAY = 3600.0, 86400.0
VAULT, URL = "contoso-prod.vault.azure.net", "http://localhost:10377"
V1, V2 = "1111aaaa2222", "3333bbbb4444"
URIS = (
    RegistryUri("2C56", f"https://{VAULT}/keys/K/{V1}"),
    RegistryUri("2C57", f"https://{VAULT}/keys/K/{V2}"),
)


def document(
    server: str = "N1\\SQLPRD01",
    *,
    failing: dict[str, str] | None = None,
    change: Any = None,
    address: str | None = None,
    **options: Any,
) -> Document:
    """Return what a SQL Server answered to the inventory."""
    rows = rows_of(server, **options)
    if change is not None:
        change(rows)
    (read,) = read_documents(sqlcmd(rows, failing))
    return replace(read, address=address)


def instance(server: str = "N1\\SQLPRD01", **options: Any) -> Instance:
    """Return the instance of `document`."""
    return instance_of(document(server, **options))


def time_of(unix: float | None) -> str | None:
    return None if unix is None else datetime.fromtimestamp(unix, UTC).isoformat()


def row(**changes: Any) -> dict[str, Any]:
    """Return a ready target of the list of an exporter."""
    return {
        "target": "contoso-key0",
        "vault": VAULT,
        "key": "K",
        "key_version": V1,
        "success": True,
        "vault_side_ready": True,
        "why": "ready",
        "ready_since": time_of(NOW - 2 * HOUR),
        "last_not_ready": None,
        "last_success": time_of(NOW - 60),
        "last_unwrap": time_of(NOW - 60),
        "step": None,
        "code": None,
        "symbol": None,
        "reason": None,
        "key_type": "RSA",
        "key_size_bits": 2048,
        "credential": "tde",
        "credential_type": "client_secret",
        "client_id": None,
        "credential_expires_at": time_of(NOW + 30 * DAY),
        "next_credential_usable": None,
        "instances": [{"sql_instance": "SQLPRD01", "host": "n1"}],
        **changes,
    }


def body(*rows: Any, **changes: Any) -> bytes:
    """Return the response of an exporter; without rows, of one target."""
    targets = list(rows or [row()])
    about = {
        "at": time_of(NOW),
        "vantage": "sql_host",
        "host": "n1",
        "not_tested": NOT_TESTED,
        "expiring": [],
        "targets": targets,
    }
    return json.dumps(about | changes).encode()


def state(url: str, *rows: Any, readings: Iterable[SqlServerReading] = (), **changes: Any) -> ExporterState:
    """Return the state of an exporter; without rows, of one with a ready target."""
    found = read_state(body(*rows, **changes), url)
    assert isinstance(found, ExporterState)
    return replace(found, readings=tuple(readings))


def answer_of(
    *states: ExporterState | GateReason, inventory: Any = None, now: float = NOW, urls: Iterable[str] = (), **question: Any
) -> Answer:
    """Return the answer of several exporters for SQLPRD01, or for what `question` chooses; `urls` are of failed ones.

    Without a reading, the question is that of the vault's side.
    """
    names = list(urls)
    more: dict[str, Any] = {} if {"group", "every"} & question.keys() else {"instances": ("SQLPRD01",)}
    more["vault_side"] = not any(isinstance(one, ExporterState) and one.readings for one in states)
    requested = {one.url if isinstance(one, ExporterState) else names.pop(0): one for one in states}
    held = Inventory(tuple([document()] if inventory is None else inventory), URIS)
    return assess(Question(**more | question), held, requested, now=now)


def answer(
    *rows: Any,
    inventory: Any = None,
    now: float = NOW,
    at: float = NOW,
    readings: Iterable[SqlServerReading] = (),
    **question: Any,
) -> Answer:
    """Return the answer of one exporter, as `answer_of`."""
    found = read_state(body(*rows, at=time_of(at)), URL)
    only = replace(found, readings=tuple(readings)) if isinstance(found, ExporterState) else found
    return answer_of(only, urls=[URL], inventory=inventory, now=now, **question)


def conditions(found: Answer) -> list[str]:
    return [str(one.condition) for one in found.reasons]

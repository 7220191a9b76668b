"""Fleets whose restart is ready, as the JSON that exporters answer, with no more evidence than each needs."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from exporter.config.settings import SqlServer
from exporter.sqlserver.document import Document
from exporter.sqlserver.gate.assess import assess
from exporter.sqlserver.gate.conditions import ExporterState, GateReason
from exporter.sqlserver.gate.exporters import read_readings, read_state
from exporter.sqlserver.gate.inputs import Answer, Inventory, Question
from exporter.sqlserver.instance import labels_of
from exporter.sqlserver.last_reading import unread, updated
from exporter.sqlserver.reading import SqlServerReading, reading_values
from tests.support.gate_factories import DAY, HOUR, NOW, URIS, V2, VAULT, body, row, time_of
from tests.support.sql_inventory import rows_of
from tests.support.sql_readings import SESSION, changes_of, proof_rows
from tests.support.values import replace

RECORDED = "recorded calls"
COLUMNS = "column encryption alone"
LONG_AGO = NOW - 60 * DAY
Sections = dict[str, list[dict[str, Any]]]


def utc(unix: float) -> str:
    """Return a time as the rows have it."""
    return str(time_of(unix))[:19]


def a_backup(
    database: str = "sales", kind: str = "L", *, ended: float = NOW - HOUR / 2, gaps: int = 99, gap: float = HOUR
) -> dict[str, Any]:
    """Return a row of `backups`."""
    known = {"longest_seconds": int(gap), "second_seconds": int(gap)} if gaps > 1 else {}
    times = {"started_utc": utc(ended - 60), "finished_utc": utc(ended)}
    return {"database": database, "type": kind, **times, "offset_minutes": 0, "gaps": gaps, **known}


def server(
    name: str = "N1\\SQLPRD01",
    databases: Mapping[str, str] | None = None,
    *,
    node: str = "",
    ag: str | None = None,
    members: Iterable[str] = (),
    nodes: Mapping[str, float] | None = None,
    started: float = LONG_AGO,
    backups: Iterable[dict[str, Any]] = (),
    first_seen: float = NOW - 50 * DAY,
    log_since: float = NOW - 40 * DAY,
) -> Sections:
    """Return the sections of a SQL Server. `nodes` has the last start on each node of a failover cluster instance."""
    rows = rows_of(name, databases=databases, ag=ag)
    rows["instance"][0]["node"] = node = node or name.partition("\\")[0]
    rows["replicas"] = [{"ag": ag, "server_name": each} for each in members] if ag else []
    rows["nodes"] = [{"name": each} for each in nodes or ()]
    proofs = proof_rows(*(databases or {"sales": ""}))
    for each in proofs["opened"]:
        each["opened_utc"] = utc(started + 10)
    changes = [each for each in changes_of(rows, node=node.casefold(), since=utc(first_seen)) if each["what"] != "start"]
    starts = {node: started} if nodes is None else nodes
    changes += [
        {"what": "start", "value": "1", "node": each.casefold(), "since_utc": utc(at), "first": 0} for each, at in starts.items()
    ]
    of_log = {"since_utc": utc(log_since), "until_utc": utc(NOW)}
    of_start = [{"started_utc": utc(started)}]
    own = {"start": of_start, "service": of_start, "backups": list(backups), "log": [of_log], "changes": changes}
    return {**rows, **proofs, "history": [{"newest_id": 4711}], **own}


def with_calls(rows: Sections) -> Sections:
    """Add a session that recorded a sign-in and an unwrap of today."""
    at = utc(NOW - HOUR)
    call = {"code": "0", "provider": "AzureKV", "calls": 1, "first_utc": at, "last_utc": at}
    session = SESSION | {"started_utc": utc(NOW - 9 * DAY)}
    calls = [{"function": function, **call} for function in ("SqlCryptOpenSession", "SqlCryptDecrypt")]
    return {**rows, "trace": [session], "calls": calls}


def without_databases(rows: Sections) -> Sections:
    """Leave the key to columns: no database is encrypted."""
    return {**rows, **{name: [] for name in ("encryption", "databases", "opened", "backups", "logs")}}


def with_managed_identity(rows: Sections) -> Sections:
    rows["instance"][0]["product_version"] = "16.0.4175.1"
    rows["credentials"][0] |= {"name": VAULT, "identity": "Managed Identity"}
    for key in rows["keys"]:
        key["credential"] = VAULT
    return rows


def reading(rows: Mapping[str, Sequence[Mapping[str, Any]]], *, at: float = NOW, **changes: Any) -> dict[str, Any]:
    """Return the JSON of a reading of these sections."""
    own = rows["instance"][0]
    registry = URIS[:1] if "calls" in rows else ()
    sections = {name: tuple(found) for name, found in rows.items()}
    document = Document(address=own["server_name"], sections=sections, key_uris=registry)
    sql_instance, host = labels_of(document)
    known = SqlServerReading(
        address=own["server_name"],
        sql_instance=sql_instance,
        host=host,
        attempted_at=at,
        document=document,
        read_at=dict.fromkeys((*rows, "registry") if registry else rows, at),
        clock_behind=0.0,
    )
    return dict(json.loads(json.dumps(reading_values(replace(known, **changes)))))


@dataclass(frozen=True, slots=True)
class Fleet:
    """What a person asks, and what each exporter answers: its targets and its SQL Servers, or None if it is silent."""

    question: Mapping[str, Any]
    exporters: dict[str, tuple[dict[str, Any], dict[str, Any]]]

    def copied(self) -> Fleet:
        content = json.loads(json.dumps(list(self.exporters.items())))
        return Fleet(self.question, {url: (targets, servers) for url, (targets, servers) in content})

    def answer(self, *, now: float = NOW) -> Answer:
        states = {url: _state(url, *bodies) for url, bodies in self.exporters.items()}
        return assess(Question(**self.question), Inventory((), URIS), states, now=now)


def _state(url: str, targets: Mapping[str, Any], servers: Mapping[str, Any]) -> ExporterState | GateReason:
    state = read_state(json.dumps(targets).encode(), url)
    if isinstance(state, GateReason):
        return state
    found = read_readings(json.dumps(servers).encode(), url)
    return replace(state, unread=found) if isinstance(found, GateReason) else replace(state, readings=found)


def fleet(
    *servers: Sections, targets: Iterable[dict[str, Any]] = (), instances: Sequence[str] = ("SQLPRD01",), **about: Any
) -> Fleet:
    """Return the fleet of one central exporter that reads these SQL Servers."""
    named = [
        {"sql_instance": own.get("instance_name", own["machine"]), "host": own["machine"].lower()}
        for each in servers
        for own in each["instance"]
    ]
    rows = list(targets) or [row(instances=named)]
    content = json.loads(body(*rows, **{"vantage": "central", "host": None} | about))
    return Fleet({"instances": tuple(instances)}, {"http://e1": (content, {"sql_servers": [reading(each) for each in servers]})})


def fleet_of_two_exporters() -> Fleet:
    """Return a group of two, each with an exporter on its host that reads it alone."""
    members, exporters = MEMBERS[:2], {}
    known: dict[str, Any]
    for number, known in ((1, {"backups": [a_backup()]}), (2, {"started": NOW - 6 * DAY})):
        rows = server(members[number - 1], ag="AG7", members=members, **known)
        target = row(instances=[{"sql_instance": "SQLPRD01", "host": f"n{number}"}])
        about = json.loads(body(target, vantage="sql_host", host=f"n{number}"))
        exporters[f"http://n{number}:10377"] = (about, {"sql_servers": [reading(rows)]})
    return Fleet({"instances": members}, exporters)


MEMBERS = ("N1\\SQLPRD01", "N2\\SQLPRD01", "N3\\SQLPRD01")


def ready_fleets() -> dict[str, Fleet]:
    """Return fleets that are ready; each node uses each key once."""
    of_group = {"ag": "AG7", "members": MEMBERS}
    week = 7 * DAY
    return {
        "one server, log backups": fleet(server(backups=[a_backup()])),
        "one server, a start": fleet(server(started=NOW - 6 * DAY)),
        "weekly full backups": fleet(server(backups=[a_backup(kind="D", ended=NOW - 5 * DAY, gaps=4, gap=week)])),
        "a group, backups on one secondary of three": fleet(
            server("N1\\SQLPRD01", started=NOW - 6 * DAY, **of_group),
            server("N2\\SQLPRD01", backups=[a_backup()], **of_group),
            server("N3\\SQLPRD01", started=NOW - 9 * DAY, **of_group),
            instances=("N1\\SQLPRD01",),
        ),
        "a cluster instance of two nodes": fleet(
            server("FCI\\SQLPRD01", node="N1", started=NOW - 6 * DAY, nodes={"N1": NOW - 6 * DAY, "N2": NOW - 20 * DAY}),
        ),
        "several keys": fleet(
            server(databases={"sales": "0x2C56", "hr": "0x2C57"}, backups=[a_backup(), a_backup("hr")]),
            targets=[row(), row(target="second", key_version=V2)],
        ),
        RECORDED: fleet(with_calls(server())),
        COLUMNS: fleet(without_databases(with_calls(server()))),
        "a group of two, each with an exporter": fleet_of_two_exporters(),
        "a managed identity": fleet(
            with_managed_identity(server(backups=[a_backup()])),
            targets=[row(credential_type="managed_identity", credential_expires_at=None)],
            vantage="sql_host",
            host="n1",
        ),
    }


def remembered(*readings: tuple[Sections | str, float], ends: Mapping[str, Iterable[float]] | None = None) -> dict[str, Any]:
    """Return the JSON of what an exporter knows after these readings, each at a Unix time. A text is why there was none.

    The exporter sees what changes itself.
    """
    name = next(str(rows["instance"][0]["server_name"]) for rows, _ in readings if not isinstance(rows, str))
    address, known = SqlServer(address=name, user="ekm"), None
    for rows, at in readings:
        document = Document(address=name, failure=rows) if isinstance(rows, str) else _document(rows, at)
        known = updated(known or unread(address), address, document, at, refused=False, ends=ends)
    assert known is not None
    return dict(json.loads(json.dumps(reading_values(known))))


def _document(rows: Sections, at: float) -> Document:
    """Return what a SQL Server answers at a time."""
    own = {name: [dict(each) for each in found] for name, found in rows.items() if name != "changes"}
    own["instance"][0] = {"utc_offset_minutes": 0, "read_at_utc": utc(at)} | own["instance"][0]
    if own["instance"][0]["read_at_utc"] == utc(NOW):
        own["instance"][0]["read_at_utc"] = utc(at)
    for each in own.get("log", ()):
        each["until_utc"] = utc(at)
    return Document(address=str(own["instance"][0]["server_name"]), sections={name: tuple(found) for name, found in own.items()})


def with_readings(held: Fleet, *readings: dict[str, Any], url: str = "http://e1", **question: Any) -> Fleet:
    """Return the fleet with these SQL Servers in place of those of an exporter."""
    exporters = {**held.exporters, url: (held.exporters[url][0], {"sql_servers": list(readings)})}
    return Fleet({**held.question, **question}, exporters)

"""Situations that a DBA meets, each walked through by hand: what the gate answers, and what settles a "not known"."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest

from tests.support.gate_factories import DAY, HOUR, NOW, row, time_of
from tests.support.ready_fleets import (
    MEMBERS,
    Fleet,
    Sections,
    a_backup,
    fleet,
    ready_fleets,
    remembered,
    server,
    utc,
    with_managed_identity,
    with_readings,
)

MINUTE, WEEK = 60.0, 7 * DAY
CLIENT = "11111111-2222-4333-8444-555555555555"
LONG = NOW - 90 * DAY
PROVE = "ekm-exporter script prove.sql"


def altered(rows: Sections, at: float) -> Sections:
    rows["credentials"][0]["modified_utc"] = utc(at)
    return rows


def alone(*readings: tuple[Sections, float], target: dict[str, Any] | None = None, ends: Any = None, **question: Any) -> Fleet:
    held = fleet(readings[0][0], targets=[target] if target else [])
    return with_readings(held, remembered(*readings, ends=ends), **question)


def known_since(rows: Sections, *, days: float = 20) -> tuple[Sections, float]:
    """Return a reading of long ago, with which the exporter knows the server."""
    before = altered(copy.deepcopy(rows), LONG)
    return {**before, "backups": [], "opened": [], "start": [{"started_utc": utc(LONG)}], "service": []}, NOW - days * DAY


def three(*altered_at: float, backups_on: int = 2, ended: float = NOW - 10 * MINUTE, started: float = NOW - 6 * DAY) -> Fleet:
    """Return a group of three whose credentials were altered at these times. A node without backups is proven by its start."""
    nodes = []
    for number, at in enumerate(altered_at, 1):
        backups = [a_backup(ended=ended)] if number == backups_on else []
        rows = server(MEMBERS[number - 1], ag="AG7", members=MEMBERS, started=started, backups=backups)
        nodes.append(altered(rows, at))
    named = [{"sql_instance": "SQLPRD01", "host": f"n{number}"} for number in (1, 2, 3)]
    held = fleet(*nodes, targets=[row(instances=named, client_id=CLIENT)], instances=MEMBERS[:1])
    return with_readings(held, *(remembered(known_since(each), (each, NOW)) for each in nodes))


def weekly(days: float) -> Fleet:
    rows = server(backups=[a_backup(kind="D", ended=NOW - days * DAY, gaps=4, gap=WEEK)])
    return alone(known_since(rows), (rows, NOW))


def cluster(*, moved: float, seen: bool = True) -> Fleet:
    """Return a cluster instance on N1, which it had on N2 until it moved some days ago."""
    nodes = {"N1": 0.0, "N2": 0.0}
    on_n2 = server("FCI\\SQLPRD01", node="N2", nodes=nodes, started=NOW - 34 * DAY)
    on_n1 = server("FCI\\SQLPRD01", node="N1", nodes=nodes, started=NOW - moved * DAY, backups=[a_backup()])
    return alone(*([(on_n2, NOW - 33 * DAY)] if seen else []), (on_n1, NOW - moved * DAY + HOUR), (on_n1, NOW))


def patched(*, rolled_over: float = LONG) -> Fleet:
    rows = altered(server(started=NOW - HOUR), rolled_over)
    return alone(known_since(rows), (rows, NOW))


def first_reading(ended: float = NOW - MINUTE) -> Fleet:
    rows = server(backups=[a_backup(ended=ended)])
    return alone((rows, NOW))


def without_state(*, restarted: float) -> Fleet:
    """Return an exporter without a state directory, which restarted then."""
    rows = server(backups=[a_backup(ended=restarted - HOUR, gap=2 * HOUR)])
    return alone((rows, restarted), ({**rows, "backups": [a_backup(gap=2 * HOUR)]}, NOW))


def without_the_log(**options: Any) -> Fleet:
    """The login may not read the error log."""
    rows = server(**options)
    held = alone(known_since(rows), (rows, NOW))
    (known,) = held.exporters["http://e1"][1]["sql_servers"]
    document = known["document"]
    document["sections"] = [each for each in document["sections"] if each["section"] not in ("errors", "log")]
    denied = "message 229: The EXECUTE permission was denied on the object 'xp_readerrorlog'"
    document["errors"] += [{"section": name, "message": denied} for name in ("errors", "log")]
    for name in ("errors", "log"):
        known["read_at"].pop(name)
    return held


def sql_server_2014(**question: Any) -> Fleet:
    """sys.dm_db_log_stats and FOR JSON are of later versions."""
    rows = server(backups=[a_backup()])
    held = alone(known_since(rows), (rows, NOW), **question)
    (known,) = held.exporters["http://e1"][1]["sql_servers"]
    document, failed = known["document"], ("opened", "backups", "logs", "flags", "errors", "log", "loaded", "service", "history")
    document["sections"] = [each for each in document["sections"] if each["section"] not in failed]
    document["errors"] += [{"section": name, "message": "message 319: incorrect syntax near JSON"} for name in failed]
    for name in failed:
        known["read_at"].pop(name)
    return held


def managed(*, hours: float, **about: Any) -> Fleet:
    """The credential was altered so many hours before the last backup."""
    rows = altered(with_managed_identity(server(backups=[a_backup()])), NOW - HOUR / 2 - MINUTE - hours * HOUR)
    target = row(credential_type="managed_identity", credential_expires_at=None)
    host = {"vantage": "sql_host", "host": "n1"} | about
    held = fleet(rows, targets=[target], **host)
    return with_readings(held, remembered(known_since(rows), (rows, NOW)))


def ended_secret(*, before_backup: float, renewed: bool = False, client: str | None = CLIENT) -> Fleet:
    """The known secret ended so long before the last backup; the credential may have another since."""
    end = NOW - HOUR / 2 - MINUTE - before_backup
    rows = server(backups=[a_backup()])
    first = known_since(rows)
    last = altered(rows, end - DAY) if renewed else rows
    return alone(first, (last, NOW), target=row(client_id=client), ends={client or "tde": [end]})


def with_a_peer(*, read_at: float) -> Fleet:
    """Return a server, and another one with the same client, which was read last at a time."""
    rows, peer = server(backups=[a_backup()]), server("N2\\SQLPRD01", backups=[a_backup()])
    named = [{"sql_instance": "SQLPRD01", "host": host} for host in ("n1", "n2")]
    held = fleet(rows, targets=[row(instances=named, client_id=CLIENT)], instances=MEMBERS[:1])
    known = remembered(known_since(rows), (rows, NOW)), remembered(known_since(peer), (peer, read_at))
    return with_readings(held, *known)


def unlisted_replica() -> Fleet:
    held = three(LONG, LONG, LONG)
    held.exporters["http://e1"][0]["targets"][0]["instances"].pop()
    return held


def two_vantages(*, central_ready: bool = True, host_ready: bool = True) -> Fleet:
    """An exporter on the host, and a central one which reads the SQL Server."""
    held = ready_fleets()["one server, log backups"]
    central, servers = held.exporters["http://e1"]
    central["targets"] = [row(vault_side_ready=central_ready, why="ready" if central_ready else "not_ready")]
    own = {**central, "vantage": "sql_host", "host": "n1"}
    own["targets"] = [row(vault_side_ready=host_ready, why="ready" if host_ready else "not_ready")]
    return Fleet(held.question, {"http://n1": (own, {"sql_servers": []}), "http://e1": (central, servers)})


def two_readers(*, failure_at: float | None = None, since: float = NOW - 40 * DAY) -> Fleet:
    """Two exporters read the SQL Server; one saw a line of failure, and reads the log since a time."""
    held = ready_fleets()["one server, log backups"]
    targets, servers = held.exporters["http://e1"]
    (known,) = held.copied().exporters["http://e1"][1]["sql_servers"]
    for each in known["document"]["sections"]:
        if each["section"] == "errors" and failure_at is not None:
            each["rows"] = [{"code": "3303", "lines": 1, "first_utc": utc(failure_at), "last_utc": utc(failure_at)}]
        if each["section"] == "log":
            each["rows"][0]["since_utc"] = utc(since)
    return Fleet(held.question, {"http://e1": (targets, servers), "http://e2": (targets, {"sql_servers": [known]})})


CASES: dict[str, tuple[Callable[[], Fleet], str, str, str]] = {
    "log backups on one secondary of three": (lambda: three(LONG, LONG, LONG), "ready", "", ""),
    "a secondary that started long ago": (lambda: three(LONG, LONG, LONG, started=NOW - 36 * DAY), "not_known", "credential_not_proven", PROVE),
    "full backups on Sundays, on Saturday": (lambda: weekly(6), "ready", "", ""),
    "full backups on Sundays, one left out": (lambda: weekly(11), "not_known", "proof_old", PROVE),
    "a cluster instance of two nodes": (lambda: cluster(moved=10), "ready", "", ""),
    "a cluster instance that moves to a node unseen": (lambda: cluster(moved=10, seen=False), "not_known", "node_not_proven", "--accept nodes@n2"),
    "restarted an hour ago by patching": (patched, "ready", "", ""),
    "restarted just after the roll-over": (lambda: patched(rolled_over=NOW - HOUR - MINUTE), "ready", "", ""),
    "rolled over after the restart": (lambda: patched(rolled_over=NOW - HOUR + MINUTE), "not_known", "credential_not_proven", PROVE),
    "the first reading": (first_reading, "not_known", "credential_not_proven", PROVE),
    "rolled over on all nodes, proven": (lambda: three(*[NOW - 7 * DAY] * 3), "ready", "", ""),
    "rolled over on all nodes an hour ago": (lambda: three(*[NOW - HOUR] * 3), "not_known", "credential_not_proven", PROVE),
    "rolled over on one of three": (lambda: three(LONG, NOW - DAY, LONG), "not_known", "credential_left_behind", PROVE),
    "a secret staged for next month": (
        lambda: alone(known_since(server(backups=[a_backup()])), (server(backups=[a_backup()]), NOW), target=row(next_credential_usable=True, credential_expires_at=time_of(NOW + 30 * DAY)), ends={CLIENT: [NOW + 30 * DAY]}),
        "ready", "", "",
    ),
    "a secret that ended after its successor was written": (lambda: ended_secret(before_backup=3 * HOUR, renewed=True), "ready", "", ""),
    "a secret that ended an hour before the backup": (lambda: ended_secret(before_backup=HOUR, renewed=True), "not_ready", "secret_ended", "alter-credential.sql"),
    "the same, of a credential whose client is unknown": (lambda: ended_secret(before_backup=HOUR, renewed=True, client=None), "not_ready", "secret_ended", ""),
    "another server of the client": (lambda: with_a_peer(read_at=NOW), "ready", "", ""),
    "another server of the client, not read of late": (lambda: with_a_peer(read_at=NOW - 2 * HOUR), "not_known", "credential_left_behind", ""),
    "a replica that no target lists": (unlisted_replica, "not_known", "server_not_listed", ""),
    "no state directory, a backup since": (lambda: without_state(restarted=NOW - 2 * HOUR), "ready", "", ""),
    "no state directory, no backup since": (lambda: without_state(restarted=NOW - 10 * MINUTE), "not_known", "credential_not_proven", PROVE),
    "no right to the log, backups": (lambda: without_the_log(backups=[a_backup()]), "ready", "", ""),
    "no right to the log, a start": (lambda: without_the_log(started=NOW - 5 * DAY), "not_known", "log_not_read", "part 4 of login.sql"),
    "SQL Server 2014": (sql_server_2014, "not_known", "reading_old", ""),
    "SQL Server 2014, the narrower question": (lambda: sql_server_2014(vault_side=True), "ready", "", ""),
    "a managed identity": (lambda: managed(hours=25), "ready", "", ""),
    "a managed identity, altered today": (lambda: managed(hours=20), "not_known", "credential_not_proven", PROVE),
    "a managed identity and a central exporter": (lambda: managed(hours=25, vantage="central", host=None), "not_known", "no_verdict", ""),
    "two vantages": (two_vantages, "ready", "", ""),
    "two vantages, not ready on the host": (lambda: two_vantages(host_ready=False), "not_ready", "not_ready", ""),
    "two vantages, not ready elsewhere": (lambda: two_vantages(central_ready=False), "not_known", "exporters_disagree", ""),
    "two readers": (two_readers, "ready", "", ""),
    "two readers, one saw a failure": (lambda: two_readers(failure_at=NOW - 5 * MINUTE), "not_ready", "backups_fail", ""),
    "two readers, one reads the log since an hour": (lambda: two_readers(since=NOW - 10 * MINUTE), "ready", "", ""),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_walked_by_hand(name):
    made, verdict, condition, fix = CASES[name]
    found = made().answer()
    texts = [each.text for each in found.reasons]
    assert found.verdict == verdict, texts
    assert condition in ["", *map(str, (each.condition for each in found.reasons))], texts
    assert fix in "".join(each.fix for each in found.reasons if each.condition == condition)

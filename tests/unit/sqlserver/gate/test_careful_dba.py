"""300 SQL Servers through a week: ready whenever a careful DBA would say so, and never otherwise."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import pairwise
from random import Random

import msgspec

from exporter.config.settings import SqlServer
from exporter.sqlserver.document import Document
from exporter.sqlserver.gate.assess import assess
from exporter.sqlserver.gate.conditions import ExporterState
from exporter.sqlserver.gate.inputs import Inventory, Question
from exporter.sqlserver.last_reading import unread, updated
from exporter.sqlserver.reading import SqlServerReading
from tests.support.gate_factories import DAY, HOUR, URIS, row, state, time_of
from tests.support.ready_fleets import server, utc
from tests.support.sql_readings import unix
from tests.support.values import replace

MONDAY = unix("2026-11-09T00:00:00")
HOURS, STEP = 168, 23  # of each server a sample each 23 hours: over all servers, every hour of the week
MINUTE, WEEK = 60.0, 7 * DAY
TOKEN = 2 * HOUR


@dataclass
class Node:
    """A SQL Server on a computer, or the same instance on each of its computers. Times are Unix times."""

    name: str
    starts: list[float]
    altered: list[float]
    backups: list[tuple[str, float, float]] = field(default_factory=list)  # type, begin and end
    group: Sequence[Node] = ()
    first_read: float = MONDAY
    cluster: bool = False  # on N1; N2 had it until the last start before the week

    @property
    def host(self) -> str:
        return self.name.partition("\\")[0]


# The oracle: the table of the evidence for these servers, in a few lines.


def gap_limit(ends: Sequence[float], kind: str) -> float:
    gaps = sorted(later - one for one, later in pairwise(ends))
    return 1.5 * gaps[-2] if len(gaps) >= 3 else 25 * HOUR if kind == "L" else 8 * DAY


def known_backups(node: Node, now: float) -> Iterator[tuple[float, float, bool]]:
    """Yield begin and end of the last backup of each type, and whether no further one is missing."""
    for kind in ("D", "L"):
        made = [(begin, end) for each, begin, end in node.backups if each == kind and now - 35 * DAY <= end <= now]
        if made:
            yield *made[-1], now - made[-1][1] <= gap_limit([end for _, end in made], kind)


def is_careful(node: Node, now: float) -> bool:
    """Whether a DBA would restart the node."""
    altered = max(at for each in (node, *node.group) for at in each.altered if at <= now)
    start = max(at for at in node.starts if at <= now)
    backups = [each for each in known_backups(node, now) if not node.cluster or each[0] >= start]
    stopped = bool(backups) and not any(recent for each in (node, *node.group) for _, _, recent in known_backups(each, now))
    proven = [recent for begin, _, recent in backups if begin >= max(node.first_read, altered + TOKEN)]
    proven += [not stopped] if now - start <= 35 * DAY and start >= max(node.first_read, altered) else []
    moved = node.cluster and now - node.starts[0] > 35 * DAY  # the start on the other computer
    return any(proven) and not moved


# What SQL Server answers, and the exporter makes of it.


def answered(node: Node, now: float) -> Document:
    start = max(at for at in node.starts if at <= now)
    rows = []
    for kind in ("D", "L"):
        made = [(begin, end) for each, begin, end in node.backups if each == kind and now - 35 * DAY <= end <= now]
        gaps = sorted((int(later[1] - one[1]) for one, later in pairwise(made)), reverse=True)
        spans = dict(zip(("longest_seconds", "second_seconds"), gaps, strict=False))
        about = {"database": "sales", "type": kind, "offset_minutes": 0, "gaps": len(gaps), **spans}
        rows += [{**about, "started_utc": utc(made[-1][0]), "finished_utc": utc(made[-1][1])}] if made else []
    members = [each.name for each in node.group]
    nodes = {"N1": 0.0, "N2": 0.0} if node.cluster else None
    host = "N2" if node.cluster and start == node.starts[0] else "N1" if node.cluster else ""
    sections = server(
        node.name, node=host, ag="AG7" if members else None, members=members, nodes=nodes, started=start, backups=rows
    )
    del sections["changes"]
    sections["instance"][0] |= {"read_at_utc": utc(now), "utc_offset_minutes": 0}
    sections["credentials"][0]["modified_utc"] = utc(max(at for at in node.altered if at <= now))
    sections["log"] = [{"since_utc": utc(now - 40 * DAY), "until_utc": utc(now)}]
    sections["logs"][0]["log_backup_utc"] = utc(now - 41 * DAY)
    return Document(address=node.name, sections={name: tuple(found) for name, found in sections.items()})


def read(node: Node, before: SqlServerReading | None, now: float) -> SqlServerReading:
    address = SqlServer(address=node.name, user="ekm")
    return updated(before or unread(address), address, answered(node, now), now, refused=False)


@lru_cache
def _target(names: tuple[str, ...]) -> ExporterState:
    return state(
        "http://e1",
        row(instances=[{"sql_instance": "SQLPRD01", "host": name.lower()} for name in names]),
        vantage="central",
        host=None,
    )


def verdict(readings: Sequence[SqlServerReading], now: float) -> str:
    held = _target(tuple(reading.host for reading in readings))
    times = {"at": now, "ready_since": now - DAY, "last_success": now - MINUTE, "last_unwrap": now - MINUTE}
    targets = tuple(msgspec.structs.replace(each, **times, credential_expires_at=now + 30 * DAY) for each in held.targets)
    fresh = replace(held, at=now, targets=targets, readings=tuple(readings))
    question = Question(instances=(readings[0].address,))
    return assess(question, Inventory((), URIS), {held.url: fresh}, now=now).verdict


# The servers.


def made_backups(random: Random) -> list[tuple[str, float, float]]:
    """Return 35 days and a week of backups: full daily or on Sundays, log backups of several rhythms, none at a week-end, none since an accident."""
    weekly, rests = random.random() < 0.3, random.random() < 0.25
    minutes = random.choice((0, 15, 60, 240))
    stop = MONDAY + random.uniform(0, HOURS) * HOUR if random.random() < 0.15 else MONDAY + 2 * WEEK
    found = []
    for day in range(-36, 8):
        midnight = MONDAY + day * DAY
        if day % 7 == 6 if weekly else not rests or day % 7 < 5:
            found.append(("D", midnight + HOUR, midnight + HOUR + 20 * MINUTE))
        if minutes and (not rests or day % 7 < 5):
            begins = [midnight + step * minutes * MINUTE for step in range(24 * 60 // minutes)]
            found += [("L", begin, begin + MINUTE) for begin in begins]
    return [each for each in found if each[2] < stop]


def made_node(random: Random, name: str, *, with_backups: bool = True, cluster: bool = False) -> Node:
    starts = [MONDAY - random.choice((3, 20, 33, 80)) * DAY]
    if cluster:
        starts = [MONDAY - random.choice((10, 20, 33)) * DAY, MONDAY - 2 * DAY]
    starts += [MONDAY + random.randrange(HOURS) * HOUR + 5 * MINUTE] if random.random() < 0.4 else []
    altered = [MONDAY - (90 if cluster else random.choice((4, 90))) * DAY]
    altered += [MONDAY + random.randrange(HOURS) * HOUR] if random.random() < 0.3 else []
    return Node(name, starts, altered, made_backups(random) if with_backups else [], cluster=cluster)


def made_group(random: Random, number: int) -> list[Node]:
    """Return three replicas: one of them makes the backups, and a secret is rolled over on all of them, on one, or on none."""
    busy = random.randrange(3)
    nodes = [made_node(random, f"N{number}{place}\\SQLPRD01", with_backups=place == busy) for place in range(3)]
    roll_over = MONDAY + random.randrange(HOURS) * HOUR
    changed = random.choice((nodes, nodes[1:2], []))
    for place, node in enumerate(nodes):
        node.altered = [MONDAY - 90 * DAY, *([roll_over + place * MINUTE] if node in changed else [])]
        node.group = nodes
    return nodes


def test_ready_is_what_a_careful_dba_says():
    random = Random(7)  # noqa: S311 - the same servers at each run
    wrong, said = [], {"ready": 0, "not_known": 0, "not_ready": 0}
    fleets = [[made_node(random, f"N{number}\\SQLPRD01")] for number in range(190)]
    fleets += [made_group(random, number) for number in range(200, 230)]
    fleets += [[made_node(random, f"FCI{number}\\SQLPRD01", cluster=True)] for number in range(20)]
    assert sum(map(len, fleets)) == 300
    for number, nodes in enumerate(fleets):
        readings = [read(node, None, node.starts[0] + HOUR) if node.cluster else None for node in nodes]
        for node in nodes:
            node.first_read = MONDAY + number % STEP * HOUR
        for hour in range(number % STEP, HOURS, STEP):
            now = MONDAY + hour * HOUR
            readings = [read(node, before, now) for node, before in zip(nodes, readings, strict=True)]
            found, expected = verdict(readings, now), all(is_careful(node, now) for node in nodes)
            said[found] += 1
            if (found == "ready") != expected:
                wrong.append((nodes[0].name, time_of(now), found, expected))
    assert wrong == []
    assert said["not_ready"] == 0
    assert said["ready"] > 1000
    assert said["not_known"] > 300

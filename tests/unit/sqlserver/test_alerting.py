"""Since when backups of a SQL Server fail, when its logs are full, which proofs are missing: incidents as readings show them, minute by minute."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest
from msgspec import structs

from exporter.sqlserver.alerting import (
    Watch,
    WatchedServer,
    first_actions,
    full_at,
    proofs_missing,
    read_until,
    verdicts_text,
    watched,
)
from exporter.sqlserver.document import utc
from exporter.sqlserver.gate.conditions import TargetState
from exporter.sqlserver.reading import SqlServerReading
from exporter.sqlserver.urgency import SOON
from tests.support.gate_factories import URL, row, state, time_of
from tests.support.sql_readings import READ_AT, a_reading, an_unread_server, proof_rows, sections_of
from tests.support.values import replace

MINUTE, HOUR = 60.0, 3600.0
NEVER = 10**6


def at(minute: float) -> float:
    return READ_AT + MINUTE * minute


def target(
    name: str = "contoso-key0",
    vantage: str = "central",
    *,
    ready: bool | None = True,
    success: bool | None = True,
    ready_since: float | None = None,
    last_not_ready: float | None = None,
) -> TargetState:
    """Return a target as an exporter reports it at one moment."""
    times = {"ready_since": time_of(ready_since), "last_not_ready": time_of(last_not_ready)}
    why = {True: "ready", False: "not_ready", None: "stale"}[ready]
    return state(URL, row(target=name, vault_side_ready=ready, success=success, why=why, **times), vantage=vantage).targets[0]


Targets = Callable[[int], list[TargetState]]


def healthy(_minute: int) -> list[TargetState]:
    return [target(ready_since=at(-100))]


def down(begin: int, end: int, since: int = -100) -> Targets:
    """Return the target of a vault that fails from one minute to another one; the exporter started at `since`."""

    def shown(minute: int) -> list[TargetState]:
        if begin <= minute < end:
            return [target(ready=False, success=False, last_not_ready=at(minute))]
        failed = at(end - 1) if minute >= end else None
        return [target(ready_since=at(max(end, since) if minute >= end else since), last_not_ready=failed)]

    return shown


@dataclass(frozen=True)
class Server:
    """A SQL Server with one database, whose log is backed up every `every` minutes. It fails from one minute to another one."""

    every: int = 15
    fails: tuple[int, int] = (NEVER, NEVER)
    code: str = "3303"
    failure_code: str = "3041"
    error_log: bool = True
    full: float = 36000.0
    host: str = "n1"
    ag: str = ""
    nodes: str = "N1 N2"
    serves: tuple[int, int] = (-NEVER, NEVER)  # from one minute to another one it is the primary replica, and makes backups
    backs_up: bool = True
    lines: Mapping[str, tuple[int, ...]] = field(default_factory=dict)  # further ones: minutes by code
    closed: Mapping[str, int] = field(default_factory=dict)  # since which minute
    keyless: int = NEVER
    more: str = ""  # another database, whose backups fail
    gaps: int = 99
    backup_of: str = ""  # the database that the lines of failed backups name
    read: Callable[[int], int] | None = None  # the minute of the last reading

    def good(self, minute: int) -> list[int]:
        tried = range(-self.every, minute + 1, self.every)
        return [each for each in tried if self.is_primary(each) and not self.failed(each) and self.backs_up]

    def is_primary(self, minute: int) -> bool:
        return self.serves[0] <= minute < self.serves[1]

    def failed(self, minute: int) -> bool:
        return self.fails[0] <= minute < self.fails[1] and not self.more

    def logged(self, minute: int) -> dict[str, list[int]]:
        begin, end = self.fails
        tried = [each for each in range(0, minute + 1, self.every) if begin <= each < end and self.is_primary(each)]
        found = {code: list(tried) for code in (self.code, self.failure_code) if code and tried}
        for code, minutes in self.lines.items():
            found[code] = found.get(code, []) + [each for each in minutes if each <= minute]
        return {code: sorted(minutes) for code, minutes in found.items() if minutes}

    def reading(self, now: int) -> SqlServerReading:
        """Return what was known of it at a minute."""
        minute = now if self.read is None else self.read(now)
        names = ["pay", *([self.more] if self.more else [])]
        sections = proof_rows(*names)
        log = sections["logs"][0]
        sections["logs"] = [
            {**log, "database": name, "limit_kb": log["used_kb"] + round(self.full * 1024 / 300)}
            if self.is_primary(minute)
            else {"database": name}
            for name in names
        ]
        for each in sections["logs"]:
            each.pop("log_backup_utc", None)
            each["reuse_wait"] = "LOG_BACKUP"
        last_log = next(each for each in sections["backups"] if each["type"] == "L")
        gap = {"gaps": self.gaps, "second_seconds": 60 * self.every, "longest_seconds": 60 * self.every}
        sections["backups"] = [
            {**last_log, **gap, "database": name, "started_utc": utc(at(last)), "finished_utc": utc(at(last))}
            for name in names
            for last in self.good(min(minute, self.fails[0]) if name == self.more else minute)[-1:]
        ]
        lines = [
            {"code": code, "lines": len(found), "first_utc": utc(at(found[0])), "last_utc": utc(at(found[-1]))}
            for code, found in self.logged(minute).items()
        ]
        lines = [{**each, "backup_of": self.backup_of} if each["code"] == "3041" else each for each in lines]
        sections["errors"] = [{"code": "other", "lines": 0}, *lines] if self.error_log else []
        rows = sections_of(*names, **sections)
        for database in rows["databases"]:
            database |= {"ag": self.ag, "in_group": int(bool(self.ag))}
        closed = [name for name, since in self.closed.items() if since <= minute]
        state = {"state": "RECOVERY_PENDING", "is_encrypted": 0}
        rows["databases"] = [
            *({**each, **(state if each["name"] in closed else {})} for each in rows["databases"]),
            *({**rows["databases"][0], **state, "name": name} for name in closed if name not in names),
        ]
        rows["replicas"] = [{"ag": self.ag, "server_name": name} for name in self.nodes.split()] if self.ag else []
        if minute >= self.keyless:
            kept = ({name: cell for name, cell in each.items() if name != "credential"} for each in rows["keys"])
            rows["keys"] = [{**each, "has_sid": 1} for each in kept]
        read_at = dict.fromkeys((name for name in rows if self.error_log or name != "errors"), at(minute))
        found = a_reading(*names, sections=rows, host=self.host, attempted_at=at(minute), read_at=read_at)
        earlier = tuple({**each, "used_kb": each["used_kb"] - 1024} if "used_kb" in each else each for each in rows["logs"])
        return replace(found, earlier_logs=(at(minute) - 300.0, earlier))


@dataclass
class Played:
    """Minutes at which a SQL Server pages: its backups fail, or a log is full soon; and what alerts say then."""

    failing: list[int] = field(default_factory=list)
    full: list[int] = field(default_factory=list)
    since: dict[int, float | None] = field(default_factory=dict)
    says: dict[int, dict[str, tuple[str, str]]] = field(default_factory=dict)

    @property
    def page(self) -> tuple[int, int] | None:
        """The first and the last minute of the only page; None without one."""
        assert not self.failing or self.failing == list(range(self.failing[0], self.failing[-1] + 5, 5)), self.failing
        return (self.failing[0], self.failing[-1]) if self.failing else None


def played(
    *servers: Server, targets: Targets = healthy, until: int = 300, restarts: Iterable[int] = (), begin: int = 0
) -> Played:
    """Read the SQL Servers every five minutes, and return what the first one shows."""
    found, watch = Played(), None
    for minute in range(begin, until, 5):
        readings = [each.reading(minute) for each in servers]
        server = WatchedServer(readings[0], targets(minute), readings[1:])
        watch = watched(None if minute in restarts else watch, server, at(minute))
        found.failing += [minute] if watch.failing_since is not None else []
        found.since[minute] = watch.since
        logs = full_at(watch, server, at(minute)).values()
        found.full += [minute] if any(0 < each < at(minute) + SOON for each in logs) else []
        said = first_actions(watch, server, at(minute))
        found.says[minute] = {each.about: (each.shows, each.action.partition(". It is over when ")[0]) for each in said}
    return found


FAILING = Server(fails=(120, 180))
NOT_READY = down(120, NEVER)
SECONDARY = Server(backs_up=False)


@pytest.mark.parametrize(
    ("servers", "targets"),
    [
        ([Server()], healthy),
        ([Server(lines={"33111": (60,)})], healthy),
        ([Server(ag="AG7", serves=(NEVER, NEVER), lines={"33111": (60,), "3041": (180,)})], healthy),
        ([Server(error_log=False)], healthy),
        ([Server()], lambda _: []),
        ([Server(fails=(120, 121))], healthy),
        ([Server(every=120, fails=(120, 121))], healthy),
        ([Server(code="", fails=(120, 180))], healthy),
        ([Server(full=3000.0)], healthy),
        ([Server(full=3000.0)], NOT_READY),
        ([Server(every=1, full=3000.0)], NOT_READY),
        ([Server(every=120, full=3000.0)], NOT_READY),
        ([Server(every=120, full=3000.0, read=lambda minute: minute - minute % 60)], NOT_READY),
        (
            [
                Server(ag="AG7", fails=(120, 121), serves=(-15, 135), full=3000.0),
                Server(ag="AG7", host="n2", serves=(135, 300), full=3000.0, code=""),
            ],
            NOT_READY,
        ),
        ([Server(ag="AG7", full=3000.0, backs_up=False), Server(ag="AG7", host="n2")], NOT_READY),
        ([replace(SECONDARY, lines={"3303": tuple(range(121, 131))})], healthy),
        ([replace(SECONDARY, lines={"3303": (21, 241)})], healthy),
        ([Server(lines={"3303": tuple(range(121, 161))})], healthy),
        # Single failures, hours apart: good backups lie between them.
        ([Server(lines={"3303": (31, 211), "3041": (31, 211)})], healthy),
    ],
    ids=[
        "healthy", "restore of another server's backup", "restore, and a failed backup hours later", "no error log", "no target",
        "one failed backup", "one failed backup every two hours", "failed backups of a full disk", "log full before its next backup",
        "vault not ready, backups go on", "log backups every minute", "log backups every two hours", "read every hour", "failover",
        "log backups on the secondary", "wrong secrets typed within ten minutes", "wrong secrets typed hours apart",
        "wrong secrets between backups", "single failures",
    ],
)  # fmt: skip
def test_healthy_servers_page_nothing(servers, targets):
    found = played(*servers, targets=targets)
    assert (found.failing, found.full) == ([], [])


def test_backups_fail_from_the_second_line_to_the_next_good_backup():
    found = played(FAILING)
    assert found.page == (135, 175)
    assert [found.since[minute] for minute in (115, 120, 135, 180)] == [0.0, None, at(120), 0.0]


@pytest.mark.parametrize("code", ["33027", "33111"])
def test_message_without_a_number_pages_while_databases_are_open(code):
    assert played(replace(FAILING, code=code)).page == (135, 175)
    others = {"18204": tuple(range(3, 300, 15))}  # failures of another cause between them
    assert played(replace(FAILING, code=code, lines=others)).page == (135, 175)
    # From a tool that logs no failed backup, or from new virtual log files.
    assert played(replace(SECONDARY, lines={code: tuple(range(120, 181, 5))})).page == (150, 295)
    assert played(Server(fails=(120, 240), code=code, failure_code="")).page == (150, 235)


def test_daily_backup_that_failed_once_pages_after_two_hours():
    assert played(Server(every=240, fails=(240, 241)), until=520).page == (365, 475)


def test_lines_without_a_failed_backup_page_after_half_an_hour_and_are_forgotten_after_two():
    assert played(replace(SECONDARY, lines={"3303": tuple(range(120, 166))}), until=400).page == (150, 285)


def test_database_without_log_backups_pages_among_others_that_succeed():
    """No line of a failed backup, as from a tool that makes backups by VDI."""
    found = played(Server(fails=(120, NEVER), failure_code="", more="hr"), until=280)
    assert found.page == (170, 275)
    assert found.says[200]["backups"][0] == " with code 3303. No backup finished since of: [hr]"


@pytest.mark.parametrize(("named", "end"), [("pay WITH COMPRESSION", 520), ("hr WITH COMPRESSION", 695), ("", 695)])
def test_failed_backup_of_another_database_keeps_no_page_of_one_without_log_backups(named, end):
    """Those of hr were switched off; one of pay fails once, and finishes a quarter of an hour later."""
    lines = {"3303": (400,), "3041": (400,)}
    server = Server(fails=(120, NEVER), code="", failure_code="", more="hr", lines=lines, backup_of=named)
    assert played(server, until=700).page == (400, end)


def test_login_without_a_credential_pages_with_failed_backups():
    found = played(Server(code="", fails=(120, 180), keyless=110))
    assert found.page == (135, 175)
    assert found.says[150]["backups"] == (
        ": the login of a key has no credential. No backup finished since of: [pay]",
        "add the credential to the login: `ekm-exporter script verify.sql`, part 2, has the names",
    )


# The vault.


@pytest.mark.parametrize("restarts", [(), (125,), (200,), (215,), (220,)], ids=str)
def test_outage_of_the_vault_is_no_page_of_sql_server_after_its_end(restarts):
    """An hour and a half, with log backups every quarter of an hour. The exporter may restart, with its targets' state or without it."""
    assert played(Server(fails=(120, 213)), targets=down(120, 212), restarts=restarts).failing == []
    for since in restarts:

        def forgotten(minute, since=since):
            shown = down(120, 212, since)(minute)
            return [structs.replace(each, last_not_ready=None) for each in shown] if minute >= since > 212 else shown

        assert played(Server(fails=(120, 213)), targets=forgotten, restarts=restarts).failing == []


def test_outage_of_targets_without_a_verdict_by_their_configuration_is_no_page_of_sql_server():
    """As of managed identities from a central host: their probes fail and succeed."""

    def shown(minute: int) -> list[TargetState]:
        about = {"ready": None, "ready_since": None, "last_not_ready": None, "why": "identity_of_another_host"}
        return [structs.replace(each, **about, step=None if each.ready else "token") for each in down(120, 212)(minute)]

    assert played(Server(fails=(120, 213)), targets=shown).failing == []
    assert played(Server(fails=(120, 280)), targets=shown).page == (240, 280)


def test_lines_after_the_first_ready_verdict_page_if_backups_still_fail():
    assert played(Server(fails=(120, 280)), targets=down(120, 180)).page == (210, 280)
    daily = Server(every=240, fails=(240, 241))
    assert played(daily, targets=down(235, 300), until=475).failing == []  # its only line is of the outage


def test_old_result_ends_no_outage_and_begins_none():
    def stale(minute: int) -> list[TargetState]:
        return [target(ready=None, success=False)] if minute in (150, 155) else down(120, 212)(minute)

    assert played(Server(fails=(120, 213)), targets=stale).failing == []
    assert played(
        FAILING, targets=lambda minute: [target(ready=None, success=False)] if minute > 100 else healthy(minute)
    ).page == (135, 175)


def test_page_goes_on_if_the_vault_fails_later():
    assert played(Server(fails=(120, 280)), targets=down(150, NEVER)).page == (135, 280)
    assert played(Server(fails=(120, 280)), targets=down(150, 200)).page == (135, 280)


def test_target_that_flaps_hides_no_fault():
    """One probe of five minutes in ten fails, which is no outage."""

    def flapping(minute: int) -> list[TargetState]:
        is_down = minute % 10 == 5
        return [target(ready=not is_down, ready_since=at(minute - minute % 10), last_not_ready=at(minute - 5))]

    assert played(Server(fails=(120, 280)), targets=flapping).failing


@pytest.mark.parametrize(("success", "failing"), [(None, []), (True, [*range(135, 180, 5)])])
def test_target_that_was_never_probed_lets_nothing_begin(success, failing):
    found = played(FAILING, targets=lambda _: [target(ready=None, success=success)])
    assert found.failing == failing


def test_server_that_is_first_read_in_an_incident_is_one_page():
    began = [target(ready_since=at(150))]
    assert played(Server(fails=(120, 240)), targets=lambda _: began, begin=150).page == (165, 235)
    once = played(Server(every=240, fails=(240, 241)), targets=lambda _: [target(ready_since=at(245))], begin=245, until=475)
    assert once.page == (370, 470)


def test_restart_of_the_exporter_keeps_what_is_known_of_a_page():
    """First and last line tell the whole fault. After an older failure they do not: until the next one, nothing is said."""
    assert played(Server(fails=(120, 240)), restarts=(170,)).page == (135, 235)
    found = played(Server(fails=(120, 240), lines={"3303": (31,)}, gaps=0), restarts=(180,))
    assert [found.since[minute] for minute in (175, 180, 195)] == [at(120), None, at(180)]
    assert found.since[240] == 0.0


# Availability groups.


def test_failover_ends_the_page_of_the_old_node():
    """Backups failed on it, and go on elsewhere. A group of the same name with other servers ends nothing."""
    old = Server(ag="AG7", fails=(120, 160), serves=(-15, 160))
    new = Server(ag="AG7", host="n2", serves=(165, 300), code="")
    assert played(old, new).page == (135, 160)
    assert played(old, replace(new, nodes="N2 N3")).page == (135, 295)


def test_failover_to_a_node_with_the_old_secret_and_back_is_a_page_until_the_next_log_backup():
    """That node never made a backup."""
    visited = Server(ag="AG7", host="n2", fails=(120, 170), serves=(120, 170))
    usual = replace(Server(ag="AG7"), serves=(-NEVER, NEVER), fails=(120, 170), code="", failure_code="")
    assert played(visited, usual).page == (135, 175)  # at 180, the other node makes the first log backup after the last line
    assert played(usual, visited).failing == []


def test_node_that_alone_is_read_sees_the_log_backups_of_its_group_in_its_log():
    """Another exporter may read the other nodes."""

    def shown(minute: int) -> SqlServerReading:
        reading = Server(ag="AG7", fails=(120, 170), serves=(120, 170)).reading(minute)
        log = {"database": "pay", "log_backup_utc": utc(at(minute - minute % 15))}
        sections = dict(reading.document.sections) | ({"logs": (log,)} if minute >= 170 else {})
        return replace(reading, document=replace(reading.document, sections=sections))

    found, watch = [], None
    for minute in range(0, 300, 5):
        watch = watched(watch, WatchedServer(shown(minute)), at(minute))
        found += [minute] if watch.failing_since is not None else []
    assert found == [*range(135, 170, 5)]


def test_full_backup_of_the_primary_pages_though_the_secondary_backs_up_the_log():
    primary = Server(ag="AG7", backs_up=False, lines={"3303": (120,), "3041": (120,)})
    assert played(primary, Server(ag="AG7", host="n2", serves=(-NEVER, NEVER))).page == (245, 295)


# Closed databases.


def test_closed_database_stops_the_page_of_its_own_backups_alone():
    """Another one was closed long before, or closes in the same minute: then missing log backups of the open one decide."""
    assert played(replace(FAILING, closed={"hr": 60})).page == (135, 175)
    assert played(Server(fails=(120, 240), closed={"hr": 120})).page == (155, 235)
    assert played(Server(fails=(120, 240), closed={"pay": 120})).failing == []


def test_closed_database_says_what_the_error_log_shows():
    found = played(Server(fails=(120, 240), closed={"pay": 120}))
    action = "read what SQL Server logged: ekm-exporter explain 3303. When that cause is repaired: ALTER DATABASE [pay] SET ONLINE. If a key in Azure Key Vault protects it, the vault, the credential or the "
    assert found.says[130]["closed"][1] == action + "provider is the cause. Other causes: missing files, damage"
    silent = played(Server(closed={"pay": 120}, backs_up=False))
    assert silent.says[130]["closed"][1].startswith(
        "read messages 33027, 33028, 33049 and 33111 in the error log of SQL Server. When"
    )
    grouped = played(Server(closed={"pay": 120}, backs_up=False, ag="AG7"))
    assert "When that cause is repaired: restart the service of this SQL Server alone. " in grouped.says[130]["closed"][1]


def test_closed_database_whose_key_works_is_not_the_vault():
    found = played(Server(closed={"hr": 120}, more="hr", fails=(NEVER, NEVER)))
    shown = "look for missing files and damage, because the vault is not the cause: SQL Server proved its key key_2C56 at"
    assert found.says[150]["closed"][1].startswith(shown)
    assert found.says[150]["closed"][1].endswith("by [pay]")


# What the alerts say.


@pytest.mark.parametrize(
    ("code", "first"),
    [
        (
            "3303",
            "write the present secret with `ekm-exporter script alter-credential.sql`: its first lines have the commands, and the configuration has the secret's file, at credential tde",
        ),
        ("3008", "test the network path from this SQL Server to the vault, with the proxy of its service account"),
        ("3077", "compare identity and key with those of the probe (`verify.sql`)"),
        ("2058", "run `ekm-exporter doctor contoso-key0 --config.file FILE` on the host of this SQL Server"),
        ("3011", "ekm-exporter explain 3011"),
        ("99999", "ekm-exporter explain 99999"),
        ("33027", "ekm-exporter explain 33027"),
    ],
)
def test_failing_backups_have_the_first_action_of_their_code(code, first):
    said = played(replace(FAILING, code=code)).says[150]["backups"]
    assert said == (f" with code {code}. No backup finished since of: [pay]", first)


def test_verdicts_are_of_the_first_targets():
    shown = [target(), target("b", "sql_host", ready=False), target("c", ready=None)]
    text = "contoso-key0 ready, seen from a central host; b not ready, seen on the SQL host; c without a verdict, seen from a central host"
    assert verdicts_text(shown) == text
    assert verdicts_text([*shown, target("d")]) == f"{text} and 1 more"
    assert verdicts_text([]) == "not known"


# Logs.


@pytest.mark.parametrize(("error_log", "first"), [(True, 150), (False, 165)])
def test_log_that_fills_pages_once_its_backup_is_late(error_log, first):
    """Without the error log, once three backups are missing."""
    found = played(Server(fails=(120, 240), full=10800.0, error_log=error_log))
    assert found.full == [*range(found.full[0], 240, 5)]
    assert first - 15 <= found.full[0] <= first
    text = "The exporter cannot read the error log, so another cause is possible"
    assert (text in found.says[200]["log"][1]) != error_log
    assert "Trace flag 15025 is off: each new virtual log file (VLF) needs the vault" in found.says[200]["log"][1]


def test_log_without_a_rate_is_full_at_an_unknown_time():
    reading = replace(Server(fails=(120, 240)).reading(180), earlier_logs=None)
    server = WatchedServer(reading)
    watch = watched(None, server, at(180))
    assert full_at(watch, server, at(180)) == {"pay": math.inf}
    stopped = replace(reading, failure="does not answer")
    assert full_at(watch, WatchedServer(stopped), at(239)) == {"pay": math.inf}
    assert full_at(watch, WatchedServer(stopped), at(240)) == {}


def test_log_without_any_log_backup_counts():
    assert played(Server(backs_up=False, fails=(120, 240), full=10800.0)).full[0] == 120


def test_log_that_stops_growing_may_stop_its_database():
    reading = Server(fails=(120, 240)).reading(180)
    server = WatchedServer(replace(reading, stalled={"pay": (at(150), 3000.0)}))
    said = {each.about: each.action for each in first_actions(watched(None, server, at(180)), server, at(180))}
    assert (
        "what-needs-the-vault#if-the-log-fills-up. The database may no longer write: its log no longer grows. Trace flag"
        in said["log"]
    )
    assert said["log"].endswith(". Vault side: not known")


# Proofs.


def missing(reading: SqlServerReading, *others: SqlServerReading) -> dict[str, float]:
    server = WatchedServer(reading, (), others)
    return proofs_missing(watched(None, server, READ_AT), server)


@pytest.mark.parametrize(
    ("kind", "rhythm", "hours", "is_missing"),
    [
        ("L", 900, 19, False), ("L", 900, 21, True), ("L", 9 * 3600, 21, False), ("L", 9 * 3600, 28, True),
        ("L", None, 25, False), ("L", None, 26, True), ("D", None, 190, False), ("D", None, 193, True),
    ],
)  # fmt: skip
def test_last_proof_is_old_after_three_times_its_rhythm(kind, rhythm, hours, is_missing):
    ended = READ_AT - hours * HOUR
    backup = {
        "database": "sales",
        "type": kind,
        "started_utc": utc(ended),
        "finished_utc": utc(ended),
        "gaps": 9 if rhythm else 0,
    }
    found = missing(a_reading(sections={"backups": [backup | ({"second_seconds": rhythm} if rhythm else {})], "opened": []}))
    assert found == ({"0x2C56": ended} if is_missing else {})


def test_start_alone_is_never_an_old_proof():
    assert missing(a_reading(sections={"backups": []})) == {}


def test_altered_credential_without_a_proof_is_due_since_then():
    altered = {"name": "tde_cred", "identity": "contoso-prod", "provider": "AzureKV", "modified_utc": "2026-11-26T19:30:00"}
    reading = a_reading(sections={"credentials": [altered]})
    assert missing(reading) == {"0x2C56": READ_AT - 1800}
    line = {"code": "3303", "lines": 1, "first_utc": utc(READ_AT - 60), "last_utc": utc(READ_AT - 60)}
    assert missing(a_reading(sections={"credentials": [altered], "errors": [line]})) == {}  # its backups fail
    assert missing(Server(keyless=0).reading(0)) == {}


def test_node_whose_group_backs_up_elsewhere_owes_no_proof():
    silent = Server(ag="AG7", fails=(0, NEVER), code="", failure_code="")
    now, elsewhere = 36 * 60, Server(ag="AG7", host="n2")
    for others, is_missing in (((), True), ((elsewhere,), False)):
        server = WatchedServer(silent.reading(now), (), [each.reading(now) for each in others])
        assert bool(proofs_missing(watched(None, server, at(now)), server)) == is_missing


# Readings.


def test_reading_counts_for_one_and_a_half_intervals_and_a_quarter_of_an_hour():
    reading = a_reading(read_at={"keys": READ_AT, "errors": READ_AT - 60})
    assert read_until(reading, 300.0) == READ_AT - 60 + 450 + 900
    assert read_until(an_unread_server(), 300.0) == 0


@pytest.mark.parametrize(
    ("reading", "shows"),
    [
        (an_unread_server(), "it was never read"),
        (an_unread_server(refused=True), "it refuses the login of the exporter"),
        (a_reading(failure="does not answer"), "it does not answer as it should"),
    ],
)
def test_reading_that_stopped_is_described(reading: Any, shows: str):
    (said,) = first_actions(Watch(), WatchedServer(reading), READ_AT)
    assert (said.about, said.shows, said.action) == ("reading", shows, "check the login of the exporter")


def test_sections_that_were_not_read_are_named():
    reading = a_reading()
    reading = replace(reading, document=replace(reading.document, errors={"history": "denied", "backups": "denied"}))
    assert [each.shows for each in first_actions(Watch(), WatchedServer(reading), READ_AT)] == [
        "sections not read: backups, history"
    ]


def test_page_goes_on_while_nothing_is_read():
    stopped = Server(fails=(120, 240), read=lambda minute: min(minute, 150))
    assert played(stopped).page == (135, 295)

"""Incidents in which a restart leaves a database closed, from what SQL Server answers, and the exporter remembers, to the gate's answer."""

from __future__ import annotations

import re
from collections.abc import Callable
from html import unescape
from typing import Any

import pytest
import pytest_asyncio

from exporter.metrics.sql_server import readiness_samples
from exporter.web.pages.sql_servers import restart_section
from tests.integration.sqlservers.harness import Story, StoryRunner
from tests.integration.sqlservers.stories import Event, day, fault, recovered, restart
from tests.support.gate_factories import DAY, HOUR, NOW, V2, row
from tests.support.ready_fleets import (
    MEMBERS,
    Fleet,
    Sections,
    a_backup,
    fleet,
    remembered,
    server,
    utc,
    with_readings,
)

MINUTE = 60.0
CLIENT = "11111111-2222-4333-8444-555555555555"
BEFORE = NOW - 2 * DAY  # a good reading


def a_line(code: str, at: float, *, backup_of: str = "", lines: int = 1, first: float | None = None) -> dict[str, Any]:
    about = {"backup_of": backup_of} if backup_of else {}
    return {"code": code, **about, "lines": lines, "first_utc": utc(first or at), "last_utc": utc(at)}


def other() -> dict[str, Any]:
    return {"code": "other", "lines": 0}


def changed(rows: Sections, **sections: Any) -> Sections:
    return {**rows, **sections}


def alone(*readings: tuple[Sections | str, float], targets: Any = (), **question: Any) -> Fleet:
    """Return one server after these readings."""
    first = next(rows for rows, _ in readings if not isinstance(rows, str))
    return with_readings(fleet(first, targets=targets), remembered(*readings), **question)


def log_backups(ended: float = NOW - HOUR / 2, **options: Any) -> Sections:
    return server(backups=[a_backup(ended=ended, gap=6 * HOUR)], **options)


def healthy() -> tuple[Sections, float]:
    return log_backups(ended=BEFORE - MINUTE), BEFORE


# Each returns the fleet.


def log_cycled() -> Fleet:
    """sp_cycle_errorlog until no archive has the line."""
    failing = changed(log_backups(NOW - 3 * HOUR), errors=[other(), a_line("3303", NOW - 2 * HOUR)])
    cycled = log_backups(NOW - 3 * HOUR, log_since=NOW - HOUR)
    return alone(healthy(), (failing, NOW - 2 * HOUR + MINUTE), (cycled, NOW))


def log_cycled_unseen() -> Fleet:
    """As before, and the exporter did not read it in between."""
    cycled = log_backups(NOW - 3 * HOUR, log_since=NOW - HOUR)
    return alone(healthy(), (cycled, NOW))


def failing_alone() -> Fleet:
    failing = changed(log_backups(NOW - 3 * HOUR), errors=[other(), a_line("3041", NOW - 2 * HOUR, backup_of="sales. Check")])
    return alone(healthy(), (failing, NOW))


def failing_with(code: str) -> Callable[[], Fleet]:
    lines = [other(), a_line("3041", NOW - HOUR, backup_of="sales. Check"), a_line(code, NOW - HOUR)]
    return lambda: alone(healthy(), (changed(log_backups(NOW - 3 * HOUR), errors=lines), NOW))


def read_long_ago() -> Fleet:
    return alone(healthy(), (log_backups(NOW - 3 * DAY - MINUTE), NOW - 3 * DAY), ("does not answer", NOW))


def one_section_read_long_ago() -> Fleet:
    """A lock keeps the databases from being read since three days."""
    locked = log_backups(NOW - MINUTE)
    del locked["encryption"]
    return alone((log_backups(NOW - 3 * DAY - MINUTE), NOW - 3 * DAY), (locked, NOW))


def group(*nodes: Sections, asked: str = "N1\\SQLPRD01") -> Fleet:
    named = [{"sql_instance": "SQLPRD01", "host": each["instance"][0]["machine"].lower()} for each in nodes]
    held = fleet(*nodes, targets=[row(instances=named, client_id=CLIENT)], instances=(asked,))
    return with_readings(held, *(remembered((each, NOW - 30 * DAY), (each, NOW)) for each in nodes))


def node(number: int, *, altered: float = NOW - 100 * DAY, errors: Any = (), **options: Any) -> Sections:
    found = server(f"N{number}\\SQLPRD01", **options)
    found["credentials"][0]["modified_utc"] = utc(altered)
    return changed(found, errors=[other(), *errors])


def left_behind() -> Fleet:
    """N1 got a new secret yesterday and proved it; N2 has the one of 100 days ago, and last used it before that."""
    return group(
        node(1, altered=NOW - DAY, backups=[a_backup()]),
        node(2, started=NOW - 5 * DAY),
        asked="N2\\SQLPRD01",
    )  # fmt: skip


def key_moved() -> Fleet:
    """The database got its key an hour ago, after the last start and the last backup."""
    moved = log_backups(NOW - 2 * HOUR, started=NOW - 10 * DAY)
    moved["opened"][0]["set_utc"] = utc(NOW - HOUR)
    return alone((log_backups(BEFORE - MINUTE, started=NOW - 10 * DAY), BEFORE), (moved, NOW))


def fails_elsewhere() -> Fleet:
    of_group = {"ag": "AG7", "members": MEMBERS[:2]}
    failing = [a_line("3303", NOW - HOUR)]
    return group(node(1, backups=[a_backup()], **of_group), node(2, started=NOW - 5 * DAY, errors=failing, **of_group))


def backups_ended() -> Fleet:
    days = [NOW - 3.5 * DAY, NOW - 13.5 * DAY]
    last, before = (server(backups=[a_backup(kind="D", ended=at, gaps=27, gap=DAY)], started=NOW - 30 * DAY) for at in days)
    return alone((before, days[1] + HOUR), (last, NOW))


def spring(before: bool) -> Callable[[], Fleet]:
    """The night of daylight saving: altered 74 minutes before the backup, which today's offset makes 134."""
    altered, begun = NOW - 5 * HOUR, NOW - 5 * HOUR + 74 * MINUTE

    def rows(offset: int, *, seen: float, backups: Any, start: float) -> Sections:
        found = server(backups=backups, started=start)
        found["instance"][0]["utc_offset_minutes"] = offset
        found["credentials"][0]["modified_utc"] = utc(seen)
        return found

    late = a_backup(ended=begun + MINUTE, gap=6 * HOUR) | {"offset_minutes": 120}
    early = a_backup(ended=NOW - DAY, gap=6 * HOUR) | {"offset_minutes": 60}
    night = rows(120, seen=altered - HOUR, backups=[late], start=NOW - 60 * DAY)
    first = (rows(60, seen=NOW - 100 * DAY, backups=[early], start=NOW - 60 * DAY), NOW - DAY + HOUR)
    return lambda: alone(*([first] if before else []), (night, NOW))


def pushed_out() -> Fleet:
    """1,200 newer lines of other databases."""
    lines = [a_line("3041", NOW - HOUR + number, backup_of=f"db{number} Check", lines=4) for number in range(300)]
    first = changed(log_backups(NOW - 3 * HOUR), errors=[other(), a_line("3303", NOW - 2 * HOUR)])
    return alone(healthy(), (first, NOW - HOUR), (changed(log_backups(NOW - 3 * HOUR, log_since=NOW - HOUR), errors=lines), NOW))


def clock_ahead() -> Fleet:
    """The clock of the server is 26 hours ahead, so that a backup of yesterday seems to be of now."""
    by = 26 * HOUR
    rows = server(backups=[a_backup(ended=NOW + by - HOUR / 2)], log_since=NOW - 30 * DAY)
    rows["instance"][0]["read_at_utc"] = utc(NOW + by)
    return alone(healthy(), (changed(rows, log=[{"since_utc": utc(NOW - 30 * DAY), "until_utc": utc(NOW + by)}]), NOW))


def auto_closed() -> Fleet:
    """The database was under key 1 when it was backed up; it is closed now, under key 2, and SQL Server shows no key."""
    rows = server(databases={"sales": "0x2C56", "hr": "0x2C57"}, backups=[a_backup(gap=6 * HOUR), a_backup("hr", gap=6 * HOUR)])
    rows["encryption"], rows["opened"] = rows["encryption"][:1], rows["opened"][:1]
    for each in rows["databases"]:
        each["auto_close"] = int(each["name"] == "hr")
    targets = [row(), row(target="second", key_version=V2)]
    return alone((rows, BEFORE), (rows, NOW), targets=targets)


def without_rows(section: str) -> Callable[[], Fleet]:
    def made() -> Fleet:
        held = alone(healthy(), (log_backups(), NOW))
        (known,) = held.exporters["http://e1"][1]["sql_servers"]
        next(each for each in known["document"]["sections"] if each["section"] == section).pop("rows")
        return held

    return made


def patched_to_another_node() -> Fleet:
    proven = server("FCI\\SQLPRD01", node="N1", nodes={"N1": 0, "N2": 0}, started=NOW - 3 * DAY, backups=[a_backup()])
    return alone((proven, BEFORE), (proven, NOW))


INCIDENTS: dict[str, tuple[Callable[[], Fleet], str, str]] = {
    "the log was cycled after a 3303": (log_cycled, "not_ready", "backups_fail"),
    "the log was cycled, unseen": (log_cycled_unseen, "not_known", "log_not_read"),
    "log backups fail with 3041 alone": (failing_alone, "not_known", "backups_fail_unexplained"),
    "a code of the provider, from a line in any language": (failing_with("2050"), "not_ready", "backups_fail"),
    "an unknown code of the provider": (failing_with("9999"), "not_ready", "backups_fail"),
    "the DLL was not loaded": (failing_with("33027"), "not_ready", "backups_fail"),
    "a key is missing": (failing_with("33111"), "not_ready", "backups_fail"),
    "all sections are of three days ago": (read_long_ago, "not_known", "reading_old"),
    "one section is of three days ago": (one_section_read_long_ago, "not_known", "reading_old"),
    "the credential of N2 was not altered with that of N1": (left_behind, "not_known", "credential_left_behind"),
    "the key was moved since": (key_moved, "not_known", "credential_not_proven"),
    "where it may fail over, a 3303": (fails_elsewhere, "not_ready", "backups_fail"),
    "28 daily backups, then none for 3.5 days": (backups_ended, "not_known", "proof_old"),
    "a backup 74 minutes after the change, in spring": (spring(before=True), "not_known", "credential_not_proven"),
    "the same, at the first reading": (spring(before=False), "not_known", "credential_not_proven"),
    "1,200 newer lines of failed backups": (pushed_out, "not_ready", "backups_fail"),
    "a clock 26 hours ahead": (clock_ahead, "not_known", "server_clock"),
    "a database with AUTO_CLOSE": (auto_closed, "not_known", "credential_not_proven"),
    "errors without rows": (without_rows("errors"), "not_known", "log_not_read"),
    "encryption without rows": (without_rows("encryption"), "not_known", "reading_old"),
    "changes without rows": (without_rows("changes"), "not_known", "credential_not_proven"),
    "a cluster instance proven on one node": (patched_to_another_node, "not_known", "node_not_proven"),
}


def test_without_an_incident_it_is_ready():
    found = alone(healthy(), (log_backups(), NOW)).answer()
    assert (found.verdict, found.reasons) == ("ready", ())


@pytest.mark.parametrize("name", INCIDENTS)
def test_incident_is_never_ready(name):
    made, verdict, condition = INCIDENTS[name]
    found = made().answer()
    assert (found.verdict, [str(each.condition) for each in found.reasons if each.condition == condition][:1]) == (
        verdict,
        [condition],
    ), [each.text for each in found.reasons]


@pytest.mark.parametrize("name", INCIDENTS)
def test_page_and_series_show_the_incident(name):
    """The running exporter shows what the gate answers from it alone."""
    made, verdict, condition = INCIDENTS[name]
    readiness = made().answer().readiness
    missing = [(each, one) for each in readiness for one in each.missing if one.condition == condition]
    assert missing
    page = re.sub(r"<[^>]+>", "", unescape(str(restart_section(readiness, NOW))))
    samples = [readiness_samples([each], NOW) for each, _ in missing]
    for (each, one), values in zip(missing, samples, strict=True):
        assert f"{each.server}, key {each.key_name}: " in page
        labels = ("evidence", one.evidence), ("answer", "not_ready" if one.known else "not_known")
        assert labels in [found[2:] for found, _ in values["mssql_ekm_restart_missing_info"]]
        until = [at for _, at in values["mssql_ekm_restart_ready_until_timestamp_seconds"]]
        assert until == ([0.0] if each.answer(NOW) == "not_ready" else [])
    assert verdict in {each.answer(NOW) for each, _ in missing}


# What the simulator can play: T-SQL over TDS, the monitor, the API and the command.


def silent_backups(name: str) -> Event:
    return day(f"N1\\{name}", backups=False)


READ = (0, 40, 65, 80, 110, 300, 1440, 2900)  # all of them, as they have one client
STORIES = (
    Story(
        "cycled",  # a 3303 is read once, then the log is another one
        read=READ,
        shown=(40, 65, 110),
        events={
            41: silent_backups("CYCLED"),
            60: fault("sql_errors_logged", "N1\\CYCLED"),
            70: recovered("N1\\CYCLED"),
        },
        credential="tde-half",  # which Entra ID refuses, as it seems to the others
        asked=("n1",),
    ),
    Story(
        "damaged",  # a section arrives without its rows
        read=READ,
        shown=(40, 110),
        events={45: fault("sql_section_damaged", "N1\\DAMAGED", view="encryption")},
        asked=("n1",),
    ),
    Story(
        "altered",  # N1 gets a new secret and proves it; N2 does not
        nodes=("n1", "n2"),
        read=READ,
        shown=(300,),
        events={10: restart("N2\\ALTERED"), 60: fault("sql_credential_altered", "N1\\ALTERED", seconds=0)},
        credential="tde-own",
        asked=("n2",),
    ),
    Story(
        "ended",  # backups stop, and nothing fails
        read=READ,
        shown=(40, 2900),
        events={45: silent_backups("ENDED")},
        asked=("n1",),
    ),
    Story("first", read=READ, shown=(0, 40), asked=("n1",)),
)
# By story and minute: the conditions of the gate.
PLAYED = {
    ("cycled", 40): set(),
    ("cycled", 65): {"backups_fail"},
    ("cycled", 110): {"backups_fail"},
    ("damaged", 40): set(),
    ("damaged", 110): {"inventory_old", "reading_old"},
    ("altered", 300): {"credential_left_behind"},
    ("ended", 40): set(),
    ("ended", 2900): {"proof_old"},
    ("first", 0): {"credential_not_proven"},
    ("first", 40): set(),
}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def observed(tmp_path_factory):
    async with StoryRunner(tmp_path_factory.mktemp("stories"), STORIES) as runner:
        await runner.run()
        yield runner.observed


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize(("story", "minute"), PLAYED)
async def test_incident_over_tds(observed, story, minute):
    (asked,) = next(each.asked for each in STORIES if each.name == story)
    found = observed[story].answers[minute, asked]
    assert set(found.missing) == PLAYED[story, minute], found.text

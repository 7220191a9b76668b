"""What the log of a database has left, and for how long."""

from __future__ import annotations

import pytest

from exporter.metrics.sql_server import sql_server_samples
from exporter.sqlserver.logs import LogSpace, log_spaces, stalled_logs
from exporter.sqlserver.reading import flag_is_on, rows
from tests.support.sql_readings import READ_AT, a_reading, an_unread_server, proof_rows, with_growing_logs
from tests.support.values import replace

KIB, MIB = 1024.0, 1048576.0
RATE = MIB / 300


def a_log(*leave_out, **changes):
    row = proof_rows("sales")["logs"][0] | changes
    return {name: value for name, value in row.items() if name not in leave_out}


def space_of(*leave_out, flags=None, **changes):
    """Return the log that grew by 1 MiB within 300 seconds."""
    sections = {"logs": [a_log(*leave_out, **changes)]} | ({} if flags is None else {"flags": flags})
    (space,) = log_spaces(with_growing_logs(a_reading(sections=sections)))
    return space


def test_growing_log_shows_times_until_it_is_full():
    free = (2_097_152 - 102_400) * KIB
    assert space_of() == LogSpace("sales", 102_400 * KIB, free, RATE, free / RATE, 64 * MIB / RATE)


@pytest.mark.parametrize(
    ("leave_out", "changes", "free"),
    [
        ((), {}, 1_994_752),
        ((), {"disk_free_kb": 100}, 946_276),  # and the unused part of the files
        ((), {"disk_free_kb": 100, "total_kb": 0}, 100),
        (("limit_kb",), {}, 11_431_936),
        (("disk_free_kb",), {}, 1_994_752),
        (("disk_free_kb",), {"limit_kb": 102_399}, 0),
        (("disk_free_kb", "limit_kb"), {}, None),
    ],
)
def test_free_space_ends_at_limit_or_disk(leave_out, changes, free):
    assert space_of(*leave_out, **changes).free_bytes == (None if free is None else free * KIB)


def volume_of(count, grown_kb=1024, **changes):
    """Return the logs that grew by 1 MiB each, without a limit, on one volume; `grown_kb` is that of the first."""
    changed = {"volume": "L:\\", "total_kb": 0, "disk_free_kb": 1024 * count} | changes
    known = {column: value for column, value in changed.items() if value is not None}
    unknown = changed.keys() - known.keys()
    logs = [a_log("limit_kb", *unknown, database=f"d{number}", **known) for number in range(count)]
    reading = with_growing_logs(a_reading(sections={"logs": logs}))
    assert reading.earlier_logs is not None
    at, earlier = reading.earlier_logs
    used = logs[0]["used_kb"]
    return replace(reading, earlier_logs=(at, ({**earlier[0], "used_kb": used - grown_kb}, *earlier[1:])))


def seconds_of(reading):
    """Return the whole seconds until each log is full."""
    return [log.full_in and round(log.full_in) for log in log_spaces(reading)]


def changed(reading, *changes):
    """Return the reading with other logs; None leaves a column out."""
    logs = [
        {name: value for name, value in {**row, **change}.items() if value is not None}
        for row, change in zip(reading.document.sections["logs"], changes, strict=True)
    ]
    return replace(reading, document=replace(reading.document, sections={**reading.document.sections, "logs": tuple(logs)}))


TOTAL = a_log()["used_kb"] + 2048


@pytest.mark.parametrize(
    ("reading", "seconds"),
    [
        (volume_of(50), [300] * 50),
        (volume_of(3, grown_kb=-1), [None, 450, 450]),  # without a rate, no room is taken
        (changed(volume_of(2), {"log_backup_utc": None}, {}), [None, 600]),  # checkpoints truncate it
        (changed(volume_of(3), {"last_volume": "M:\\"}, {}, {"volume": "M:\\"}), [450] * 3),  # on two volumes
        (volume_of(4, volume=None), [1200] * 4),  # of an unknown volume, its disk alone counts
        # Room in the files of a log is its own.
        *((volume_of(2, total_kb=TOTAL, disk_free_kb=kb), [at] * 2) for kb, at in ((0, 600), (2048, 600), (4096, 900), (8192, 1500))),
    ],
)  # fmt: skip
def test_logs_of_one_volume_share_its_room(reading, seconds):
    assert seconds_of(reading) == seconds


def test_room_of_a_volume_is_that_of_each_log():
    assert {log.free_bytes for log in log_spaces(volume_of(50))} == {50 * MIB}


@pytest.mark.parametrize(
    ("space", "rate", "is_full", "has_next_file"),
    [
        (space_of("limit_kb", "disk_free_kb"), RATE, False, True),  # without any end
        (space_of("vlf_mb"), RATE, True, False),
        (space_of("log_backup_utc", reuse_wait="LOG_BACKUP"), RATE, True, True),
        (space_of("log_backup_utc", reuse_wait="NOTHING"), RATE, False, True),  # checkpoints truncate it
        (space_of("log_backup_utc", "disk_free_kb", used_kb=2_097_152), RATE, False, True),
        (log_spaces(a_reading())[0], None, False, False),  # of one reading
    ],
)
def test_what_is_unknown_has_no_time(space, rate, is_full, has_next_file):
    assert (space.rate, space.full_in is not None, space.next_file_in is not None) == (rate, is_full, has_next_file)


@pytest.mark.parametrize(("earlier_kb", "rate"), [(102_400, 0.0), (102_401, None), (None, None)])
def test_log_that_did_not_grow_is_never_full(earlier_kb, rate):
    earlier = a_log("used_kb") if earlier_kb is None else a_log(used_kb=earlier_kb)
    reading = a_reading()
    (space,) = log_spaces(replace(reading, earlier_logs=(reading.attempted_at - 300, (earlier,))))
    assert (space.rate, space.full_in, space.next_file_in) == (rate, None, None)


@pytest.mark.parametrize(("used_kb", "full_in"), [(2_097_152, 0.0), (2_096_000, 0.0), (2_090_000, None)])
def test_full_log_without_a_rate_is_full_now(used_kb, full_in):
    """A full log stops to grow, because its database no longer writes."""
    reading = a_reading(sections={"logs": [a_log("disk_free_kb", used_kb=used_kb)]})
    earlier = (reading.attempted_at - 300.0, (a_log(used_kb=used_kb),))
    (space,) = log_spaces(replace(reading, earlier_logs=earlier))
    assert (space.rate, space.full_in) == (0.0, full_in)


@pytest.mark.parametrize("seconds", [0, -300])
def test_rate_needs_earlier_reading(seconds):
    reading = a_reading()
    assert log_spaces(replace(reading, earlier_logs=(reading.attempted_at - seconds, (a_log(used_kb=1),))))[0].rate is None


def test_rate_follows_its_own_database():
    reading = with_growing_logs(a_reading("hr", "sales"))
    assert reading.earlier_logs is not None
    reading = replace(reading, earlier_logs=(reading.earlier_logs[0], reading.earlier_logs[1][1:]))
    assert [(space.database, space.rate) for space in log_spaces(reading)] == [("hr", None), ("sales", RATE)]


@pytest.mark.parametrize(
    ("flags", "is_on"), [([{"flag": 15025, "is_on": 1}], True), ([{"flag": 15025, "is_on": 0}], False), ([], None)]
)
def test_next_file_needs_vault_without_trace_flag(flags, is_on):
    assert flag_is_on(a_reading(sections={"flags": flags}), 15025) is is_on
    assert (space_of(flags=flags).next_file_in is not None) == (is_on is False)


# sys.dm_db_log_stats has the recovery model and the time of the last log backup there; the limit and the disk come from other views.
OF_A_SECONDARY = ("vlf_sequence_number", "vlf_count", "vlf_mb", "total_kb", "used_kb", "since_backup_kb")


def test_log_of_a_secondary_replica_is_unknown_and_never_empty():
    row = a_log(*OF_A_SECONDARY)
    assert {"database", "log_backup_utc", "limit_kb", "disk_free_kb"} <= set(row)
    assert log_spaces(a_reading(sections={"logs": [row]})) == ()
    assert stalled_logs(with_growing_logs(a_reading()), [row]) == {}  # it was the primary before
    values = sql_server_samples(a_reading(sections={"logs": [row]}))
    assert {name: values[name] for name in values if name.startswith("mssql_ekm_log_") and values[name]} == {}


def test_server_that_was_never_read_has_no_log():
    assert log_spaces(an_unread_server()) == ()
    assert rows(an_unread_server(), "logs") == ()
    assert flag_is_on(an_unread_server(), 15025) is None


def two_readings(**changes):
    """Return a reading whose log grew, and the rows of the next one."""
    before = with_growing_logs(a_reading())
    return before, [{**before.document.sections["logs"][0], **changes}]


@pytest.mark.parametrize(
    ("changes", "stalls"), [({}, True), ({"used_kb": 102_401}, False), ({"log_backup_utc": "2026-11-26T20:04:00"}, False)]
)
def test_log_stalls_until_it_grows_or_is_backed_up(changes, stalls):
    before, later = two_readings(**changes)
    assert stalled_logs(before, later) == ({"sales": (READ_AT, RATE)} if stalls else {})


def test_stalled_log_keeps_rate_and_time_of_its_stop():
    _, later = two_readings()
    known = a_reading()
    known = replace(known, stalled={"sales": (READ_AT - 300, 2 * RATE)})
    (space,) = log_spaces(known)
    assert (space.rate, space.stalled_at, space.next_file_in) == (2 * RATE, READ_AT - 300, None)
    assert space.full_in == space.free_bytes / (2 * RATE)
    assert stalled_logs(known, later) == known.stalled
    assert stalled_logs(a_reading(), later) == {}  # it never grew

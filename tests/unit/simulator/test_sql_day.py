"""The day of a simulated SQL Server, as a function of time alone: backups, tokens, logs and the lines of failures."""

import itertools

import pytest

from exporter.simulator.environment import (
    RECOVERY_PENDING,
    DaySettings,
    EventSession,
    SimulatedSqlServer,
    SqlDatabase,
    SqlKey,
    VaultSide,
)
from exporter.simulator.sql_answers import event_session
from exporter.simulator.sql_day import DIFFERENTIAL, FULL, LOG, LogLine, begin_day
from tests.support.values import replace

BEGIN = 1_700_000_000.0
MINUTE, HOUR, DAY = 60.0, 3600.0, 86400.0
MARK = "0xA1"
KEY = SqlKey(vault="v", key_name="K", key_version="1" * 32, thumbprint=MARK, credential="c", identity="v")
WORKS = {MARK: VaultSide()}
NO_SIGN_IN = {MARK: VaultSide(sign_in="3303")}
REFUSED = {MARK: VaultSide(key="3077")}


def server(*databases, groups=(), name="N1", **day):
    databases = databases or (SqlDatabase(name="pay", thumbprint=MARK),)
    return SimulatedSqlServer(
        name=name, sql_instance=name, host=name, keys=(KEY,), databases=databases, groups=groups, day=DaySettings(**day)
    )


class Day:
    """One day from its begin, in steps."""

    def __init__(self, of=None):
        self.server = of or server()
        self.day = begin_day(self.server, BEGIN)
        self.now = BEGIN
        self.pass_by(0.0)

    def pass_by(self, seconds, sides=WORKS, **changes):
        self.now += seconds
        self.day.advance(self.server, sides, self.now)
        if changes:
            self.server = replace(self.server, day=replace(self.server.day, **changes))
            self.day.advance(self.server, sides, self.now)
        return self

    @property
    def pay(self):
        return self.day.databases["pay"]

    def codes(self, since=0.0):
        return {line.code for line in self.day.log_lines(self.server, since)}

    def age(self, kind):
        """Return the seconds since the last good backup ended."""
        return self.now - self.pay.finished[kind][1]


@pytest.mark.parametrize("passed", [0.0, 1.0, HOUR, DAY, 7 * DAY])
def test_healthy_day_has_recent_backups_at_any_time(passed):
    day = Day().pass_by(passed)
    assert 0 <= day.age(LOG) < 15 * MINUTE
    assert 0 <= day.age(FULL) < DAY
    assert DIFFERENTIAL not in day.pay.finished
    assert all(started < finished for started, finished in day.pay.finished.values())
    assert day.pay.used_kb <= 15 * MINUTE * 64
    assert day.pay.writes(day.server.day)
    assert not day.codes()


def test_two_questions_play_the_same_day_as_one():
    once, twice = Day().pass_by(DAY), Day()
    for _ in range(240):
        twice.pass_by(DAY / 240)
    assert twice.pay.finished == once.pay.finished
    assert twice.pay.sequence == once.pay.sequence
    assert twice.pay.used_kb == pytest.approx(once.pay.used_kb)


def test_backups_have_the_interval_that_was_set():
    day = Day(server(every=10.0, differential_every=20.0, full_every=0.0)).pass_by(HOUR)
    assert day.age(LOG) <= 10.0
    assert day.age(DIFFERENTIAL) <= 20.0
    assert FULL not in day.pay.finished


def test_shorter_interval_begins_at_once():
    day = Day().pass_by(HOUR, every=2.0).pass_by(5.0)
    assert day.age(LOG) <= 2.0


def test_speed_shortens_every_interval():
    day = Day(server(speed=900.0)).pass_by(10.0)
    assert day.age(LOG) <= 1.0
    assert day.age(FULL) <= 96.0


def test_token_lives_on_until_backups_fail():
    day = Day(server(token_seconds=75 * MINUTE)).pass_by(10 * HOUR)
    fault = day.now
    day.pass_by(75 * MINUTE + 15 * MINUTE, NO_SIGN_IN)
    signed_in = day.day.tokens["c"]
    assert signed_in <= fault
    assert day.pay.finished[LOG][1] < signed_in + 75 * MINUTE
    assert day.pay.finished[LOG][1] > signed_in + 60 * MINUTE - 1
    assert {"3303", "3041"} <= day.codes()
    assert min(line.at for line in day.day.lines) >= signed_in + 75 * MINUTE


def test_token_is_no_help_if_the_key_is_refused():
    day = Day().pass_by(HOUR)
    before = day.pay.finished[LOG]
    assert day.pass_by(15 * MINUTE, REFUSED).pay.finished[LOG] == before
    assert day.codes() >= {"3077", "3041"}


def test_failure_without_a_code_writes_the_messages_alone():
    day = Day().pass_by(15 * MINUTE, {MARK: VaultSide(key="")})
    assert day.codes() == {"3041"}
    assert {line.backup_of for line in day.day.lines if line.code == "3041"} == {"pay"}


def test_log_backup_after_a_failure_truncates_again():
    day = Day(server(trace_flag=True)).pass_by(3 * HOUR, REFUSED)
    assert day.pay.used_kb > 3 * HOUR * 64 - 1
    assert day.pay.log_backup_failed
    day.pass_by(15 * MINUTE)
    assert day.pay.used_kb <= 15 * MINUTE * 64
    assert not day.pay.log_backup_failed


def test_log_grows_to_its_limit_and_then_stops():
    limit = 2_000_000
    day = Day(server(trace_flag=True, limit_kb=limit)).pass_by(20 * HOUR, REFUSED)
    settings = day.server.day
    assert day.pay.used_kb == pytest.approx(limit)
    assert day.pay.free_kb(settings) == pytest.approx(0)
    assert not day.pay.writes(settings)
    assert day.pay.total_kb(settings) == limit
    last = day.pay.sequence
    assert day.pass_by(HOUR, REFUSED).pay.sequence == last
    assert day.pass_by(15 * MINUTE).pay.writes(settings)


def test_log_takes_the_disk_and_then_stops():
    first, disk = 16 * 65_536, 500_000
    day = Day(server(trace_flag=True, disk_kb=disk))
    assert day.pay.disk_free_kb(day.server.day) == disk
    day.pass_by(20 * HOUR, REFUSED)
    assert day.pay.used_kb == pytest.approx(first + disk)
    assert day.pay.disk_free_kb(day.server.day) == 0


def test_number_of_the_log_file_rises_with_the_log():
    day = Day(server(kb_per_second=64.0, vlf_kb=64))
    before = day.pay.sequence
    assert day.pass_by(100.0).pay.sequence - before in {99, 100, 101}


def test_smaller_log_files_begin_at_once():
    day = Day(server(vlf_kb=1_000_000))
    before = day.pay.sequence
    assert day.pass_by(0.0, vlf_kb=6400).pass_by(1000.0).pay.sequence - before in {9, 10}


def test_new_log_file_needs_the_vault():
    day = Day(server(every=0.0, full_every=0.0)).pass_by(DAY, REFUSED)
    before = day.pay.sequence
    assert not day.pay.writes(day.server.day)
    assert day.codes() == {"3077"}
    day.pass_by(2 * MINUTE)
    assert day.pay.writes(day.server.day)
    assert day.pay.sequence == before + 1


def test_new_log_file_under_the_flag_needs_no_vault():
    day = Day(server(every=0.0, full_every=0.0, trace_flag=True)).pass_by(DAY, REFUSED)
    assert day.pay.writes(day.server.day)
    assert not day.codes()
    assert day.day.tokens == {"c": BEGIN}


def test_flag_lets_a_waiting_log_go_on():
    day = Day(server(every=0.0, full_every=0.0)).pass_by(DAY, REFUSED, trace_flag=True).pass_by(2 * MINUTE, REFUSED)
    assert day.pay.writes(day.server.day)


def test_server_without_growth_keeps_its_log_file():
    day = Day(server(kb_per_second=0.0))
    before = day.pay.sequence
    assert day.pass_by(DAY).pay.sequence == before


def test_restart_opens_databases_if_the_vault_answers():
    day = Day().pass_by(HOUR, REFUSED)
    assert day.day.restart(day.server, WORKS, day.now) == {"pay"}
    assert not day.codes()
    assert day.day.tokens == {"c": day.now}


def test_restart_has_no_token_of_an_earlier_sign_in():
    day = Day().pass_by(HOUR)
    assert day.day.restart(day.server, NO_SIGN_IN, day.now) == set()
    assert day.codes() == {"3303"}


def test_closed_database_has_no_events_until_it_opens():
    day = Day()
    opened, closed = day.server, replace(SqlDatabase(name="pay", thumbprint=MARK), state=RECOVERY_PENDING)
    before, used = dict(day.pay.finished), day.pay.used_kb
    day.server = replace(opened, databases=(closed,))
    day.pass_by(DAY)
    assert day.pay.finished == before
    assert day.day.shown(day.server) == []
    day.server = opened
    day.pass_by(0.0)
    assert day.pay.finished == before
    assert day.pay.used_kb == used
    assert day.pass_by(15 * MINUTE).age(LOG) <= 15 * MINUTE


def test_full_log_asks_the_vault_once_a_minute():
    day = Day(server(every=0.0, full_every=0.0)).pass_by(DAY, REFUSED)
    moments = [line.at for line in day.day.lines]
    assert len(moments) > 2
    assert {later - earlier for earlier, later in itertools.pairwise(moments)} == {MINUTE}


def test_restart_lets_a_waiting_log_go_on_at_once():
    day = Day(server(every=0.0, full_every=0.0)).pass_by(DAY, REFUSED)
    used = day.pay.used_kb
    day.day.restart(day.server, WORKS, day.now)
    assert day.pass_by(1.0).pay.used_kb == pytest.approx(used + 64)


GROUP = (("AG1", ("N1", "N2")),)
IN_GROUP = SqlDatabase(name="pay", thumbprint=MARK, ag="AG1")


@pytest.mark.parametrize(
    ("name", "backups", "shown"), [("N1", None, True), ("N2", None, False), ("N1", False, False), ("N2", True, True)]
)
def test_first_server_of_a_group_makes_the_backups(name, backups, shown):
    day = Day(server(IN_GROUP, groups=GROUP, name=name, backups=backups)).pass_by(DAY)
    assert bool(day.day.shown(day.server)) is shown


def test_lines_of_a_fault_stand_among_the_others():
    day = Day().pass_by(HOUR, REFUSED)
    written = LogLine(day.now - MINUTE, "3303")
    day.server = replace(day.server, logged=((written.at, written.code),))
    assert written in day.day.log_lines(day.server, BEGIN)
    assert day.day.log_lines(day.server, day.now) == []


def test_failures_of_weeks_keep_a_bounded_number_of_lines():
    assert len(Day().pass_by(60 * DAY, REFUSED).day.lines) == 3000


@pytest.mark.parametrize(
    ("options", "is_delayed"),
    [("", False), (" WITH (MAX_DISPATCH_LATENCY = 5 SECONDS)", False), (" WITH (MAX_DISPATCH_LATENCY = INFINITE)", True)],
)
def test_session_is_as_its_statement_says(options, is_delayed):
    text = f"CREATE EVENT SESSION x ON SERVER ADD EVENT sqlserver.sec_ekm_provider_called ADD TARGET package0.event_file{options}"
    assert event_session(text, server(), BEGIN) == (EventSession("x", is_delayed=is_delayed),)

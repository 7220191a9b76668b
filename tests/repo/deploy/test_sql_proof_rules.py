"""Alerts on what SQL Server proves itself: incidents as SQL Server and the exporter would show them, minute by minute.

tests/integration/sqlservers/stories.py has those that a simulated SQL Server plays.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pytest

from tests.repo.deploy.rule_cases import (
    ERRORS,
    EXPORTER,
    HOURS,
    N1,
    N2,
    NEW,
    OLD,
    OTHER_EXPORTER,
    Series,
    checked,
    count,
    firing,
    moments,
    of_other_exporter,
    over,
    pinned,
    problems,
    read,
    series,
    side,
    step_of,
    uses,
)

pytestmark = pytest.mark.real

ALL = ".*"
PROVEN = "mssql_ekm_proven_timestamp_seconds"


@dataclass(frozen=True)
class Server:
    """A SQL Server with one database, whose log is backed up every `every` minutes. It fails from one minute to another one."""

    node: str = N1
    minutes: int = 300
    every: int = 15
    fails: tuple[int, int] = (10**6, 10**6)
    code: str = "3303"
    database: str = "pay"
    failure_code: str = "3041"
    error_log: bool = True
    flag: float = 0.0
    full: float = 36000.0
    key: str = OLD
    ag: str = ""
    replicas: str = "n1 n2"
    serves: tuple[int, int] = (-(10**6), 10**6)  # from one minute to another one it is the primary replica, and makes backups

    def finished(self, minute: int) -> float | None:
        """Return the end of the last good backup."""
        good = [each for each in range(-self.every, minute + 1, self.every) if self.is_primary(each) and not self.failed(each)]
        return 60.0 * max(good) if good else None

    def is_primary(self, minute: int) -> bool:
        return self.serves[0] <= minute < self.serves[1]

    def failed(self, minute: int) -> bool:
        return self.fails[0] <= minute < self.fails[1]

    def line(self, minute: int) -> float | None:
        """Return the time of the last failed backup."""
        tried = range(0, minute + 1, self.every)
        return max((60.0 * each for each in tried if self.failed(each) and self.is_primary(each)), default=None)

    def left(self, minute: int) -> float | None:
        """Return the time until the log is full. A secondary replica does not show it."""
        return self.full if self.is_primary(minute) else None

    def series(self) -> list[dict[str, str]]:
        def each(name: str, labels: str, value: object) -> dict[str, str]:
            return series(name, f"{self.node}{labels}", over(self.minutes, value if callable(value) else lambda _: value))

        of, key = f',database="{self.database}"', f',key_name="SalesKey",thumbprint="{self.key}"'
        lines = [each(ERRORS, f',code="{code}"', self.line) for code in (self.code, self.failure_code) if code]
        return [
            *read(self.node, self.minutes, *("instance", "backups", "logs", *(["errors"] if self.error_log else []))),
            uses(self.database, self.key, f"3x{self.minutes}", self.node),
            each("mssql_ekm_backup_finished_timestamp_seconds", f'{of},type="log"', self.finished),
            each("mssql_ekm_trace_flag_enabled", ',flag="15025"', self.flag),
            each("mssql_ekm_log_full_seconds", of, self.left),
            each("mssql_ekm_database_state", f',ag="{self.ag}",replicas="{self.replicas}"{of}' if self.ag else of, 0.0),
            each("mssql_ekm_proof_due", key, 0.0),
            each(PROVEN, f'{key},source="log_backup"{of}', self.finished),
            *([each("mssql_ekm_error_log_lines", ',code="other"', 0.0), *lines] if self.error_log else []),
        ]


def ready(values: str, *, team: str = "", minutes: int = 400) -> list[dict[str, str]]:
    """Return a target of the SQL Server with its verdict."""
    more = 'pin="config",mode="full",env="test"' + (f',team="{team}"' if team else "")
    return [*pinned("contoso-key0", OLD, f"1x{minutes}", more=more), side(values)]


def read_every(interval: int, given: Sequence[Series]) -> list[dict[str, str]]:
    """Return the series of a SQL Server that is read at a longer interval: they keep the values of the last reading."""
    held = []
    for each in given:
        values = each["values"].split()
        is_read = "mssql_" in each["series"] and len(values) > interval
        held.append(
            {**each, "values": " ".join(values[at - at % interval] for at in range(len(values))) if is_read else each["values"]}
        )
    return held


def local_time(hours: int, at: int, given: Sequence[Series]) -> list[dict[str, str]]:
    """Return the series of a SQL Server whose clock changed at this minute: earlier times of backups and lines are that many hours off.

    The latest time counts.
    """
    changed = []
    for each in given:
        values = each["values"].split()
        if any(name in each["series"] for name in ("backup_finished", ERRORS, PROVEN)):
            moved = [value if value == "_" or float(value) >= 60 * at else f"{float(value) + 3600 * hours:g}" for value in values]
            last = next((value for value in reversed(moved[: at + 1]) if value != "_"), "0")
            kept = [value if value == "_" else f"{max(float(value), float(last)):g}" for value in moved]
            values = [*values[:at], *kept[at:]]
        changed.append({**each, "values": " ".join(values)})
    return changed


READY, NOT_READY = ready("1x400"), ready("1x119 0x280")
LISTED_ON_N2 = [
    {**each, "series": each["series"].replace('host="n1"', 'host="n2"')} for each in NOT_READY if "ekm_instance" in each["series"]
]
FAILING = Server(fails=(120, 180))


def closed_with_its_key(state: int, at: int) -> list[dict[str, str]]:
    """Return a SQL Server that started without its key: its database is closed, and the lines of the start and of failed backups are its own."""
    given = [
        each
        for each in Server(fails=(at, 10**6)).series()
        if "database_state" not in each["series"] and '"3303"' not in each["series"]
    ]
    closed = series("mssql_ekm_database_state", f'{N1},database="pay"', f"0x{at - 1} {state}x{300 - at}")
    return [*given, closed, series(ERRORS, f'{N1},code="3303"', f"_x{at - 1} {60 * at}x{300 - at}")]


def quiet(alert: str, *minutes: int) -> list[dict[str, object]]:
    return [count(at, alert, 0) for at in minutes]


def text_of(tmp_path, given: Sequence[object], at: int, alert: str, checks: Sequence[Mapping[str, object]] = ()) -> str:
    """Return the labels and annotations of the alert that fires: promtool prints them because the expectation is wrong.

    The checks of the same story must hold.
    """
    wrong = firing(at, alert, {"exp_labels": {"x": "y"}})
    case = {"input_series": given, "alert_rule_test": [wrong], "promql_expr_test": checks}
    output = checked(tmp_path, case, step=step_of([at, *moments(checks)]))
    assert "expr:" not in output, output
    return re.sub(r"\s+", " ", output.partition("got:")[2])


EVERY = range(5, 250, 5)


def lines(values: str, code: str = "3303") -> dict[str, str]:
    return series(ERRORS, f'{N1},code="{code}"', values)


HEALTHY = {
    "a healthy day": [*Server().series(), *READY],
    "a restore of another server's backup": [*Server(code="", failure_code="").series(), *READY, lines("_x60 7200x240", "33111")],
    "a restore of another server's backup, and hours later a failed backup of another cause on a secondary": [
        *Server(ag="AG7", serves=(10**6, 10**6), code="", failure_code="").series(),
        *READY,
        lines("_x60 3600x240", "33111"),
        lines("_x180 10800x120", "3041"),
    ],
    "no error log": [*Server(error_log=False).series(), *READY],
    "a server without a target": Server().series(),
    "one failed backup": [*Server(fails=(120, 121)).series(), *READY],
    "one failed backup every two hours": [*Server(every=120, fails=(120, 121)).series(), *READY],
    "failed backups of a full disk": [*Server(code="", fails=(120, 180)).series(), *READY],
    "a log that is full within the hour before its next backup": [*Server(full=3000.0).series(), *READY],
    "the vault is not ready, and backups go on with a token": [*Server(full=3000.0).series(), *NOT_READY],
    "log backups every minute": [*Server(every=1, full=3000.0).series(), *NOT_READY],
    "log backups every two hours": [*Server(every=120, full=3000.0).series(), *NOT_READY],
    "read every quarter of an hour": [*read_every(15, Server(full=3000.0).series()), *NOT_READY],
    "read every hour": [*read_every(60, Server(full=3000.0).series()), *NOT_READY],
    "clocks go forward": [*local_time(-1, 130, Server(full=3000.0).series()), *NOT_READY],
    "clocks go back": [*local_time(1, 130, Server(full=3000.0).series()), *NOT_READY],
    "a failover, and one failed backup before it": [
        *Server(ag="AG7", fails=(120, 121), serves=(-15, 135), full=3000.0).series(),
        *Server(ag="AG7", node=N2, serves=(135, 300), full=3000.0, code="").series(),
        *NOT_READY,
        *LISTED_ON_N2,
    ],
    "log backups on the secondary": [
        *(each for each in Server(ag="AG7", full=3000.0).series() if "backup_finished" not in each["series"]),
        *(each for each in Server(ag="AG7", node=N2).series() if "log_full" not in each["series"]),
        *NOT_READY,
    ],
    "one lost reading": [*Server(fails=(10**6, 0)).series()[1:], series("mssql_ekm_read_success", N1, "1x100 0x5 1x200"), *READY],
}


@pytest.mark.parametrize(
    ("code", "first"),
    [
        ("3303", "write the present secret with `alter-credential.sql`."),
        ("3008", "test the network path from this SQL Server to the vault, with the proxy of its service account."),
        ("3077", "compare identity and key with those of the probe (`verify.sql`)."),
        ("2058", "run `ekm-exporter doctor TARGET` on the host of this SQL Server."),
        ("3011", "ekm-exporter explain 3011."),
    ],
)
def test_backups_fail_has_the_first_action_of_its_code(tmp_path, code, first):
    given = [dict(each, series=each["series"].replace('"3303"', f'"{code}"')) for each in FAILING.series()]
    text = text_of(tmp_path, [*given, *READY], 150, "EkmSqlBackupsFail")

    assert f"code {code}. No backup finished since of: [pay]. First: {first}" in text


@pytest.mark.parametrize("code", ["33027", "33111"])
def test_message_without_a_code_pages_while_backups_fail(code, tmp_path):
    given = [*Server(fails=(120, 180), code=code).series(), *READY]
    text = text_of(tmp_path, given, 150, "EkmSqlBackupsFail")
    assert f"fail with code {code}. No backup finished since of: [pay]. First: ekm-exporter explain {code}." in text
    checks = [*quiet(ALL, 60, 130), *(count(at, "EkmSqlBackupsFail", 1) for at in range(140, 180, 5)), *quiet(ALL, 185, 295)]
    # Failures of another cause between them end nothing.
    others = lines(over(300, lambda minute: 60.0 * (minute - (minute - 12) % 15)), "18204")
    assert problems(tmp_path, checks, {"alone": given, "with others": [*given, others]}) == ""


def test_healthy_servers_fire_no_alert(tmp_path):
    assert problems(tmp_path, quiet(ALL, *EVERY), HEALTHY) == ""


def test_backups_fail_names_code_database_and_verdict(tmp_path):
    text = text_of(tmp_path, [*FAILING.series(), *ready("1x400", team="payments")], 150, "EkmSqlBackupsFail")

    assert "Since about 1970-01-01 02:00:00 +0000 UTC backups of encrypted databases on SQLPRD01 (n1) fail with" in text
    assert "code 3303. No backup finished since of: [pay]. First: write the present secret" in text
    assert "Vault side, reported by ekm-exporter: contoso-key0 ready. If it is ready" in text
    assert 'env="test"' in text
    assert 'team="payments"' in text


def test_backups_that_still_fail_after_the_vault_page(tmp_path):
    given = [*Server(fails=(120, 280)).series(), *ready("1x119 0x60 1x200")]
    checks = [*quiet("EkmSqlBackupsFail", 140, 160, 175), count(195, "EkmSqlBackupsFail", 1), count(290, "EkmSqlBackupsFail", 0)]

    assert problems(tmp_path, checks, given) == ""


def test_page_goes_on_if_the_vault_fails_later(tmp_path):
    given = [*Server(fails=(120, 280)).series(), *ready("1x150 0x250")]

    assert problems(tmp_path, [count(at, "EkmSqlBackupsFail", 1) for at in range(140, 280, 5)], given) == ""


def test_closed_database_stops_the_page_of_its_own_backups_alone(tmp_path):
    """An unrelated one was closed before, or closes in the same minute: then missing log backups of the open one decide."""
    before = series("mssql_ekm_database_state", f'{N1},database="hr"', "0x60 4x260")
    together = series("mssql_ekm_database_state", f'{N1},database="hr"', "0x119 3x200")
    checks = [count(at, "EkmSqlBackupsFail", 1) for at in range(140, 180, 5)]
    failing = Server(fails=(120, 240)).series()

    assert problems(tmp_path, [*checks, *quiet("EkmSqlBackupsFail", 135, 185)], [*FAILING.series(), *READY, before]) == ""
    checks = [count(150, "EkmSqlDatabaseNotOpened", 1), *quiet("EkmSqlBackupsFail", 140, 150)]
    checks += [count(at, "EkmSqlBackupsFail", 1) for at in range(160, 240, 5)]
    assert problems(tmp_path, [*checks, *quiet("EkmSqlBackupsFail", 245)], [*failing, *READY, together]) == ""


def test_closed_database_whose_key_works_is_not_the_vault(tmp_path):
    """Another database of the key makes backups; a proof from before the start does not count."""
    closed = series("mssql_ekm_database_state", f'{N1},database="hr"', "0x119 4x180")
    given = [*Server().series(), uses("hr", OLD, "3x119 stale"), closed, *READY]
    text = text_of(tmp_path, given, 150, "EkmSqlDatabaseNotOpened")
    assert (
        "Database hr on SQLPRD01 (n1) is SUSPECT. First: look for missing files and damage, because the vault is not the cause:"
        in text
    )
    assert "SQL Server proved its key SalesKey at 02:30 UTC, by [pay]." in text
    text = text_of(tmp_path, [*closed_with_its_key(3, 125), *READY], 130, "EkmSqlDatabaseNotOpened")
    assert "is RECOVERY PENDING. First: read what SQL Server logged: ekm-exporter explain 3303. If a key in" in text
    silent = [each for each in closed_with_its_key(3, 125) if "error_log" not in each["series"]]
    text = text_of(tmp_path, [*silent, *READY], 130, "EkmSqlDatabaseNotOpened")
    assert "is RECOVERY PENDING. First: read messages 33027, 33028, 33049 and 33111 in the error log" in text


def test_daily_backup_that_failed_once_pages_after_two_hours(tmp_path):
    given = [*Server(every=240, minutes=520, fails=(240, 241)).series(), *READY]
    checks = [*quiet(ALL, 250, 350), count(375, "EkmSqlBackupsFail", 1), *quiet("EkmSqlBackupsFail", 485, 515)]

    assert problems(tmp_path, checks, given) == ""


def test_database_without_log_backups_pages_among_others_that_succeed(tmp_path):
    """Another key of the same SQL Server works; no line of a failed backup, as from a tool that makes backups by VDI."""
    failing = Server(fails=(120, 280), failure_code="", database="hr", key=NEW)
    checks = [*quiet("EkmSqlBackupsFail", 130, 145), *(count(at, "EkmSqlBackupsFail", 1) for at in (160, 200, 250))]
    checks += quiet("EkmSqlBackupsFail", 285)
    mine = [each for each in failing.series() if 'database="hr"' in each["series"] or ERRORS in each["series"]]

    assert problems(tmp_path, checks, [*Server(code="", failure_code="").series(), *mine, *READY]) == ""


# A secondary replica makes no backups: its lines come from its virtual log files.
SECONDARY = [each for each in Server().series() if "backup" not in each["series"] and ERRORS not in each["series"]]


def test_lines_of_a_node_without_backups_page_after_half_an_hour(tmp_path):
    given = [*SECONDARY, lines("_x120 " + over(180, lambda minute: 60.0 * (121 + min(minute, 45)))), *READY]
    checks = [*quiet("EkmSqlBackupsFail", 125, 150), count(155, "EkmSqlBackupsFail", 1), count(230, "EkmSqlBackupsFail", 1)]

    assert problems(tmp_path, [*checks, *quiet("EkmSqlBackupsFail", 295)], given) == ""


def test_wrong_secrets_that_an_operator_types_are_no_page(tmp_path):
    stories = {
        "within ten minutes": [*SECONDARY, lines("_x120 7260+60x10 7860x168"), *READY],
        "twice, hours apart": [*SECONDARY, lines("_x20 1260x220 14460x58"), *READY],
        "between backups": [*Server(code="", failure_code="").series(), lines("_x120 7260+60x40 9660x138"), *READY],
    }
    assert problems(tmp_path, quiet("EkmSqlBackupsFail", *range(125, 300, 5)), stories) == ""


def test_restart_of_the_exporter_is_no_second_page(tmp_path):
    """The series are gone for five minutes."""
    given = [
        {**each, "values": " ".join("stale" if 150 <= at < 155 else value for at, value in enumerate(each["values"].split()))}
        if "mssql_" in each["series"] and "x" not in each["values"]
        else each
        for each in [*Server(fails=(120, 240), full=10800.0).series(), *READY]
    ]
    checks = [count(at, alert, 1) for at in range(165, 235) for alert in ("EkmSqlBackupsFail", "EkmSqlLogFillsUp")]
    checks += [count(at, "EkmSqlBackupsFail", 1) for at in range(139, 165)]

    assert problems(tmp_path, checks, given) == ""


def test_two_exporters_that_read_one_server_fire_one_alert(tmp_path):
    given = Server(fails=(120, 240), full=10800.0).series()
    checks = [count(at, alert, 1) for at in (165, 200) for alert in ("EkmSqlBackupsFail", "EkmSqlLogFillsUp")]

    assert problems(tmp_path, [*checks, *quiet(ALL, 100, 245)], [*given, *of_other_exporter(given), *READY]) == ""


def test_log_that_fills_without_the_error_log_pages_after_three_backups(tmp_path):
    """The page lasts for days: the last log backup stays known."""
    given = [*Server(minutes=3650, fails=(120, 3605), full=10800.0, error_log=False).series(), *ready("1x3650", minutes=3650)]
    checks = [*quiet(ALL, 140, 155), *(count(at, "EkmSqlLogFillsUp", 1) for at in (170, 1500, 2950, 3600)), *quiet(ALL, 3640)]
    text = text_of(tmp_path, given, 200, "EkmSqlLogFillsUp", checks)

    assert "cannot read the error log, so another cause is possible." in text


def test_log_with_an_uneven_rate_is_one_page(tmp_path):
    """The rate falls between two bursts; a slow log never pages."""
    rates = series(
        "mssql_ekm_log_full_seconds", f'{N1},database="pay"', over(300, lambda at: 9000.0 if at // 20 % 2 else 30000.0)
    )
    given = [each for each in Server(fails=(120, 300)).series() if "log_full" not in each["series"]]
    checks = [count(at, "EkmSqlLogFillsUp", 1) for at in range(180, 300, 5)]

    assert problems(tmp_path, checks, [*given, rates, *NOT_READY]) == ""
    assert problems(tmp_path, quiet("EkmSqlLogFillsUp", *EVERY), [*Server(fails=(120, 300)).series(), *NOT_READY]) == ""


def test_log_that_is_no_longer_read_is_no_page_after_an_hour(tmp_path):
    """The rate is that of the last reading, and stays as it was."""
    given = [each for each in Server(fails=(120, 300), full=10800.0).series() if 'section="logs"' not in each["series"]]
    stopped = over(300, lambda at: 60.0 * min(at, 180))
    given += [series("mssql_ekm_section_timestamp_seconds", f'{N1},section="logs"', stopped), *NOT_READY]
    checks = [*(count(at, "EkmSqlLogFillsUp", 1) for at in (165, 200, 235)), *quiet("EkmSqlLogFillsUp", 245, 270, 295)]

    assert problems(tmp_path, checks, given) == ""


DAYS = 24 * HOURS
KEY = f'key_name="SalesKey",thumbprint="{OLD}"'


def rolled(node: str, minutes: int, due: str) -> list[dict[str, str]]:
    """Return a node whose credential was altered."""
    return [*read(node, minutes), series("mssql_ekm_proof_due", f"{node},{KEY}", due)]


def test_altered_credential_without_proof_is_a_ticket_after_four_hours(tmp_path):
    given = [*rolled(N1, 600, "0x59 1x400 0x140"), *READY]
    checks = [*quiet("EkmSqlNotProven", 240, 290), count(310, "EkmSqlNotProven", 1), *quiet("EkmSqlNotProven", 470, 590)]

    assert problems(tmp_path, checks, given) == ""
    assert problems(tmp_path, quiet("EkmSqlNotProven", *range(60, 360, 20)), rolled(N1, 600, "0x59 1x140 0x400")) == ""


@pytest.mark.parametrize("readable", [True, False])
def test_backups_that_stop_are_a_ticket_after_a_day(readable, tmp_path):
    """Backups stop after ten hours. Without the right to the error log, nothing else shows that they fail.

    Another SQL Server with the same key and a database of the same name goes on.
    """
    minutes = 36 * HOURS
    given = Server(minutes=minutes, fails=(600, 10**6), code="", failure_code="", error_log=readable).series()
    given += Server(node=N2, minutes=minutes).series()
    checks = [*quiet(ALL, 630, 1890), count(2130, "EkmSqlNotProven", 1)]
    text = text_of(tmp_path, given, 2130, "EkmSqlNotProven", checks)

    assert "no backup of a database of the key finished since, much longer than usual. First:" in text
    assert ("the exporter cannot read the error log" in text) != readable


def test_failover_ends_the_page_of_the_old_node(tmp_path):
    """Backups failed on it, and go on elsewhere. A group of the same name in another cluster ends nothing."""
    old = Server(ag="AG7", fails=(120, 160), serves=(-15, 160)).series()
    new = Server(ag="AG7", node=N2, serves=(165, 300), code="").series()
    other = Server(ag="AG7", node=N2, replicas="n2 n3").series()
    checks = [*(count(at, "EkmSqlBackupsFail", 1) for at in (140, 150, 160)), *quiet(ALL, 125, 170, 200, 295)]

    assert problems(tmp_path, checks, [*old, *new, *READY]) == ""
    assert problems(tmp_path, [count(at, "EkmSqlBackupsFail", 1) for at in (140, 180, 295)], [*old, *other, *READY]) == ""


def test_backups_that_fail_after_a_failover_are_one_page_of_the_new_node(tmp_path):
    old = Server(ag="AG7", serves=(-15, 135)).series()
    new = Server(ag="AG7", node=N2, serves=(135, 300), fails=(135, 280), full=10800.0).series()
    page = {
        "labels": 'ALERTS{alertname="EkmSqlBackupsFail",alertstate="firing",severity="critical",sql_instance="SQLPRD01",host="n2",env="test"}',
        "value": 1,
    }
    fired = {"expr": 'ALERTS{alertname="EkmSqlBackupsFail",alertstate="firing"}', "exp_samples": [page]}
    checks = [{**fired, "eval_time": f"{at}m"} for at in (155, 200, 275)]
    checks += [count(200, "EkmSqlLogFillsUp", 1), *quiet(ALL, 120, 140, 145, 290)]

    assert problems(tmp_path, checks, [*old, *new, *READY, *LISTED_ON_N2]) == ""


def test_full_backup_of_the_primary_pages_though_the_secondary_backs_up_the_log(tmp_path):
    primary = [each for each in Server(ag="AG7").series() if "backup" not in each["series"] and ERRORS not in each["series"]]
    secondary = [
        each for each in Server(ag="AG7", node=N2, code="", failure_code="").series() if "log_full" not in each["series"]
    ]
    nightly = [series(ERRORS, f'{N1},code="{code}"', "_x119 7200x180") for code in ("3303", "3041")]
    sections = read(N1, 300, "backups")[2:]
    given = [*primary, *secondary, *nightly, *sections, *READY]

    assert problems(tmp_path, [*quiet(ALL, 130, 240), count(250, "EkmSqlBackupsFail", 1), count(295, ALL, 1)], given) == ""


@pytest.mark.parametrize(("interval", "first"), [(15, 150), (60, 245)])
def test_long_interval_is_one_page_until_the_reading_after_the_fix(interval, first, tmp_path):
    given = read_every(interval, Server(minutes=600, fails=(120, 420), full=10800.0).series())
    checks = [count(at, "EkmSqlBackupsFail", 1) for at in range(first, 420, 5)]
    checks += [count(at, "EkmSqlLogFillsUp", 1) for at in range(310, 420, 5)]
    checks += quiet(ALL, 100, 130, 435 + interval, 595)

    assert problems(tmp_path, checks, [*given, *ready("1x600", minutes=600)]) == ""


def test_server_that_is_first_read_in_an_incident_is_one_page(tmp_path):
    given = [
        {**each, "values": " ".join(["_"] * 150 + each["values"].split()[150:])} if "mssql_" in each["series"] else each
        for each in Server(fails=(120, 240)).series()
        if "x" not in each["values"]
    ]
    checks = [count(at, "EkmSqlBackupsFail", 1) for at in range(170, 240, 5)]

    assert problems(tmp_path, [*checks, *quiet("EkmSqlBackupsFail", 145, 160, 245)], [*given, *READY]) == ""


def test_page_comes_at_most_an_hour_later_when_clocks_go_back(tmp_path):
    """The last backup seems to be in the future."""
    given = local_time(1, 130, Server(fails=(131, 280)).series())
    checks = [count(at, "EkmSqlBackupsFail", 1) for at in range(215, 280, 5)]

    assert problems(tmp_path, [*checks, *quiet("EkmSqlBackupsFail", 290)], [*given, *READY]) == ""


def test_node_that_no_longer_makes_the_backups_is_no_ticket(tmp_path):
    """After a failover the other node of the group makes them."""
    minutes = 36 * HOURS
    before = Server(ag="AG7", minutes=minutes, serves=(-15, 600), code="", failure_code="").series()
    after = Server(ag="AG7", node=N2, minutes=minutes, serves=(600, 10**6), code="", failure_code="").series()

    assert problems(tmp_path, quiet(ALL, 630, 1890, 2100, 2130), [*before, *after]) == ""


def test_key_not_proven_is_no_ticket_while_its_backups_fail(tmp_path):
    given = [*Server(minutes=600, fails=(120, 10**6)).series()[:-5], series("mssql_ekm_proof_due", f"{N1},{KEY}", "0x100 1x500")]
    given += [lines(over(600, Server(fails=(120, 10**6)).line)), series(ERRORS, f'{N1},code="3041"', over(600, FAILING.line))]
    checks = [count(500, "EkmSqlBackupsFail", 1), *quiet("EkmSqlNotProven", 400, 500, 590)]

    assert problems(tmp_path, checks, [*given, *ready("1x600", minutes=600)]) == ""


def test_provider_without_a_credential_is_one_ticket_for_its_unknown_login(tmp_path):
    """No credential proves anything, so that the key is due too."""
    missing = series("mssql_ekm_key_without_credential", f'{N1},{KEY},login=""', "_x60 1x440")
    given = [*rolled(N1, 500, "0x60 1x440"), missing]
    checks = [*quiet("EkmSqlNotProven", 100, 310, 490), count(100, ALL, 1), count(490, "EkmSqlKeyWithoutCredential", 1)]
    text = text_of(tmp_path, given, 100, "EkmSqlKeyWithoutCredential", checks)

    assert f"The login of key SalesKey (thumbprint {OLD}) on SQLPRD01 (n1) has no credential." in text
    assert "ALTER LOGIN [LOGIN] ADD CREDENTIAL [NAME];" in text


def refused(values: str, node: str = N1) -> list[dict[str, str]]:
    success = values.replace("0x", "2x").replace("1x", "0x").replace("2x", "1x")
    return [series("mssql_ekm_read_success", node, success), series("mssql_ekm_read_refused", node, values)]


def test_refused_login_is_a_ticket_that_names_it(tmp_path):
    given = [*refused("0x60 1x100 0x100"), *read(N1, 240)[2:]]
    checks = [*quiet(ALL, 60, 115), count(130, "EkmSqlNotRead", 1), *quiet(ALL, 165, 230)]

    assert "SQLPRD01 (n1) refuses the login of the exporter. First:" in text_of(tmp_path, given, 130, "EkmSqlNotRead", checks)


def test_one_of_two_exporters_that_reads_is_enough(tmp_path):
    given = [*refused("1x200"), *read(N1.replace(EXPORTER, OTHER_EXPORTER), 200)]

    assert problems(tmp_path, quiet(ALL, 100, 190), given) == ""

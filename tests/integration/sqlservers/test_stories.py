"""Stories of SQL Servers, each from T-SQL over the monitor and its series to the shipped alerts, the page and the JSON."""

from __future__ import annotations

import asyncio
import re

import pytest
import pytest_asyncio

from exporter.metrics.sql_server import alert_samples
from exporter.sqlserver.alerting import Watch, WatchedServer
from exporter.sqlserver.monitor import ServerReader
from tests.integration.sqlservers.harness import StoryRunner, no_token, samples_of
from tests.integration.sqlservers.shipped_alerts import add_alerts
from tests.integration.sqlservers.stories import FLEET, HANGING, STORIES
from tests.support.patience import PATIENCE

pytestmark = [pytest.mark.real, pytest.mark.asyncio(loop_scope="module")]

BACKUPS, FULL, PROVEN = "EkmSqlBackupsFail", "EkmSqlLogFillsUp", "EkmSqlNotProven"
FINISHED = "mssql_ekm_backup_finished_timestamp_seconds"
READ = "mssql_ekm_section_timestamp_seconds"


async def run_fleet(runner):
    """Read three hundred servers, and probe the target and take its page meanwhile. Some servers hang."""
    for node in HANGING:
        runner.simulator.set_fault("sql_silent", sql=FLEET.server(node))
    async with runner.reading(ServerReader(no_token, seconds=1.0), interval=60.0), asyncio.timeout(PATIENCE):
        while hosts_of(runner, good=False) != set(HANGING) or len(hosts_of(runner, good=True)) < 300 - len(HANGING):
            report = await runner.probe(FLEET, fresh=True)
            runner.verdicts.add(report.readiness.ready)
            await runner.take_pages(FLEET)
            await asyncio.sleep(0.5)  # a pace, so that the readings go on
        known = dict[str, float]()
        while sum("mssql_ekm_read_success" in name for name in known) < 300:  # threads make the series after the readings
            known = samples_of(FLEET, await runner.scraped())
            await asyncio.sleep(0.1)
        shown = runner.service.recorder.sql_servers
        for reading in runner.readings():
            shown.render(reading, alert_samples(Watch(), WatchedServer(reading), (), 60.0, runner.clock()))()
        known = samples_of(FLEET, await runner.scraped())
    await runner.take_pages(FLEET)
    # promtool loads ten thousand samples at once, so one section stands for all.
    wanted = "mssql_ekm_read", 'about="reading"', 'section="instance"'
    chosen = {name: value for name, value in known.items() if any(each in name for each in wanted)}
    chosen |= {
        name: value + 86400.0 for name, value in chosen.items() if "read_until" in name and value
    }  # the others are read again
    runner.observed["fleet"].samples = dict.fromkeys(FLEET.read, chosen)


def hosts_of(runner, *, good):
    return {each.host for each in runner.readings() if (each.failure == "") == good}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def observed(tmp_path_factory):
    """What operators see of every story."""
    folder = tmp_path_factory.mktemp("stories")
    stories, found = {}, {}
    for name, chosen, run in (("stories", STORIES, StoryRunner.run), ("fleet", [FLEET], run_fleet)):
        (folder / name).mkdir()
        async with StoryRunner(folder / name, chosen) as runner:
            await run(runner)
        stories, found = stories | runner.stories, found | runner.observed
        found["verdicts"] = runner.verdicts
    await asyncio.to_thread(add_alerts, folder, stories, found)
    return found


def proof(observed, minute, node="n1"):
    """Return what the JSON of a target has about one SQL Server."""
    return next(each for each in observed.documents[minute]["sql_servers"] if each["host"] == node)


def gate(observed, minute, asked="n1"):
    """Return the exit code, the verdict and the conditions of the gate, of the vault's side and of what is known of SQL Server."""
    answer = observed.answers[minute, asked]
    return answer.code, answer.verdict, answer.conditions


async def test_healthy_day_is_proven_by_minutes_and_fires_nothing(observed):
    story = observed["healthy"]
    assert story.alerts() == set()
    for minute in (60, 1440):
        assert re.search(r"SQL Server itself, HEALTHY on n1: \d+ min ago, log backup of \[healthy\]\. ", story.pages[minute])
        assert "vault side ready" in story.pages[minute]
        assert (proof(story, minute)["proof_due"], proof(story, minute)["codes_since"]) == (False, [])
        assert gate(story, minute) == (0, "ready", [])


async def test_secret_changed_in_entra_pages_when_the_log_fills(observed):
    """The probe fails at once. SQL Server's token lives on, then backups fail; the vault side has its own page."""
    story = observed["entra"]
    assert story.alerts() == {FULL}
    begin, end = story.fires(FULL)
    assert 250 <= begin <= 280  # it is full in four hours at 246
    assert end == 330  # the fault ends then
    assert "vault side ready" in story.pages[50]
    assert "vault side not ready, seen from a central host, because step token failed with 3303" in story.pages[70]
    assert re.search(r"ENTRA on n1: \d+ min ago, log backup of \[entra\]\. ", story.pages[70])
    for minute, age, left in ((110, r"\d+ min", "6 h 16 min"), (300, r"3 h \d+ min", "3 h 6 min")):
        assert re.search(rf"ENTRA on n1: {age} ago, log backup of \[entra\]\. ", story.pages[minute])
        assert re.search(r"error log shows 3303 since 07:2\d UTC", story.pages[minute])
        assert f"at the present rate the log of [entra] is full in {left}." in story.pages[minute]
    assert "the log of [entra] of ENTRA on n1 is full in 3 h 6 min." in story.overviews[300]
    assert "The log of database entra on ENTRA (n1) is full in about 3h 6m 17s at its present rate" in story.text(300, FULL)
    assert "Vault side: entra not ready, seen from a central host." in story.text(300, FULL)
    assert "vault side ready" in story.pages[400]
    assert proof(story, 400)["codes_since"] == []


async def test_secret_changed_in_sql_server_pages_though_the_probe_is_green(observed):
    story = observed["changed"]
    assert story.alerts() == {BACKUPS}
    assert story.fires(BACKUPS) == (100, 180)  # fixed at 180
    text = story.text(150, BACKUPS)
    assert "backups of encrypted databases on CHANGED (n1) fail with code 3303." in text
    assert "No backup finished since of: [changed]" in text
    assert "First: write the present secret with `ekm-exporter script alter-credential.sql`: its first lines" in text
    assert "Vault side: changed ready, seen from a central host." in text
    assert all("vault side ready" in page for page in story.pages.values())
    altered = "CHANGED on n1: not proven since the credential was altered at"
    stalled = r"CHANGED on n1: The log of \[changed\] has not grown since .{,60}: the database may no longer write\. Not proven since .* at 07:00 UTC\. "
    assert re.search(stalled, story.pages[150])
    assert "error log shows 3303 since 07:19 UTC" in story.pages[150]
    assert f"{altered} 09:00 UTC; a backup finished at " in story.pages[200]  # a token of another secret may have served
    assert "error log shows" not in story.pages[50] + story.pages[200] + story.pages[330]
    assert (proof(story, 150)["proof_due"], proof(story, 200)["proof_due"]) == (True, True)
    assert re.search(r"CHANGED on n1: \d+ min ago, log backup of \[changed\]\. ", story.pages[330])


async def test_login_without_a_credential_is_a_ticket_then_a_page(observed):
    story = observed["keyless"]
    assert story.alerts() == {"EkmSqlKeyWithoutCredential", BACKUPS}
    assert (story.fires("EkmSqlKeyWithoutCredential"), story.fires(BACKUPS)) == ((90, 150), (100, 140))
    assert "on KEYLESS (n1) has no credential. Acts: DBA. First: add one" in story.text(130, "EkmSqlKeyWithoutCredential")
    assert (
        "on KEYLESS (n1) fail: the login of a key has no credential. No backup finished since of: [keyless]. Acts: DBA. First: add the"
        in story.text(130, BACKUPS)
    )
    assert "but login [tde-login] has no credential, so SQL Server cannot sign in to the vault." in story.pages[130]
    assert (proof(story, 130)["proof_due"], proof(story, 130)["credential"]) == (True, None)
    assert "has no credential" not in story.pages[50] + story.pages[200]


async def test_next_log_file_is_shown_while_the_trace_flag_is_off(observed):
    story = observed["flag"]
    for minute, is_on in ((150, False), (190, True), (230, False)):
        due = re.search(
            r"; the next virtual log file \(VLF\) is due in about \d+ h \d+ min \(trace flag 15025 is off\)\.",
            story.pages[minute],
        )
        assert (due is None) == is_on
        assert (proof(story, minute)["next_log_file_in_seconds"] is None) == is_on
        assert proof(story, minute)["trace_flag_15025"] == is_on
        assert ("Trace flag 15025 is on: new virtual log files (VLF) need no vault." in story.text(minute, FULL)) == is_on
        assert ("Trace flag 15025 is off: each new virtual log file (VLF) needs the vault" in story.text(minute, FULL)) != is_on
    assert "another cause" not in story.text(150, FULL)
    assert "virtual log file" not in story.pages[310].partition("Exporter host")[0]
    assert story.alerts(*(minute for minute in story.firing if minute > 260)) == set()


async def test_node_with_the_old_secret_is_the_one_that_is_named(observed):
    """n1 and n3 have the new secret: n1 proves it by a backup, n3 by a start. n2 was left out, and fails once it makes the backups."""
    story = observed["group"]
    assert {alert: story.hosts(alert) for alert in story.alerts()} == {
        PROVEN: {"n3"},
        "EkmSqlNodesDiffer": {"n2"},
        BACKUPS: {"n2"},
    }
    assert story.fires(PROVEN) == (300, 360)  # n3 starts at 330
    assert "GROUP (n3) has not proved key" in story.text(300, PROVEN)
    assert story.fires("EkmSqlNodesDiffer") == (1500, 1640)
    older = "In AG-group credential tde on GROUP (n2) is 40d 0h 0m 0s older than the newest."
    assert older in story.text(1620, "EkmSqlNodesDiffer")
    assert story.fires(BACKUPS) == (1600, 1660)  # n2 is altered at 1650, and makes a backup
    assert "on GROUP (n2) fail with code 3303." in story.text(1620, BACKUPS)
    due = [[proof(story, minute, node)["proof_due"] for node in ("n1", "n2", "n3")] for minute in (120, 300, 360, 1620, 1680)]
    assert due == [[True, False, True], [False, False, True], [False] * 3, [False] * 3, [False, True, False]]
    assert re.search(r"GROUP on n1: \d+ min ago, log backup of \[group\]\.", story.pages[1500])
    assert "GROUP on n3: 19 h 30 min ago, start that opened [group]." in story.pages[1500]
    assert re.search(r"GROUP on n2: .{,140} may no longer write\. 11 d 3 h ago, start that opened \[group\]", story.pages[1620])
    assert [proof(story, 1620, node)["codes_since"] for node in ("n1", "n2", "n3")] == [[], ["3303"], []]


async def test_revoked_right_keeps_the_rows_and_is_named(observed):
    story = observed["revoked"]
    assert story.alerts() == {"EkmSqlNotRead"}
    assert story.fires("EkmSqlNotRead") == (110, 1620)  # granted at 1670
    assert "The exporter cannot read REVOKED (n1): sections not read: backups, history. Acts: DBA. First:" in story.text(
        1620, "EkmSqlNotRead"
    )
    last = story.value(60, FINISHED, 'type="log"')
    assert story.value(1620, FINISHED, 'type="log"') == last
    assert (story.value(1620, READ, 'section="backups"'), story.value(1620, READ, 'section="keys"')) == (3600, 1620 * 60)
    rate = "mssql_ekm_log_full_seconds"  # unknown if a log was truncated between two readings
    assert [name for name in story.samples[60] if name not in story.samples[1620] and not name.startswith(rate)] == []
    assert "REVOKED on n1: 26 h 10 min ago, log backup of [revoked] (read 26 h ago). " in story.pages[1620]
    assert re.search(r"REVOKED on n1: \d+ min ago, log backup of \[revoked\]\. ", story.pages[1740])


async def test_servers_that_hang_are_named_and_the_others_are_read(observed):
    story = observed["fleet"]
    assert story.fires("EkmSqlNotRead") == (40, 80)
    assert story.hosts("EkmSqlNotRead") == set(HANGING)
    assert sorted(re.findall(r"cannot read FLEET \((\w+)\): it was never read\.", story.text(80, "EkmSqlNotRead"))) == sorted(
        HANGING
    )
    assert {each["host"] for each in story.documents[0]["sql_servers"]} == {*FLEET.nodes} - {*HANGING}
    assert "vault side ready" in story.pages[0]
    assert observed["verdicts"] == {True}


async def test_log_that_fills_pages_from_four_hours_on(observed):
    story = observed["full"]
    assert story.alerts() == {BACKUPS, FULL}
    begin, end = story.fires(FULL)
    assert 200 <= begin <= 230  # it is full in four hours at 193
    assert end == 480  # the fault ends then
    for minute, left in ((180, "in 4 h 13 min; the next"), (300, "in 2 h 13 min; the next"), (460, "already.")):
        assert f"at the present rate the log of [full] is full {left}" in story.pages[minute]
    assert "The log of database full on FULL (n1) is full in about 2h 13m 3s at its present rate" in story.text(300, FULL)
    assert "is full in about 0s" in story.text(460, FULL)
    assert proof(story, 460)["log_full_in_seconds"] == 0
    assert "at the present rate" not in story.pages[540]


@pytest.mark.parametrize(
    ("name", "alert", "minutes", "text"),
    [
        ("added", "EkmSqlConfigurationDiffers", (70, 90), "ADDED on n1"),
        ("closed", "EkmSqlDatabaseNotOpened", (20, 40), "Database closed on CLOSED (n1) is RECOVERY PENDING."),
        ("disabled", "EkmSqlProviderDisabled", (20, 40), "Provider AzureKeyVault_EKM_Prov on DISABLED (n1) or the option"),
    ],
)
async def test_other_findings_fire_until_they_are_fixed(observed, name, alert, minutes, text):
    assert observed[name].fires(alert) == minutes
    assert observed[name].alerts() - {BACKUPS} == {alert}
    assert text in "".join(observed[name].texts.values())


async def test_disabled_provider_stands_on_the_page(observed):
    assert "its EKM provider is disabled, so SQL Server cannot use the key" in observed["disabled"].pages[30]
    assert "its EKM provider is disabled" in observed["disabled"].overviews[30]


async def test_closed_database_is_the_first_cause_with_its_first_action(observed):
    story = observed["unloaded"]
    title = "closed [unloaded] of UNLOADED on n1 did not open (RECOVERY PENDING)"
    assert "3 SQL Servers have closed databases" in story.overviews[30]  # two are behind a vault that fails
    assert title in story.overviews[30]
    assert "Applications cannot use [unloaded] of UNLOADED on n1 (RECOVERY PENDING)." in story.overviews[30]
    action = (
        "First: UNLOADED on n1 could not load the connector&#x27;s DLL (33027), usually a missing Visual C++ runtime. ekm-exporter explain 33027 "
        "has the repair. On that host, ekm-exporter doctor unloaded tests it."
    )
    for page in (story.overviews[30], story.pages[30]):
        assert f"Databases do not open: start here {action}" in page
    assert "First: Nothing" not in story.overviews[30]
    assert "error log shows message 33027 since" in story.pages[30]
    assert proof(story, 30)["state"] == "closed"


async def test_database_closed_by_an_ended_fault_is_to_be_opened(observed):
    story = observed["reopened"]
    both = "Applications cannot use [closed] of CLOSED on n1 (RECOVERY PENDING), [reopened] of REOPENED on n1 (RECOVERY PENDING)"
    assert both in story.overviews[20]
    for page in (story.overviews[60], story.pages[60]):
        assert "Left over from the vault fault that ended at 06:45 UTC." in page
        assert "First: Open it on REOPENED on n1: ALTER DATABASE [reopened] SET ONLINE;" in page
        assert "Compare identity" not in page


async def test_code_of_an_ended_fault_accuses_nothing(observed):
    story = observed["leftover"]
    page = story.pages[48]
    assert "backup due SQL Server itself, LEFTOVER on n1:" in page
    assert (
        "Left over from the vault fault that ended at 06:47 UTC. First: Repeat the failed log backups of LEFTOVER on n1" in page
    )
    assert "Compare identity" not in page
    assert "SQL Server itself: no backup has finished since the vault fault ended LEFTOVER on n1" in story.overviews[48]
    assert "Left over" not in story.pages[80]


READY = (0, "ready", [])


async def test_message_without_a_code_is_not_ready_while_backups_fail(observed):
    """Databases are open, and the error log has no number of the provider."""
    story = observed["messages"]
    assert story.alerts() == {BACKUPS}
    assert story.fires(BACKUPS) == (120, 150)
    text = story.text(140, BACKUPS)
    assert (
        "fail with code 33027. No backup finished since of: [messages]. Acts: DBA. First: ekm-exporter explain 33027. It is over when a log backup finishes"
        in text
    )
    assert [gate(story, minute) for minute in (80, 140, 200)] == [READY, (1, "not_ready", ["backups_fail"]), READY]
    assert "error log shows message 33027 since 07:32 UTC, and backups fail, although the" in story.answers[140, "n1"].text
    assert (proof(story, 140)["state"], proof(story, 140)["codes_since"]) == ("failing", ["33027"])
    assert "SQL Server fails SQL Server itself, MESSAGES on n1:" in story.pages[140]
    assert "could not load the connector&#x27;s DLL (33027)" in story.pages[140]


async def test_outage_of_the_vault_is_no_page_of_sql_server_after_its_end(observed):
    """For eighty minutes each log backup failed. The next one finishes twelve minutes after the first ready verdict."""
    story = observed["mended"]
    assert story.alerts() == set()
    assert proof(story, 100)["codes_since"]
    assert "vault side ready" in story.pages[100]


async def test_node_that_a_failover_visits_pages_until_the_other_one_makes_a_log_backup(observed):
    """It has the old secret, and never made a backup."""
    story = observed["visited"]
    assert (story.alerts(), story.hosts(BACKUPS)) == ({BACKUPS}, {"n2"})
    begin, end = story.fires(BACKUPS)
    assert (begin <= 150, 160 <= end <= 190) == (True, True)


async def test_half_a_repair_is_not_known(observed):
    """One node was repaired and works; the other one has made no request with its own secret since."""
    story = observed["halved"]
    failing = 1, "not_ready", ["backups_fail"]
    assert [gate(story, 80, asked) for asked in ("n1", "n2", "AG")] == [READY] * 3
    assert [gate(story, 190, asked) for asked in ("n1", "n2", "AG")] == [failing] * 3
    left = "credential_left_behind"
    assert [{"credential_not_proven", left} <= {*story.answers[240, asked].missing} for asked in ("n1", "n2", "AG")] == [True] * 3
    behind = "the secret was altered on N1\\HALVED at 09:20 UTC, and key"
    assert f"N2\\HALVED (a replica that does not restart): {behind}" in story.answers[240, "n1"].text
    assert f"N2\\HALVED: {behind}" in story.answers[240, "n2"].text
    assert [proof(story, 240, node)["state"] for node in ("n1", "n2")] == ["due", "proven"]


async def test_log_that_stops_growing_keeps_its_alert(observed):
    story = observed["stalled"]
    begin, end = story.fires(FULL)
    assert (begin < 150, end) == (True, 200)
    stalled = r"The log of \[stalled\] has not grown since 07:\d\d UTC, when its next virtual log file \(VLF\) was due: the database may no longer write\."
    assert re.search(stalled, story.pages[150])
    assert proof(story, 150)["log_full_in_seconds"] is not None
    first = "rate. Acts: DBA. First: stop what writes much, as this shows: SELECT TOP (5) DB_NAME(d.database_id)"
    stuck = "#if-the-log-fills-up. The database may no longer write: its log no longer grows. "
    assert first in story.text(150, FULL)
    assert stuck in story.text(150, FULL)
    assert "may no longer write" not in observed["entra"].text(300, FULL)
    assert "has not grown" not in story.pages[230]

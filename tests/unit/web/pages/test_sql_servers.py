"""What SQL Servers proved themselves and where the configuration differs: pages, causes, JSON and bundle."""

import json
from html import escape, unescape

import pytest

from exporter.core.values import Step
from exporter.knowledge.code_row import WITHOUT_THE_KEY
from exporter.knowledge.reasons import Reason
from exporter.knowledge.verdict import NOT_TESTED
from exporter.sqlserver import proof
from exporter.sqlserver.gate.conditions import reason
from exporter.sqlserver.gate.inputs import RestartReadiness
from exporter.web import api, app
from exporter.web.pages import fleet as fleet_module
from tests.support.sql_differences import PINNED, URI, a_difference
from tests.support.sql_readings import (
    READ_AT,
    SESSION,
    a_call,
    a_reading,
    an_unread_server,
    proof_rows,
    sections_of,
    with_growing_logs,
)
from tests.support.values import replace
from tests.support.web_factories import bad, config, good, target
from tests.support.web_server import Service, answer, get, serving, tickets, unzipped, words

NOW = READ_AT + 60
DAY = "2026-11-26T"
LOG_TIMES = (
    "the log of [sales] is full in 3 h 39 min; the next virtual log file (VLF) is due in about 5 min (trace flag 15025 is off)"
)


@pytest.fixture(autouse=True)
def stopped_clock(monkeypatch):
    monkeypatch.setattr(app.time, "time", lambda: NOW)
    monkeypatch.setattr(api.time, "time", lambda: NOW)


def on(host):
    return {"sql_instance": "SQLPRD01", "host": host}


def service_of(*hosts, readings=(), report=good):
    """Return a service with one target of these hosts, with its last report."""
    service = Service(config(target(instances=tuple(on(host) for host in hosts), thumbprint="0x2C56")))
    service.add_reports(report(started_at=NOW - 4))
    service.readings = list(readings)
    return service


def growing(host="n1", databases=("sales",), **sections):
    logs = [row | {"limit_kb": 102_400 + 1024 * 44, "vlf_mb": 1} for row in proof_rows(*databases)["logs"]]
    return with_growing_logs(a_reading(*databases, address=host, host=host, sections={"logs": logs} | sections))


def altered(modified):
    return [sections_of()["credentials"][0] | {"modified_utc": DAY + modified}]


async def page_of(service):
    return words((await answer(service, "/targets/contoso-key0"))[2])


async def test_page_shows_proof_of_each_sql_server():
    late = growing("n2", credentials=altered("18:02:00"))
    shown = await page_of(service_of("n1", "n2", "n3", readings=[growing(), late]))
    due = "SQL Server itself, SQLPRD01 on n2: not proven since the credential was altered at 18:02 UTC; a backup finished at 19:05 UTC since, and"
    assert shown.index("vault side ready") < shown.index(due) < shown.index("SQL Server itself, SQLPRD01 on n1:")
    assert "SQL Server itself, SQLPRD01 on n1: 56 min ago, log backup of [sales]." in shown
    assert "SQL Server itself, SQLPRD01 on n3:" not in shown
    assert f"Not tested from here: {escape(NOT_TESTED)}, for SQLPRD01 on n2, SQLPRD01 on n3." in shown
    assert "present rate" not in shown


async def test_page_names_servers_that_are_not_read():
    stopped = growing("n2")
    stopped = replace(stopped, failure="no answer", read_at=dict.fromkeys(stopped.read_at, NOW - 7 * 86400))
    service = service_of("n1", "n2", readings=[growing(), stopped])
    shown = await page_of(service)
    assert "One SQL Server of this target is not read: SQLPRD01 on n2 (no answer)." in shown
    assert "unknown SQL Server itself, SQLPRD01 on n2:" in shown
    assert f"{escape(NOT_TESTED)}, for SQLPRD01 on n2." in shown
    service.readings = [growing()]
    assert "not read:" not in await page_of(service)


UNREAD = [
    (
        an_unread_server("n7", failure="the login was refused (18456): check user"),
        "n7 (the login was refused (18456): check user)",
    ),
    (an_unread_server("n8", sql_instance="SQLPRD01", host="n8", failure="no `answer`"), "SQLPRD01 on n8 (no 'answer')"),
    (growing("n9", encryption=None), "SQLPRD01 on n9 (encryption: not read)"),
    (
        replace(growing("n6"), failure="no answer", read_at=dict.fromkeys(growing().read_at, NOW - 3601)),
        "SQLPRD01 on n6 (no answer)",
    ),
    (replace(growing("n5"), failure="no answer"), ""),  # one failed attempt
    (replace(growing("n5"), failure="refused", refused=True), "SQLPRD01 on n5 (refused)"),
    (an_unread_server("n4", attempted_at=0.0, failure=""), "n4 (not tried yet)"),
]


@pytest.mark.parametrize(("reading", "named"), UNREAD)
async def test_server_that_is_not_read_is_on_the_status_page_with_the_cause(reading, named):
    service = service_of("n1", readings=[growing(), reading])
    shown = unescape(await status_of(service))
    text = f"One SQL Server of sql_servers is not read: {named}."
    assert (text in shown) == bool(named)
    assert ("sql_servers is not read" in shown) == bool(named)
    assert "sql_servers is not read" not in await status_of(service, "/?label=team")
    found = json.loads((await answer(service, "/api/v1/targets"))[2]).get("sql_servers_not_read", [])
    assert [f"{each['server']} ({each['why']})".replace("`", "'") for each in found] == [named] * bool(named)


async def test_many_servers_that_are_not_read_are_counted():
    service = service_of("n1", readings=[an_unread_server(f"n{number}") for number in range(5)])
    shown = await status_of(service)
    assert "5 SQL Servers of sql_servers are not read" in shown
    assert "n2 (does not answer) and 2 more." in shown


@pytest.mark.parametrize("path", ["/", "/targets/contoso-key0"])
async def test_ticket_has_what_sql_server_logged(path):
    errors = [{"code": "3077", "lines": 2, "first_utc": DAY + "19:58:00", "last_utc": DAY + "20:00:30"}]
    service = service_of("n1", readings=[growing(errors=errors)], report=good)
    refused = bad(step=Step.GET_KEY, code=3077, reason=Reason.FORBIDDEN_FIREWALL, status=403, started_at=NOW)
    service.add_reports(refused)
    (ticket,) = tickets((await answer(service, path))[2])
    text = ticket.replace("\n  ", " ")
    assert "SQL Server SQLPRD01 on n1 logged 3077 itself since 2026-11-26T19:58:00Z." in text
    assert "is full in 3 h 39 min" in text.split("Since")[0]
    assert "not confirmed" not in text


async def test_page_without_numbers_has_the_words_of_the_code():
    shown = await page_of(service_of("n1", readings=[a_reading()], report=bad))
    assert "present rate" not in shown
    assert "At the next virtual log file (VLF) or backup: backups fail" in shown


async def test_page_lists_the_first_twenty_sql_servers():
    hosts = [f"n{number}" for number in range(23)]
    shown = await page_of(service_of(*hosts, readings=[growing(host) for host in hosts]))
    assert shown.count("SQL Server itself, ") == 20
    assert "3 more SQL Servers are less urgent. The API lists them." in shown
    assert f"SQL Server itself tested what no probe can: {escape(NOT_TESTED)}." in shown


async def test_cause_has_shortest_time_among_its_sql_servers():
    first, second = (
        target(name, instances=(on(host),), thumbprint="0x2C56") for name, host in (("contoso-key0", "n1"), ("other", "n2"))
    )
    service = Service(config(first, second))
    service.add_reports(bad(started_at=NOW - 4), bad("other", started_at=NOW - 4))
    slow = with_growing_logs(a_reading(address="n1"))
    service.readings = [slow, growing("n2")]
    named = LOG_TIMES.replace("[sales]", "[sales] of SQLPRD01 on n2")
    assert f"Once log backups fail, at the present rate {named}. First:" in words((await answer(service, "/"))[2])


@pytest.mark.parametrize(
    ("report", "readings"),
    [
        (bad, [a_reading()]),
        (bad, []),
        (lambda **at: bad(step=Step.WRAP_KEY, code=3077, reason=Reason.KEY_EXPIRED, ready=True, **at), [growing()]),
    ],
)
async def test_cause_without_risk_or_numbers_has_no_times(report, readings):
    shown = words((await answer(service_of("n1", readings=readings, report=report), "/"))[2])
    assert "1 cause" in shown
    assert "present rate" not in shown


async def test_json_has_sql_servers_of_each_target():
    service = service_of("n1", readings=[growing()])
    listed = json.loads((await answer(service, "/api/v1/targets"))[2])["targets"][0]
    own = json.loads((await answer(service, "/api/v1/targets/contoso-key0"))[2])
    assert listed["sql_servers"] == own["sql_servers"]
    (server,) = own["sql_servers"]
    assert (server["host"], server["proven_by"], server["database"]) == ("n1", "log_backup", "sales")
    assert (server["log_full_in_seconds"], server["next_log_file_in_seconds"]) == (13200, 300)
    described = api._OPENAPI["components"]["schemas"]["SqlServer"]
    assert list(server) == list(described["properties"]) == described["required"]


async def test_service_without_readings_shows_nothing_new():
    service = service_of("n1", report=bad)
    for path in ("/", "/targets/contoso-key0"):
        html = (await answer(service, path))[2]
        assert "SQL Server itself" not in html.partition("What the states mean")[0]
        assert "Proven by" not in html
    for path in ("/api/v1/targets", "/api/v1/targets/contoso-key0"):
        assert '"sql_servers": [' not in (await answer(service, path))[2]


async def test_pages_and_api_make_the_proofs_of_a_reading_once(monkeypatch):
    made = []
    monkeypatch.setattr(proof, "used_keys", lambda instance: made.append(instance) or ())
    async with serving(service_of("n1", readings=[growing()])) as session:
        for path in ("/", "/targets/contoso-key0", "/api/v1/targets/contoso-key0", "/api/v1/targets"):
            await get(session, path)
    assert len(made) == 1


async def test_reload_while_a_page_is_made_changes_no_target_of_it(monkeypatch):
    service, fleet = service_of("n1", readings=[growing()], report=bad), fleet_module.fleet

    async def with_reload(*args, **options):
        found = await fleet(*args, **options)
        service.config = config(target("other"))
        return found

    monkeypatch.setattr(app, "fleet", with_reload)
    status, _, html = await answer(service, "/")
    assert status == 200
    assert LOG_TIMES.replace("[sales]", "[sales] of SQLPRD01 on n1") in words(html)


async def test_support_bundle_has_masked_proofs():
    hidden = growing(databases=("203.0.113.7",))
    async with serving(service_of("n1", readings=[hidden])) as session:
        own = json.loads((await get(session, "/api/v1/targets/contoso-key0"))[2])["sql_servers"]
        async with session.get("/api/v1/targets/contoso-key0/support-bundle") as response:
            report = json.loads(unzipped(await response.read())["report.json"])
    assert own[0]["database"] == "203.0.113.7"
    masked = {"database": "<address>", "log_full_database": "<address>"}
    assert report["sql_servers"] == [own[0] | masked]


def failing(host="n1", **sections):
    """Return a SQL Server whose backups fail with 3303 since the proof."""
    errors = [
        {"code": code, "lines": 2, "first_utc": DAY + "19:10:00", "last_utc": DAY + "19:50:00"} for code in ("3303", "3041")
    ]
    return growing(host, errors=errors, **sections)


def without_credential(host="n1"):
    keys = [{name: value for name, value in sections_of()["keys"][0].items() if name != "credential"}]
    return growing(host, keys=keys)


async def status_of(service, path="/"):
    return words((await answer(service, path))[2])


async def test_failing_sql_server_is_a_cause_although_probes_succeed():
    service = service_of("n1", "n2", readings=[failing(), growing("n2")])
    _, _, html = await answer(service, "/")
    shown = words(html)
    named = LOG_TIMES.replace("[sales]", "[sales] of SQLPRD01 on n1")
    for expected in (
        "2 of 2 SQL Servers: vault side ready. 1 SQL Server cannot get its key itself",
        "1 cause",
        "SQL Server itself does not get its key, although the vault side is ready began",
        "1 SQL Server : SQLPRD01 on n1. Target contoso-key0",
        f"Backups of SQLPRD01 on n1 fail since 19:10 UTC; at the present rate {named}.",
        "Then: Look inside SQL Server, at credential [tde_cred]: the vault side works. Write the present secret with ekm-exporter script alter-credential.sql : on SQLPRD01 on n1, run what it prints",
        "SQLPRD01 on n1 with 3303",
        "Now: restores, DBCC CHECKDB and column encryption with an EKM key fail",
    ):
        assert expected in shown
    assert '<h1 class="bad-ink">' in html
    assert html.count("bad-edge") == 1


@pytest.mark.parametrize(
    ("sections", "expected"),
    [
        (
            {"errors": [{"code": "33027", "lines": 2, "first_utc": f"{DAY}19:10:00", "last_utc": f"{DAY}19:50:00"}]},
            "although the vault side is ready began 51 min ago message 33027 Who acts: the DBA, with an administrator of the host",
        ),
        ({}, "SQL Server itself: its backups prove the key no more began 1 h ago Who acts: the DBA"),
    ],
)
async def test_failing_backups_without_a_code_are_a_cause(sections, expected):
    failed = {"code": "3041", "lines": 9, "first_utc": f"{DAY}18:40:00", "last_utc": f"{DAY}19:58:00"}
    stopped = [{"database": "sales", "type": "L", "started_utc": f"{DAY}18:00:00", "finished_utc": f"{DAY}18:05:00"}]
    if sections:
        failed["first_utc"] = f"{DAY}19:10:00"
    reading = a_reading(address="n1", host="n1", sections={"errors": [*sections.get("errors", ()), failed], "backups": stopped})
    assert expected in words((await answer(service_of("n1", readings=[reading]), "/"))[2])


async def test_cause_of_sql_servers_filters_targets_and_stands_in_json():
    targets = [target(name, instances=(on(host),), thumbprint="0x2C56") for name, host in (("alpha", "n1"), ("beta", "n2"))]
    service = Service(config(*targets))
    service.add_reports(*(good(each.name, started_at=NOW - 4) for each in targets))
    service.readings = [growing(), failing("n2")]
    (cause,) = json.loads((await answer(service, "/api/v1/targets"))[2])["causes"]
    assert cause == {
        "cause": "sql_server:failing:3303",
        "link": "sql_server",
        "name": "",
        "reason": "failing",
        "unsteady": False,
        "since": "2026-11-26T19:10:00.000Z",
        "targets": 1,
        "sql_servers": 1,
    }
    shown = await status_of(service, "/targets?cause=sql_server%3Afailing%3A3303")
    assert "1 of 2 targets match." in shown
    assert "beta" in shown
    assert "alpha" not in shown
    every = await status_of(service, "/targets")
    assert every.index("beta") < every.index("alpha")  # the most urgent first
    assert "First: Look inside SQL Server, at credential [tde_cred]: the vault side works. Write the present secret" in every


async def test_cause_of_a_target_that_is_not_ready_is_no_second_cause():
    service = service_of("n1", readings=[failing()], report=bad)
    shown = await status_of(service)
    assert "1 cause" in shown
    assert "SQL Server itself" not in shown.partition("What the states mean")[0]
    assert "Backups of SQLPRD01 on n1 fail since 19:10 UTC; at the present rate the log" in shown
    service.readings = [without_credential()]
    assert "2 causes" in await status_of(service)


@pytest.mark.parametrize(
    ("reading", "title", "age"),
    [
        (without_credential, "the login of its key has no credential last proof 56 min ago", "1 SQL Server cannot get its key itself"),
        (lambda host: growing(host, credentials=altered("19:30:00")), "nothing has proved its key since the credential was altered altered 31 min ago", "ready 0 not"),
    ],
)  # fmt: skip
async def test_other_states_have_title_and_age(reading, title, age):
    shown = await status_of(service_of("n1", readings=[reading("n1")]))
    assert f"SQL Server itself: {title}" in shown
    assert age in shown


async def test_stopped_proofs_are_a_mild_cause():
    late = growing()
    late = replace(late, read_at={**late.read_at, "backups": NOW + 2 * 86400})
    service = service_of("n1", readings=[late])
    _, _, html = await answer(service, "/")
    assert "its backups prove the key no more" in words(html)
    assert "bad-edge" not in html
    assert "cannot get" not in html


async def test_sql_server_without_target_is_a_cause_too():
    service = service_of("n1", readings=[growing(), failing("n9"), failing("n8")])
    shown = await status_of(service)
    assert "2 SQL Servers cannot get their keys themselves" in shown
    assert "SQL Server itself does not get its key began" in shown
    assert "2 SQL Servers : SQLPRD01 on n8, SQLPRD01 on n9. No target has its key." in shown
    assert "Who acts: the DBA" in shown
    assert "Then do the same on SQLPRD01 on n8." in shown
    of_a_label = await status_of(service, "/?label=team")
    assert "cannot get" not in of_a_label
    assert "No target has its key" not in of_a_label


async def test_many_causes_leave_places_for_sql_servers():
    names = [f"v{number}" for number in range(12)]
    targets = [target(name, vault=f"{name}.vault.azure.net", instances=(on(name),), thumbprint="0x1") for name in names]
    service = Service(config(*targets))
    for at, name in enumerate(names):  # an hour apart, so that each is a cause of its own
        service.add_reports(*(bad(name, step=Step.UNWRAP_KEY, code=3077, started_at=NOW - ago) for ago in (4000 * (at + 1), 4)))
    service.readings = [failing("other")]
    shown = await status_of(service)
    assert "SQL Server itself does not get its key began" in shown
    assert " 5 more causes " in shown


async def test_page_marks_sql_server_as_the_broken_link():
    shown = (await answer(service_of("n1", readings=[failing()]), "/targets/contoso-key0"))[2]
    assert "From the exporter to SQL Server: broken at SQL Server itself." in shown
    assert "Its error log shows 3303 since 19:10 UTC, and backups fail; at the present rate" in words(shown)
    assert "Then: Look inside SQL Server, at credential [tde_cred]: the vault side works. Write the present secret" in words(
        shown
    )
    quiet = words((await answer(service_of("n1", readings=[without_credential()]), "/targets/contoso-key0"))[2])
    assert "cannot sign in to the vault. At the present rate" in quiet


@pytest.mark.parametrize("hosts", [("n1",), ("n1", "n2")])
async def test_page_without_numbers_has_what_fails_when_once(hosts):
    service = service_of(*hosts, readings=[replace(failing(host), earlier_logs=None) for host in hosts])
    shown = await page_of(service)
    assert shown.count("3303 since 19:10 UTC, and backups fail.") == len(hosts)
    assert shown.count(WITHOUT_THE_KEY) == 1


def closed(reading, *names, state="RECOVERY_PENDING"):
    """Return the reading with further databases that did not open."""
    known = reading.document.sections
    rows = (*known["databases"], *(known["databases"][0] | {"name": name, "state": state} for name in names))
    return replace(reading, document=replace(reading.document, sections={**known, "databases": rows}))


async def test_closed_databases_come_first_with_the_page_about_them():
    service = service_of("n1", "n2", readings=[closed(a_reading(), "claims", "hr"), failing("n2"), failing("n3"), failing("n4")])
    _, _, html = await answer(service, "/")
    shown = words(html)
    title = "closed [claims], [hr] of SQLPRD01 on n1 did not open (RECOVERY PENDING)"
    assert "1 SQL Server has closed databases. 3 SQL Servers cannot get their keys themselves" in shown
    assert shown.index(title) < shown.index("SQL Server itself does not get its key")
    assert "Applications cannot use [claims], [hr] of SQLPRD01 on n1 (RECOVERY PENDING)." in shown
    action = (
        "First: Change nothing on SQLPRD01 on n1 before the cause is known. On that host, run ekm-exporter doctor contoso-key0 ."
    )
    assert (
        f"Databases do not open: start here {action} Then open it on SQLPRD01 on n1: ALTER DATABASE [claims] SET ONLINE;" in shown
    )
    assert 'href="/docs/recovery-pending"' in html
    of_many = await status_of(
        service_of("n1", readings=[closed(a_reading(address=host, host=host), "hr") for host in ("n1", "n2")])
    )
    assert "Databases of 2 SQL Servers did not open" in of_many
    assert "open databases still read and write" not in await page_of(service_of("n1", readings=[closed(a_reading(), "hr")]))


@pytest.mark.parametrize("report", [good, bad])
async def test_database_that_may_no_longer_write_is_in_the_headline(report):
    """Whether SQL Server fails itself, or the vault side is not ready: nothing above it says that databases write."""
    stopped = replace(failing(), stalled={"sales": (READ_AT - 600, 3495.0)})
    service = service_of("n1", readings=[stopped], report=report)
    _, _, html = await answer(service, "/")
    headline = html.partition("<h1")[2].partition("</h1>")[0]
    assert "[sales] of SQLPRD01 on n1 may no longer write" in headline
    assert "fail; other open databases still read and write" in words(html)
    shown = await page_of(service)
    assert "SQL Server itself, SQLPRD01 on n1: The log of [sales] has not grown since 19:50 UTC" in shown
    growing_again = await status_of(service_of("n1", readings=[failing()], report=report))
    assert "may no longer write" not in growing_again
    assert "fail; open databases still read and write" in growing_again


async def test_closed_databases_behind_a_vault_are_first_on_its_card():
    first, second = (
        target(name, instances=(on(host),), thumbprint="0x2C56") for name, host in (("fin", "n1"), ("payroll", "n2"))
    )
    service = Service(config(first, second))
    service.add_reports(good("fin", started_at=NOW - 4), bad("payroll", started_at=NOW - 4))
    service.readings = [failing(), closed(a_reading(address="n2", host="n2"), "payroll")]
    shown = await status_of(service)
    assert "1 SQL Server has closed databases. 1 SQL Server cannot get its key itself" in shown
    card, _, rest = shown.partition("SQL Server itself does not get its key")
    assert rest
    assert card.index("closed not ready") < card.index("Applications cannot use [payroll] of SQLPRD01 on n2 (RECOVERY PENDING).")
    assert card.index("RECOVERY PENDING") < card.index("Databases do not open: start here First:")


async def test_sql_server_is_not_accused_before_a_probe_finishes():
    errors = [{"code": "3077", "lines": 2, "first_utc": DAY + "19:10:00", "last_utc": DAY + "19:50:00"}]
    service = Service(config(target(instances=(on("n1"),), thumbprint="0x2C56")))
    service.readings = [growing(errors=errors)]
    shown = await status_of(service) + (page := await page_of(service))
    for wrong in ("SQL Server itself does not", "cannot get its key itself", "Compare identity", "Who acts: the DBA"):
        assert wrong not in shown
    assert "Its error log shows 3077" in page
    assert "broken at SQL Server itself" not in (await answer(service, "/targets/contoso-key0"))[2]
    service.readings = [closed(growing(errors=errors), "claims")]
    shown = await status_of(service)
    assert "1 SQL Server has closed databases" in shown
    assert "First: No probe shows whether the vault side of SQLPRD01 on n1 is ready." in shown


@pytest.mark.parametrize(("code", "own"), [("3011", False), ("3109", False), ("3303", True)])
async def test_vault_that_fails_in_waves_has_one_card(code, own):
    service = service_of("n1", report=lambda started_at: good(started_at=started_at - 600))
    throttled = {"step": Step.UNWRAP_KEY, "code": 3011, "reason": Reason.THROTTLED}
    for ago in range(540, 0, -60):
        report = bad(started_at=NOW - ago - 4, **throttled) if ago // 60 % 3 == 0 else good(started_at=NOW - ago - 4)
        service.add_reports(report)
    errors = [{"code": each, "lines": 2, "first_utc": DAY + "19:52:00", "last_utc": DAY + "19:58:00"} for each in (code, "3041")]
    service.readings = [growing(errors=errors)]
    shown = (await status_of(service)).partition("What the states mean")[0]
    assert "unsteady" in shown
    assert "need no other change" not in shown
    assert ("SQL Server itself does not get its key" in shown) is own
    assert "Backups of SQLPRD01 on n1 fail since 19:52 UTC" in shown
    assert ("Repeat the log backups after ten minutes without 429." in shown) is not own


async def test_due_proof_shows_the_backup_since_the_change():
    errors = [
        {"code": code, "lines": 2, "first_utc": DAY + "19:00:00", "last_utc": DAY + "19:30:04"} for code in ("3303", "3041")
    ]
    late = {"database": "sales", "type": "L", "started_utc": DAY + "19:31:00", "finished_utc": DAY + "19:31:20"}
    backups = [*proof_rows("sales")["backups"], late]
    shown = await status_of(service_of("n1", readings=[growing(credentials=altered("19:30:00"), errors=errors, backups=backups)]))
    assert "nothing has proved its key since the credential was altered" in shown
    assert "A backup finished at 19:31 UTC since, and one that begins at 21:30 UTC or later proves the key." in shown
    assert "Write the present secret" not in shown


@pytest.mark.parametrize(("report", "badge"), [(good, "proven"), (bad, "last worked")])
async def test_a_proof_of_a_vault_that_fails_now_is_no_green_one(report, badge):
    service = service_of("n1", readings=[a_reading("sales", address="n1", host="n1")], report=report)
    proofs = (await answer(service, "/targets/contoso-key0"))[2].split('class="proofs"')[1].split("</ul>")[0]
    assert f">{badge}</span>" in proofs


TEXT = f"Target contoso-key0 pins {PINNED}, but SQLPRD01 on n1 uses {URI} for 2 databases, so the verdict is not about the key in use."
ACTION = f"If the databases moved on purpose, write key: {URI} and thumbprint: "
NOT_PROBED = a_difference(kind="key_not_probed", target="", other="", pinned="")


def service_with(*differences):
    service = Service(config(target(), target("other")))
    service.differences = differences
    return service


def own(**changes):
    return a_difference(target="contoso-key0", other="", **changes)


async def test_page_of_the_target_shows_its_differences_alone():
    service = service_with(own(), a_difference(target="other", other=""), NOT_PROBED)
    shown = words((await answer(service, "/targets/contoso-key0"))[2])
    assert f"{TEXT} {ACTION}" in shown
    assert shown.count("SQLPRD01 on n1 uses") == 1


async def test_page_shows_ten_differences_and_counts_the_rest():
    shown = words((await answer(service_with(*[own()] * 12), "/targets/contoso-key0"))[2])
    assert shown.count(TEXT) == 10
    assert "2 more differences. The API lists them." in shown


@pytest.mark.parametrize(
    ("differences", "line"),
    [
        ((own(),), f"The configuration differs from SQL Server in 1 place. {TEXT} {ACTION}"),
        (
            (NOT_PROBED, own()),
            f"The configuration differs from SQL Server in 2 places. SQLPRD01 on n1 uses {URI} for 2 databases, and no",
        ),
    ],
)
async def test_status_page_shows_the_first_difference_and_their_number(differences, line):
    async with serving(service_with(*differences)) as session:
        status, listed = [words((await get(session, path))[2]) for path in ("/", "/targets")]
    assert line in status
    assert "The configuration differs" not in listed


async def test_pages_without_a_difference_do_not_mention_one():
    async with serving(service_with()) as session:
        for path in ("/", "/targets/contoso-key0"):
            assert "differ" not in words((await get(session, path))[2])
        assert "sql_differences" not in (await get(session, "/api/v1/targets"))[2]


async def test_json_and_bundle_have_the_differences():
    async with serving(service_with(own(), *[NOT_PROBED] * 101)) as session:
        every = json.loads((await get(session, "/api/v1/targets"))[2])
        one = json.loads((await get(session, "/api/v1/targets/contoso-key0"))[2])
        async with session.get("/api/v1/targets/contoso-key0/support-bundle") as response:
            report = json.loads(unzipped(await response.read())["report.json"])
    assert len(every["sql_differences"]) == 100
    assert {each["target"] for each in every["sql_differences"]} == {"contoso-key0", None}
    (found,) = one["sql_differences"]
    assert report["sql_differences"] == [found]
    assert found["action"].startswith("If the databases moved on purpose, write `key: ")
    assert {name: found[name] for name in ("kind", "target", "key_uri", "pinned", "databases", "text")} == {
        "kind": "other_version",
        "target": "contoso-key0",
        "key_uri": URI,
        "pinned": PINNED,
        "databases": 2,
        "text": TEXT,
    }


CLOCK = reason("server_clock", server="N1\\SQLPRD01", difference="is not known")
READY = RestartReadiness("N1\\SQLPRD01", "n1", "0x2C56", "key_2C56", (), NOW + 600)
SUMMARY = "Restart of SQL Servers, as this exporter sees it:"


@pytest.mark.parametrize(
    ("change", "counts", "badge", "line"),
    [
        ({}, "1 ready, 0 not ready, 0 not known", "restart ready", ""),
        ({"until": NOW - 1}, "0 ready, 0 not ready, 1 not known", "restart not known", "What is known of it is too old"),
        ({"missing": (CLOCK,)}, "0 ready, 0 not ready, 1 not known", "restart not known", f"{CLOCK.text}. First: {CLOCK.fix}"),
        (
            {"missing": (CLOCK, replace(CLOCK, text="closed", known=True))},
            "0 ready, 1 not ready, 0 not known",
            "restart not ready",
            "Closed. First:",
        ),
    ],
)
async def test_restart_readiness_stands_on_both_pages(change, counts, badge, line):
    service = service_of("n1", readings=[growing()])
    service.restart = [replace(READY, **change)]
    of_target, of_all = await page_of(service), words((await answer(service, "/"))[2])
    assert badge in of_target
    assert unescape(line) in unescape(of_target)
    assert f"{SUMMARY} {counts}" in of_all
    assert (f"{badge} N1\\SQLPRD01, key key_2C56:" in of_all) is bool(change)
    assert unescape(line) in unescape(of_all)


@pytest.mark.parametrize(("condition", "badge"), [("credential_left_behind", "old secret?"), ("proof_old", "proven")])
async def test_secret_that_may_be_gone_is_not_shown_as_proven(condition, badge):
    service = service_of("n1", readings=[growing()])
    service.restart = [replace(READY, missing=(replace(CLOCK, condition=condition),))]
    assert f"{badge} SQL Server itself, SQLPRD01 on n1:" in await page_of(service)


async def test_many_restarts_that_are_not_ready_are_counted():
    service = service_of("n1", readings=[growing()])
    service.restart = [replace(READY, server=f"N{number}", missing=(CLOCK,)) for number in range(24)]
    service.restart.append(replace(READY, server="not ready, so it is first", missing=(replace(CLOCK, known=True),)))
    shown = words((await answer(service, "/"))[2])
    assert shown.index("not ready, so it is first") < shown.index("N0, key key_2C56")
    assert "5 more: /api/v1/sql-servers has all." in shown
    assert SUMMARY not in words((await answer(service_of("n1", readings=[growing()]), "/"))[2])


NO_SESSION = "What SQL Server asks its provider is not recorded: ekm-exporter script trace-ekm.sql prints the session for that, which a DBA makes."


async def test_page_has_the_calls_of_a_sql_server_and_says_once_how_to_have_them():
    calls = [a_call("19:59:00", calls=41), a_call("19:30:00", function="SqlCryptOpenSession", code="3303")]
    traced = a_reading(sections={"trace": [SESSION], "calls": calls, "credentials": altered("18:10:00")})
    shown = await page_of(service_of("n1", readings=[traced]))
    assert (
        "This server asked its provider 42 times in the last hour, 41 of them SqlCryptDecrypt; SqlCryptOpenSession failed with 3303"
        in shown
    )
    assert "1 h 20 min after the credential was altered (an older token is assumed to serve for two hours)." in shown
    assert NO_SESSION not in shown
    without = [a_reading(address=host, host=host, sections={"trace": []}) for host in ("n1", "n2")]
    shown = await page_of(service_of("n1", "n2", readings=without))
    assert shown.count(NO_SESSION) == 1
    assert "asked its provider" not in shown
    assert NO_SESSION not in await page_of(service_of("n1", readings=[a_reading()]))


async def test_card_of_a_failing_sql_server_has_the_function_and_its_code():
    calls = [a_call("19:50:00", function="SqlCryptOpenSession", code="3303")]
    errors = [{"code": "3303", "lines": 2, "first_utc": f"{DAY}19:10:00", "last_utc": f"{DAY}19:50:00"}]
    failing = a_reading(sections={"trace": [SESSION], "calls": calls, "errors": errors})
    assert "SqlCryptOpenSession failed with 3303 at 19:50 UTC." in words(
        (await answer(service_of("n1", readings=[failing]), "/"))[2]
    )
    silent = a_reading(sections={"errors": errors})
    assert "SqlCrypt" not in words((await answer(service_of("n1", readings=[silent]), "/"))[2])

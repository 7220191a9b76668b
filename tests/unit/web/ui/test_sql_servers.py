"""What SQL Servers proved themselves, on the page of their target, among the causes and in JSON."""

import json
from dataclasses import replace

import pytest

from exporter.core.model import Step
from exporter.core.reasons import Reason
from exporter.presentation import sql_proofs
from exporter.web.handlers import api, pages
from tests.support.sql_readings import READ_AT, a_reading, proof_rows, sections_of, with_growing_logs
from tests.support.web_factories import bad, config, good, target
from tests.support.web_server import Service, answer, get, serving, unzipped, words

NOW = READ_AT + 60
DAY = "2026-11-26T"
LOG_TIMES = "the log of [sales] is full in 3 h 39 min; the next log file is due in about 5 min (trace flag 15025 is off)"
HOSTILE = '"><script>alert(1)</script>'


@pytest.fixture(autouse=True)
def stopped_clock(monkeypatch):
    monkeypatch.setattr(pages.time, "time", lambda: NOW)
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
    due = "SQL Server itself, SQLPRD01 on n2: not proven since the credential was altered at 18:02 UTC."
    assert shown.index("vault side ready") < shown.index(due) < shown.index("SQL Server itself, SQLPRD01 on n1:")
    assert "SQL Server itself, SQLPRD01 on n1: 56 min ago, log backup of [sales]." in shown
    assert "SQLPRD01 on n3:" not in shown
    assert "present rate" not in shown


async def test_page_shows_log_times_while_vault_side_is_not_ready():
    shown = await page_of(service_of("n1", readings=[growing()], report=bad))
    assert f"56 min ago, log backup of [sales]. At the present rate {LOG_TIMES}." in shown


async def test_page_shows_failing_backups_although_probe_succeeds():
    errors = [{"code": "3303", "lines": 2, "first_utc": DAY + "19:10:00", "last_utc": DAY + "19:50:00"}]
    shown = await page_of(service_of("n1", readings=[growing(errors=errors)]))
    assert "vault side ready" in shown
    assert f"[sales]. Its error log shows 3303 since 19:10 UTC; at the present rate {LOG_TIMES}." in shown


async def test_page_without_numbers_has_the_words_of_the_code():
    shown = await page_of(service_of("n1", readings=[a_reading()], report=bad))
    assert "present rate" not in shown
    assert "At the next log file or backup: backups fail" in shown


async def test_page_lists_the_first_twenty_sql_servers():
    hosts = [f"n{number}" for number in range(23)]
    shown = await page_of(service_of(*hosts, readings=[growing(host) for host in hosts]))
    assert shown.count("SQL Server itself") == 20
    assert "3 more SQL Servers were proven later. The API lists them." in shown


@pytest.mark.parametrize("path", ["/", "/targets/contoso-key0"])
async def test_names_of_a_server_are_escaped(path):
    service = service_of("n1", readings=[growing(databases=(HOSTILE,))], report=bad)
    html = (await answer(service, path))[2]
    assert HOSTILE not in html
    assert "[&quot;&gt;&lt;script&gt;alert(1)&lt;/script&gt;]" in html


async def test_cause_has_shortest_time_among_its_sql_servers():
    first, second = (
        target(name, instances=(on(host),), thumbprint="0x2C56") for name, host in (("contoso-key0", "n1"), ("other", "n2"))
    )
    service = Service(config(first, second))
    service.add_reports(bad(started_at=NOW - 4), bad("other", started_at=NOW - 4))
    slow = with_growing_logs(a_reading(address="n1"))
    service.readings = [slow, growing("n2")]
    named = LOG_TIMES.replace("[sales]", "[sales] of SQLPRD01 on n2")
    assert f"At the present rate {named}. First:" in words((await answer(service, "/"))[2])


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
    assert (server["log_full_in_seconds"], server["next_log_file_in_seconds"]) == (13140, 300)
    described = api._OPENAPI["components"]["schemas"]["SqlServer"]
    assert list(server) == list(described["properties"]) == described["required"]


async def test_service_without_readings_shows_nothing_new():
    service = service_of("n1", report=bad)
    for path in ("/", "/targets/contoso-key0"):
        html = (await answer(service, path))[2]
        assert "SQL Server itself" not in html
        assert "Proven by" not in html
    for path in ("/api/v1/targets", "/api/v1/targets/contoso-key0"):
        assert '"sql_servers": [' not in (await answer(service, path))[2]


async def test_page_follows_each_new_reading():
    service = service_of("n1", readings=[growing()])
    assert "56 min ago" in await page_of(service)
    service.readings = [replace(growing(backups=[]), attempted_at=NOW)]
    assert "start that opened [sales]" in await page_of(service)


async def test_pages_and_api_make_the_proofs_of_a_reading_once(monkeypatch):
    made = []
    monkeypatch.setattr(sql_proofs, "key_proofs", lambda reading: made.append(reading) or ())
    async with serving(service_of("n1", readings=[growing()])) as session:
        for path in ("/targets/contoso-key0", "/api/v1/targets/contoso-key0", "/api/v1/targets"):
            await get(session, path)
    assert len(made) == 1


async def test_reload_while_a_page_is_made_changes_no_target_of_it(monkeypatch):
    service, fleet = service_of("n1", readings=[growing()], report=bad), pages.fleet

    async def with_reload(*args, **options):
        found = await fleet(*args, **options)
        service.config = config(target("other"))
        return found

    monkeypatch.setattr(pages, "fleet", with_reload)
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

"""The day of simulated SQL Servers, read over TDS with the batches of the running exporter, at times that the test sets."""

import asyncio
from datetime import UTC, datetime

import pytest

from exporter.core.names import parse_sql_address
from exporter.simulator.build import build_environment
from exporter.simulator.environment import BACKUPS, DEFINITIONS, ERROR_LOG, PERFORMANCE, SECURITY
from exporter.simulator.faults import FaultScope, Options
from exporter.simulator.sql_servers import SqlServers
from exporter.sqlserver.calls import CALLS
from exporter.sqlserver.document import PROOF_SECTIONS, SECTIONS
from exporter.sqlserver.read import SqlServerAccess, read_server
from exporter.sqlserver.script import batches, proof_batches
from exporter.sqlserver.tds import SqlLogin, make_context
from tests.support.patience import PATIENCE
from tests.support.simulated_sql import DEFAULT, FIRST, SECOND, configuration

pytestmark = pytest.mark.asyncio
MINUTE, HOUR, DAY = 60.0, 3600.0, 86400.0
BEGIN = 1_790_000_000.0
CLAIMS = "contoso-claims.vault.azure.net"


class Timed:
    """Simulated servers whose clock stands until the test moves it."""

    def __init__(self, folder):
        self.now = BEGIN
        self.servers = SqlServers(build_environment(configuration(folder)), clock=lambda: self.now)

    def set(self, fault, scope=FaultScope.SQL, name=DEFAULT, **options):
        self.servers.state.set(fault, scope, name, Options(**options))

    async def read(self, name=DEFAULT, **proofs):
        access = SqlServerAccess(SqlLogin("ekm", self.servers.password), make_context(None, verify=False), PATIENCE)
        address = parse_sql_address(f"localhost,{self.servers.ports[name]}")
        return await asyncio.to_thread(read_server, address, access, batches() + proof_batches(**proofs))

    async def section(self, section, name=DEFAULT):
        document = await self.read(name)
        assert section not in document.errors
        return document.sections[section]

    async def codes(self, name=DEFAULT):
        return {row["code"] for row in await self.section("errors", name)} - {"other"}


@pytest.fixture
async def world(tmp_path):
    found = Timed(tmp_path)
    async with found.servers:
        yield found


def text(moment):
    return datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%dT%H:%M:%S")


async def test_every_section_of_both_scripts_is_answered(world):
    document = await world.read()
    assert (document.failure, dict(document.errors)) == (None, {})
    assert set(document.sections) == {*SECTIONS, *PROOF_SECTIONS} - {CALLS}  # no session records them


async def test_backups_that_are_read_on_have_the_gaps_since(world):
    world.servers.change_day([DEFAULT], {"full_every": 60 * DAY})
    world.now += 12 * DAY
    whole = await world.read()
    newest = whole.sections["history"][0]["newest_id"]
    full, log = whole.sections["backups"]
    assert (full["type"], log["type"], log["longest_seconds"], log["offset_minutes"]) == ("D", "L", 900, 0)
    assert full["gaps"] + log["gaps"] == newest - 2
    (later,) = (await world.read(after=newest)).sections["backups"]
    assert (later["type"], later["gaps"]) == ("L", 999)


async def test_error_log_has_been_read_since_it_was_asked_for_or_since_its_beginning(world):
    world.servers.restart(DEFAULT)
    world.now += DAY

    async def log(since):
        document = await world.read(since=lambda _: since)
        assert not document.errors
        return document.sections["log"]

    asked = {"since_utc": text(world.now - 2 * HOUR - 10 * MINUTE), "until_utc": text(world.now)}
    assert await log(world.now - 2 * HOUR) == (asked,)
    world.servers.restart(DEFAULT)
    started, world.now = world.now, world.now + HOUR
    assert await log(started - HOUR) == ({"since_utc": text(started), "until_utc": text(world.now)},)


async def test_healthy_hour_has_its_backups_and_no_failure(world):
    world.now += HOUR
    document = await world.read()
    backups = {row["type"]: row for row in document.sections["backups"]}
    assert backups.keys() == {"D", "L"}
    assert text(world.now - 15 * MINUTE) <= backups["L"]["finished_utc"] <= text(world.now)
    (log,) = document.sections["logs"]
    assert log["log_backup_utc"] == backups["L"]["finished_utc"]
    assert log["reuse_wait"] == "NOTHING"
    assert log["used_kb"] <= log["total_kb"] == log["vlf_count"] * log["vlf_mb"] * 1024
    assert "limit_kb" not in log
    (opened,) = document.sections["opened"]
    assert opened["opened_utc"] == document.sections["start"][0]["started_utc"]
    assert document.sections["flags"] == ({"flag": 15025, "is_on": 0},)
    assert [row for row in document.sections["errors"] if row["code"] != "other"] == []
    assert document.sections["loaded"][0]["provider_version"] == "15.0.2000.440"


@pytest.mark.parametrize(
    ("right", "refused"),
    [
        (BACKUPS, {"history", "backups"}),
        (ERROR_LOG, {"errors"}),
        (SECURITY, {"encryption", "opened"}),
        (PERFORMANCE, {"modules", "service", "logs", "trace"}),
    ],
)
async def test_revoked_right_costs_its_sections_alone(world, right, refused):
    world.set("sql_right_missing", right=right)
    assert set((await world.read()).errors) == refused
    world.servers.state.clear()
    assert not (await world.read()).errors


async def test_limit_and_disk_are_absent_without_definitions(world):
    world.servers.change_day([DEFAULT], {"limit_kb": 2_000_000})
    (log,) = await world.section("logs")
    assert log["limit_kb"] == 2_000_000
    assert log["disk_free_kb"] > 0
    world.set("sql_right_missing", right=DEFINITIONS)
    (log,) = await world.section("logs")
    assert log.keys().isdisjoint({"limit_kb", "disk_free_kb"})


async def last_log_backup(world, name=DEFAULT):
    (row,) = [row for row in await world.section("backups", name) if row["type"] == "L"]
    return row["finished_utc"]


async def test_fault_that_came_and_went_unread_left_its_lines(world):
    world.set("key_disabled", FaultScope.VAULT, CLAIMS)
    world.now += HOUR
    world.servers.state.clear()
    world.now += HOUR
    rows = {row["code"]: row for row in await world.section("errors")}
    assert rows.keys() >= {"3113", "3041"}
    assert rows["3041"]["lines"] >= 4
    assert text(BEGIN) < rows["3113"]["first_utc"] <= rows["3113"]["last_utc"] <= text(BEGIN + HOUR)
    assert await last_log_backup(world) >= text(world.now - 15 * MINUTE)


@pytest.mark.parametrize(
    ("fault", "scope", "name", "codes"),
    [
        ("sql_login_without_credential", FaultScope.SQL, DEFAULT, set()),
        ("sql_provider_disabled", FaultScope.SQL, DEFAULT, set()),
        ("sql_backups_fail", FaultScope.SQL, DEFAULT, {"18204"}),
        ("sql_secret_old", FaultScope.SQL, DEFAULT, {"3303"}),
        ("secret_expired", FaultScope.APPLICATION, "tde", {"3303"}),
        ("firewall", FaultScope.VAULT, CLAIMS, {"3113"}),
        ("key_purged", FaultScope.VAULT, CLAIMS, {"3112"}),
    ],
)
async def test_failing_backup_writes_the_code_of_its_cause(world, fault, scope, name, codes):
    world.set(fault, scope, name)
    world.now += 3 * HOUR
    assert await world.codes() == {*codes, "3041"}


@pytest.mark.parametrize(
    ("fault", "scope", "name"),
    [
        ("delayed", FaultScope.VAULT, CLAIMS),
        ("key_expired", FaultScope.VAULT, CLAIMS),
        ("graph_permission_removed", FaultScope.APPLICATION, "tde"),
        ("firewall", FaultScope.VAULT, "contoso-sales"),
    ],
)
async def test_backup_succeeds_under_what_no_unwrap_needs(world, fault, scope, name):
    world.set(fault, scope, name)
    world.now += 3 * HOUR
    assert not await world.codes()


async def test_secondary_shows_the_last_log_backup_of_its_primary(world):
    world.now += HOUR
    primary, secondary = [await world.section("logs", name) for name in (FIRST, SECOND)]
    assert secondary == ({"database": "sales", "log_backup_utc": primary[0]["log_backup_utc"]},)
    assert await world.section("backups", SECOND) == ()


async def test_database_of_a_fault_has_its_day(world):
    world.set("sql_database_added")
    rows = await world.section("logs")
    assert [row["database"] for row in rows] == ["claims", "not-in-configuration"]

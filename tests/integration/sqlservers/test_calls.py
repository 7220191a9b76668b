"""SQL Server's own calls, from the script that a DBA types over the reading of `run` to page, series and gate; and from a session that goes."""

from __future__ import annotations

import asyncio
import re

import pymssql
import pytest

from exporter.simulator.environment import DaySettings
from exporter.sqlserver.script import script_bytes
from tests.integration.sqlservers.harness import DAY, SteppedReader, Story, StoryRunner

pytestmark = pytest.mark.asyncio

N1 = "N1\\TRACED"
# Full backups are weekly, and there is no other one: its new virtual log files ask the vault meanwhile.
WEEKLY = DaySettings(every=0.0, full_every=7 * DAY, vlf_kb=40_000, disk_kb=1_000_000_000)
READ = (0, 60, 140, 180, 260, 280)
STORY = Story("traced", read=READ, shown=READ, day=WEEKLY, credential="tde-own", asked=("n1",))
BATCHES = [one for one in re.split(r"(?m)^GO\s*$", script_bytes("trace-ekm.sql").decode()) if one.strip()]
HOW = "ekm-exporter script trace-ekm.sql prints the session"


async def typed(runner: StoryRunner, *statements: str) -> list[object]:
    """Send statements with FreeTDS, as a DBA does, and return the rows of the last one."""
    sql = runner.simulator.served_sql

    def run() -> list[object]:
        connection = pymssql.connect(server="127.0.0.1", port=sql.ports[N1], user="ekm", password=sql.password)
        with connection, connection.cursor() as cursor:
            for statement in statements:
                cursor.execute(statement)
            return list(cursor.fetchall()) if cursor.description else []

    return await asyncio.to_thread(run)


async def test_session_shows_calls_failures_and_the_proof_and_leaves_nothing(tmp_path):
    async with StoryRunner(tmp_path, [STORY]) as runner:
        reader, simulator, seen = SteppedReader(), runner.simulator, runner.observed["traced"]

        async def at(minute: int, *statements: str) -> list[object]:
            runner.clock.minute = minute
            rows = await typed(runner, *statements) if statements else []
            if minute in STORY.read:
                await runner._step(minute, reader)
            return rows

        def series(minute: int, name: str = "mssql_ekm_call") -> dict[str, float]:
            return {key: value for key, value in seen.samples[minute].items() if key.startswith(name)}

        async with runner.reading(reader, interval=0.01):
            await at(0)
            assert HOW in seen.pages[0]
            assert series(0) == {}
            assert await at(5, *BATCHES) == [("ekm_calls", "event_file")]
            runner.clock.minute = 30
            simulator.set_fault("sql_credential_altered", sql=N1)
            await at(60)
            assert HOW not in seen.pages[60]
            await at(140)
            assert "credential_not_proven" in seen.answers[140, "n1"].missing
            assert re.search(
                r"This server asked its provider [\d,]+ times in the last hour, [\d,]+ of them SqlCryptDecrypt\.", seen.pages[140]
            )
            await at(180)
            assert (seen.answers[180, "n1"].code, seen.answers[180, "n1"].missing) == (0, [])
            assert seen.value(180, "mssql_ekm_calls_last_hour", 'function="SqlCryptDecrypt"', 'code="0"') > 0

            runner.clock.minute = 185
            simulator.set_fault("secret_wrong", application="tde-own")
            simulator.set_fault("sql_secret_changed", sql=N1)
            await at(260)
            failed = series(260, "mssql_ekm_call_timestamp_seconds")
            assert any('function="SqlCryptOpenSession"' in name and 'code="3303"' in name for name in failed), failed
            assert "SqlCryptOpenSession failed with 3303" in seen.pages[260]
            assert "credential_not_proven" in seen.answers[260, "n1"].missing

            await at(280, "DROP EVENT SESSION [ekm_calls] ON SERVER;")
            assert HOW in seen.pages[280]
            assert "SqlCrypt" not in seen.pages[280] + seen.overviews[280]
            assert series(280) == {}

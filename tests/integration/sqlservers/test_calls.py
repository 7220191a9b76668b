"""SQL Server's own calls, from the script that a DBA types over the reading of `run` to page, series and gate; and from a session that goes."""

from __future__ import annotations

import asyncio
import re

import pymssql
import pytest

from exporter.simulator.environment import DaySettings
from exporter.sqlserver.document import utc
from exporter.sqlserver.script import script_bytes
from tests.integration.sqlservers.harness import BEGIN, DAY, MINUTE, GateAnswer, SteppedReader, Story, StoryRunner

pytestmark = pytest.mark.asyncio

# Full backups are weekly, and there is no other one: its new virtual log files ask the vault meanwhile.
WEEKLY = DaySettings(every=0.0, full_every=7 * DAY, vlf_kb=40_000, disk_kb=1_000_000_000)
READ = (0, 60, 140, 180, 260, 280)
STORY = Story("traced", read=READ, shown=READ, day=WEEKLY, credential="tde-own", asked=("n1",))
COLUMNS = Story("columned", read=READ, shown=READ, credential="tde-own", asked=("n1",))
BATCHES = [one for one in re.split(r"(?m)^GO\s*$", script_bytes("trace-ekm.sql").decode()) if one.strip()]
HOW = "ekm-exporter script trace-ekm.sql prints the session"


async def typed(runner: StoryRunner, server: str, *statements: str) -> list[object]:
    """Send statements with FreeTDS, as a DBA does, and return the rows of the last one."""
    sql = runner.simulator.served_sql

    def run() -> list[object]:
        connection = pymssql.connect(server="127.0.0.1", port=sql.ports[server], user="ekm", password=sql.password)
        with connection, connection.cursor(as_dict=True) as cursor:
            for statement in statements:
                cursor.execute(statement)
            return list(cursor.fetchall()) if cursor.description else []

    return await asyncio.to_thread(run)


async def test_session_shows_calls_failures_and_the_proof_and_leaves_nothing(tmp_path):
    async with StoryRunner(tmp_path, [STORY]) as runner:
        reader, simulator, seen = SteppedReader(), runner.simulator, runner.observed["traced"]

        async def at(minute: int, *statements: str) -> list[object]:
            runner.clock.minute = minute
            rows = await typed(runner, STORY.server("n1"), *statements) if statements else []
            if minute in STORY.read:
                await runner._step(minute, reader)
            return rows

        def series(minute: int, name: str = "mssql_ekm_call") -> dict[str, float]:
            return {key: value for key, value in seen.samples[minute].items() if key.startswith(name)}

        async with runner.reading(reader, interval=0.01):
            await at(0)
            assert HOW in seen.pages[0]
            assert series(0) == {}
            assert await at(5, *BATCHES) == [
                {
                    "session_name": "ekm_calls",
                    "target_name": "event_file",
                    "started_local_time": utc(BEGIN + 5 * MINUTE),
                    "dropped_events": 0,
                    "dropped_buffers": 0,
                }
            ]
            runner.clock.minute = 30
            simulator.set_fault("sql_credential_altered", sql=STORY.server("n1"))
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
            simulator.set_fault("sql_secret_changed", sql=STORY.server("n1"))
            await at(260)
            failed = series(260, "mssql_ekm_call_timestamp_seconds")
            assert any('function="SqlCryptOpenSession"' in name and 'code="3303"' in name for name in failed), failed
            assert "SqlCryptOpenSession failed with 3303" in seen.pages[260]
            assert "credential_not_proven" in seen.answers[260, "n1"].missing

            assert await at(280, "DROP EVENT SESSION [ekm_calls] ON SERVER;", BATCHES[-1]) == []
            assert HOW in seen.pages[280]
            assert "SqlCrypt" not in seen.pages[280] + seen.overviews[280]
            assert series(280) == {}


async def test_columns_alone_are_ready_with_the_calls_of_their_session_and_not_known_without(tmp_path):
    async with StoryRunner(tmp_path, [COLUMNS]) as runner:
        reader, seen, n1 = SteppedReader(), runner.observed["columned"], COLUMNS.server("n1")
        runner.simulator.set_fault("sql_columns_alone", sql=n1)

        async def gate_at(minute: int, *statements: str) -> GateAnswer:
            runner.clock.minute = minute
            if statements:
                await typed(runner, n1, *statements)
            await runner._step(minute, reader)
            return seen.answers[minute, "n1"]

        async with runner.reading(reader, interval=0.01):
            assert "columns may, and no recorded sign-in and unwrap can be of key" in (await gate_at(0)).text
            assert (await gate_at(60, *BATCHES)).missing == ["columns_not_proven"]
            assert (await gate_at(140)).missing == ["columns_not_proven"]  # no sign-in two hours after the first reading yet
            assert (await gate_at(180)).missing == []
            assert not [name for name in seen.samples[180] if 'evidence="used"' in name]
            assert seen.value(180, "mssql_ekm_calls_last_hour", 'function="SqlCryptDecrypt"', 'code="0"') == 59
            assert (await gate_at(260, "DROP EVENT SESSION [ekm_calls] ON SERVER;")).missing == ["columns_not_proven"]
            assert seen.value(260, "mssql_ekm_restart_missing_info", 'evidence="used"', 'answer="not_known"') == 1
            assert not [name for name in seen.samples[260] if name.startswith("mssql_ekm_call")]

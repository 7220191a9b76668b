"""`/api/v1/sql-servers`: every reading, in pieces."""

import json
from dataclasses import replace

import pytest

from exporter.sqlserver.gate.exporters import read_readings
from exporter.sqlserver.reading import reading_values
from exporter.web.api import readings_json
from tests.support.sql_readings import READ_AT, a_reading, an_unread_server, with_growing_logs
from tests.support.turns import MOST_CALLS, counted_calls
from tests.support.web_server import Service, answer, get, serving

PATH = "/api/v1/sql-servers"
DATABASES = [f"database {number}" for number in range(5_000)]


def a_service(*readings):
    service = Service()
    service.readings = list(readings)
    return service


async def body_of(*readings):
    return "".join(readings_json(readings, now=READ_AT)).encode()


@pytest.mark.parametrize("encoding", ["identity", "gzip"])
async def test_readings_are_those_of_the_exporter(encoding):
    readings = with_growing_logs(a_reading("sales", "hr")), an_unread_server("n2")
    async with serving(a_service(*readings)) as session:
        status, headers, text = await get(session, PATH, headers={"Accept-Encoding": encoding})
    assert (status, headers["Content-Type"]) == (200, "application/json; charset=utf-8")
    assert headers.get("Content-Encoding", "identity") == encoding
    listed = json.loads(text)
    assert listed["at"].endswith("Z")
    assert listed["sql_servers"] == json.loads(json.dumps([reading_values(reading) for reading in readings]))
    assert listed["sql_servers"][1]["document"] is None


async def test_exporter_without_sql_servers_has_an_empty_list():
    assert json.loads((await answer(a_service(), PATH))[2])["sql_servers"] == []


@pytest.mark.parametrize("rows", [1, 100, 101, 200])
async def test_rows_in_several_pieces_are_the_same(rows):
    reading = a_reading(*DATABASES[:rows])
    (found,) = read_readings(await body_of(reading), "http://localhost")
    assert found.document.sections == reading.document.sections


async def test_large_reading_does_not_hold_the_event_loop():
    large = with_growing_logs(a_reading(*DATABASES))
    async with serving(a_service(large, replace(large, address="n2"))) as session, counted_calls() as found:
        status, _, text = await get(session, PATH, headers={"Accept-Encoding": "identity"})
    assert status == 200
    assert max(found) < MOST_CALLS
    assert len(json.loads(text)["sql_servers"]) == 2


async def test_no_piece_of_a_large_reading_is_large():
    sizes = [len(piece) for piece in readings_json([with_growing_logs(a_reading(*DATABASES))], now=READ_AT)]
    assert len(sizes) > 100
    assert max(sizes) < 128 * 1024

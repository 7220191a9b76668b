"""The series of SQL Servers in a scrape: a reading replaces those of its server, and a forgotten server has none."""

from __future__ import annotations

import asyncio

import pytest

from exporter.metrics.target_families import Level
from tests.support import client_model
from tests.support.metric_factories import a_recorder, names_in, scrape, series, show_reading
from tests.support.sql_readings import a_reading, an_unread_server

STATE = "mssql_ekm_database_state"


def states(recorder):
    """Return the databases by host, and their states."""
    found = {}
    for (name, *labels), value in series(scrape(recorder)).items():
        if name == STATE:
            own = dict(labels)
            found[own["host"], own["database"]] = value
    return found


def of_sql_servers(recorder):
    return {key for key in series(scrape(recorder)) if key[0].startswith("mssql_ekm_")}


def test_reading_replaces_all_series_of_its_server():
    recorder = a_recorder()
    show_reading(recorder, a_reading("hr", "sales"))
    show_reading(recorder, a_reading("web", address="n2", host="n2"))
    assert states(recorder) == {("n1", "hr"): 0, ("n1", "sales"): 0, ("n2", "web"): 0}

    show_reading(recorder, a_reading("pay"))
    assert states(recorder) == {("n1", "pay"): 0, ("n2", "web"): 0}


def test_forgotten_server_has_no_series():
    recorder = a_recorder()
    show_reading(recorder, a_reading())
    show_reading(recorder, a_reading(address="n2", host="n2"))
    recorder.sql_servers.forget("n1\\SQLPRD01")
    recorder.sql_servers.forget("never read")
    assert {dict(labels)["host"] for _, *labels in of_sql_servers(recorder)} == {"n2"}

    recorder.sql_servers.forget("n2")
    assert of_sql_servers(recorder) == set()


def test_first_reading_replaces_the_address_by_the_names():
    recorder = a_recorder()
    show_reading(recorder, an_unread_server())
    assert {dict(labels)["sql_instance"] for _, *labels in of_sql_servers(recorder)} == {"n1\\SQLPRD01"}

    show_reading(recorder, a_reading())
    assert {dict(labels)["sql_instance"] for _, *labels in of_sql_servers(recorder)} == {"SQLPRD01"}


def test_server_whose_names_another_one_answers_has_its_address():
    recorder = a_recorder()
    show_reading(recorder, a_reading("sales", address="10.0.0.5,1433"))
    show_reading(recorder, a_reading("sales", address="10.0.0.5,1433", contested=True))
    show_reading(recorder, a_reading(sections={"databases": [{"name": "sales", "state": "RECOVERY_PENDING"}]}))
    assert states(recorder) == {("10.0.0.5", "sales"): 0, ("n1", "sales"): 3}
    assert {dict(labels)["sql_instance"] for _, *labels in of_sql_servers(recorder)} == {"SQLPRD01", "10.0.0.5,1433"}


async def _protobuf(recorder):
    return b"".join([piece async for piece in recorder.scrape_protobuf()])


@pytest.mark.parametrize("scraped_before", [False, True])
def test_every_format_has_the_same_series(scraped_before):
    recorder = a_recorder()
    if scraped_before:
        asyncio.run(_protobuf(recorder))
    show_reading(recorder, a_reading('a "quoted" \\ name', "ümlaut"))
    body = asyncio.run(_protobuf(recorder))
    encoded = {key: value for key, value in client_model.series(body).items() if key[0].startswith("mssql_ekm_")}
    text = {key: value for key, value in series(scrape(recorder)).items() if key[0].startswith("mssql_ekm_")}
    plain = {line for line in scrape(recorder).splitlines() if line.startswith(b"mssql_ekm_")}
    assert encoded == text
    assert {line for line in scrape(recorder, openmetrics=True).splitlines() if line.startswith(b"mssql_ekm_")} == plain
    assert len(plain) > 30


@pytest.mark.parametrize("level", Level)
def test_levels_leave_out_series_of_sql_servers(level):
    recorder = a_recorder(level=level)
    show_reading(recorder, a_reading())
    names = names_in(scrape(recorder))
    assert "mssql_ekm_backup_finished_timestamp_seconds" in names
    assert ("mssql_ekm_backup_started_timestamp_seconds" in names) is (level is not Level.MINIMAL)


def test_exporter_without_scheduler_shows_no_sql_server():
    recorder = a_recorder(per_target_gauges=False)
    show_reading(recorder, a_reading())
    assert of_sql_servers(recorder) == set()

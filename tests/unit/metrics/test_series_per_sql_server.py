"""The number of series of one SQL Server."""

from __future__ import annotations

from collections import Counter

import pytest

from docs.generators.cardinality import BACKUP, DATABASE, DIFFERENCE, OF_SQL_SERVERS, of_a_sql_server, of_each_database
from exporter.metrics.sql_server_families import SQL_SERVER_METRICS
from exporter.metrics.target_families import Level
from tests.support.metric_factories import a_recorder, scrape, series, show_reading
from tests.support.sql_differences import a_difference
from tests.support.sql_inventory import altering
from tests.support.sql_readings import a_reading, sections_of, with_growing_logs

ALTERED = altering("credentials", created_utc="2025-01-01T00:00:00")
LINE = {"code": "3303", "lines": 1, "last_utc": "2026-11-26T19:00:00"}
OTHER = {"code": "other", "lines": 1, "last_utc": "2026-11-26T19:00:00"}


def of_the_fullest(*databases, level=Level.FULL, change=None):
    """Return the families of a fully known SQL Server, counted by their series; `change` changes its rows."""
    sections = sections_of(*databases, errors=[OTHER])
    for each in (ALTERED, *([change] if change else ())):
        each(sections)
    recorder = a_recorder(level=level)
    show_reading(recorder, with_growing_logs(a_reading(*databases, sections=sections)))
    return Counter(name for name, *_ in series(scrape(recorder)) if name.startswith("mssql_ekm_"))


def adding(section, **row):
    return lambda sections: sections[section].append(sections[section][0] | row)


def grouped(sections):
    sections["replicas"] += [{"ag": "AG7", "server_name": "N1"}, {"ag": "AG8", "server_name": "N1"}]


def another_key_in_use(sections):
    for section, row in (
        ("keys", {"name": "K", "thumbprint": "0x2C57"}),
        ("encryption", {"database": "hr", "thumbprint": "0x2C57"}),
        ("backups", {"database": "hr"}),
    ):
        adding(section, **row)(sections)


def without_credential(sections):
    del sections["keys"][0]["credential"]


@pytest.mark.parametrize("level", Level)
def test_series_of_a_sql_server_match_the_documentation(level):
    alone = of_the_fullest("sales", level=level)
    assert alone.total() == of_a_sql_server(level) + of_each_database(level)
    added = of_the_fullest("hr", "sales", level=level) - alone
    assert added.total() == of_each_database(level)


def test_a_database_adds_the_documented_series():
    added = of_the_fullest("hr", "sales") - of_the_fullest("sales")
    assert added == Counter([*OF_SQL_SERVERS[DATABASE], *OF_SQL_SERVERS[BACKUP] * 3])


@pytest.mark.parametrize(
    ("what", "change"),
    [
        ("each provider", adding("providers", name="Other")),
        ("each credential", adding("credentials", name="other")),
        ("each key", adding("keys", name="other", thumbprint="0x2C57")),
        ("each key that protects a database", another_key_in_use),
        ("each key that protects a database, and whose login has no credential", without_credential),
        ("each code in the error log", lambda sections: sections["errors"].append(LINE)),
        ("each provider in each availability group, or in none", grouped),
        ("each credential in each availability group, or in none", grouped),
    ],
)  # fmt: skip
def test_a_row_adds_the_documented_series(what, change):
    added = of_the_fullest(change=change) - of_the_fullest()
    assert {name: added[name] for name in OF_SQL_SERVERS[what]} == dict.fromkeys(OF_SQL_SERVERS[what], 1)


def test_a_difference_adds_the_documented_series():
    recorder = a_recorder()
    show_reading(recorder, a_reading(), a_difference(), a_difference(target="claims"))
    counted = Counter(name for name, *_ in series(scrape(recorder)))
    assert {name: counted[name] for name in OF_SQL_SERVERS[DIFFERENCE]} == {"mssql_ekm_difference_databases": 2}


def test_each_section_has_one_series():
    assert of_the_fullest()["mssql_ekm_section_timestamp_seconds"] == len(sections_of())


def test_every_family_of_a_sql_server_is_counted_once():
    counted = [name for names in OF_SQL_SERVERS.values() for name in names]
    assert sorted(counted) == sorted(spec.name for spec in SQL_SERVER_METRICS)


@pytest.mark.parametrize(("level", "alone", "each"), [(Level.MINIMAL, 32, 6), (Level.DEFAULT, 35, 14), (Level.FULL, 35, 14)])
def test_series_of_a_sql_server_stay_within_the_promise(level, alone, each):
    """Fleets are sized by these numbers: a higher one is a decision and a breaking change."""
    assert of_a_sql_server(level) <= alone
    assert of_each_database(level) <= each

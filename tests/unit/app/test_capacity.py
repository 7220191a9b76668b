"""The open files and threads that the system grants, and how many probes may run at once with them."""

import logging

import pytest

from exporter.app import service
from exporter.app.service import CapacityError, files_left, probes_at_once, require_threads
from exporter.probing import tokens
from exporter.runtime import process
from exporter.sqlserver.monitor import CONCURRENT_READINGS
from tests.support.factories import a_config, with_sql_servers
from tests.support.sql_monitors import a_server

PLAIN = a_config()
WITH_SQL = with_sql_servers(PLAIN, a_server("a"))


@pytest.fixture
def limited(monkeypatch):
    def limit(files, *, opened=4):
        monkeypatch.setattr(process, "raise_file_limit", lambda: None)
        monkeypatch.setattr(process, "file_limit", lambda: files)
        monkeypatch.setattr(process, "open_files", lambda _: opened)

    return limit


@pytest.mark.parametrize("config", [PLAIN, WITH_SQL])
@pytest.mark.parametrize("limit", [1, 10, 30])
def test_named_number_of_files_is_the_least_that_is_enough(limited, config, limit):
    limited(limit)
    with pytest.raises(CapacityError, match=rf"may open {limit} files, and needs at least \d+") as caught:
        files_left(config, listeners=2)
    enough = next(int(word.rstrip(":")) for word in str(caught.value).split("at least ")[1].split())
    limited(enough)
    assert probes_at_once(config, files_left(config, listeners=2)) == 1
    limited(enough - 1)
    with pytest.raises(CapacityError):
        files_left(config, listeners=2)


def test_files_that_are_open_leave_fewer(limited):
    limited(1024, opened=10)
    few = files_left(PLAIN, listeners=1)
    limited(1024, opened=110)
    assert files_left(PLAIN, listeners=1) == few - 100


def test_system_without_a_limit_of_files_grants_every_probe(limited, caplog):
    limited(None)
    assert files_left(PLAIN, listeners=1) is None
    assert probes_at_once(PLAIN, None) == PLAIN.settings.concurrency == 64
    assert not caplog.records


def test_fewer_probes_are_logged(limited, caplog):
    limited(64)
    with caplog.at_level(logging.WARNING):
        assert probes_at_once(PLAIN, 24) == 4
    assert [record.getMessage() for record in caplog.records] == ["fewer probes at once: the limit of open files is low"]


def test_readings_of_sql_servers_have_their_files():
    assert service.SQL_FILES >= CONCURRENT_READINGS + tokens._THREADS


@pytest.mark.parametrize(("granted", "enough"), [(15, False), (16, True)])
def test_threads_are_counted_before_they_are_needed(monkeypatch, granted, enough):
    monkeypatch.setattr(process, "threads_granted", lambda wanted: min(granted, wanted))
    if enough:
        require_threads()
        return
    with pytest.raises(CapacityError, match="grants this process 15 more threads, and it needs at least 16"):
        require_threads()

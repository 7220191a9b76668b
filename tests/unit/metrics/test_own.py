"""Metrics of the exporter itself and of its process."""

from __future__ import annotations

import platform

import pytest
from prometheus_client import enable_created_metrics

from exporter.metrics import own
from exporter.metrics.own import SKIP_REASONS
from exporter.probing import schedule
from exporter.windows.api import Resources
from tests.support.metric_factories import START, a_recorder, a_target, names_in, scrape, series


def own_series(recorder):
    return {key: value for key, value in series(scrape(recorder)).items() if key[0].startswith("ekm_exporter")}


def test_the_build_is_named():
    labels = (("mode", "scheduler"), ("python", platform.python_version()), ("version", "1.2.3"))
    assert own_series(a_recorder())["ekm_exporter_build_info", *labels] == 1


def test_all_counters_exist_at_zero():
    counters = {key: value for key, value in own_series(a_recorder()).items() if key[0].endswith(("_total", "_count"))}
    assert set(counters.values()) == {0}
    assert {key[1] for key in counters if key[0] == "ekm_exporter_requests_total"} == {
        ("endpoint", name) for name in ("vault", "entra", "graph")
    }
    assert {key[1] for key in counters if key[0] == "ekm_exporter_probes_skipped_total"} == {
        ("reason", name) for name in SKIP_REASONS
    }


def test_each_skip_reason_of_the_scheduler_has_a_series():
    recorder = a_recorder()
    for reason in schedule.Skip:
        recorder.skipped(reason, 2)
    assert {own_series(recorder)["ekm_exporter_probes_skipped_total", ("reason", str(reason))] for reason in schedule.Skip} == {2}


def test_shards_are_counted_only_if_there_are_several_exporters():
    recorder = a_recorder()
    assert not [key for key in own_series(recorder) if key[0] == "ekm_exporter_shards"]
    recorder.shard(1, 3)
    assert own_series(recorder)["ekm_exporter_shards", ("of", "3"), ("shard", "1")] == 3


def test_state_directory_has_a_series_only_if_there_is_one():
    recorder = a_recorder()
    assert not [key for key in own_series(recorder) if key[0] == "ekm_exporter_state_writable"]
    writable = [True]
    recorder.watch_state(lambda: writable[0])
    assert own_series(recorder)["ekm_exporter_state_writable",] == 1
    writable[0] = False
    assert own_series(recorder)["ekm_exporter_state_writable",] == 0


def test_events_of_the_exporter_are_counted():
    recorder = a_recorder(a_target())
    recorder.requested("vault", 4)
    recorder.internal_error()
    recorder.schedule_lag(0.3)
    recorder.ready(ready=True)
    recorder.watch_event_loop(lambda: 0.75)
    shown = own_series(recorder)
    assert shown["ekm_exporter_requests_total", ("endpoint", "vault")] == 4
    assert shown["ekm_exporter_internal_errors_total",] == 1
    assert shown["ekm_exporter_schedule_lag_seconds_bucket", ("le", "0.25")] == 0
    assert shown["ekm_exporter_schedule_lag_seconds_bucket", ("le", "0.5")] == 1
    assert shown["ekm_exporter_ready",] == 1
    assert shown["ekm_exporter_event_loop_lag_seconds",] == 0.75
    assert shown["ekm_exporter_targets",] == 1


def test_a_refused_reload_keeps_the_last_success_time():
    recorder = a_recorder()
    recorder.reloaded(successful=True, at=START)
    recorder.reloaded(successful=False, at=START + 60)
    assert own_series(recorder)["ekm_exporter_config_last_reload_successful",] == 0
    assert own_series(recorder)["ekm_exporter_config_last_reload_success_timestamp_seconds",] == START


def test_process_and_python_have_series_without_created():
    enable_created_metrics()
    names = names_in(scrape(a_recorder(a_target())))
    assert {"process_cpu_seconds_total", "python_info", "python_gc_collections_total"} <= names
    assert not {name for name in names if name.endswith("_created")}


def test_two_recorders_share_no_counters():
    one, other = a_recorder(), a_recorder()
    one.internal_error()
    assert own_series(other)["ekm_exporter_internal_errors_total",] == 0


USED = Resources(cpu_seconds=1.5, started=1000.0, resident_bytes=4096, private_bytes=8192, handles=7)


@pytest.fixture
def windows(monkeypatch):
    monkeypatch.setattr(own, "is_windows", lambda: True)
    monkeypatch.setattr(own, "resources", lambda: USED)


@pytest.mark.usefixtures("windows")
def test_values_are_those_of_windows():
    found = {name: value for (name, *_), value in series(scrape(a_recorder())).items() if name.startswith("process_")}
    assert found == {
        "process_cpu_seconds_total": 1.5,
        "process_start_time_seconds": 1000.0,
        "process_resident_memory_bytes": 4096,
        "process_virtual_memory_bytes": 8192,
        "process_open_fds": 7,
        "process_max_fds": 16 * 1024 * 1024,
    }


def test_names_and_types_are_those_of_linux(monkeypatch):
    """What PromQL reads on one system, it reads on the other."""
    linux = scrape(a_recorder())
    monkeypatch.setattr(own, "is_windows", lambda: True)
    monkeypatch.setattr(own, "resources", lambda: USED)
    windows = scrape(a_recorder())
    assert types(windows) == types(linux)
    assert {name for name in names_in(windows) if name.startswith("process_")} == {
        name for name in names_in(linux) if name.startswith("process_")
    }


def types(text: bytes) -> set[bytes]:
    return {line for line in text.splitlines() if line.startswith(b"# TYPE process_")}


def test_scrape_has_no_process_series_if_windows_refuses(monkeypatch):
    def refused():
        raise OSError(5, "denied")

    monkeypatch.setattr(own, "is_windows", lambda: True)
    monkeypatch.setattr(own, "resources", refused)
    names = names_in(scrape(a_recorder()))
    assert not {name for name in names if name.startswith("process_")}
    assert "python_info" in names

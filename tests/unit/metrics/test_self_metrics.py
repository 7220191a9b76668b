"""Metrics of the exporter itself."""

from __future__ import annotations

import platform

import pytest
from prometheus_client import enable_created_metrics

from exporter.metrics.own import SKIP_REASONS
from exporter.probing import schedule
from tests.support.metric_factories import START, a_recorder, a_target, names_in, scrape, series


def own(recorder):
    return {key: value for key, value in series(scrape(recorder)).items() if key[0].startswith("ekm_exporter")}


def test_the_build_is_named():
    labels = (("mode", "scheduler"), ("python", platform.python_version()), ("version", "1.2.3"))

    assert own(a_recorder())["ekm_exporter_build_info", *labels] == 1


def test_all_counters_exist_at_zero():
    counters = {key: value for key, value in own(a_recorder()).items() if key[0].endswith(("_total", "_count"))}

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

    assert {own(recorder)["ekm_exporter_probes_skipped_total", ("reason", str(reason))] for reason in schedule.Skip} == {2}


def test_shards_are_counted_only_if_there_are_several_exporters():
    recorder = a_recorder()
    assert not [key for key in own(recorder) if key[0] == "ekm_exporter_shards"]
    recorder.shard(1, 3)
    assert own(recorder)["ekm_exporter_shards", ("of", "3"), ("shard", "1")] == 3


def test_state_directory_has_a_series_only_if_there_is_one():
    recorder = a_recorder()
    assert not [key for key in own(recorder) if key[0] == "ekm_exporter_state_writable"]
    writable = [True]
    recorder.watch_state(lambda: writable[0])
    assert own(recorder)["ekm_exporter_state_writable",] == 1
    writable[0] = False
    assert own(recorder)["ekm_exporter_state_writable",] == 0


def test_events_of_the_exporter_are_counted():
    recorder = a_recorder(a_target())
    recorder.requested("vault", 4)
    recorder.internal_error()
    recorder.schedule_lag(0.3)
    recorder.ready(ready=True)
    recorder.watch_event_loop(lambda: 0.75)

    shown = own(recorder)
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

    assert own(recorder)["ekm_exporter_config_last_reload_successful",] == 0
    assert own(recorder)["ekm_exporter_config_last_reload_success_timestamp_seconds",] == START


@pytest.mark.parametrize("method", ["skipped", "requested"])
def test_an_unknown_reason_or_endpoint_is_an_error(method):
    with pytest.raises(ValueError, match="'weather' is none of"):
        getattr(a_recorder(), method)("weather")


def test_process_and_python_have_series_without_created():
    enable_created_metrics()
    names = names_in(scrape(a_recorder(a_target())))

    assert {"process_cpu_seconds_total", "python_info", "python_gc_collections_total"} <= names
    assert not {name for name in names if name.endswith("_created")}


def test_two_recorders_share_no_counters():
    one, other = a_recorder(), a_recorder()
    one.internal_error()

    assert own(other)["ekm_exporter_internal_errors_total",] == 0

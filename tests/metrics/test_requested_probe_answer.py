"""What /probe answers: this one report, and nothing that is remembered or counted."""

from __future__ import annotations

import io

from prometheus_client.openmetrics.parser import text_fd_to_metric_families

from exporter.config.model import Module
from exporter.core.model import Mode, Step
from exporter.metrics.table import BY_NAME
from tests.metrics.scenes import (
    START,
    Standing,
    a_config,
    a_key,
    a_recorder,
    a_report,
    a_target,
    headers,
    names_in,
    ok,
    refused,
    scrape,
    series,
)

TARGET = a_target(instances=({"sql_instance": "SQLPRD01"},))
MODULE = Module(name="default")


def answer(report, *, module=MODULE, target=TARGET):
    return a_recorder(config=a_config(target, modules=(MODULE,))).render_probe(target, module, report)


def test_a_good_probe_answers_with_its_gauges_and_the_well_known_names():
    text = answer(a_report(ready=True, key=a_key(), steps=[ok(Step.CHALLENGE, duration=0.125, vault=headers())]))

    shown = series(text)
    assert shown["probe_success",] == 1
    assert shown["probe_duration_seconds",] == 0.2
    assert series(text, "ekm_probe_success") == {(): 1}
    assert series(text, "ekm_probe_step_duration_seconds")[("challenge",)] == 0.125
    assert series(text, "ekm_last_success_timestamp_seconds") == {(): START}
    assert {"ekm_key_info", "ekm_vault_info", "ekm_target_info", "ekm_instance_info", "ekm_vault_side_ready"} <= names_in(text)


def test_a_failed_probe_answers_with_zero_and_its_failure():
    text = answer(a_report(steps=[refused()]))

    assert series(text)["probe_success",] == 0
    assert "ekm_last_failure_info" in names_in(text)
    assert "ekm_last_success_timestamp_seconds" not in names_in(text)
    assert set(series(text, "ekm_probe_step_duration_seconds")) == {("challenge",), ("token",)}


def test_counters_histograms_and_series_that_targets_share_stand_on_metrics_alone():
    names = names_in(answer(a_report(steps=[ok(Step.TOKEN, endpoint="e:443", server_time=START)])))

    assert {BY_NAME[name].type for name in names} == {"gauge"}
    assert {BY_NAME[name].scope for name in names} == {"target", "exporter"}
    assert not {name for name in names if name.startswith("ekm_exporter")}


def test_no_metric_has_two_types_on_two_paths():
    recorder = a_recorder(TARGET)
    metrics = {line for line in scrape(recorder).decode().splitlines() if line.startswith("# TYPE")}
    probe = {
        line for line in recorder.render_probe(TARGET, MODULE, a_report()).decode().splitlines() if line.startswith("# TYPE")
    }

    kinds = dict(line.split()[2:] for line in metrics)
    assert all(kinds.get(name, kind) == kind for name, kind in (line.split()[2:] for line in probe))


def test_the_module_asked_for_is_the_one_in_the_info():
    text = answer(a_report(), module=Module(name="other", mode=Mode.CANARY))

    assert b'mode="canary",module="other"' in text


def test_a_requested_probe_leaves_the_scrape_as_it_was():
    recorder = a_recorder(TARGET)
    recorder.record(a_report(), Standing())
    before = recorder._exposition.render(openmetrics=False)

    recorder.render_probe(TARGET, MODULE, a_report(steps=[refused()], key=a_key()))

    assert recorder._exposition.render(openmetrics=False) == before


def test_openmetrics_is_answered_with_its_end_mark():
    text = a_recorder(TARGET).render_probe(TARGET, MODULE, a_report(key=a_key()), openmetrics=True)

    assert text.endswith(b"# EOF\n")
    assert list(text_fd_to_metric_families(io.StringIO(text.decode())))

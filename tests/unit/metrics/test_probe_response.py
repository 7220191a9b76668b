"""The response of /probe: one report and the last known facts of its target, without counters."""

from __future__ import annotations

import io
from dataclasses import replace

from prometheus_client.openmetrics.parser import text_fd_to_metric_families

from exporter.config.settings import Module
from exporter.core.values import Mode, Step
from exporter.knowledge.reasons import Reason
from exporter.knowledge.verdict import AuxiliaryKind
from exporter.metrics.families import BY_NAME
from tests.support.metric_factories import (
    START,
    a_config,
    a_key,
    a_recorder,
    a_report,
    a_target,
    an_auxiliary_result,
    by_identity,
    failed,
    headers,
    names_in,
    ok,
    probed,
    record_auxiliary,
    refused,
    scrape,
    series,
)

TARGET = a_target(instances=({"sql_instance": "SQLPRD01"},))
MODULE = Module(name="default")
OTHER = "1" * 32


def response(report, *, module=MODULE, target=TARGET):
    return a_recorder(config=a_config(target, modules=(MODULE,))).render_probe(target, module, report)


def test_a_good_probe_has_its_gauges_and_blackbox_names():
    text = response(a_report(ready=True, key=a_key(), steps=[ok(Step.CHALLENGE, duration=0.125, vault=headers())]))

    shown = series(text)
    assert shown["probe_success",] == 1
    assert shown["probe_duration_seconds",] == 0.2
    assert series(text, "ekm_probe_success") == {(): 1}
    assert series(text, "ekm_probe_step_duration_seconds")[("challenge",)] == 0.125
    assert series(text, "ekm_last_success_timestamp_seconds") == {(): START}
    assert {"ekm_key_info", "ekm_vault_info", "ekm_target_info", "ekm_instance_info", "ekm_vault_side_ready"} <= names_in(text)


def test_a_failed_probe_has_zero_and_its_failure():
    text = response(a_report(steps=[refused()]))

    assert series(text)["probe_success",] == 0
    assert "ekm_last_failure_info" in names_in(text)
    assert "ekm_last_success_timestamp_seconds" not in names_in(text)
    assert set(series(text, "ekm_probe_step_duration_seconds")) == {("challenge",), ("token",)}


def remembering(target, **known):
    """Return a recorder without gauges of targets, as with --no-scheduler, whose target has the given facts."""
    recorder = a_recorder(config=a_config(target, modules=(MODULE,)), per_target_gauges=False)
    good = a_report(key=a_key(expires=START + 60), steps=[ok(Step.CHALLENGE, vault=headers())], tenant="11111111")
    before = {"newest_version": OTHER, "proof_at": START}
    probed(recorder, good, **(before | known))
    return recorder


def test_auxiliary_results_are_in_the_response():
    target = a_target(next_credential="sql-prod", recovery_vault="dr.vault.azure.net")
    made = by_identity(
        an_auxiliary_result(AuxiliaryKind.NEXT, "sql-prod", usable=False),
        an_auxiliary_result(AuxiliaryKind.RECOVERY, target.recovery_vault, vault=target.recovery_vault),
    )
    recorder = remembering(target)
    record_auxiliary(recorder, auxiliary=made, newest_version=OTHER, proof_at=START)
    text = recorder.render_probe(target, MODULE, a_report(started_at=START + 60))

    assert series(text, "ekm_credential_usable") == {("sql-prod", "current"): 1, ("sql-prod", "next"): 0}
    assert series(text, "ekm_recovery_usable") == {(): 1}
    assert series(text, "ekm_recovery_last_success_timestamp_seconds") == {(): START}
    assert series(text, "ekm_key_rotation_pending") == {(): 1}


def test_a_failed_probe_has_the_last_known_facts():
    text = remembering(TARGET).render_probe(TARGET, MODULE, a_report(steps=[refused()], started_at=START + 60))

    assert series(text, "ekm_probe_success") == {(): 0}
    assert series(text, "ekm_key_expiry_timestamp_seconds") == {(): START + 60}
    assert series(text, "ekm_last_success_timestamp_seconds") == {(): START}
    assert series(text, "ekm_vault_info") == {("private", "westeurope", "1.9"): 1}
    assert b'tenant="11111111"' in text


RUNS = ("ekm_consecutive_failures", "ekm_consecutive_unready_probes")


def runs(recorder):
    text = recorder.render_probe(TARGET, MODULE, a_report(steps=[refused()]))
    return [series(text, name) for name in RUNS]


def test_without_a_scheduler_failed_runs_are_in_the_response():
    recorder = remembering(TARGET)
    assert runs(recorder) == [{(): 0}, {(): 0}]

    bad = a_report(steps=[refused()], ready=False)
    probed(recorder, bad, consecutive_failures=3, consecutive_unready=2)
    assert runs(recorder) == [{(): 3}, {(): 2}]


def test_with_a_scheduler_the_response_has_no_runs():
    scheduled = a_recorder(config=a_config(TARGET, modules=(MODULE,)))
    bad = a_report(steps=[refused()], ready=False)
    probed(scheduled, bad, consecutive_failures=3, consecutive_unready=2)
    assert runs(scheduled) == [{}, {}]


def test_without_a_counted_probe_the_response_has_no_runs():
    assert runs(remembering(TARGET, last=None)) == [{}, {}]


def test_a_deleted_key_has_its_purge_date_until_read_again():
    recorder = remembering(TARGET, purge_at=START + 90)
    gone = a_report(steps=[failed(Step.GET_KEY, 3076, Reason.KEY_SOFT_DELETED, status=404)])

    name = "ekm_key_scheduled_purge_timestamp_seconds"
    assert series(recorder.render_probe(TARGET, MODULE, gone), name) == {(): START + 90}
    assert series(recorder.render_probe(TARGET, MODULE, replace(gone, purge_at=START + 99)), name) == {(): START + 99}
    assert series(recorder.render_probe(TARGET, MODULE, a_report(key=a_key())), name) == {}


def test_counters_and_shared_series_are_on_metrics_only():
    names = names_in(response(a_report(steps=[ok(Step.TOKEN, endpoint="e:443", server_time=START)])))

    assert {BY_NAME[name].type for name in names} == {"gauge"}
    assert {BY_NAME[name].scope for name in names} == {"target", "exporter"}
    assert not {name for name in names if name.startswith("ekm_exporter")}


def test_a_metric_has_one_type_on_both_paths():
    recorder = a_recorder(TARGET)
    metrics = {line for line in scrape(recorder).decode().splitlines() if line.startswith("# TYPE")}
    probe = {
        line for line in recorder.render_probe(TARGET, MODULE, a_report()).decode().splitlines() if line.startswith("# TYPE")
    }

    kinds = dict(line.split()[2:] for line in metrics)
    assert all(kinds.get(name, kind) == kind for name, kind in (line.split()[2:] for line in probe))


def test_the_requested_module_is_in_the_info():
    text = response(a_report(), module=Module(name="other", mode=Mode.CANARY))

    assert b'mode="canary",module="other"' in text


def test_a_requested_probe_changes_no_scrape():
    recorder = a_recorder(TARGET)
    probed(recorder, a_report())
    before = recorder._exposition.render(openmetrics=False)

    recorder.render_probe(TARGET, MODULE, a_report(steps=[refused()], key=a_key()))

    assert recorder._exposition.render(openmetrics=False) == before


def test_an_openmetrics_response_has_its_end_mark():
    text = a_recorder(TARGET).render_probe(TARGET, MODULE, a_report(key=a_key()), openmetrics=True)

    assert text.endswith(b"# EOF\n")
    assert list(text_fd_to_metric_families(io.StringIO(text.decode())))

"""Metrics of targets after each probe, and the response of /probe: one report and the last known facts, without counters."""

from __future__ import annotations

import io
from datetime import date

import pytest
from prometheus_client.openmetrics.parser import text_fd_to_metric_families

from exporter.config.settings import Module
from exporter.core.values import CredentialKind, Generation, Mode, Step
from exporter.knowledge.checks_vault import CheckOutcome, CheckResult
from exporter.knowledge.expiry import Source
from exporter.knowledge.reasons import Reason
from exporter.knowledge.verdict import AuxiliaryKind
from exporter.metrics.families import BY_NAME
from exporter.metrics.spec import MetricType
from exporter.metrics.target_families import TARGET_METRICS
from tests.support.metric_factories import (
    START,
    a_config,
    a_credential,
    a_key,
    a_recorder,
    a_report,
    a_target,
    add,
    an_auxiliary_result,
    by_identity,
    certificate,
    failed,
    headers,
    lines_of,
    names_in,
    ok,
    probed,
    record_auxiliary,
    refused,
    scrape,
    series,
    shown,
    silent,
    throttled,
)
from tests.support.values import replace

COUNTERS = {spec.name for spec in TARGET_METRICS if spec.kind is MetricType.COUNTER} | {
    f"ekm_step_duration_seconds_{suffix}" for suffix in ("bucket", "count", "sum")
}


def after(*reports, known=None, target=None, **options):
    recorder = a_recorder(target or a_target(), **options)
    for report in reports:
        probed(recorder, report, **(known or {}))
    return recorder


def test_a_report_without_steps_is_no_success_and_has_no_code():
    skipped = [failed(Step.CHALLENGE, None, None)]
    recorder = after(a_report(steps=skipped))
    assert shown(recorder, "ekm_probe_success") == {(): 0}
    assert shown(recorder, "ekm_last_error_code") == {}
    assert shown(recorder, "ekm_last_failure_info") == {}


@pytest.mark.parametrize("why", ["stale", "invalidated"])
def test_a_stale_or_invalidated_verdict_is_dropped_alone(why):
    recorder = after(a_report(ready=True))
    if why == "stale":
        recorder.drop_verdict("t")
        recorder.drop_verdict("never seen")
    else:
        recorder.records.invalidate_verdict("t")
        add(recorder, a_target())
    assert shown(recorder, "ekm_vault_side_ready") == {}
    assert shown(recorder, "ekm_probe_success") == {(): 1}


def test_a_discarded_result_counts_as_discarded_only():
    recorder = after(a_report(steps=[silent()], discarded=True))
    text = scrape(recorder)
    assert {key[0] for key, value in series(text).items() if key[0] in COUNTERS and value} == set()
    assert series(text)["ekm_exporter_probes_tainted_total",] == 1


def test_a_disturbed_step_counts_without_its_duration():
    recorder = after(a_report(steps=[replace(refused(), disturbed=True)]))
    assert shown(recorder, "ekm_last_error_code") == {(): 3303}
    assert shown(recorder, "ekm_probe_success") == {(): 0}
    assert shown(recorder, "ekm_probes_total") == shown(recorder, "ekm_probe_failures_total") == {(): 1}
    counted = (step.counts for step in recorder._blocks["t"].counters.durations.values())
    assert [sum(counts) for counts in counted] == [1, 0, 0, 0, 0]


def test_a_target_without_a_result_shows_nothing_good_and_nothing_bad():
    """Until its next result, which shows all again."""
    recorder = after(a_report(ready=True))
    record = recorder.records.get("t")
    families = ("ekm_probe_success", "ekm_vault_side_ready", "ekm_step_success", "ekm_last_error_code", "ekm_credential_usable")
    assert all(shown(recorder, family) for family in families)
    probed(recorder, a_report(steps=[silent()], discarded=True, started_at=START + 60))
    assert recorder.records.unmeasured(START + 120) == {}
    assert recorder.records.unmeasured(START + 120.1) == {"t": 0.9}
    for name in ("t", "never seen"):
        recorder.drop_result(name)
    assert not any(shown(recorder, family) for family in (*families, "ekm_last_failure_info"))
    assert shown(recorder, "ekm_last_probe_timestamp_seconds") == {(): START}
    assert record.unmeasured_at(START + 121)
    probed(recorder, a_report(ready=True, started_at=START + 180))
    assert all(shown(recorder, family) for family in families)
    assert not record.unmeasured_at(START + 181)


def test_a_target_that_is_not_measured_has_no_usable_recovery_and_no_run_without_failures():
    recorder = after(a_report(ready=True), target=a_target(recovery_vault="dr.vault.azure.net"))
    recovered = an_auxiliary_result(AuxiliaryKind.RECOVERY, "dr.vault.azure.net", vault="dr.vault.azure.net")
    record_auxiliary(recorder, auxiliary=by_identity(recovered))
    assert shown(recorder, "ekm_recovery_usable") == {(): 1}
    record = recorder.records.get("t")
    runs = ("ekm_consecutive_failures", "ekm_consecutive_blocking_failures", "ekm_consecutive_unready_probes")
    record.consecutive_failures = 3
    probed(recorder, a_report(steps=[silent()], discarded=True, started_at=START + 60))
    assert recorder.records.unmeasured(START + 121)
    recorder.drop_result("t")

    assert shown(recorder, "ekm_recovery_usable") == record.auxiliary == {}
    assert [bool(shown(recorder, run)) for run in runs] == [True, False, False]
    probed(recorder, a_report(ready=True, started_at=START + 180))
    assert [shown(recorder, run) for run in runs] == [{(): 0}] * 3


def test_a_target_that_failed_is_not_red_while_it_is_not_measured():
    recorder = after(a_report(steps=[refused()], ready=False), a_report(steps=[silent()], discarded=True, started_at=START + 60))
    assert shown(recorder, "ekm_failure_action_info")
    assert recorder.records.unmeasured(START + 121)
    recorder.drop_result("t")
    for family in ("ekm_vault_side_ready", "ekm_last_failure_info", "ekm_failure_action_info", "ekm_failure_cause_info"):
        assert shown(recorder, family) == {}


def test_a_failed_run_without_blocking_failures_is_zero():
    recorder = after(a_report(), known={"consecutive_failures": 3})
    assert shown(recorder, "ekm_consecutive_blocking_failures") == {(): 0}


def test_a_discarded_result_keeps_the_earlier_gauges():
    recorder = after(a_report(ready=True))
    probed(
        recorder,
        a_report(steps=[silent()], discarded=True, started_at=START + 60),
        consecutive_failures=1,
        next_probe_at=START + 120,
    )
    assert shown(recorder, "ekm_probe_success") == {(): 1}
    assert shown(recorder, "ekm_vault_side_ready") == {(): 1}
    assert shown(recorder, "ekm_consecutive_failures") == {(): 0}
    assert shown(recorder, "ekm_last_probe_timestamp_seconds") == {(): START}
    assert shown(recorder, "ekm_next_probe_timestamp_seconds") == {(): START + 120}
    assert series(scrape(recorder))["ekm_exporter_probes_tainted_total",] == 1


def test_a_429_counts_even_in_a_discarded_result():
    recorder = after(a_report(steps=[throttled()], discarded=True))
    assert shown(recorder, "ekm_throttled_total")[("get_key",)] == 1
    assert shown(recorder, "ekm_errors_total")["3011", "get_key"] == 0


def test_a_certificate_of_entra_is_no_part_of_the_path():
    recorder = after(*(a_report(steps=[ok(Step.TOKEN, certificate=certificate(issuer))]) for issuer in "ab"))
    assert set(shown(recorder, "ekm_path_changes_total").values()) == {0}


@pytest.mark.parametrize("change", ["disturbed", "shared"])
def test_disturbed_steps_and_shared_tokens_give_no_clock_skew(change):
    token = replace(ok(Step.TOKEN, server_time=START + 30, endpoint="e:443"), **{change: True})
    assert shown(after(a_report(steps=[token])), "ekm_clock_skew_seconds") == {}


def test_each_source_of_an_expiry_has_a_series():
    recorder = a_recorder(config=a_config(a_target(), credentials=(a_credential(expires_on=date(2027, 3, 1)),)))
    recorder.credential_expiry_found("sql-prod", Source.CERTIFICATE, START, START)
    assert shown(recorder, "ekm_credential_expiry_timestamp_seconds") == {
        ("sql-prod", "declared"): 1803859200,
        ("sql-prod", "certificate"): START,
    }


def test_lookup_of_a_removed_credential_is_ignored():
    """A reload removes it while the lookup is under way."""
    recorder = a_recorder(a_target())
    recorder.credential_expiry_found("removed", Source.GRAPH, START, START)
    assert {labels[0] for labels in shown(recorder, "ekm_credential_expiry_known")} == {"sql-prod"}


def test_a_credential_added_again_has_no_earlier_lookup():
    recorder = a_recorder(a_target())
    recorder.credential_expiry_found("sql-prod", Source.GRAPH, START, START)
    recorder.forget("t")
    add(recorder, a_target())
    assert "ekm_credential_expiry_timestamp_seconds" not in names_in(scrape(recorder))


def test_a_managed_hsm_has_no_budget():
    recorder = after(a_report(), target=a_target(vault="contoso.managedhsm.azure.net"))
    assert "ekm_request_budget_ratio" not in names_in(scrape(recorder))


def test_a_vault_added_again_has_an_empty_budget():
    recorder = after(a_report())
    recorder.forget("t")
    add(recorder, a_target())
    assert "ekm_request_budget_ratio" not in names_in(scrape(recorder))
    probed(recorder, a_report(steps=[silent(Step.CHALLENGE)]))
    assert shown_budget(recorder) == pytest.approx(1 / 4000)


def shown_budget(recorder):
    return series(scrape(recorder))["ekm_request_budget_ratio", ("vault", "contoso.vault.azure.net")]


def codes_in(recorder):
    return {dict(key[1:])["code"] for key in series(scrape(recorder)) if key[0] == "ekm_error_info"}


def of_generation(generation, *credentials):
    return a_config(a_target(generation=generation), credentials=credentials or (a_credential(),))


def test_error_info_has_each_possible_code_with_its_first_action():
    info = [dict(key[1:]) for key in series(scrape(a_recorder(a_target()))) if key[0] == "ekm_error_info"]
    codes = {each["code"] for each in info}
    assert {"3011", "3077", "3303", "3900"} <= codes
    assert len(codes) == len(info)
    assert all(each[label] for each in info for label in ("symbol", "category", "owner", "summary", "action"))


def test_error_info_follows_the_generation_of_the_modules_in_use():
    recorder = a_recorder(config=of_generation(Generation.CLASSIC))
    assert not {"3109", "3113"} & codes_in(recorder)
    recorder.configure(of_generation(Generation.CURRENT))
    assert {"3109", "3113"} <= codes_in(recorder)
    assert not {"3011", "3077"} & codes_in(recorder)


@pytest.mark.parametrize(
    ("kind", "possible"),
    [
        (CredentialKind.CLIENT_SECRET, set()),
        (CredentialKind.CLIENT_CERTIFICATE, {"3809"}),
        (CredentialKind.MANAGED_IDENTITY, {"3304"}),
        (CredentialKind.DEFAULT, {"3304", "3809"}),
    ],
)
def test_error_info_follows_the_kinds_of_credential(kind, possible):
    recorder = a_recorder(config=of_generation(Generation.CLASSIC, a_credential(kind=kind)))
    assert {"3304", "3809"} & codes_in(recorder) == possible


def test_forgetting_a_target_removes_its_series_only():
    credentials = (a_credential("a", expires_on=date(2027, 3, 1)), a_credential("b"))
    config = a_config(
        a_target("gone", credential="a", vault="gone.vault.azure.net"), a_target("kept", credential="b"), credentials=credentials
    )
    recorder = a_recorder(config=config)
    for name, vault in (("gone", "gone.vault.azure.net:443"), ("kept", "kept:443")):
        steps = [
            ok(Step.CHALLENGE, endpoint=vault, certificate=certificate(), server_time=START),
            ok(Step.TOKEN, endpoint="login:443", certificate=certificate()),
        ]
        probed(recorder, a_report(name, steps=steps, key=a_key()), next_probe_at=START)
    assert lines_of(scrape(recorder), "gone")
    recorder.forget("gone")
    recorder.forget("gone")
    text = scrape(recorder)
    assert not lines_of(text, "gone")
    assert not lines_of(text, 'credential="a"')
    assert set(series(text, "ekm_tls_certificate_expiry_timestamp_seconds")) == {("kept:443",), ("login:443",)}
    assert series(text)["ekm_exporter_targets",] == 1


def test_results_of_a_forgotten_target_are_ignored():
    recorder = a_recorder(a_target())
    recorder.forget("t")
    probed(recorder, a_report())
    recorder.checked("t", [CheckResult(check="revocation", outcome=CheckOutcome.FAIL)])
    record_auxiliary(recorder, newest_version="1" * 32)
    assert not lines_of(scrape(recorder), 'target="t"')


def test_a_reload_keeps_counters_and_renews_infos():
    recorder = after(a_report(steps=[throttled()]), a_report(key=a_key(expires=START)))
    changed = a_target(labels={"team": "new"}, generation=Generation.CURRENT, instances=({"sql_instance": "S"},))
    recorder.configure(a_config(changed, credentials=(a_credential(expires_on=date(2027, 3, 1)),)))
    add(recorder, changed)
    text = scrape(recorder)
    assert series(text, "ekm_probes_total") == {(): 2}
    errors = series(text, "ekm_errors_total")
    assert (errors["3011", "get_key"], errors["3109", "get_key"]) == (1, 0)
    assert len(lines_of(text, "ekm_target_info", 'team="new"')) == len(lines_of(text, "ekm_target_info")) == 1
    assert lines_of(text, "ekm_instance_info")
    assert series(text, "ekm_key_expiry_timestamp_seconds") == {(): START}
    assert series(text, "ekm_credential_expiry_known") == {("sql-prod",): 1}


def test_another_key_drops_the_facts_of_the_old_key():
    recorder = after(a_report(key=a_key()))
    add(recorder, a_target(key_version="0" * 32))
    assert not {name for name in names_in(scrape(recorder)) if name.startswith("ekm_key_")}
    probed(recorder, a_report(steps=[refused()]))
    assert not {name for name in names_in(scrape(recorder)) if name.startswith("ekm_key_")}


def test_another_vault_resets_the_target():
    recorder = after(a_report())
    add(recorder, a_target(vault="other.vault.azure.net"))
    text = scrape(recorder)
    assert series(text, "ekm_probes_total") == {(): 0}
    assert not lines_of(text, "contoso.vault.azure.net")


def test_a_credential_without_targets_loses_its_series():
    old = a_target(credential="old")
    recorder = a_recorder(config=a_config(old, credentials=(a_credential("old"),)))
    new = a_target(credential="new")
    recorder.configure(a_config(new, credentials=(a_credential("new"),)))
    add(recorder, new)
    assert shown(recorder, "ekm_credential_expiry_known") == {("new",): 0}


def test_without_a_scheduler_targets_have_no_gauges():
    recorder = after(a_report(key=a_key(), tenant="x"), per_target_gauges=False)
    recorder.drop_verdict("t")
    of_targets = {key[0] for key in series(scrape(recorder)) if ("target", "t") in key}
    assert of_targets == COUNTERS
    assert shown(recorder, "ekm_probes_total") == {(): 1}
    assert "ekm_request_budget_ratio" in names_in(scrape(recorder))


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

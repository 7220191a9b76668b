"""Samples of a target: auxiliary probes, network path, verdicts, last known facts, preflight checks and maintenance."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, date, datetime

import pytest

from docs.generators.cardinality import OF_CHECKS
from exporter.config.settings import ExpectPath, MaintenanceWindow, Module, Retained
from exporter.core.values import Step
from exporter.knowledge.checks_vault import CheckOutcome, CheckResult
from exporter.knowledge.reasons import Reason
from exporter.knowledge.verdict import AuxiliaryKind
from tests.support.metric_factories import (
    START,
    VERSION,
    a_config,
    a_credential,
    a_key,
    a_recorder,
    a_report,
    a_target,
    add,
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
    shown,
    silent,
)
from tests.support.values import replace

OLD, OTHER = "0" * 32, "1" * 32
DR = "contoso-dr.vault.azure.net"
TARGET = a_target(
    next_credential="staged",
    retained_versions=(
        Retained(key_name="ContosoRSAKey0", key_version=OLD, vault="contoso.vault.azure.net", credential="sql-prod"),
        Retained(key_name="ContosoRSAKey0", key_version=OLD, vault="archive.vault.azure.net", credential="sql-prod"),
    ),
    recovery_vault=DR,
)
STAGED = {"name": "staged", "credential": "staged"}
KEPT, RESTORED = {"name": f"ContosoRSAKey0/{OLD}"}, {"name": DR, "vault": DR}
AUXILIARY_METRICS = {
    "ekm_key_rotation_pending",
    "ekm_retained_version_usable",
    "ekm_recovery_usable",
    "ekm_recovery_last_success_timestamp_seconds",
}


def a_scene(target=TARGET, **module):
    config = a_config(
        target,
        credentials=(a_credential(), a_credential("staged"), a_credential("another")),
        modules=(Module(name="default", **module),),
    )
    return a_recorder(config=config)


def after(*made, target=TARGET, **known):
    recorder = a_scene(target)
    record_auxiliary(recorder, auxiliary=by_identity(*made), **known)
    return recorder


@pytest.mark.parametrize(("usable", "value"), [(True, 1), (False, 0), (None, None)])
@pytest.mark.parametrize(
    ("what", "result", "expected"),
    [
        (AuxiliaryKind.NEXT, STAGED, ("ekm_credential_usable", ("staged", "next"))),
        (AuxiliaryKind.RETAINED, KEPT, ("ekm_retained_version_usable", ("ContosoRSAKey0", OLD))),
        (AuxiliaryKind.RECOVERY, RESTORED, ("ekm_recovery_usable", ())),
    ],
)
def test_an_auxiliary_result_is_usable_refused_or_unknown(what, result, expected, usable, value):
    name, labels = expected
    found = shown(after(an_auxiliary_result(what, usable=usable, **result)), name)
    assert found == ({} if value is None else {labels: value})


def test_current_and_staged_credential_have_a_series_each():
    recorder = after(an_auxiliary_result(AuxiliaryKind.NEXT, usable=False, **STAGED), last=a_report(), credential="sql-prod")
    assert shown(recorder, "ekm_credential_usable") == {("sql-prod", "current"): 1, ("staged", "next"): 0}


def test_a_probe_keeps_the_series_of_auxiliary_probes():
    recorder = a_scene()
    made = by_identity(
        an_auxiliary_result(AuxiliaryKind.NEXT, **STAGED),
        an_auxiliary_result(AuxiliaryKind.RETAINED, **KEPT),
        an_auxiliary_result(AuxiliaryKind.RECOVERY, **RESTORED),
    )
    record_auxiliary(recorder, auxiliary=made, newest_version=OTHER, proof_at=START)
    before = {name: shown(recorder, name) for name in AUXILIARY_METRICS}
    report = a_report(steps=[refused()])
    probed(recorder, report, auxiliary=made, newest_version=OTHER, proof_at=START)
    assert {name: shown(recorder, name) for name in AUXILIARY_METRICS} == before
    assert all(before.values())
    assert shown(recorder, "ekm_credential_usable") == {("sql-prod", "current"): 0, ("staged", "next"): 1}


def test_an_auxiliary_probe_changes_no_counter():
    recorder = after(an_auxiliary_result(AuxiliaryKind.NEXT, usable=False, steps=(refused(),), **STAGED))
    assert shown(recorder, "ekm_probes_total") == {(): 0}
    assert set(shown(recorder, "ekm_errors_total").values()) == {0}
    assert "ekm_probe_success" not in names_in(scrape(recorder))


@pytest.mark.parametrize(
    ("what", "result", "changes"),
    [
        (AuxiliaryKind.NEXT, STAGED, {"next_credential": None}),
        (AuxiliaryKind.NEXT, STAGED, {"next_credential": "another"}),
        (AuxiliaryKind.RETAINED, KEPT, {"retained_versions": ()}),
        (AuxiliaryKind.RECOVERY, RESTORED, {"recovery_vault": None}),
    ],
)
def test_a_setting_that_is_gone_has_no_series(what, result, changes):
    recorder = after(an_auxiliary_result(what, **result), target=replace(TARGET, **changes), proof_at=START)
    last = set() if "recovery_vault" in changes else {"ekm_recovery_last_success_timestamp_seconds"}
    assert names_in(scrape(recorder)) & {"ekm_credential_usable", *AUXILIARY_METRICS} == last


@pytest.mark.parametrize(
    ("here", "there", "value"), [(True, True, {1}), (True, False, {0}), (False, True, {0}), (None, False, {0}), (None, True, {1})]
)
def test_a_version_in_two_vaults_must_unwrap_in_both(here, there, value):
    recorder = after(
        an_auxiliary_result(AuxiliaryKind.RETAINED, usable=here, **KEPT),
        an_auxiliary_result(AuxiliaryKind.RETAINED, usable=there, vault="archive.vault.azure.net", **KEPT),
    )
    found = shown(recorder, "ekm_retained_version_usable")
    assert (set(found), set(found.values())) == ({("ContosoRSAKey0", OLD)}, value)


def test_a_vault_no_longer_configured_has_no_effect():
    target = a_target(retained_versions=TARGET.retained_versions[:1])
    recorder = after(
        an_auxiliary_result(AuxiliaryKind.RETAINED, **KEPT),
        an_auxiliary_result(AuxiliaryKind.RETAINED, usable=False, vault="archive.vault.azure.net", **KEPT),
        target=target,
    )
    assert shown(recorder, "ekm_retained_version_usable") == {("ContosoRSAKey0", OLD): 1}


@pytest.mark.parametrize(("until", "value"), [(date(2027, 1, 15), {("ContosoRSAKey0", OLD): 1}), (date(2027, 1, 14), {})])
def test_a_version_has_a_series_until_its_last_day_ends(until, value):
    target = a_target(retained_versions=(replace(TARGET.retained_versions[0], until=until),))
    recorder = after(
        an_auxiliary_result(AuxiliaryKind.RETAINED, at=START - 86400, **KEPT), target=target, last=a_report(started_at=START)
    )
    assert shown(recorder, "ekm_retained_version_usable") == value


@pytest.mark.parametrize("usable", [False, None])
def test_the_last_recovery_outlives_a_failure(usable):
    recorder = after(an_auxiliary_result(AuxiliaryKind.RECOVERY, usable=usable, **RESTORED), proof_at=START - 86400)
    assert shown(recorder, "ekm_recovery_last_success_timestamp_seconds") == {(): START - 86400}


@pytest.mark.parametrize(("newest", "value"), [(OTHER, {(): 1}), (VERSION, {(): 0}), (None, {})])
def test_rotation_is_pending_not_pending_or_unknown(newest, value):
    assert shown(after(newest_version=newest), "ekm_key_rotation_pending") == value


def test_a_deleted_key_has_its_purge_date_until_recovered():
    recorder = a_scene()
    gone = a_report(steps=[failed(Step.GET_KEY, 3076, Reason.KEY_SOFT_DELETED, status=404)])
    probed(recorder, gone, purge_at=START + 90 * 86400)
    assert shown(recorder, "ekm_key_scheduled_purge_timestamp_seconds") == {(): START + 90 * 86400}
    back = a_report(key=a_key())
    probed(recorder, back)
    assert shown(recorder, "ekm_key_scheduled_purge_timestamp_seconds") == {}


@pytest.mark.parametrize(
    ("expected", "connection", "value"),
    [
        (ExpectPath.PRIVATE, "private", {(): 1}),
        (ExpectPath.PRIVATE, "public", {(): 0}),
        (ExpectPath.PUBLIC, "private", {(): 0}),
        (ExpectPath.PUBLIC, "public", {(): 1}),
        (ExpectPath.PRIVATE, None, {}),
        (ExpectPath.ANY, "public", {}),
    ],
)
def test_the_path_is_expected_unexpected_or_unknown(expected, connection, value):
    recorder = a_scene(a_target(), expect_path=expected)
    probed(recorder, a_report(steps=[ok(Step.CHALLENGE, vault=headers(connection=connection))]))
    assert shown(recorder, "ekm_path_as_expected") == value


def test_the_path_outlives_failed_probes():
    recorder = a_scene(a_target(), expect_path=ExpectPath.PRIVATE)
    probed(recorder, a_report(steps=[ok(Step.CHALLENGE, vault=headers(connection="public"))]))
    probed(recorder, a_report(steps=[silent(Step.CHALLENGE)]))
    assert shown(recorder, "ekm_path_as_expected") == {(): 0}


@pytest.mark.parametrize(
    ("report", "counted"),
    [
        (a_report(ready=True), (1, 0)),
        (a_report(steps=[refused()], ready=False), (0, 1)),
        (a_report(steps=[silent()], ready=None), (0, 0)),
        (a_report(steps=[silent()], discarded=True), (0, 0)),
        (a_report(steps=[failed(Step.WRAP_KEY, 3077, Reason.KEY_EXPIRED, status=403)], ready=True), (1, 0)),
    ],
)
def test_only_results_with_a_verdict_are_counted(report, counted):
    recorder = a_scene()
    probed(recorder, report)
    probed(recorder, report)
    ready, not_ready = (2 * count for count in counted)
    assert shown(recorder, "ekm_probe_verdicts_total") == {("ready",): ready, ("not_ready",): not_ready}


def test_a_restart_restores_last_known_facts_only():
    recorder = a_scene(expect_path=ExpectPath.PRIVATE)
    add(
        recorder,
        TARGET,
        Module(name="default", expect_path=ExpectPath.PRIVATE),
        newest_version=OTHER,
        proof_at=START - 60,
        purge_at=START + 60,
        last_success_at=START - 90,
        key=a_key(expires=START, not_before=START),
        vault=headers(connection="public"),
        tenant="11111111",
    )
    text = scrape(recorder)
    assert series(text, "ekm_vault_info") == {("public", "westeurope", "1.9"): 1}
    assert b'tenant="11111111"' in text
    for name, value in {
        "ekm_key_rotation_pending": 1,
        "ekm_recovery_last_success_timestamp_seconds": START - 60,
        "ekm_key_scheduled_purge_timestamp_seconds": START + 60,
        "ekm_last_success_timestamp_seconds": START - 90,
        "ekm_path_as_expected": 0,
        "ekm_key_expiry_timestamp_seconds": START,
    }.items():
        assert series(text, name) == {(): value}
    forgotten = {"ekm_credential_usable", "ekm_retained_version_usable", "ekm_recovery_usable", "ekm_probe_success"}
    forgotten |= {"ekm_consecutive_failures", "ekm_consecutive_blocking_failures"}
    forgotten |= {"ekm_consecutive_unready_probes", "ekm_next_probe_timestamp_seconds"}
    assert not forgotten & names_in(text)


def test_another_pinned_version_drops_rotation_and_purge():
    recorder = after(newest_version=OTHER, purge_at=START)
    add(recorder, a_target(key_version=VERSION.replace("c", "d")))
    assert not {"ekm_key_rotation_pending", "ekm_key_scheduled_purge_timestamp_seconds"} & names_in(scrape(recorder))


def a_reload(**changes):
    """Return a recorder whose target had usable auxiliary results and then a changed configuration."""
    made = (
        an_auxiliary_result(AuxiliaryKind.NEXT, **STAGED),
        an_auxiliary_result(AuxiliaryKind.RETAINED, **KEPT),
        an_auxiliary_result(AuxiliaryKind.RECOVERY, **RESTORED),
    )
    recorder = after(*made, last=a_report(), credential="sql-prod", proof_at=START)
    add(recorder, replace(TARGET, **changes))
    return recorder


@pytest.mark.parametrize(
    ("changes", "staged", "retained", "recovery"),
    [
        ({"labels": {"team": "new"}}, {("staged", "next"): 1}, {("ContosoRSAKey0", OLD): 1}, {(): 1}),
        ({"next_credential": None, "retained_versions": (), "recovery_vault": None}, {}, {}, {}),
    ],
    ids=["another setting", "removed settings"],
)
def test_a_reload_drops_series_of_removed_settings_alone(changes, staged, retained, recovery):
    recorder = a_reload(**changes)
    assert shown(recorder, "ekm_credential_usable") == {("sql-prod", "current"): 1} | staged
    assert shown(recorder, "ekm_retained_version_usable") == retained
    assert shown(recorder, "ekm_recovery_usable") == recovery


def test_a_promoted_credential_has_no_series_before_a_probe():
    assert shown(a_reload(credential="staged", next_credential=None), "ekm_credential_usable") == {}


RESULTS = (
    CheckResult(check="dns_vault", outcome=CheckOutcome.PASS),
    CheckResult(check="revocation", outcome=CheckOutcome.FAIL),
    CheckResult(check="clock", outcome=CheckOutcome.WARN),
    CheckResult(check="tenant", outcome=CheckOutcome.SKIPPED),
    CheckResult(check="key_type", outcome=CheckOutcome.FAIL, code=3),
    CheckResult(check="event_log", outcome=CheckOutcome.UNKNOWN),
)


def check_series(recorder):
    """Return the values by family and label `check`; the key is None without the label."""
    found = {name: {} for name in OF_CHECKS}
    for (name, *labels), value in series(scrape(recorder)).items():
        if name in found:
            found[name][dict(labels).get("check")] = value
    return found


def after_checks(*runs):
    recorder = a_recorder(a_target())
    for results in runs:
        recorder.checked("t", results)
    return recorder


@pytest.mark.parametrize(
    ("runs", "failed_checks", "failed"),
    [
        ((), {}, {}),
        ((RESULTS,), {None: 2}, {"revocation": 1, "key_type": 1}),  # no other outcome counts as failed
        ((RESULTS, RESULTS[:1]), {None: 0}, {}),
        ((RESULTS, None), {}, {}),  # the target has changed
    ],
)
def test_the_failed_checks_of_the_last_run_have_series(runs, failed_checks, failed):
    found = {"ekm_preflight_failed_checks": failed_checks, "ekm_preflight_failed": failed}
    assert check_series(after_checks(*runs)) == found


def test_check_series_outlive_probes():
    recorder = after_checks(RESULTS)
    before = check_series(recorder)
    probed(recorder, a_report())
    assert check_series(recorder) == before


def test_checks_add_one_series_and_one_for_each_failure():
    before, with_checks = (
        Counter(name for name, *_ in series(scrape(recorder))) for recorder in (after_checks(), after_checks(RESULTS))
    )
    assert with_checks - before == Counter({"ekm_preflight_failed_checks": 1, "ekm_preflight_failed": 2})


def window(start, end):
    return MaintenanceWindow(datetime.fromtimestamp(start, UTC), datetime.fromtimestamp(end, UTC))


def after_maintenance(windows, *, ready=False):
    recorder = a_recorder(config=a_config(a_target(maintenance=windows)))
    probed(recorder, a_report(ready=ready))
    return series(scrape(recorder), "ekm_maintenance"), series(scrape(recorder), "ekm_probe_verdicts_total")


@pytest.mark.parametrize(("start", "end", "inside"), [(-10, 10, True), (0, 10, True), (-10, 0, False), (10, 20, False)])
def test_maintenance_is_shown_for_the_time_of_the_probe(start, end, inside):
    shown, _ = after_maintenance((window(START + start, START + end),))
    assert list(shown.values()) == [float(inside)]


@pytest.mark.parametrize("ready", [True, False])
def test_verdict_in_a_maintenance_window_is_not_counted(ready):
    _, inside = after_maintenance((window(START - 10, START + 10),), ready=ready)
    _, outside = after_maintenance((window(START + 10, START + 20),), ready=ready)
    assert sum(inside.values()) == 0
    assert sum(outside.values()) == 1


def test_maintenance_without_a_window_has_no_series():
    assert after_maintenance(())[0] == {}


def test_maintenance_follows_each_probe_and_a_removed_window():
    recorder = a_recorder(config=a_config(a_target(maintenance=(window(START, START + 10),))))
    found = []
    for at in (0, 5, 20, 30):
        probed(recorder, a_report(started_at=START + at))
        found += series(scrape(recorder), "ekm_maintenance").values()
    add(recorder, a_target())
    probed(recorder, a_report(started_at=START + 40))
    assert found == [1, 1, 0, 0]
    assert series(scrape(recorder), "ekm_maintenance") == {}

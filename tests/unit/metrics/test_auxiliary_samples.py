"""Metrics of auxiliary probes, network path, verdicts and last known facts."""

from __future__ import annotations

from dataclasses import replace
from datetime import date

import pytest

from exporter.config.model import ExpectPath, Module, Retained
from exporter.core.auxiliary import AuxiliaryKind
from exporter.core.faults import Reason
from exporter.core.model import Step
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


@pytest.mark.parametrize(("usable", "value"), [(True, {("staged", "next"): 1}), (False, {("staged", "next"): 0}), (None, {})])
def test_a_staged_credential_is_usable_refused_or_unknown(usable, value):
    assert shown(after(an_auxiliary_result(AuxiliaryKind.NEXT, usable=usable, **STAGED)), "ekm_credential_usable") == value


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


@pytest.mark.parametrize("staged", [{"next_credential": None}, {"next_credential": "another"}])
def test_a_credential_no_longer_staged_has_no_series(staged):
    target = a_target(**staged)

    assert shown(after(an_auxiliary_result(AuxiliaryKind.NEXT, **STAGED), target=target), "ekm_credential_usable") == {}


@pytest.mark.parametrize(
    ("usable", "value"),
    [(True, {("ContosoRSAKey0", OLD): 1}), (False, {("ContosoRSAKey0", OLD): 0}), (None, {})],
)
def test_a_retained_version_is_usable_refused_or_unknown(usable, value):
    assert (
        shown(after(an_auxiliary_result(AuxiliaryKind.RETAINED, usable=usable, **KEPT)), "ekm_retained_version_usable") == value
    )


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


def test_a_version_no_longer_retained_has_no_series():
    assert (
        shown(after(an_auxiliary_result(AuxiliaryKind.RETAINED, **KEPT), target=a_target()), "ekm_retained_version_usable") == {}
    )


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


@pytest.mark.parametrize(("usable", "value"), [(True, {(): 1}), (False, {(): 0}), (None, {})])
def test_the_recovery_vault_is_usable_refused_or_unknown(usable, value):
    assert shown(after(an_auxiliary_result(AuxiliaryKind.RECOVERY, usable=usable, **RESTORED)), "ekm_recovery_usable") == value


@pytest.mark.parametrize("usable", [False, None])
def test_the_last_recovery_outlives_a_failure(usable):
    recorder = after(an_auxiliary_result(AuxiliaryKind.RECOVERY, usable=usable, **RESTORED), proof_at=START - 86400)

    assert shown(recorder, "ekm_recovery_last_success_timestamp_seconds") == {(): START - 86400}


def test_without_a_recovery_vault_there_is_no_series():
    recorder = after(an_auxiliary_result(AuxiliaryKind.RECOVERY, **RESTORED), target=a_target(), proof_at=START)

    assert not {name for name in names_in(scrape(recorder)) if name.startswith("ekm_recovery")}


@pytest.mark.parametrize(("newest", "value"), [(OTHER, {(): 1}), (VERSION, {(): 0}), (None, {})])
def test_rotation_is_pending_not_pending_or_unknown(newest, value):
    assert shown(after(newest_version=newest), "ekm_key_rotation_pending") == value


def test_an_auxiliary_result_of_a_forgotten_target_is_ignored():
    recorder = a_scene()
    recorder.forget("t")
    record_auxiliary(recorder, newest_version=OTHER)

    assert "ekm_key_rotation_pending" not in names_in(scrape(recorder))


def test_a_deleted_key_has_its_purge_date_until_recovered():
    recorder = a_scene()
    gone = a_report(steps=[failed(Step.GET_KEY, 3076, Reason.KEY_SOFT_DELETED, status=404)])
    probed(recorder, gone, purge_at=START + 90 * 86400)
    assert shown(recorder, "ekm_key_scheduled_purge_timestamp_seconds") == {(): START + 90 * 86400}

    back = a_report(key=a_key())
    probed(recorder, back)
    assert shown(recorder, "ekm_key_scheduled_purge_timestamp_seconds") == {}


# network path


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


# counters of verdicts


def counted(name, *reports):
    recorder = a_scene()
    for report in reports:
        probed(recorder, report)
    return shown(recorder, name)


def unready(*reports):
    return {(): counted("ekm_probe_verdicts_total", *reports)[("not_ready",)]}


def test_only_untainted_probes_with_a_verdict_are_counted():
    good, bad, unknown = a_report(ready=True), a_report(steps=[refused()], ready=False), a_report(steps=[silent()], ready=None)
    tainted = a_report(ready=True, tainted=True)

    assert counted("ekm_probe_verdicts_total", good, bad, unknown, tainted) == {("ready",): 1, ("not_ready",): 1}


def test_a_probe_with_the_verdict_not_ready_is_counted():
    assert unready(a_report(steps=[refused()], ready=False), a_report(ready=True), a_report(ready=False)) == {(): 2}


def test_a_refused_wrap_alone_is_not_counted_as_unready():
    expired = a_report(steps=[failed(Step.WRAP_KEY, 3077, Reason.KEY_EXPIRED, status=403)], ready=True)

    assert unready(expired) == {(): 0}


def test_a_probe_without_a_verdict_is_not_counted_as_unready():
    assert unready(a_report(steps=[silent()], ready=None)) == {(): 0}


def test_a_tainted_probe_is_not_counted_as_unready():
    assert unready(a_report(steps=[refused()], ready=False, tainted=True)) == {(): 0}


# after a restart


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
    )
    text = scrape(recorder)

    for name, value in {
        "ekm_key_rotation_pending": 1,
        "ekm_recovery_last_success_timestamp_seconds": START - 60,
        "ekm_key_scheduled_purge_timestamp_seconds": START + 60,
        "ekm_last_success_timestamp_seconds": START - 90,
        "ekm_path_as_expected": 0,
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


def test_an_unrelated_reload_keeps_auxiliary_series():
    recorder = a_reload(labels={"team": "new"})

    assert shown(recorder, "ekm_credential_usable") == {("sql-prod", "current"): 1, ("staged", "next"): 1}
    assert shown(recorder, "ekm_retained_version_usable") == {("ContosoRSAKey0", OLD): 1}
    assert shown(recorder, "ekm_recovery_usable") == {(): 1}


def test_a_reload_drops_series_of_removed_settings():
    recorder = a_reload(next_credential=None, retained_versions=(), recovery_vault=None)

    assert shown(recorder, "ekm_credential_usable") == {("sql-prod", "current"): 1}
    assert not {"ekm_retained_version_usable", "ekm_recovery_usable"} & names_in(scrape(recorder))


def test_a_promoted_credential_has_no_series_before_a_probe():
    assert shown(a_reload(credential="staged", next_credential=None), "ekm_credential_usable") == {}

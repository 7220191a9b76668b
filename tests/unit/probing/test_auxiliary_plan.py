"""Which looks a target has, whom they ask and what they may do, and when they are due."""

from dataclasses import replace
from datetime import date

import pytest

from exporter.config.model import CredentialKind, Module
from exporter.core.auxiliary import AuxiliaryKind, AuxiliaryResult
from exporter.core.faults import Reason
from exporter.core.model import Mode, Outcome, Step, StepResult, Vantage
from exporter.probing.auxiliary_plan import auxiliary_probes, is_due
from tests.support.auxiliary_factories import KEY, OLD, OLDER, PINNED, TARGET, TODAY, a_config, plain


def planned(target=TARGET, *, key=KEY, today=TODAY, module=None):
    return {plan.name: plan for plan in auxiliary_probes(a_config(target, module=module), target, key, today)}


def test_everything_declared_is_looked_at_and_the_newest_version_besides():
    assert [(plan.what, plan.name) for plan in planned().values()] == [
        (AuxiliaryKind.NEXT, "staged"),
        (AuxiliaryKind.RETAINED, f"Key0/{OLD}"),
        (AuxiliaryKind.RETAINED, f"Archive/{OLDER}"),
        (AuxiliaryKind.NEWEST, "Key0"),
        (AuxiliaryKind.RECOVERY, "contoso-dr.vault.azure.net"),
    ]


def test_a_target_with_nothing_beside_it_asks_for_the_newest_version_alone():
    assert list(planned(plain())) == ["Key0"]


def test_without_a_pin_there_is_no_rotation_to_wait_for():
    assert planned(plain(key_version=None)) == {}


def test_the_staged_credential_makes_the_whole_round_trip_with_the_pinned_version():
    request = planned()["staged"].request
    assert (request.credential.name, request.target.key, request.target.vault) == ("staged", TARGET.key, TARGET.vault)
    assert request.wrap
    assert request.module.mode is Mode.FULL


@pytest.mark.parametrize(
    ("kind", "vantage", "expected"),
    [
        (CredentialKind.MANAGED_IDENTITY, Vantage.CENTRAL, True),
        (CredentialKind.MANAGED_IDENTITY, Vantage.SQL_HOST, False),
        (CredentialKind.CLIENT_SECRET, Vantage.CENTRAL, False),
    ],
)
def test_a_staged_managed_identity_is_anothers_where_the_exporter_stands_elsewhere(kind, vantage, expected):
    config = a_config()
    staged = replace(config.credentials["staged"], kind=kind)
    config = replace(
        config, settings=replace(config.settings, vantage=vantage), credentials=config.credentials | {"staged": staged}
    )
    assert [plan.is_of_another_host for plan in auxiliary_probes(config, TARGET, KEY, TODAY)] == [
        expected,
        False,
        False,
        False,
        False,
    ]


def test_a_retained_version_is_asked_of_its_own_vault_with_its_own_credential_and_never_to_wrap():
    request = planned()[f"Archive/{OLDER}"].request
    assert (request.credential.name, request.target.vault, request.target.key) == (
        "old",
        "old.vault.azure.net",
        f"Archive/{OLDER}",
    )
    assert not request.wrap
    assert request.under is None


def test_a_retained_version_is_left_alone_after_its_last_day():
    assert f"Archive/{OLDER}" in planned(today=date(2033, 1, 1))
    assert f"Archive/{OLDER}" not in planned(today=date(2033, 1, 2))


def test_the_recovery_vault_gets_what_was_encrypted_under_the_primarys_key():
    request = planned()["contoso-dr.vault.azure.net"].request
    assert (request.credential.name, request.target.vault, request.target.key) == ("dr", "contoso-dr.vault.azure.net", TARGET.key)
    assert not request.wrap
    assert request.under is KEY


def test_without_a_recovery_credential_the_targets_own_asks():
    request = planned(replace(TARGET, recovery_credential=None))["contoso-dr.vault.azure.net"].request
    assert request.credential.name == "now"


def test_without_a_pin_the_version_that_was_read_is_to_be_recovered():
    target = plain(key_version=None, recovery_vault="contoso-dr.vault.azure.net")
    assert planned(target)["contoso-dr.vault.azure.net"].request.target.key_version == PINNED


def test_a_key_that_was_never_read_proves_nothing_of_its_recovery():
    assert "contoso-dr.vault.azure.net" not in planned(key=None)


def test_the_newest_version_is_only_read():
    request = planned()["Key0"].request
    assert request.target.key_version is None
    assert not request.round_trip
    assert request.module == a_config(TARGET).modules["default"]  # else the prober has no network for it


def test_where_the_mode_is_read_only_no_look_does_more():
    requests = [plan.request for plan in planned(module=Module(name="default", mode=Mode.READ_ONLY)).values()]
    assert {request.module.mode for request in requests} == {Mode.READ_ONLY}


def a_result(at=1000.0, **failure):
    result = StepResult(step=Step.TOKEN, outcome=Outcome.FAILED if failure else Outcome.OK, **failure)
    return AuxiliaryResult(
        what=AuxiliaryKind.NEXT, name="staged", vault="v", credential="c", at=at, usable=not failure, steps=(result,)
    )


@pytest.mark.parametrize(
    ("last", "now", "expected"),
    [
        (None, 1000.0, True),
        (a_result(), 1299.0, False),
        (a_result(), 1300.0, True),
        (a_result(reason=Reason.SECRET_WRONG), 1001.0, True),
        (a_result(reason=Reason.CONNECT_TIMEOUT), 1001.0, True),
        (a_result(), 900.0, True),
    ],
    ids=["never looked", "in order and fresh", "in order and old", "refused", "not answered", "the clock was set back"],
)
def test_what_is_in_order_is_looked_at_now_and_then_and_all_else_after_each_probe(last, now, expected):
    assert is_due(last, 300.0, now) is expected

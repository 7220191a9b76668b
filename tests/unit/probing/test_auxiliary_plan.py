"""The auxiliary probes of a target, their requests, and when they are due."""

from dataclasses import replace

import pytest

from exporter.config.settings import Module
from exporter.core.values import CredentialKind, Mode, Vantage
from exporter.knowledge.verdict import AuxiliaryKind
from exporter.probing.auxiliary import auxiliary_probes, is_due
from tests.support.auxiliary_factories import KEY, OLD, OLDER, PINNED, TARGET, TODAY, a_config, plain


def planned(target=TARGET, *, key=KEY, today=TODAY, module=None):
    return {plan.name: plan for plan in auxiliary_probes(a_config(target, module=module), target, key, today)}


def test_plan_has_everything_declared_and_the_newest_version():
    assert [(plan.kind, plan.name) for plan in planned().values()] == [
        (AuxiliaryKind.NEXT, "staged"),
        (AuxiliaryKind.RETAINED, f"Key0/{OLD}"),
        (AuxiliaryKind.RETAINED, f"Archive/{OLDER}"),
        (AuxiliaryKind.NEWEST, "Key0"),
        (AuxiliaryKind.RECOVERY, "contoso-dr.vault.azure.net"),
    ]


@pytest.mark.parametrize(
    ("name", "goal", "wrap", "public_key"),
    [
        ("staged", ("staged", TARGET.vault, TARGET.key), True, None),
        (f"Archive/{OLDER}", ("old", "old.vault.azure.net", f"Archive/{OLDER}"), False, None),
        ("contoso-dr.vault.azure.net", ("dr", "contoso-dr.vault.azure.net", TARGET.key), False, KEY),
    ],
    ids=["staged", "retained", "recovery"],
)
def test_request_has_credential_vault_and_key(name, goal, wrap, public_key):
    request = planned()[name].request
    assert (request.credential.name, request.target.vault, request.target.key) == goal
    assert (request.wrap, request.public_key, request.module.mode) == (wrap, public_key, Mode.FULL)


@pytest.mark.parametrize(
    ("kind", "vantage", "expected"),
    [
        (CredentialKind.MANAGED_IDENTITY, Vantage.CENTRAL, True),
        (CredentialKind.MANAGED_IDENTITY, Vantage.SQL_HOST, False),
        (CredentialKind.CLIENT_SECRET, Vantage.CENTRAL, False),
    ],
)
def test_staged_identity_of_a_central_exporter_is_another_host(kind, vantage, expected):
    config = a_config()
    staged = replace(config.credentials["staged"], kind=kind)
    config = replace(
        config, settings=replace(config.settings, vantage=vantage), credentials=config.credentials | {"staged": staged}
    )
    found = [plan.is_of_another_host for plan in auxiliary_probes(config, TARGET, KEY, TODAY)]
    assert found == [expected, *[False] * 4]


def test_recovery_probe_defaults_to_the_target_credential():
    request = planned(replace(TARGET, recovery_credential=None))["contoso-dr.vault.azure.net"].request
    assert request.credential.name == "now"


def test_recovery_probe_without_pin_uses_the_last_read_version():
    target = plain(key_version=None, recovery_vault="contoso-dr.vault.azure.net")
    assert planned(target)["contoso-dr.vault.azure.net"].request.target.key_version == PINNED


def test_recovery_is_not_probed_without_a_key():
    assert "contoso-dr.vault.azure.net" not in planned(key=None)


def test_newest_version_is_only_read():
    request = planned()["Key0"].request
    assert request.target.key_version is None
    assert not request.round_trip
    assert request.module == a_config(TARGET).modules["default"]  # else the prober has no network for it


def test_read_only_mode_applies_to_auxiliary_probes():
    requests = [plan.request for plan in planned(module=Module(name="default", mode=Mode.READ_ONLY)).values()]
    assert {request.module.mode for request in requests} == {Mode.READ_ONLY}


@pytest.mark.parametrize(
    ("succeeded_at", "now", "expected"),
    [(None, 1000.0, True), (1000.0, 1299.0, False), (1000.0, 1300.0, True), (1000.0, 900.0, True)],
    ids=["no success", "fresh success", "old success", "clock set back"],
)
def test_auxiliary_probe_is_due_after_interval_or_failure(succeeded_at, now, expected):
    assert is_due(succeeded_at, 300.0, now) is expected

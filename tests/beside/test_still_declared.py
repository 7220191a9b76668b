"""A look belongs to a target for as long as the configuration asks for it."""

from dataclasses import replace
from datetime import date

import pytest

from exporter.beside import plans, still_declared
from exporter.core.beside import Beside, Look
from tests.beside.samples import KEY, TARGET, TODAY, a_config, plain

PLANS = plans(a_config(), TARGET, KEY, TODAY)


def look_of(plan):
    target = plan.order.target
    return Look(what=plan.what, name=plan.name, vault=target.vault, credential=target.credential, at=0.0, usable=True, steps=())


@pytest.mark.parametrize("plan", PLANS, ids=lambda plan: f"{plan.what}-{plan.name}")
def test_what_is_looked_at_is_declared(plan):
    assert still_declared(TARGET, look_of(plan), TODAY)


@pytest.mark.parametrize("plan", [plan for plan in PLANS if plan.what is not Beside.NEWEST], ids=lambda plan: plan.name)
def test_what_the_configuration_names_no_more_is_not_declared(plan):
    assert not still_declared(plain(), look_of(plan), TODAY)


def test_without_a_pin_no_version_is_the_newest_one():
    newest = next(plan for plan in PLANS if plan.what is Beside.NEWEST)

    assert not still_declared(replace(TARGET, key_version=None), look_of(newest), TODAY)


def test_a_version_that_is_needed_no_longer_is_not_declared():
    until = next(plan for plan in PLANS if plan.name.startswith("Archive/"))

    assert still_declared(TARGET, look_of(until), date(2033, 1, 1))
    assert not still_declared(TARGET, look_of(until), date(2033, 1, 2))


@pytest.mark.parametrize("plan", [plan for plan in PLANS if plan.what is Beside.RETAINED], ids=lambda plan: plan.name)
def test_the_same_version_in_another_vault_is_another_one(plan):
    assert not still_declared(TARGET, replace(look_of(plan), vault="elsewhere.vault.azure.net"), TODAY)

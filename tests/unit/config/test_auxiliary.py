"""The auxiliary probes of a target are those that the configuration names."""

from dataclasses import replace
from datetime import date

from exporter.config.auxiliary import configured_auxiliary
from exporter.core.auxiliary import AuxiliaryKind
from exporter.probing.auxiliary_plan import auxiliary_probes
from tests.support.auxiliary_factories import KEY, OLDER, TARGET, TODAY, a_config, plain


def test_configured_auxiliary_probes_are_those_that_run():
    made = {plan.identity for plan in auxiliary_probes(a_config(), TARGET, KEY, TODAY)}

    assert set(configured_auxiliary(TARGET, TODAY)) == made
    assert len(configured_auxiliary(TARGET, TODAY)) == len(made) == 5


def test_plain_target_has_only_the_newest_version():
    assert configured_auxiliary(plain(), TODAY) == ((AuxiliaryKind.NEWEST, "Key0", "contoso.vault.azure.net"),)
    assert configured_auxiliary(plain(key_version=None), TODAY) == ()


def test_retained_version_is_needed_until_its_last_day_ends():
    until = (AuxiliaryKind.RETAINED, f"Archive/{OLDER}", "old.vault.azure.net")

    assert until in configured_auxiliary(TARGET, date(2033, 1, 1))
    assert until not in configured_auxiliary(TARGET, date(2033, 1, 2))


def test_retained_key_without_a_version_has_no_auxiliary_probe():
    bare = replace(TARGET.retained_versions[0], key_version=None)

    assert not any(what is AuxiliaryKind.RETAINED for what, _, _ in configured_auxiliary(plain(retained_versions=(bare,)), TODAY))

"""A look belongs to a target for as long as the configuration asks for it."""

from dataclasses import replace
from datetime import date

from exporter.config.auxiliary import configured_auxiliary
from exporter.core.auxiliary import AuxiliaryKind
from exporter.probing.auxiliary_plan import auxiliary_probes
from tests.support.auxiliary_factories import KEY, OLDER, TARGET, TODAY, a_config, plain


def test_what_is_looked_at_is_what_is_declared():
    made = {plan.identity for plan in auxiliary_probes(a_config(), TARGET, KEY, TODAY)}

    assert set(configured_auxiliary(TARGET, TODAY)) == made
    assert len(configured_auxiliary(TARGET, TODAY)) == len(made) == 5


def test_with_nothing_beside_it_only_the_newest_version_is_looked_at():
    assert configured_auxiliary(plain(), TODAY) == ((AuxiliaryKind.NEWEST, "Key0", "contoso.vault.azure.net"),)
    assert configured_auxiliary(plain(key_version=None), TODAY) == ()


def test_a_version_is_needed_to_the_end_of_its_last_day():
    until = (AuxiliaryKind.RETAINED, f"Archive/{OLDER}", "old.vault.azure.net")

    assert until in configured_auxiliary(TARGET, date(2033, 1, 1))
    assert until not in configured_auxiliary(TARGET, date(2033, 1, 2))


def test_a_retained_key_without_a_version_cannot_be_looked_at():
    bare = replace(TARGET.retained_versions[0], key_version=None)

    assert not any(what is AuxiliaryKind.RETAINED for what, _, _ in configured_auxiliary(plain(retained_versions=(bare,)), TODAY))

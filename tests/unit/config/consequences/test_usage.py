"""The auxiliary probes of a target are those that the configuration names."""

from dataclasses import replace
from datetime import date

import pytest

from exporter.config.usage import configured_auxiliary
from exporter.probing.auxiliary import auxiliary_probes
from tests.support.auxiliary_factories import KEY, TARGET, TODAY, a_config, plain

BARE = replace(TARGET.retained_versions[0], key_version=None)


@pytest.mark.parametrize(
    ("target", "today", "count"),
    [
        (TARGET, TODAY, 5),
        (TARGET, date(2033, 1, 1), 5),
        (TARGET, date(2033, 1, 2), 4),  # a retained version is needed until its last day ends
        (plain(), TODAY, 1),
        (plain(key_version=None), TODAY, 0),
        (plain(retained_versions=(BARE,)), TODAY, 1),
    ],
)
def test_configured_auxiliary_probes_are_those_that_run(target, today, count):
    made = {plan.identity for plan in auxiliary_probes(a_config(target), target, KEY, today)}
    assert set(configured_auxiliary(target, today)) == made
    assert len(configured_auxiliary(target, today)) == len(made) == count

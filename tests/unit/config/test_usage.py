"""What targets use: differences of configurations, auxiliary probes, and SQL Servers."""

from datetime import date
from pathlib import Path

import pytest

from exporter.config.settings import Module, Settings
from exporter.config.usage import changed_targets, changed_verdicts, compared_targets, configured_auxiliary
from exporter.core.values import Mode, Vantage
from exporter.probing.auxiliary import auxiliary_probes
from tests.support import auxiliary_factories, expiry_fakes
from tests.support.auxiliary_factories import KEY, TARGET, TODAY, plain
from tests.support.expiry_fakes import a_credential, by_graph
from tests.support.factories import a_config, a_target
from tests.support.values import replace

# The targets that a new configuration changes.

EVERY = {"of-sql", "of-other"}


BEFORE = expiry_fakes.a_config(by_graph(), a_credential("other"))


def with_credential(name, **changed):
    return replace(BEFORE, credentials=BEFORE.credentials | {name: replace(BEFORE.credentials[name], **changed)})


def with_target(name, **changed):
    return replace(BEFORE, targets=BEFORE.targets | {name: replace(BEFORE.targets[name], **changed)})


def test_the_same_configuration_changes_nothing():
    assert changed_targets(BEFORE, expiry_fakes.a_config(by_graph(), a_credential("other"))) == set()


def test_a_credential_changes_the_targets_that_use_it():
    assert changed_targets(BEFORE, with_credential("other", expires_on=date(2027, 1, 1))) == {"of-other"}


def test_lookup_credential_changes_the_targets_of_the_other_one():
    """The targets show the expiry of the lookup credential, too."""
    assert changed_targets(BEFORE, with_credential("monitor", expires_on=date(2027, 1, 1))) == {"of-sql"}


@pytest.mark.parametrize(
    ("after", "names"),
    [
        (with_target("of-sql", key_version="9" * 32), {"of-sql"}),
        (with_target("of-sql", vault="another.vault.azure.net"), {"of-sql"}),
        (with_target("of-sql", credential="other"), {"of-sql"}),
        (with_credential("other", client_id="another application"), {"of-other"}),
        (replace(BEFORE, modules={"default": Module(name="default", ca_file=Path("other.pem"))}), EVERY),
        (replace(BEFORE, settings=Settings(vantage=Vantage.SQL_HOST)), EVERY),
        (replace(BEFORE, targets={"new": BEFORE.targets["of-sql"]}), {"new"}),
    ],
)
def test_verdict_ends_with_its_key_credential_or_network_path(after, names):
    assert changed_verdicts(BEFORE, after) == names
    assert names <= changed_targets(BEFORE, after)


@pytest.mark.parametrize(
    "after",
    [
        with_target("of-sql", labels={"team": "dba"}, interval=30.0),
        with_credential("other", expires_on=date(2027, 1, 1)),
        with_credential("monitor", client_id="another application"),
    ],
)
def test_verdict_outlives_other_changes(after):
    assert changed_verdicts(BEFORE, after) == set()


# The auxiliary probes of a target are those that the configuration names.

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
    made = {plan.identity for plan in auxiliary_probes(auxiliary_factories.a_config(target), target, KEY, today)}
    assert set(configured_auxiliary(target, today)) == made
    assert len(configured_auxiliary(target, today)) == len(made) == count


def test_canary_is_not_compared_with_sql_servers():
    config = a_config(a_target(), a_target("canary", module="canary"), modules=[Module(name="canary", mode=Mode.CANARY)])
    assert [target.name for target in compared_targets(config)] == ["payroll"]

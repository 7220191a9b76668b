"""Which targets a new configuration says something else of."""

from dataclasses import replace
from datetime import date

from exporter.reloading import changes
from tests.expiry.samples import a_config, a_credential, by_graph

BEFORE = a_config(by_graph(), a_credential("other"))


def with_credential(name, **changed):
    return replace(BEFORE, credentials=BEFORE.credentials | {name: replace(BEFORE.credentials[name], **changed)})


def test_the_same_configuration_changes_nothing():
    assert changes(BEFORE, a_config(by_graph(), a_credential("other"))) == set()


def test_a_credential_changes_the_targets_that_use_it():
    assert changes(BEFORE, with_credential("other", expires_on=date(2027, 1, 1))) == {"of-other"}


def test_an_identity_that_asks_for_another_one_changes_the_targets_of_that_one():
    """Its own end is shown, too."""
    assert changes(BEFORE, with_credential("monitor", expires_on=date(2027, 1, 1))) == {"of-sql"}

"""The reader of an action: who takes it, if that is not the team of the failure."""

from copy import deepcopy

from exporter.knowledge.code_row import Owner, for_dba, for_network, reader_of, reworded
from exporter.knowledge.names import Names, fill_names

NAMES = Names(target="t", vault="contoso.vault.azure.net", key="K", version="v")


def test_plain_action_is_of_the_team_of_the_failure():
    assert reader_of("Wait.") is None
    assert reader_of(reworded("Wait.", "Wait a minute.")) is None


def test_action_equals_its_text():
    assert for_dba("Wait.") == "Wait."
    assert {for_dba("Wait."): 1}["Wait."] == 1


def test_filled_and_copied_action_keeps_its_reader():
    filled = fill_names(for_network("Resolve `HOST`."), NAMES)
    assert filled == "Resolve `contoso.vault.azure.net`."
    assert reader_of(filled) is Owner.NETWORK
    assert reader_of(deepcopy(for_dba("Wait."))) is Owner.DBA

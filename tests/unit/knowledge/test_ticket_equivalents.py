"""An `az` command as words and options, and the table of its equivalents."""

import re

import pytest

from exporter.knowledge.checks import BY_NAME
from exporter.knowledge.code_row import SHOW_CHANGES, UNDO
from exporter.knowledge.codes import CODES
from exporter.knowledge.names import Names, fill_command
from exporter.knowledge.reasons import Reason
from exporter.knowledge.ticket_equivalents import (
    EQUIVALENTS,
    NO_PAGE,
    Equivalent,
    completed,
    find_equivalent,
    parse,
    portal_path,
)
from exporter.knowledge.tickets import THROTTLED
from tests.repo.release.az_commands import AZ

EQUIVALENT = Equivalent(
    az="keyvault key show",
    given="--name",
    portal="Key vaults > {vault} > Objects > Keys > {name}",
)


def test_flag_without_value_has_an_empty_one():
    assert parse("az ad app credential reset --id 6 --append").options == {"--id": "6", "--append": ""}


def test_equivalent_fits_only_a_command_with_its_option():
    assert EQUIVALENT.fits(parse("az keyvault key show --name K"))
    assert not EQUIVALENT.fits(parse("az keyvault key show"))
    assert not EQUIVALENT.fits(parse("az keyvault key list --name K"))


def test_template_has_the_values_of_the_command():
    template = "{vault} {in_vault} {name}"
    assert completed(template, parse("az x --hsm-name h --name K"), "v") == "h --hsm-name h K"
    assert completed(template, parse("az x --name K"), "v") == "v --vault-name v K"


def test_key_of_a_managed_hsm_has_no_page_of_a_vault():
    assert portal_path(EQUIVALENT, parse("az x --vault-name v --name K"), "") == "Key vaults > v > Objects > Keys > K"
    assert portal_path(EQUIVALENT, parse("az x --hsm-name h --name K"), "") == NO_PAGE


# The table.

HSM = Names(target="t", vault="contoso.managedhsm.azure.net", key="K", version="v")


def actions_of(row, *, hsm=False):
    """Return all actions of a reason."""
    by_kind = (each for texts in row.by_kind.values() for each in texts)
    general = (row.on_hsm or row.actions) if hsm else row.actions
    return (*general, *by_kind, *row.at_sign_in.actions, *row.if_private)


def written(*, hsm=False):
    """Return the `az` commands of codes, reasons and preflight checks."""
    texts = [text for row in CODES for text in row.actions]
    texts += [text for reason in Reason for text in actions_of(reason.row, hsm=hsm)]
    for check in BY_NAME.values():
        texts += (check.on_hsm or check.actions) if hsm else (*check.actions, *check.of_certificate)
    return {span for text in texts if not (hsm and text == UNDO) for span in re.findall(r"`(az [^`]+)`", text)}


def commands():
    """Return the commands of vaults and of Managed HSMs, that of a check and that of a change."""
    return sorted({THROTTLED, SHOW_CHANGES.strip("`"), *written(), *(fill_command(each, HSM) for each in written(hsm=True))})


def checks():
    """Return the commands that show the effect of those of the actions."""
    found = ((find_equivalent(parse(each)), parse(each)) for each in commands())
    return sorted({completed(equivalent.check, command, "VAULT") for equivalent, command in found if equivalent.check})


EVERY = [*commands(), *checks()]


@pytest.mark.parametrize("line", EVERY)
def test_az_command_has_an_equivalent_and_a_portal_path(line):
    command = parse(line)
    equivalent = find_equivalent(command)
    assert equivalent is not None
    assert portal_path(equivalent, command, "VAULT")


@pytest.mark.parametrize("line", checks())
def test_command_that_shows_the_effect_exists(line):
    command = parse(line)
    assert set(command.options) - {"--query"} <= AZ[command.words]


def test_every_row_of_the_table_is_used():
    assert {id(find_equivalent(parse(line))) for line in EVERY} == set(map(id, EQUIVALENTS))


def test_unknown_command_has_no_equivalent():
    assert find_equivalent(parse("az keyvault purge --name v")) is None

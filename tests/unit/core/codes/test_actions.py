"""What to do about one failure of one target."""

import re

import pytest

from exporter.core.codes import BY_CODE
from exporter.core.codes.actions import BY_REASON, Names, actions, filled
from exporter.core.codes.shared import DO_NOT_RESTART
from exporter.core.faults import Reason

VAULT = Names(target="t1", vault="contoso-prod.vault.azure.net", key="K0", version="v1")
HSM = Names(target="t2", vault="contoso.managedhsm.azure.net:8443", key="K1", version=None)


@pytest.mark.parametrize("code", [3077, 3113])
def test_a_disabled_key_is_first_of_all_enabled_by_a_command_that_names_it(code):
    first, *_, last = actions(code, Reason.KEY_DISABLED, ready=False, names=VAULT)
    assert "`az keyvault key set-attributes --vault-name contoso-prod --name K0 --version v1 --enabled true`" in first
    assert last == DO_NOT_RESTART


def test_nobody_is_told_not_to_restart_while_the_verdict_is_ready():
    for ready, told in ((True, False), (False, True), (None, True)):
        assert (DO_NOT_RESTART in actions(3077, Reason.KEY_EXPIRED, ready=ready, names=VAULT)) is told


def test_a_reason_without_actions_of_its_own_gets_those_of_the_code():
    assert actions(3303, Reason.SECRET_WRONG, ready=None, names=VAULT)[0] == BY_CODE[3303].actions[0]
    assert actions(3303, None, ready=None, names=VAULT)[0] == BY_CODE[3303].actions[0]
    assert actions(3000, None, ready=None, names=VAULT) == ()


def test_an_expired_secret_is_replaced_without_looking_whether_it_has_expired():
    assert actions(3303, Reason.SECRET_EXPIRED, ready=False, names=VAULT)[0].startswith("Make a new secret beside the old one")


def test_the_probe_that_was_just_made_is_not_asked_for_again():
    for code in (3001, 3008, 3012, 3077, 3128):
        assert BY_CODE[code].actions[0].endswith("`ekm-exporter probe TARGET`.")
        assert actions(code, Reason.FORBIDDEN, ready=False, names=VAULT)[0] == filled(BY_CODE[code].actions[1], VAULT)


@pytest.mark.parametrize(
    ("text", "names", "expected"),
    [
        ("`ekm-exporter probe TARGET`", VAULT, "`ekm-exporter probe t1 --config.file FILE`"),
        ("`Resolve-DnsName VAULT.vault.azure.net`", VAULT, "`Resolve-DnsName contoso-prod.vault.azure.net`"),
        ("`Resolve-DnsName VAULT.vault.azure.net`", HSM, "`Resolve-DnsName contoso.managedhsm.azure.net`"),
        ("`az keyvault key show --vault-name VAULT --name KEY`", VAULT, "`az keyvault key show --vault-name contoso-prod --name K0`"),
        ("`az keyvault key show --vault-name VAULT --name KEY`", HSM, "`az keyvault key show --hsm-name contoso --name K1`"),
        ("`az keyvault show --name VAULT`", HSM, "`az keyvault show --hsm-name contoso`"),
        ("`IDENTITY = 'VAULT'`", VAULT, "`IDENTITY = 'contoso-prod'`"),
        ("`IDENTITY = 'VAULT'`", HSM, "`IDENTITY = 'contoso.managedhsm.azure.net'`"),
        ("`--version VERSION`", HSM, "`--version VERSION`"),
        ("KEY and `PROVIDER_KEY_NAME` and `KEY_ID`", VAULT, "KEY and `PROVIDER_KEY_NAME` and `KEY_ID`"),
    ],
)  # fmt: skip
def test_the_targets_own_names_stand_inside_commands_only(text, names, expected):
    assert filled(text, names) == expected


def test_no_target_name_can_change_a_command_around_it():
    odd = Names(target=r"\1VAULT", vault="a.vault.azure.net", key="k", version=None)
    assert filled("`ekm-exporter probe TARGET`", odd) == r"`ekm-exporter probe \1VAULT --config.file FILE`"


def test_the_texts_keep_the_rules_of_the_catalogue():
    for text in (each for chosen in BY_REASON.values() for each in chosen):
        assert text.isascii()
        assert text.endswith((".", ";`."))
        assert text.count("`") % 2 == 0
        assert not re.search(r"\s{2}", text)

"""The recommended actions for one failure of one target."""

import re
from dataclasses import replace

import pytest

from exporter.core.values import CredentialKind, Step, Vantage
from exporter.knowledge.advice import LINE_LIMIT, action_line, actions, first_action, general_actions
from exporter.knowledge.code_row import DO_NOT_RESTART
from exporter.knowledge.codes import BY_CODE
from exporter.knowledge.names import Names, fill_names
from exporter.knowledge.reason_row import Refused
from exporter.knowledge.reasons import Reason, refusing

VAULT = Names(target="t1", vault="contoso-prod.vault.azure.net", key="K0", version="v1")
HSM = Names(target="t2", vault="contoso.managedhsm.azure.net:8443", key="K1", version=None)


@pytest.mark.parametrize("code", [3077, 3113])
def test_disabled_key_is_enabled_first_by_name(code):
    first, *_, last = actions(code, Reason.KEY_DISABLED, ready=False, names=VAULT)
    assert "`az keyvault key set-attributes --vault-name contoso-prod --name K0 --version v1 --enabled true`" in first
    assert last == DO_NOT_RESTART


@pytest.mark.parametrize("names", [VAULT, HSM])
@pytest.mark.parametrize("reason", [Reason.FORBIDDEN_RBAC, Reason.FORBIDDEN_POLICY])
def test_role_is_assigned_to_the_object_id_of_the_principal(names, reason):
    unknown, known = (
        " ".join(actions(3077, reason, ready=False, names=replace(names, object_id=each))) for each in (None, "0a1b")
    )
    assert re.search(r"--(assignee-)?object-id OBJECT_ID ", unknown)
    assert "`az ad sp show --id CLIENT_ID --query id --output tsv`" in unknown
    assert "managed identity" in unknown
    assert re.search(r"--(assignee-)?object-id 0a1b ", known)
    assert "OBJECT_ID" not in known
    assert not re.search(r"--assignee |--spn ", unknown + known)


def test_restart_warning_is_absent_with_verdict_ready():
    for ready, warned in ((True, False), (False, True), (None, True)):
        assert (DO_NOT_RESTART in actions(3077, Reason.KEY_EXPIRED, ready=ready, names=VAULT)) is warned


def test_reason_without_advice_gets_the_actions_of_the_code():
    assert actions(3306, Reason.ANSWER_INCOMPLETE, ready=None, names=VAULT)[0] == fill_names(general_actions(3306)[0], VAULT)
    assert actions(3303, None, ready=None, names=VAULT)[0] == BY_CODE[3303].actions[0]
    assert actions(3000, None, ready=None, names=VAULT) == ()


def test_expired_secret_advice_starts_with_a_new_secret():
    assert actions(3303, Reason.SECRET_EXPIRED, ready=False, names=VAULT)[0].startswith(
        "Create a new secret and keep the old one"
    )


def test_wrong_secret_was_rather_replaced_than_mistyped():
    first, second, *_ = actions(3303, Reason.SECRET_WRONG, ready=False, names=replace(VAULT, client_id="0a1b"), step=Step.TOKEN)
    assert "it was replaced or removed" in first
    assert "`az ad app credential list --id 0a1b`" in first
    assert second.startswith("If it never worked, check")


def test_actions_leave_out_the_probe_just_made():
    for code in (3001, 3008, 3012, 3077, 3128):
        assert BY_CODE[code].actions[0].endswith("`ekm-exporter probe TARGET`.")
        assert actions(code, None, ready=False, names=VAULT)[0] == fill_names(BY_CODE[code].actions[1], VAULT)
        assert first_action(code) == BY_CODE[code].actions[1]


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
        ("`IDENTITY = 'VAULT'`", replace(VAULT, vault="a.vault.usgovcloudapi.net"), "`IDENTITY = 'a.vault.usgovcloudapi.net'`"),
        ("`IDENTITY = 'VAULT'`", replace(VAULT, vault="a.vault.azure.cn:8443"), "`IDENTITY = 'a.vault.azure.cn'`"),
        ("`--version VERSION`", HSM, "`--version VERSION`"),
        ("KEY and `PROVIDER_KEY_NAME` and `KEY_ID`", VAULT, "KEY and `PROVIDER_KEY_NAME` and `KEY_ID`"),
    ],
)  # fmt: skip
def test_names_are_filled_in_inside_commands_only(text, names, expected):
    assert fill_names(text, names) == expected


def test_target_name_cannot_change_the_command():
    odd = Names(target=r"\1; x", vault="a.vault.azure.net", key="KEY", version=None, client_id='" or 1 == 1')
    assert fill_names("`ekm-exporter probe TARGET --key KEY`", odd) == r"`ekm-exporter probe TARGET --config.file FILE --key KEY`"
    assert fill_names("`az ad sp show --id CLIENT_ID`", odd) == "`az ad sp show --id CLIENT_ID`"


@pytest.mark.parametrize("reason", [Reason.RESOURCE_PRINCIPAL_MISSING, Reason.RESOURCE_PRINCIPAL_DISABLED])
def test_managed_hsm_has_a_principal_of_its_own(reason):
    vault, hsm = (actions(3128, reason, ready=False, names=names, step=Step.TOKEN) for names in (VAULT, HSM))
    assert "cfa8b339-82a2-471a-a3c9-0fc0be7a4093" in vault[0]
    assert "cfa8b339" not in " ".join(hsm)
    assert "589d5083-6f11-4d30-a62a-a4b316a14abf" in hsm[0]
    assert any("No page of Microsoft names this id" in each for each in hsm)


def test_deleted_application_is_found_among_the_deleted_objects():
    advice = actions(3128, Reason.APPLICATION_ID_INVALID, ready=False, names=VAULT)
    assert any("directory/deletedItems/microsoft.graph.application" in each for each in advice)


@pytest.mark.parametrize(
    ("reason", "expected"),
    [
        (Reason.APPLICATION_NOT_IN_TENANT, "az ad sp create"),
        (Reason.RESOURCE_PRINCIPAL_DISABLED, "az ad sp update"),
        (Reason.RESOURCE_PRINCIPAL_MISSING, "az ad sp create"),
        (Reason.APPLICATION_DISABLED, "accountEnabled=true"),
        (Reason.CONDITIONAL_ACCESS, "Sign-in logs > Service principal sign-ins"),
        (Reason.TENANT_UNKNOWN, "properties.tenantId"),
        (Reason.WRONG_CLOUD, "az cloud show"),
        (Reason.THROTTLED, "the one that loops"),
        (Reason.CERTIFICATE_REFUSED, "https://login.microsoftonline.com/error?code=700030"),
    ],
)
def test_correct_credential_needs_no_new_one(reason, expected):
    names = replace(VAULT, kind=CredentialKind.CLIENT_SECRET, aadsts=700030)
    advice = " ".join(actions(3303, reason, ready=False, names=names, step=Step.TOKEN))
    assert expected in advice
    assert "ALTER CREDENTIAL" not in advice
    assert "credential reset" not in advice


@pytest.mark.parametrize("code", range(3809, 3820))
def test_certificate_advice_does_not_name_the_signer_of_tls(code):
    assert "TLS" not in " ".join(actions(code, Reason.CERTIFICATE_UNUSABLE, ready=None, names=VAULT))


def test_unreadable_secret_file_advice_names_file_and_rights():
    advice = " ".join(actions(3001, Reason.SECRET_UNREADABLE, ready=None, names=VAULT))
    assert "service account" in advice
    assert "read permission" in advice
    assert "TLS" not in advice


REFUSED = sorted(refusing(Refused.PERMISSION, Refused.ADDRESS))
OF_A_VAULT = (
    "az role assignment",
    "set-policy",
    "--vault-name",
    " -n contoso",
    "--name contoso",
    "`Key Vault Crypto",
    '"Key Vault Crypto',
    "VAULT",
)


@pytest.mark.parametrize("reason", REFUSED)
def test_refusal_of_a_managed_hsm_has_no_command_of_a_vault(reason):
    advice = " ".join(actions(3077, reason, ready=False, names=HSM))
    assert [words for words in OF_A_VAULT if words in advice] == []
    if reason in (Reason.FORBIDDEN_RBAC, Reason.FORBIDDEN_POLICY):
        assert "az keyvault role assignment create --hsm-name contoso " in advice
        assert "Managed HSM Crypto Service Encryption User" in advice


def test_a_path_is_one_word_of_a_command_or_stays_a_capital_word():
    action = "Read it: `type SECRET_FILE`."
    for path, shown in (
        ("a b", '`type "a b"`'),
        ("ab", "`type ab`"),
        ("a\nb", "`type SECRET_FILE`"),
        ("a`b", "`type SECRET_FILE`"),
        (None, "`type SECRET_FILE`"),
    ):
        assert shown in fill_names(action, replace(VAULT, secret_file=path))


@pytest.mark.parametrize("names", [VAULT, HSM])
@pytest.mark.parametrize("step", [None, *Step])
def test_action_line_of_each_reason_fits_a_label(names, step):
    longest = replace(
        names, target="t" * 60, client_id="0" * 36, config_file="/etc/ekm-exporter/ekm.yml", secret_file="/" + "s" * 60
    )
    for reason in Reason:
        for kind in (None, *CredentialKind):
            known = replace(longest, kind=kind)
            line = action_line(3077, reason, known, step=step)
            first = actions(3077, reason, ready=None, names=known, step=step)[0].replace("`", "")
            assert 0 < len(line) <= LINE_LIMIT
            assert line.isprintable()
            assert line == first or line.endswith(f"... All of it: ekm-exporter explain {reason}")


def test_action_line_leaves_out_what_a_server_reported():
    reported = replace(VAULT, object_id="0a1b", client_address="203.0.113.7", aadsts=700030, vantage=Vantage.SQL_HOST)
    for reason in Reason:
        line = action_line(3077, reason, reported)
        assert not re.search("0a1b|203.0.113|700030", line)
    assert "--assignee-object-id OBJECT_ID " in action_line(3077, Reason.FORBIDDEN_RBAC, reported)
    assert "--ip-address ADDRESS" in action_line(3077, Reason.FORBIDDEN_FIREWALL, reported)


def test_action_line_never_ends_inside_a_command():
    line = action_line(3077, Reason.FORBIDDEN_POLICY, replace(VAULT, vault=f"{'v' * 250}.vault.azure.net"))
    assert line == "Show the present permissions... All of it: ekm-exporter explain forbidden_policy"
    line = action_line(3077, Reason.FORBIDDEN_FIREWALL, replace(VAULT, target="t" * 180))
    assert line == (
        f"Run ekm-exporter probe {'t' * 180} --config.file FILE on the SQL Server"
        "... All of it: ekm-exporter explain forbidden_firewall"
    )


def test_action_line_of_a_code_without_actions_is_empty():
    assert action_line(3000, None, VAULT) == ""


@pytest.mark.parametrize("address", ["20.1.2.3", "10.0.0.4", None])
def test_a_sql_server_host_needs_no_probe_of_another_one(address):
    here = replace(VAULT, vantage=Vantage.SQL_HOST, client_address=address)
    elsewhere = replace(here, vantage=Vantage.CENTRAL)
    compared = [
        any(
            "the firewall may allow that host" in each
            for each in actions(3077, Reason.FORBIDDEN_FIREWALL, ready=False, names=names)
        )
        for names in (here, elsewhere)
    ]
    assert compared == [False, True]

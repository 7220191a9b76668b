"""The recommended actions, cause and team of one failure of one target."""

import re
from itertools import product

import pytest

from exporter.core.values import CredentialKind, Facts, Fault, Outcome, Step, Vantage
from exporter.knowledge.advice import (
    LINE_LIMIT,
    action_line,
    actions,
    advise,
    cause,
    open_detail,
    owner_of_failure,
)
from exporter.knowledge.classify import classify
from exporter.knowledge.code_row import CONFIRM, DO_NOT_RESTART, FIND_REASON, NOT_IN_WAVES, REPEAT, UNDO, WITHOUT_WRAP, Owner
from exporter.knowledge.codes import BY_CODE
from exporter.knowledge.names import Names, fill_names
from exporter.knowledge.reason_row import Refused
from exporter.knowledge.reasons import Reason, refusing
from exporter.knowledge.report import StepResult
from tests.support.values import replace
from tests.unit.knowledge.promised import AMBIGUOUS, ENTRA_NUMBERS, OTHER_NUMBERS, SENTENCES

VAULT = Names(target="t1", vault="contoso-prod.vault.azure.net", key="K0", version="v1")
HSM = Names(target="t2", vault="contoso.managedhsm.azure.net:8443", key="K1", version=None)


NAMES = Names(target="t", vault="contoso.vault.azure.net", key="K", version="v", client_id="id")
OF_HSM, HSM_ID, VAULT_ID = (
    {"vault": "contoso.managedhsm.azure.net"},
    "589d5083-6f11-4d30-a62a-a4b316a14abf",
    "cfa8b339-82a2-471a-a3c9-0fc0be7a4093",
)
PRIVATE = ("10.1.2.3", "192.168.1.1", "100.64.0.9", "fd00::1")
OPEN = {
    Reason.BAD_REQUEST: 3012,
    Reason.CONFLICT: 3012,
    Reason.NOT_FOUND: 3076,
    Reason.FORBIDDEN: 3077,
    Reason.TOKEN_REJECTED: 3010,
}
PRINCIPALS = (Reason.RESOURCE_PRINCIPAL_MISSING, Reason.RESOURCE_PRINCIPAL_DISABLED)
SIGN_IN, RIGHT, ADDRESS = Step.TOKEN, {"kind": CredentialKind.CLIENT_SECRET, "aadsts": 700030}, {"client_address": "203.0.113.7"}
NO_NEW_ONE = ("ALTER CREDENTIAL", "credential reset")
WORDS = [
    *((code, Reason.KEY_DISABLED, {}, None, ("`az keyvault key set-attributes --vault-name contoso --name K --version v --enabled true`",), (), ()) for code in (3077, 3113)),
    (3303, Reason.SECRET_EXPIRED, {}, None, ("Create a new secret and keep the old one",), (), ()),
    (3303, Reason.SECRET_WRONG, {"client_id": "0a1b"}, SIGN_IN, ("it was replaced or removed", "`az ad app credential list --id 0a1b`"), ("If it never worked, check",), ()),
    *((3128, reason, {}, SIGN_IN, (VAULT_ID,), (), ()) for reason in PRINCIPALS),
    *((3128, reason, OF_HSM, SIGN_IN, (HSM_ID,), ("No page of Microsoft names this id",), ("cfa8b339",)) for reason in PRINCIPALS),
    (3128, Reason.APPLICATION_ID_INVALID, {}, None, (), ("directory/deletedItems/microsoft.graph.application",), ()),
    (3303, Reason.APPLICATION_NOT_IN_TENANT, RIGHT, SIGN_IN, (), ("az ad sp create",), NO_NEW_ONE),
    (3303, Reason.RESOURCE_PRINCIPAL_DISABLED, RIGHT, SIGN_IN, (), ("az ad sp update",), NO_NEW_ONE),
    (3303, Reason.RESOURCE_PRINCIPAL_MISSING, RIGHT, SIGN_IN, (), ("az ad sp create",), NO_NEW_ONE),
    (3303, Reason.APPLICATION_DISABLED, RIGHT, SIGN_IN, (), ("accountEnabled=true",), NO_NEW_ONE),
    (3303, Reason.CONDITIONAL_ACCESS, RIGHT, SIGN_IN, (), ("Sign-in logs > Service principal sign-ins",), NO_NEW_ONE),
    (3303, Reason.TENANT_UNKNOWN, RIGHT, SIGN_IN, (), ("properties.tenantId",), NO_NEW_ONE),
    (3303, Reason.WRONG_CLOUD, RIGHT, SIGN_IN, (), ("az cloud show",), NO_NEW_ONE),
    (3303, Reason.THROTTLED, RIGHT, SIGN_IN, (), ("the one that loops",), NO_NEW_ONE),
    (3303, Reason.CERTIFICATE_REFUSED, RIGHT, SIGN_IN, (), ("https://login.microsoftonline.com/error?code=700030",), NO_NEW_ONE),
    *((code, Reason.CERTIFICATE_UNUSABLE, {}, None, (), (), ("TLS",)) for code in range(3809, 3820)),
    (3001, Reason.SECRET_UNREADABLE, {}, None, (), ("service account", "read permission"), ("TLS",)),
    *((3077, Reason.FORBIDDEN_FIREWALL, {"client_address": each}, Step.GET_KEY, (), ("--subnet", "private endpoint", f"`{each}`"), ("--ip-address",)) for each in PRIVATE),
    (3077, Reason.FORBIDDEN_FIREWALL, ADDRESS | {"vantage": Vantage.SQL_HOST}, None, (), ("--ip-address 203.0.113.7`",), ()),
    (3077, Reason.FORBIDDEN_FIREWALL, {}, None, (), ("--ip-address ADDRESS`",), ()),
    (3077, Reason.FORBIDDEN_FIREWALL, ADDRESS, None, (), ("--ip-address ADDRESS", "the host of a central exporter repairs the monitoring only"), ("203.0.113.7",)),
    (3077, Reason.KEY_OPERATION_FORBIDDEN, {}, Step.UNWRAP_KEY, ("--query key.keyOps",), ("`az keyvault key set-attributes --vault-name contoso --name K --version v --ops wrapKey unwrapKey OTHER_OPERATIONS`",), ("role assignment",)),
    (3304, Reason.IDENTITY_KEY_UNREADABLE, {}, SIGN_IN, (), ("`Hybrid agent extension applications`", "`himds`"), ("az vm", "169.254.169.254")),
    *((code, reason, names, Step.UNWRAP_KEY, ("Read the ", "in the detail of the"), (), ("ALTER CREDENTIAL", "407")) for reason, code in OPEN.items() for names in ({}, OF_HSM)),
    (3303, Reason.CLOCK_SKEW, {"kind": CredentialKind.WORKLOAD_IDENTITY}, SIGN_IN, ("`AZURE_FEDERATED_TOKEN_FILE`",), (), ()),
    (3303, Reason.CLOCK_SKEW, {}, SIGN_IN, ("w32tm",), (), ()),
    (3011, Reason.THROTTLED, {"kind": CredentialKind.MANAGED_IDENTITY}, SIGN_IN, ("169.254.169.254",), (), ()),
    (3011, Reason.THROTTLED, {"kind": CredentialKind.MANAGED_IDENTITY}, Step.GET_KEY, (), (), ("169.254",)),
    (3011, Reason.THROTTLED, {}, SIGN_IN, ("sign-in log",), (), ()),
]  # fmt: skip


@pytest.mark.parametrize(("code", "reason", "changes", "step", "first", "words", "never"), WORDS)
def test_advice_has_the_words_of_its_repair_and_none_of_another(*, code, reason, changes, step, first, words, never):
    advice = actions(code, reason, ready=False, names=replace(NAMES, **changes), step=step)
    text = " ".join(advice)
    assert [each for each in first if each not in advice[0]] == []
    assert [each for each in words if each not in text] == []
    assert [each for each in never if each in text] == []


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
    assert actions(3306, Reason.ANSWER_INCOMPLETE, ready=None, names=VAULT)[0] == fill_names(BY_CODE[3306].actions[1], VAULT)
    assert actions(3303, None, ready=None, names=VAULT)[0] == fill_names(BY_CODE[3303].actions[0], VAULT)
    assert actions(3000, None, ready=None, names=VAULT) == ()


def test_actions_leave_out_the_probe_just_made():
    for code in (3001, 3008, 3404, 3706):
        assert BY_CODE[code].actions[0] == FIND_REASON
        assert actions(code, None, ready=False, names=VAULT)[0] == fill_names(FIND_REASON, VAULT)
        known = actions(code, Reason.ANSWER_EMPTY, ready=False, names=VAULT)
        proof = fill_names(REPEAT, VAULT)
        assert [each for each in known if each != proof] == [fill_names(each, VAULT) for each in BY_CODE[code].actions[1:]]


def test_the_actions_of_each_reason_have_a_proof():
    waves = fill_names(NOT_IN_WAVES, VAULT)
    for reason, step in product(Reason, (None, Step.TOKEN)):
        found = actions(3011, reason, ready=False, names=VAULT, step=step)
        proofs = [each for each in found if each == waves or each.startswith(fill_names(REPEAT, VAULT))]
        assert len(proofs) == bool(found), reason
        assert (waves in found) == (reason is Reason.THROTTLED or proofs == [waves]), reason


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


REFUSED = sorted(refusing(Refused.PERMISSION, Refused.ADDRESS))
OF_A_VAULT = (
    "az role assignment", "set-policy", "--vault-name", " -n contoso", "--name contoso", "`Key Vault Crypto",
    '"Key Vault Crypto', "VAULT",
)  # fmt: skip


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
    assert line.startswith("On each SQL Server host, see whether")
    assert line.endswith("... All of it: ekm-exporter explain forbidden_firewall")


def test_action_line_of_a_code_without_actions_is_empty():
    assert action_line(3000, None, VAULT) == ""


@pytest.mark.parametrize("address", ["20.1.2.3", "10.0.0.4", None])
def test_a_sql_server_host_needs_no_probe_of_another_one(address):
    here = replace(VAULT, vantage=Vantage.SQL_HOST, client_address=address)
    elsewhere = replace(here, vantage=Vantage.CENTRAL)
    for reason in (Reason.FORBIDDEN_FIREWALL, Reason.FORBIDDEN_NSP, Reason.FORBIDDEN_CONNECTION):
        at_sql, central = (actions(3077, reason, ready=False, names=names) for names in (here, elsewhere))
        assert central[:2] == tuple(fill_names(each, elsewhere) for each in CONFIRM)
        assert [each.partition("`")[0] for each in at_sql] == [each.partition("`")[0] for each in central[2:]]


# A refused sign-in or caller: by reason, kind of credential and address.

SECRETS = (CredentialKind.CLIENT_SECRET, CredentialKind.CONNECTOR_SECRET)
OTHERS = (CredentialKind.CLIENT_CERTIFICATE, CredentialKind.MANAGED_IDENTITY, CredentialKind.WORKLOAD_IDENTITY)
NEW_SECRET = re.compile(r"client secret|new secret|the secret|ALTER CREDENTIAL|SECRET =|--append`|secret's value")
NEW_CERTIFICATE = re.compile(r"--cert|[Rr]egister the certificate|new certificate|certificate file")


def refusals():
    """Each refusal of a sign-in by Entra ID, as facts."""
    numbers = (None, *ENTRA_NUMBERS, *OTHER_NUMBERS)
    for status in (400, 401):
        yield from (Facts(fault=Fault.HTTP_STATUS, status=status, aadsts=number) for number in numbers)
        for sentence in SENTENCES:
            yield from (Facts(fault=Fault.HTTP_STATUS, status=status, aadsts=one, inner_code=sentence) for one in AMBIGUOUS)


def advised(facts, kind):
    """The advice of page, probe and doctor."""
    found = classify(Step.TOKEN, facts)
    return actions(found.code, found.reason, ready=False, names=replace(NAMES, kind=kind, aadsts=facts.aadsts), step=Step.TOKEN)


@pytest.mark.parametrize("kind", OTHERS)
def test_no_refusal_advises_a_secret_for_another_kind(kind):
    for facts in refusals():
        advice = advised(facts, kind)
        assert advice
        assert [line for line in advice if NEW_SECRET.search(line)] == [], facts


@pytest.mark.parametrize("kind", [*SECRETS, CredentialKind.MANAGED_IDENTITY, CredentialKind.WORKLOAD_IDENTITY])
def test_no_refusal_advises_a_certificate_for_another_kind(kind):
    for facts in refusals():
        assert [line for line in advised(facts, kind) if NEW_CERTIFICATE.search(line)] == [], facts


@pytest.mark.parametrize("kind", [None, *CredentialKind])
@pytest.mark.parametrize("status", [400, 401, 403, 404])
@pytest.mark.parametrize("number", OTHER_NUMBERS)
def test_unknown_number_is_looked_up_and_nothing_is_changed(number, status, kind):
    advice = advised(Facts(fault=Fault.HTTP_STATUS, status=status, aadsts=number), kind)
    assert f"`https://login.microsoftonline.com/error?code={number}`" in advice[0]
    assert "ALTER CREDENTIAL" not in " ".join(advice)
    assert "credential reset" not in " ".join(advice)


def test_refusal_without_a_number_changes_no_credential():
    for status in (400, 401):
        advice = advised(Facts(fault=Fault.HTTP_STATUS, status=status), CredentialKind.CLIENT_SECRET)
        assert advice[0].startswith("Read the response in the detail")
    assert "ALTER CREDENTIAL" not in " ".join(advised(Facts(fault=Fault.HTTP_STATUS, status=400), None))


@pytest.mark.parametrize("number", [50059, 90002, 5000224, 500022, 500212, 900432, 50001, 1002016, 53003])
@pytest.mark.parametrize("kind", list(CredentialKind))
def test_refusal_with_another_cause_demands_no_new_secret(number, kind):
    advice = advised(Facts(fault=Fault.HTTP_STATUS, status=400, aadsts=number), kind)
    assert [line for line in advice if "ALTER CREDENTIAL" in line or "credential reset" in line] == []


def test_change_is_undone_later_for_one_vault_and_first_for_several():
    for reason in (Reason.FORBIDDEN_RBAC, Reason.FORBIDDEN_POLICY, Reason.FORBIDDEN_NSP, Reason.FORBIDDEN):
        one, many = (actions(3077, reason, ready=True, names=NAMES, several=several) for several in (False, True))
        assert many[0] == fill_names(UNDO, NAMES) in one[1:]
        assert sorted(one) == sorted(many)
        assert not any("activity-log" in each for each in actions(3077, reason, ready=True, names=HSM, several=True))
    for reason in (Reason.THROTTLED, Reason.TOKEN_WRONG_ISSUER, None):
        assert not any("activity-log" in each for each in actions(3077, reason, ready=True, names=NAMES, several=True))


@pytest.mark.parametrize(
    "reason", [Reason.FORBIDDEN_POLICY, Reason.FORBIDDEN_FIREWALL, Reason.FORBIDDEN_CONNECTION, Reason.FORBIDDEN_NSP]
)
def test_change_is_undone_second_on_a_sql_server_host(reason):
    names = replace(NAMES, vantage=Vantage.SQL_HOST)
    assert actions(3077, reason, ready=False, names=names)[1] == fill_names(UNDO, names)


# The cause as text, and its team.


def test_every_reason_has_its_own_text():
    assert len({reason.row.text for reason in Reason}) == len(Reason)


def test_reason_text_continues_a_sentence():
    assert [reason for reason in Reason if reason.row.text.endswith(".") or len(reason.row.text) > 90] == []
    assert cause(Reason.SECRET_EXPIRED, Step.TOKEN) == "the client secret has expired"
    assert cause(None, Step.TOKEN) == "the reason is not known"
    assert "vault" in cause(Reason.FORBIDDEN, Step.GET_KEY)
    assert "Entra ID does not send" in cause(Reason.FORBIDDEN, Step.TOKEN)


def test_the_detail_is_open_only_without_a_specific_reason():
    facts = Facts(detail="Client address is not authorized")
    failed = StepResult(step=Step.GET_KEY, outcome=Outcome.FAILED, reason=Reason.FORBIDDEN, facts=facts)
    assert open_detail(failed) == "Client address is not authorized"
    assert open_detail(replace(failed, reason=Reason.SECRET_EXPIRED)) == ""
    assert open_detail(replace(failed, facts=None)) == ""


def test_meaning_is_of_the_reason_and_of_the_code_only_without_one():
    failed = StepResult(step=Step.TOKEN, outcome=Outcome.FAILED, code=3303, reason=Reason.SECRET_EXPIRED)
    assert advise(failed, VAULT, ready=False).happened == "The client secret has expired."
    assert advise(replace(failed, reason=None), VAULT, ready=False).happened == BY_CODE[3303].summary


def test_key_file_of_azure_arc_may_stop_the_exporter_alone():
    failed = StepResult(step=Step.TOKEN, outcome=Outcome.FAILED, code=3304, reason=Reason.IDENTITY_KEY_UNREADABLE)
    assert advise(failed, VAULT, ready=False).means.startswith(
        "This follows if SQL Server shows the code, not only a probe. Now: "
    )
    assert advise(replace(failed, reason=Reason.IDENTITY_UNAVAILABLE), VAULT, ready=False).means.startswith("Now: ")


def test_a_new_secret_is_of_use_once_sql_server_has_it():
    failed = StepResult(step=Step.TOKEN, outcome=Outcome.FAILED, code=3303, reason=Reason.SECRET_EXPIRED)
    assert advise(failed, VAULT, ready=False).then.startswith("Then on every replica, write the secret with ")
    other = StepResult(step=Step.GET_KEY, outcome=Outcome.FAILED, code=3077, reason=Reason.KEY_EXPIRED)
    assert advise(other, VAULT, ready=False).then == ""


def test_ready_target_loses_what_needs_wrap_alone():
    failed = StepResult(step=Step.WRAP_KEY, outcome=Outcome.FAILED, code=3077, reason=Reason.KEY_EXPIRED)
    assert advise(failed, VAULT, ready=True).means.startswith(WITHOUT_WRAP)
    assert advise(replace(failed, step=Step.GET_KEY), VAULT, ready=True).means == ""
    assert advise(failed, VAULT, ready=None).means == BY_CODE[3077].effect


def test_page_of_a_proxy_is_repaired_by_the_network_team():
    failed = StepResult(step=Step.TOKEN, outcome=Outcome.FAILED, reason=Reason.ANSWER_NOT_JSON, facts=Facts(has_page=True))
    assert owner_of_failure(failed, Owner.IDENTITY) is Owner.NETWORK
    assert owner_of_failure(replace(failed, facts=Facts()), Owner.IDENTITY) is Owner.IDENTITY
    assert owner_of_failure(replace(failed, facts=None), Owner.IDENTITY) is Owner.IDENTITY
    assert owner_of_failure(replace(failed, reason=Reason.FORBIDDEN, step=Step.GET_KEY), Owner.VAULT) is Owner.VAULT


@pytest.mark.parametrize(
    ("reason", "step", "status", "of_code", "owner"),
    [
        (None, Step.GET_KEY, 403, Owner.VAULT, Owner.VAULT),
        (Reason.SCRAPE_TIMEOUT, Step.GET_KEY, None, Owner.NETWORK, Owner.EXPORTER),
        (Reason.CLOCK_SKEW, Step.TOKEN, 401, Owner.IDENTITY, Owner.EXPORTER),
        (Reason.PROXY_AUTH, Step.TOKEN, 407, Owner.IDENTITY, Owner.NETWORK),
        (Reason.OUTDATED_TLS, Step.TOKEN, 400, Owner.IDENTITY, Owner.NETWORK),
        (Reason.FORBIDDEN, Step.TOKEN, 403, Owner.VAULT, Owner.NETWORK),  # Entra ID does not send a 403
        (Reason.SECRET_EXPIRED, Step.TOKEN, 403, Owner.VAULT, Owner.IDENTITY),
        (Reason.BAD_REQUEST, Step.WRAP_KEY, 400, Owner.DBA, Owner.VAULT),
        (Reason.FORBIDDEN_RBAC, Step.GET_KEY, 403, Owner.VAULT, Owner.VAULT),
        (Reason.KEY_UNSUPPORTED, Step.GET_KEY, 200, Owner.DBA, Owner.DBA),
        (Reason.SECRET_TOO_SHORT, Step.TOKEN, None, Owner.DBA, Owner.DBA),
    ],
)
def test_reason_decides_which_team_repairs_a_failure(reason, step, status, of_code, owner):
    failed = StepResult(step=step, outcome=Outcome.FAILED, reason=reason, facts=Facts(status=status))
    assert owner_of_failure(failed, of_code) is owner

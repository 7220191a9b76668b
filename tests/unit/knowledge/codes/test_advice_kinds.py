"""The advice for a refused sign-in or caller: by reason, kind of credential and address."""

import re
from dataclasses import replace

import pytest

from exporter.core.values import CredentialKind, Facts, Fault, Step, Vantage
from exporter.knowledge.advice import actions
from exporter.knowledge.classify import classify
from exporter.knowledge.names import Names
from exporter.knowledge.reasons import Reason
from tests.unit.knowledge.promised import AMBIGUOUS, ENTRA_NUMBERS, OTHER_NUMBERS, SENTENCES

NAMES = Names(target="t", vault="contoso.vault.azure.net", key="K", version="v", client_id="id")
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


@pytest.mark.parametrize("address", ["10.1.2.3", "192.168.1.1", "100.64.0.9", "fd00::1"])
def test_private_address_gets_no_ip_rule(address):
    names = replace(NAMES, client_address=address)
    advice = " ".join(actions(3077, Reason.FORBIDDEN_FIREWALL, ready=False, names=names, step=Step.GET_KEY))
    assert "--ip-address" not in advice
    assert "--subnet" in advice
    assert "private endpoint" in advice
    assert f"`{address}`" in advice


def test_public_address_is_filled_into_the_ip_rule():
    names = replace(NAMES, client_address="203.0.113.7", vantage=Vantage.SQL_HOST)
    assert "--ip-address 203.0.113.7`" in " ".join(actions(3077, Reason.FORBIDDEN_FIREWALL, ready=False, names=names))
    assert "--ip-address ADDRESS`" in " ".join(actions(3077, Reason.FORBIDDEN_FIREWALL, ready=False, names=NAMES))


def test_address_of_a_central_exporter_is_in_no_command():
    names = replace(NAMES, client_address="203.0.113.7")
    advice = " ".join(actions(3077, Reason.FORBIDDEN_FIREWALL, ready=False, names=names))
    assert "--ip-address ADDRESS" in advice
    assert "`203.0.113.7` is the address of this exporter, not of SQL Server" in advice


def test_operation_that_the_key_forbids_changes_no_role():
    page = actions(3077, Reason.KEY_OPERATION_FORBIDDEN, ready=False, names=NAMES, step=Step.UNWRAP_KEY)
    assert "--query key.keyOps" in page[0]
    assert (
        "`az keyvault key set-attributes --vault-name contoso --name K --version v --ops wrapKey unwrapKey OTHER_OPERATIONS`"
        in page[1]
    )
    assert "role assignment" not in " ".join(page)


def test_unreadable_key_of_azure_arc_names_both_groups():
    page = " ".join(actions(3304, Reason.IDENTITY_KEY_UNREADABLE, ready=False, names=NAMES, step=Step.TOKEN))
    assert "`Hybrid agent extension applications`" in page
    assert "`himds`" in page
    assert "az vm" not in page
    assert "169.254.169.254" not in page


@pytest.mark.parametrize("vault", ["contoso.vault.azure.net", "contoso.managedhsm.azure.net"])
@pytest.mark.parametrize(
    ("code", "reason"),
    [
        (3012, Reason.BAD_REQUEST),
        (3012, Reason.CONFLICT),
        (3076, Reason.NOT_FOUND),
        (3077, Reason.FORBIDDEN),
        (3010, Reason.TOKEN_REJECTED),
    ],
)
def test_open_refusal_by_a_vault_is_read_first(vault, code, reason):
    names = replace(NAMES, vault=vault)
    first, *others = actions(code, reason, ready=False, names=names, step=Step.UNWRAP_KEY)
    assert first.startswith("Read the ")
    assert "in the detail of the" in first
    assert [line for line in others if "ALTER CREDENTIAL" in line or "407" in line] == []


def test_stale_token_of_a_pod_is_no_wrong_clock():
    names = replace(NAMES, kind=CredentialKind.WORKLOAD_IDENTITY)
    first = actions(3303, Reason.CLOCK_SKEW, ready=False, names=names, step=Step.TOKEN)[0]
    assert "`AZURE_FEDERATED_TOKEN_FILE`" in first
    assert "w32tm" in actions(3303, Reason.CLOCK_SKEW, ready=False, names=NAMES, step=Step.TOKEN)[0]


def test_throttled_managed_identity_is_that_of_the_host():
    names = replace(NAMES, kind=CredentialKind.MANAGED_IDENTITY)
    assert "169.254.169.254" in actions(3011, Reason.THROTTLED, ready=False, names=names, step=Step.TOKEN)[0]
    at_vault = actions(3011, Reason.THROTTLED, ready=False, names=names, step=Step.GET_KEY)
    assert "169.254" not in " ".join(at_vault)
    assert "sign-in log" in actions(3011, Reason.THROTTLED, ready=False, names=NAMES, step=Step.TOKEN)[0]

"""Codes, numbers, claims and object ids in the bodies and tokens of others."""

import json

import pytest

from exporter.clients.answers import encode
from exporter.core.secrets import KNOWN_SECRETS
from exporter.core.values import Facts, Fault, Outcome, Step
from exporter.knowledge.advice import NOBODY, action_line, advise
from exporter.knowledge.answers import (
    Claims,
    is_foreign,
    is_page,
    object_id_in,
    object_id_of_token,
    read_claims,
    read_error,
    unexpected_text,
    with_object_ids,
)
from exporter.knowledge.classify import classify
from exporter.knowledge.names import Names
from exporter.knowledge.reasons import Reason
from exporter.knowledge.report import StepResult

NAMES = Names(target="t", vault="contoso.vault.azure.net", key="Key0", version=None)


def test_an_error_of_the_vault_is_read_in_either_spelling():
    for spelling in ("innererror", "innerError"):
        body = {"error": {"code": "Forbidden", "message": "AKV10022: no", spelling: {"code": "ForbiddenByPolicy"}}}
        error = read_error(json.dumps(body).encode())
        assert (error.service_code, error.inner_code, error.akv) == ("Forbidden", "ForbiddenByPolicy", 10022)


@pytest.mark.parametrize("entra", [False, True])
def test_long_message_is_searched_at_its_beginning_only(entra):
    """A search through all of this text takes seconds, and through a megabyte a quarter of an hour."""
    text = "The caller does not have keys get permission. " + "does not have a " * 4000
    body = {"error": "x", "error_description": text} if entra else {"error": {"code": "Forbidden", "message": text}}
    found = read_error(json.dumps(body).encode())
    assert len(found.message) == 4096
    assert found.inner_code == (None if entra else "ForbiddenByPolicy")


@pytest.mark.parametrize(
    ("inner", "expected"),
    [
        ({"code": "Forbidden", "innererror": {"code": "ForbiddenByRbac"}}, "ForbiddenByRbac"),
        ({"innerError": {"Code": "ForbiddenByRbac"}}, "ForbiddenByRbac"),
        ({"code": "ForbiddenByRbac", "innererror": {"text": "x"}}, "ForbiddenByRbac"),
        ({"code": "ForbiddenByRbac", "innererror": ["x"]}, "ForbiddenByRbac"),
        ({"code": "a", "innererror": {"code": "b", "innererror": {"code": "c", "innererror": {"code": "d", "innererror": {"code": "e"}}}}}, "d"),
        ([{"code": "ForbiddenByRbac"}], None),
    ],
)  # fmt: skip
def test_innermost_error_of_a_vault_is_read(inner, expected):
    body = {"error": {"code": "Forbidden", "message": "no", "innererror": inner}}
    assert read_error(json.dumps(body).encode()).inner_code == expected


@pytest.mark.parametrize(
    ("body", "expected"),
    [(b"", False), (b" \r\n", False), (b"{}", False), (b"<html>", True), (b"\xef\xbb\xbf\n<x", True), (b"Not Found <b>", False)],
)
def test_html_is_a_page(body, expected):
    assert is_page(body) is expected


@pytest.mark.parametrize(
    ("fault", "body", "expected"),
    [
        (Fault.ANSWER_NOT_JSON, b" <html>Sign in", " <html>Sign in"),
        (Fault.ANSWER_NOT_JSON, b"<" + b"a" * 2000, "<" + "a" * 1023),
        (Fault.ANSWER_NOT_JSON, b'{"access_token": "cut', ""),
        (Fault.VALUE_MISSING, b"<html>", ""),
        (Fault.TOKEN_MISSING, b'{"error": "invalid_client", "error_description": "AADSTS7000222: expired"}', "AADSTS7000222: expired"),
        (Fault.TOKEN_MISSING, b'{"access_token": 5}', ""),
    ],
)  # fmt: skip
def test_page_instead_of_a_response_is_shown(fault, body, expected):
    assert unexpected_text(fault, body) == expected


@pytest.mark.parametrize(
    ("codes", "text", "expected"),
    [
        ([50131, 53003], "", 53003),
        ([53003, 50131], "", 53003),
        ([50131], "AADSTS50131: Blocked. AADSTS53003: Access has been blocked.", 53003),
        ([], "AADSTS7000229: The client application is missing service principal.", 7000229),
        ([50132, 50131], "", 50131),
        ([True, 700038], "", 700038),
        ([70002, 50012], "AADSTS70002: Error validating credentials.", 50012),
        ([900144, 90002], "", 90002),
        ([50131, 530032], "", 530032),
        *(([wrong], "", None) for wrong in ("53003", None, True, -1, 10**8)),
    ],
)
def test_entra_number_that_decides_the_reason_is_chosen(codes, text, expected):
    body = {"error": "invalid_client", "error_codes": codes, "error_description": text}
    assert read_error(json.dumps(body).encode()).aadsts == expected


@pytest.mark.parametrize(
    ("code", "inner", "message", "expected"),
    [
        ("Forbidden", None, "Client address is not authorized and caller is not a trusted service.", "ForbiddenByFirewall"),
        ("Forbidden", None, "Client address (10.2.3.4) is not authorized and caller is not a trusted service.", "ForbiddenByFirewall"),
        ("Forbidden", None, "Request was not allowed by NSP rules and the client address is not authorized and caller was ignored because bypass is set to None", "ForbiddenByFirewall"),
        ("Forbidden", None, "Public network access is disabled and request is not from a trusted service nor via an approved private link.", "ForbiddenByConnection"),
        ("Forbidden", None, "Connection is not an approved private link and caller was ignored because bypass is not set to 'AzureServices' and PublicNetworkAccess is set to 'Disabled'.", "ForbiddenByConnection"),
        ("Forbidden", None, "The request was forbidden by NSP policy. Caller: name=x", "ForbiddenByNsp"),
        ("Forbidden", None, "Operation unwrap is not allowed on a disabled key.", "KeyDisabled"),
        ("Forbidden", "AccessDenied", "The user, group or application 'appid=x' does not have keys get permission on key vault 'y'.", "ForbiddenByPolicy"),
        ("Forbidden", "ForbiddenByRbac", "Operation is not allowed on a disabled key.", "ForbiddenByRbac"),
        ("AccessDenied", None, "Not allowed to perform keys/read/action on /keys/k.", "ForbiddenByRbac"),
        ("Forbidden", "AccessDenied", "Access denied. Caller was not found on any access policy.\r\nCaller: appid=x", "ForbiddenByPolicy"),
        ("Forbidden", None, "Operation unwrapKey is not permitted on this key.", "KeyOperationForbidden"),
        ("Unauthorized", None, "[TokenExpired] Error validating token: 'S2S12086'.", "TokenExpired"),
        ("Forbidden", None, "No.", None),
        ("Forbidden", "AccessDenied", "No.", "AccessDenied"),
    ],
)  # fmt: skip
def test_inner_code_is_read_or_implied_by_the_message(code, inner, message, expected):
    error = {"code": code, "message": message} | ({} if inner is None else {"innererror": {"code": inner}})
    assert read_error(json.dumps({"error": error}).encode()).inner_code == expected


def test_an_error_of_entra_is_read_from_its_codes_or_else_its_text():
    body = {"error": "invalid_client", "error_description": "AADSTS7000222: gone", "error_codes": [7000222], "trace_id": "ab-1"}
    error = read_error(json.dumps(body).encode())
    assert (error.service_code, error.aadsts, error.trace_id) == ("invalid_client", 7000222, "ab-1")
    for codes in ([], ["7"], [True], [-1], [10**12], None):
        assert read_error(json.dumps(body | {"error_codes": codes}).encode()).aadsts == 7000222
    assert read_error(b'{"error": "invalid_client"}').aadsts is None


@pytest.mark.parametrize(
    ("sent", "read"),
    [
        ("0A1B2C3D-0000-4000-8000-0123456789AB", "0a1b2c3d-0000-4000-8000-0123456789ab"),
        ("0a1b2c3d", None),
        ("<b>", None),
        (7, None),
        (None, None),
    ],
)
def test_correlation_id_of_entra_is_a_guid(sent, read):
    body = {"error": "invalid_client", "correlation_id": sent}
    assert read_error(json.dumps(body).encode()).correlation_id == read


def test_a_sentence_is_no_code():
    body = {"error": {"code": "Caller 10.0.0.1 is bad", "innererror": "x"}}
    error = read_error(json.dumps(body).encode())
    assert (error.service_code, error.inner_code) == (None, None)


@pytest.mark.parametrize(
    ("sentence", "expected"),
    [
        ("AADSTS50012: Invalid client secret is provided.", "InvalidClientSecret"),
        ("AADSTS7000215: Invalid client secret provided. Ensure the secret being sent is the value.", "InvalidClientSecret"),
        ("AADSTS50012: Client assertion is not within its valid time range.", "AssertionNotInTime"),
        ("AADSTS700027: The assertion's signature is invalid. [Reason - The key used is expired.]", "CertificateExpired"),
        ("AADSTS70001: Application 'x' is disabled.", "ApplicationDisabled"),
        ("AADSTS70001: Application with identifier 'x' was not found in the directory 'y'.", None),
        ("AADSTS500011: The resource principal named 'x' is disabled.", None),
    ],
)
def test_sentence_of_entra_implies_its_code(sentence, expected):
    assert read_error(json.dumps({"error": "invalid_client", "error_description": sentence}).encode()).inner_code == expected


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        ("Client address is not authorized.\r\nClient address: 10.1.2.3\r\nCaller: appid=x", "10.1.2.3"),
        ("Client address: 203.0.113.7.", "203.0.113.7"),
        ("client address: FD00::0001", "fd00::1"),
        ("Client address (10.2.3.4) is not authorized and caller is not a trusted service.", "10.2.3.4"),
        ("Client address (x.x.x.x) is not authorized.", None),
        ("Client address: 999.1.1.1", None),
        ("Client address: ::::::", None),
        ("Client address is not authorized and caller is not a trusted service.", None),
    ],
)
def test_client_address_is_that_of_the_refusal(message, expected):
    assert read_error(json.dumps({"error": {"code": "Forbidden", "message": message}}).encode()).client_address == expected


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b"<html>", True),
        (b"Access denied by the policy of the network.", True),
        (b"[]", True),
        (b"\xff", True),
        (b"", False),
        (b" \r\n", False),
        (b"{}", False),
        (b'{"error": {"code": "Forbidden"}}', False),
        (b'{"error": {"Code": "Forbidden"}}', False),
        (b'{"error": {"code": 403, "message": "Blocked by URL filtering"}}', True),
        (b'{"error": {}}', True),
        (b'{"message": "Forbidden"}', True),
        (b'{"message": "no Route matched with those values"}', True),
        (b'{"error": "Forbidden", "message": "Access denied by security policy"}', True),
        (b'{"error": "invalid_client", "error_description": "AADSTS7000222"}', False),
        (b'{"error": "invalid_client", "error_codes": [7000222]}', False),
        (b'{"error": ["x"], "error_codes": [1]}', True),
    ],
)
def test_page_or_text_is_not_the_services(body, expected):
    assert is_foreign(body) is expected


# What is said of an answer. Many devices send the statuses of Key Vault and Entra ID: the sentence is true of each.

NOTHING, PAGE, GATEWAY, WAF = (
    b"",
    b"<html>502 Bad Gateway</html>",
    b'{"error": {"code": "Unknown", "message": "Blocked"}}',
    b'{"message": "no"}',
)
UNTRUE = (
    "Entra ID refused",
    "Entra ID rejected",
    "the vault rejected",
    "the vault's 401",
    "this vault has no",
    "the caller is known",
    "Recover",
    "the service failed",
    "Entra ID is unavailable",
    "client id",
    "secret",
)


def result_of(step, status, body):
    """Return the failed step that a status with this body is."""
    error = read_error(body)
    facts = Facts(
        fault=Fault.HTTP_STATUS,
        status=status,
        service_code=error.service_code,
        inner_code=error.inner_code,
        aadsts=error.aadsts,
        akv=error.akv,
        has_page=is_foreign(body),
    )
    found = classify(step, facts)
    return StepResult(step=step, outcome=Outcome.FAILED, code=found.code, reason=found.reason, facts=facts)


@pytest.mark.parametrize("step", Step)
@pytest.mark.parametrize("body", [NOTHING, PAGE, GATEWAY, WAF])
@pytest.mark.parametrize("status", [400, 401, 403, 404, 405, 407, 409, 429, 500, 502, 503])
def test_what_happened_is_true_of_the_answer_of_another_device(step, status, body):
    failed = result_of(step, status, body)
    said = advise(failed, NOBODY, ready=False).happened
    assert [words for words in UNTRUE if words.lower() in said.lower()] == [], failed.reason


def entra(number, text=""):
    body = {"error": "invalid_client", "error_codes": [number], "error_description": f"AADSTS{number}: {text}"}
    return json.dumps(body).encode()


def vault(code, message, inner=None):
    error = {"code": code, "message": message} | ({} if inner is None else {"innererror": {"code": inner}})
    return json.dumps({"error": error}).encode()


RBAC = (
    "Caller is not authorized to perform action on resource.\r\nIf role assignments, deny assignments or role definitions were "
    "changed recently, please observe propagation time.\r\nAssignment: (not found)\r\nDenyAssignmentId: {}\r\nDecisionReason: {}"
)
DENY = "'/subscriptions/0a1b/providers/Microsoft.Authorization/denyAssignments/0a1b2c3d'"


@pytest.mark.parametrize(
    ("step", "status", "body", "reason", "first"),
    [
        (Step.TOKEN, 401, entra(7002121, "No matching federated identity record found for presented assertion audience 'x'."), "federation_unmatched", "az ad app federated-credential list"),
        (Step.TOKEN, 401, entra(7000232, "MSI identity should not use ClientSecretCredential"), "secret_of_identity", "servicePrincipalType"),
        (Step.TOKEN, 401, entra(700026, "Client application has no configured keys."), "application_without_credential", "Check the client id first"),
        (Step.TOKEN, 400, entra(501051, "Application 'a' is not assigned to a role for the application 'b'."), "assignment_required", "appRoleAssignmentRequired"),
        (Step.TOKEN, 400, entra(900561, "The endpoint only accepts POST requests. Received a GET request."), "method_changed", "as a GET"),
        (Step.TOKEN, 400, entra(50076, "You must use multi-factor authentication"), "sign_in_of_person", "Find which tool signed in"),
        (Step.TOKEN, 400, entra(70043, "The refresh token has expired or is invalid due to sign-in frequency checks"), "sign_in_of_person", "Find which tool signed in"),
        (Step.GET_KEY, 403, vault("Forbidden", RBAC.format(DENY, "'DeniedWithDenyAssignment'"), "ForbiddenByRbac"), "forbidden_deny_assignment", "Assign no role"),
        (Step.GET_KEY, 403, vault("Forbidden", RBAC.format("0a1b2c3d-0000-4000-8000-0123456789ab", "null")), "forbidden_deny_assignment", "Assign no role"),
        (Step.GET_KEY, 403, vault("Forbidden", RBAC.format("null", "'DeniedWithNoValidRBAC' "), "ForbiddenByRbac"), "forbidden_rbac", "Assign the role"),
        (Step.GET_KEY, 403, vault("Forbidden", RBAC.format("'null'", "null"), "ForbiddenByRbac"), "forbidden_rbac", "Assign the role"),
        (Step.GET_KEY, 403, vault("Forbidden", RBAC.format("", "null"), "ForbiddenByRbac"), "forbidden_rbac", "Assign the role"),
        (Step.CHALLENGE, 404, vault("VaultNotFound", "The vault was not found."), "vault_not_found", "az keyvault list-deleted"),
    ],
)  # fmt: skip
def test_answer_has_a_reason_with_its_own_first_action(step, status, body, reason, first):
    failed = result_of(step, status, body)
    assert failed.reason == reason
    assert first in action_line(failed.code, failed.reason, NAMES, step=step)


@pytest.mark.parametrize("reason", list(Reason))
@pytest.mark.parametrize("step", Step)
def test_what_happened_is_a_sentence_of_ours(step, reason):
    said = reason.row.meaning_at(step)
    assert said[0].isupper()
    assert said.endswith(".")
    assert len(said) <= 300
    assert "{" not in said
    assert "`" not in said


# The claims of a token.

SECRET = "MARKED~client.secret_8Q-9w"
AUDIENCE = "https://vault.azure.net"


def token(**payload):
    return f"{encode(b'{}')}.{encode(json.dumps(payload).encode())}.{encode(b'signature')}"


@pytest.mark.parametrize("opaque", ["abc", "a.b.c", "a.b", f"a.{encode(b'[]')}.c", token(tid="t"), token(aud=1)])
def test_an_opaque_token_has_no_claims(opaque):
    assert read_claims(opaque) is None


def test_token_claims_keep_three_values_only():
    claims = read_claims(token(aud=AUDIENCE, tid="t", azp="a", secret=SECRET, roles=["x"]))
    assert claims == Claims(audience=AUDIENCE, tenant="t", application="a")
    assert SECRET not in repr(claims)


def test_claim_that_is_long_or_unprintable_is_absent():
    assert read_claims(token(aud=AUDIENCE, tid="t" * 201)) == Claims(audience=AUDIENCE)
    assert read_claims(token(aud=AUDIENCE, tid="a\nb", appid="first", azp="second")) == Claims(
        audience=AUDIENCE, application="first"
    )


def test_claims_are_read_whatever_is_a_secret():
    KNOWN_SECRETS.remember(AUDIENCE)
    assert read_claims(token(aud=AUDIENCE)) == Claims(audience=AUDIENCE)


# The object id of a principal that a vault refused.

OID = "0a1b2c3d-1111-2222-3333-444455556666"


@pytest.mark.parametrize(
    ("sentence", "found"),
    [
        (f"Caller: appid=66666666-7777-8888-9999-000000000000;oid={OID.upper()};iss=https://sts.windows.net/t/", OID),
        (f"Caller: name=x;oid={OID}", OID),
        (f"oid={OID}-and-more", None),
        ("oid=<script>", None),
        (f"appid={OID}", None),
        (" " * 5000 + f"oid={OID}", None),
        ("", None),
    ],
)
def test_vault_names_the_object_id_of_its_caller(sentence, found):
    assert object_id_in(sentence) == found


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (token(oid=OID), OID),
        (token(sub=OID), None),
        (token(oid=7), None),
        (token(oid=f"{OID}x"), None),
        ("opaque", None),
        ("a.!.c", None),
    ],
)
def test_token_has_the_object_id_of_its_principal(text, found):
    assert object_id_of_token(text) == found


def test_only_refused_steps_get_the_object_id_of_the_token():
    statuses = {Step.CHALLENGE: 401, Step.GET_KEY: 403, Step.WRAP_KEY: 403}
    results = {
        step: StepResult(
            step=step, outcome=Outcome.FAILED, facts=Facts(status=status, object_id="named" if step is Step.WRAP_KEY else None)
        )
        for step, status in statuses.items()
    } | {Step.UNWRAP_KEY: StepResult(step=Step.UNWRAP_KEY, outcome=Outcome.SKIPPED)}
    found = with_object_ids(results, token(oid=OID))
    assert {step: each.facts.object_id for step, each in found.items()} == {Step.GET_KEY: OID}

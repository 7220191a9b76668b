"""`explain`: any text that a DBA can paste."""

import html
import re
from urllib.parse import urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.cli.main import main
from exporter.explain.explanation import OTHERWISE, explanation_data
from exporter.explain.search import KINDS, explain, unknown
from exporter.knowledge.reasons import Reason
from tests.support.web_server import Service, get, serving, words

LOADING = "Msg 33027, Level 16, State 1. Cannot load library 'C:\\akv.dll'. See errorlog for more information."
SESSION = "2026-11-25 14:00:00.00 spid51 Cannot open session for cryptographic provider 'AKV'. Provider error code: 3303. (Provider Error)"
THUMBPRINT = "Msg 33111, Level 16, State 4. Cannot find server asymmetric key with thumbprint '0x2C5677D76F76D77F80'."
EVENT = "Vault Name: contoso, Operation: acquireToken, Message: [error:3108, info:401, state:16] refused"

TEXTS = (
    LOADING,
    SESSION,
    THUMBPRINT,
    EVENT,
    "37576",
    "AADSTS7000229",
    "forbidden_nsp",
    "403 unwrapKey",
    "12029",
    "2058",
    "Error when accessing registry: 5",
    "RECOVERY_PENDING",
    "0x80072EE7",
    "33050",
    "zz",
    "3304x",
)


def squeezed(text):
    """Return the text without blanks and marks of code, which differ between a page and a terminal."""
    return re.sub(r"[\s`]", "", html.unescape(text))


@pytest.mark.parametrize(
    ("text", "meaning"),
    [
        ("1002016 AKV10046", "AADSTS1002016: outdated_tls"),
        ("AKV10032: Invalid issuer.", "AKV10032: token_wrong_issuer"),  # and the vault's sentence
        ("Caller was not found on any access policy. Provider error code: 3303", "forbidden_policy"),
        ("Provider error code: 3303. Msg 33027", 3303),
        ("Msg 15151 ErrorHttpSendRequest", "Message 15151 of SQL Server: Cannot find the object, or no permission"),
        ("ErrorHttpSendRequest ForbiddenByFirewall", 3008),
        ("KeyNotFound 429 wrap_key", "key_not_found"),
        ("429 wrap_key StatusCode: 503", 3011),
        ("StatusCode: 503 0x80040CE7", "HTTP status 503 of a vault"),
        ("0x80040CE7 curl: (6)", 3303),
        ("0x80072EE7 curl error (60)", "Windows error 12007 (0x80072EE7): the host name did not resolve"),
        ("curl: (6) E3303", "dns_not_found"),
        ("E3303 throttled", 3303),
        ("The operation has timed out. 12029", "connect_timeout"),
        ("12029 conflict", "Windows error 12029: the connection failed"),
        ("conflict 3303", "conflict"),
        ("3303 RECOVERY_PENDING", 3303),
        ("RECOVERY_PENDING 0x80071234", "Database state RECOVERY_PENDING"),
        ("0x80071234 curl: (92)", "Windows error 4660 (0x80071234): its text is not in this table"),
    ],
)
def test_text_with_two_meanings_has_the_one_nearer_to_the_cause(text, meaning):
    """Each line has two meanings that follow each other in the order of look-ups."""
    found = explain(text)
    assert (found.rows[0].code if isinstance(meaning, int) else found.title) == meaning


@pytest.mark.parametrize("number", [33027, 33028, 33032, 33049, 33067, 33085, 33095, 33111, 37563, 37576])
@pytest.mark.parametrize("form", ["{}", "Msg {}", "Error: {}, Severity: 16, State: 2."])
def test_server_message_has_causes_and_actions(number, form):
    found = explain(form.format(number))
    assert not found.is_code
    assert found.title.startswith(f"Message {number} of SQL Server: ")
    assert found.causes
    assert found.actions


@pytest.mark.parametrize(
    ("text", "reason", "code"),
    [
        ("AADSTS7000222", Reason.SECRET_EXPIRED, 3303),
        ("AADSTS50131: x. AADSTS53003: Access has been blocked.", Reason.CONDITIONAL_ACCESS, 3128),
        ("7000229", Reason.APPLICATION_NOT_IN_TENANT, 3303),
        ("AKV10032: Invalid issuer.", Reason.TOKEN_WRONG_ISSUER, 3305),
        ("AKV10046", Reason.TOKEN_UNVERIFIABLE, 3010),
        ("forbidden_nsp", Reason.FORBIDDEN_NSP, 3077),
        ("ForbiddenByFirewall", Reason.FORBIDDEN_FIREWALL, 3077),
        ("403 unwrapKey: ForbiddenByRbac", Reason.FORBIDDEN_RBAC, 3077),
        ("KeyNotFound", Reason.KEY_NOT_FOUND, 3076),
        ("AADSTS7000213", Reason.CERTIFICATE_REFUSED, 3303),
        ("AADSTS530035", Reason.CONDITIONAL_ACCESS, 3128),
        ("credentials_refused", Reason.CREDENTIALS_REFUSED, 3303),
    ],
)
def test_number_or_reason_explains_the_reason(text, reason, code):
    found = explain(text)
    assert str(reason) in found.title
    assert reason.row.text[1:] in found.summary
    assert [row.code for row in found.rows] == [code]


def test_reason_of_a_page_has_the_codes_of_the_vault_and_of_the_sign_in():
    codes = {row.code for row in explain(Reason.ANSWER_NOT_JSON.value).rows}
    assert {3010, 3012, 3076, 3077, 3128, 3303, 3307, 3404} <= codes


@pytest.mark.parametrize("reason", Reason)
def test_every_reason_is_explained_with_an_action(reason):
    assert explain(reason.value).actions


@pytest.mark.parametrize("text", ["2026-11-26", "proxy:3128 refused", "14:3008", "build 15.0.2000.440", "spid3303"])
def test_number_inside_another_is_no_code(text):
    assert explain(text) is None


@pytest.mark.parametrize("text", TEXTS)
async def test_page_and_command_explain_the_same(text, capsys):
    status = main(["explain", text])
    printed = capsys.readouterr()
    found = explain(text)
    path = f"/explain/{found.rows[0].code}" if found is not None and found.is_code else f"/explain?{urlencode({'code': text})}"
    async with serving(Service()) as session:
        page = squeezed(words((await get(session, path))[2]))
    if found is None:
        reason = squeezed(printed.err.partition("\n")[0].removeprefix("ekm-exporter explain: "))
        assert (status, reason[1:] in page) == (2, True)
        assert [each for each in OTHERWISE if squeezed(each) not in page or squeezed(each) not in squeezed(printed.err)] == []
        return
    facts = [found.title or found.rows[0].symbol, *(found.actions or found.rows[0].actions), *found.commands]
    assert status == 0
    assert [each for each in facts if squeezed(each) not in squeezed(printed.out)] == []
    assert [each for each in facts if squeezed(each) not in page] == []


def test_unknown_text_names_what_is_understood():
    assert explain("zz") is None
    assert KINDS in unknown("zz")


@given(st.text())
def test_explain_accepts_any_text(text):
    assert explain(text) is None or explain(text).rows or explain(text).title


def test_data_of_an_explanation_has_summary_actions_and_codes():
    data = explanation_data(explain("secret_expired"))
    assert data["title"].startswith("secret_expired")
    assert data["summary"]
    assert data["actions"]
    assert 3303 in data["codes"]

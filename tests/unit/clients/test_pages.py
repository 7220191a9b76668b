"""Pages of proxies and portals instead of responses of the vault and of Entra ID."""

import pytest

from exporter.clients.entra import fetch_token
from exporter.config.settings import Credential
from exporter.core.values import Challenge, CredentialKind, Fault, Step
from exporter.knowledge.classify import classify
from exporter.knowledge.reasons import Reason
from tests.support.tls_server import ENTRA, TENANT, VAULT, response, until

PAGE = b"<html><title>Blocked by proxy.example</title></html>"
CHALLENGE = Challenge(authority=f"https://{ENTRA}", tenant=TENANT, resource="https://vault.azure.net")
BY_SECRET = Credential(name="sql", kind=CredentialKind.CLIENT_SECRET, client_id=TENANT)


@pytest.fixture
def get_key(serve, key_facts):
    async def get(answer):
        return await key_facts(await serve(lambda _request: answer))

    return get


@pytest.fixture
def sign_in(serve, network_to):
    async def get(answer):
        wire = await serve(lambda _request: answer)
        answer = await fetch_token(network_to(entra=wire), BY_SECRET, "s3cret-of-test", CHALLENGE, deadline=until())
        assert answer.token is None
        return answer.facts

    return get


@pytest.mark.parametrize(
    ("status", "body", "reason"),
    [
        (403, PAGE, Reason.ANSWER_NOT_JSON),
        (403, b"blocked", Reason.ANSWER_NOT_JSON),
        (409, b"blocked", Reason.ANSWER_NOT_JSON),
        (403, b"", Reason.FORBIDDEN),
        (403, b"{}", Reason.FORBIDDEN),
        (403, b'{"message": "Forbidden"}', Reason.ANSWER_NOT_JSON),
        (404, b'{"message": "no Route matched with those values"}', Reason.ANSWER_NOT_JSON),
        (401, PAGE, Reason.ANSWER_NOT_JSON),
        (404, PAGE, Reason.ANSWER_NOT_JSON),
        (503, PAGE, Reason.SERVER_ERROR),
    ],
)
async def test_page_is_no_refusal_by_the_vault(get_key, status, body, reason):
    facts = await get_key(response(status, body))
    assert (facts.fault, facts.status) == (Fault.HTTP_STATUS, status)
    assert classify(Step.GET_KEY, facts).reason is reason
    assert facts.detail == body.decode()


async def test_truncated_error_is_no_page(get_key):
    async def cut(_wire, _reader, writer):
        writer.write(b'HTTP/1.1 403 Forbidden\r\nContent-Length: 100\r\n\r\n{"error"')
        await writer.drain()
        return False

    facts = await get_key(cut)
    assert classify(Step.GET_KEY, facts).reason is Reason.FORBIDDEN


@pytest.mark.parametrize(
    ("status", "code", "reason"),
    [
        (400, 3128, Reason.ANSWER_NOT_JSON),
        (401, 3303, Reason.ANSWER_NOT_JSON),
        (403, 3077, Reason.FORBIDDEN),
        (200, 3307, Reason.ANSWER_NOT_JSON),
    ],
)
async def test_page_is_no_refused_credential(sign_in, status, code, reason):
    """The advice for a refused credential is a new secret and a restart of SQL Server."""
    facts = await sign_in(response(status, PAGE, Content_Type="text/html"))
    found = classify(Step.TOKEN, facts)
    assert (found.code, found.reason, facts.detail) == (code, reason, PAGE.decode())


async def test_refusal_without_a_body_stays_one(sign_in):
    assert classify(Step.TOKEN, await sign_in(response(401, b""))).reason is Reason.CREDENTIALS_REFUSED


async def test_page_instead_of_a_key_is_shown(get_key):
    facts = await get_key(response(200, PAGE))
    assert (facts.fault, facts.detail) == (Fault.ANSWER_NOT_JSON, PAGE.decode())


@pytest.mark.parametrize(("status", "fault"), [(301, Fault.REDIRECT), (308, Fault.REDIRECT), (304, Fault.HTTP_STATUS)])
async def test_only_a_status_with_another_place_is_a_redirect(get_key, status, fault):
    assert (await get_key(response(status, b"", Location=f"https://{VAULT}/"))).fault is fault

"""The challenge: accepted authorities and resources, and the fault of others."""

import pytest

from exporter.core.values import Fault, Phase
from tests.support.tls_server import CHALLENGE, ENTRA, TENANT, response, until


def challenge_of(authorization, resource="https://vault.azure.net"):
    return f'Bearer authorization="{authorization}", resource="{resource}"'


@pytest.mark.parametrize(
    ("answer", "fault"),
    [
        (response(401, b""), Fault.CHALLENGE_ABSENT),
        (response(401, b"", WWW_Authenticate="Negotiate"), Fault.CHALLENGE_NO_AUTHORIZATION),
        (response(401, b"", WWW_Authenticate=f'Bearer authorization="https://{ENTRA}/x'), Fault.CHALLENGE_OPEN_AUTHORIZATION),
        (response(401, b"", WWW_Authenticate=challenge_of(f"https://{ENTRA}")), Fault.CHALLENGE_NO_TENANT),
        (response(401, b"", WWW_Authenticate=f'Bearer authorization="https://{ENTRA}/x"'), Fault.CHALLENGE_NO_RESOURCE),
        (response(401, b"", WWW_Authenticate=challenge_of(f"https://{ENTRA}/x")[:-1]), Fault.CHALLENGE_OPEN_RESOURCE),
        (response(200, {"value": []}), Fault.NO_CHALLENGE),
        (response(204, b""), Fault.NO_CHALLENGE),
        (response(301, b"", Location="https://elsewhere.example/"), Fault.REDIRECT),
        (response(403, {"error": {"code": "Forbidden"}}), Fault.HTTP_STATUS),
        (response(429, b""), Fault.HTTP_STATUS),
        (response(503, b"<html>"), Fault.HTTP_STATUS),
    ],
)
async def test_unusable_challenge_has_its_own_fault(challenged, answer, fault):
    facts, challenge = await challenged(answer)
    assert (facts.fault, challenge) == (fault, None)


@pytest.mark.parametrize(
    ("authorization", "resource", "fault"),
    [
        ("https://login.evil.example/t", "https://vault.azure.net", Fault.AUTHORITY_UNTRUSTED),
        (f"https://{ENTRA}.evil.example/t", "https://vault.azure.net", Fault.AUTHORITY_UNTRUSTED),
        (f"https://{ENTRA}/t", "https://evil.example", Fault.RESOURCE_MISMATCH),
        (f"https://{ENTRA}/t", "https://graph.microsoft.com", Fault.RESOURCE_MISMATCH),
        (f"https://{ENTRA}/t", "https://net", Fault.RESOURCE_MISMATCH),
        (f"https://{ENTRA}/t", "vault.azure.net", Fault.RESOURCE_MISMATCH),
    ],
)
async def test_challenge_for_a_foreign_host_is_rejected(challenged, authorization, resource, fault):
    facts, challenge = await challenged(response(401, b"", WWW_Authenticate=challenge_of(authorization, resource)))
    assert (facts.fault, challenge) == (fault, None)
    assert facts.detail == f"the 401 names {authorization.removesuffix('/t')} and {resource}"


async def test_configured_authority_is_accepted(challenged):
    answer = response(401, b"", WWW_Authenticate=challenge_of("https://entra.corp.example:8443/t"))
    facts, challenge = await challenged(answer, authority_host="https://entra.corp.example:8443")
    assert (facts.fault, challenge.authority) == (Fault.NONE, "https://entra.corp.example:8443")


async def test_challenge_with_an_empty_body_is_accepted(challenged):
    """A managed HSM sends an empty body."""
    facts, challenge = await challenged(response(401, b"", WWW_Authenticate=CHALLENGE))
    assert (facts.fault, facts.detail, challenge.tenant) == (Fault.NONE, "", TENANT)


def unfinished(*, stalls):
    """A response whose body is cut, or stalls."""

    async def begin(wire, _reader, writer):
        writer.write(f"HTTP/1.1 401 No\r\nWWW-Authenticate: {CHALLENGE}\r\nContent-Length: 99\r\n\r\n{{".encode())
        await writer.drain()
        if stalls:
            await wire.release.wait()
        return False

    return begin


async def test_challenge_with_a_truncated_body_is_accepted(challenged):
    facts, challenge = await challenged(unfinished(stalls=False))
    assert (facts.fault, challenge.tenant) == (Fault.NONE, TENANT)


async def test_challenge_with_a_stalled_body_is_a_body_timeout(challenged):
    facts, challenge = await challenged(unfinished(stalls=True), 0.5)
    assert (facts.fault, facts.status, facts.phase_reached) == (Fault.BODY_TIMEOUT, 401, Phase.TRANSFER)
    assert challenge is None


async def test_good_challenge_has_no_error_of_its_body(serve, session_to, fake_vault):
    async with session_to(await serve(fake_vault)) as session:
        facts, _ = await session.challenge(deadline=until())
    assert (facts.fault, facts.status, facts.service_code, facts.inner_code, facts.detail) == (Fault.NONE, 401, None, None, "")

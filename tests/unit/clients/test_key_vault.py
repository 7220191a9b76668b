"""Key Vault sessions: challenges, requests, results, lists, and encryption without the vault."""

import asyncio
import json
import logging
import os
import time

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from exporter.clients.answers import Page, encode, read_key
from exporter.clients.http.exchange import Response
from exporter.clients.key_vault import Request, VaultSession, encrypt_locally
from exporter.core.values import Challenge, Facts, Fault, KeyFacts, Phase, Step
from tests.support.tls_server import CHALLENGE, ENTRA, TENANT, TOKEN, closes, is_silent, keeps_open, response, until, writes
from tests.support.values import replace

# Key Vault sessions: requests, results, phases and connections.

PAUSE = 0.3  # seconds without a byte from the server


async def round_trip(session):
    facts, challenge = await session.challenge(deadline=until())
    assert facts.fault is Fault.NONE, facts
    got, key = await session.get_key(TOKEN, "Key0", "0123456789abcdef0123456789abcdef", deadline=until())
    data = os.urandom(32)
    wrapped_facts, wrapped = await session.operate(Step.WRAP_KEY, TOKEN, key, "RSA-OAEP", data, deadline=until())
    unwrapped_facts, back = await session.operate(Step.UNWRAP_KEY, TOKEN, key, "RSA-OAEP", wrapped, deadline=until())
    assert wrapped != data
    assert back == data
    return facts, challenge, got, key, wrapped_facts, unwrapped_facts


async def test_round_trip_is_four_requests_on_one_connection(serve, session_to, fake_vault):
    wire = await serve(fake_vault)
    async with session_to(wire) as session:
        facts, challenge, got, key, *_ = await round_trip(session)
    assert challenge == Challenge(
        authority="https://login.microsoftonline.com", tenant=TENANT, resource="https://vault.azure.net"
    )
    assert [(r.method, r.path) for r in wire.requests] == [
        ("GET", "/keys"),
        ("GET", f"/keys/Key0/{key.version}"),
        ("POST", f"/keys/Key0/{key.version}/wrapkey"),
        ("POST", f"/keys/Key0/{key.version}/unwrapkey"),
    ]
    assert wire.connections == 1
    assert all(request.target.endswith("?api-version=7.4") for request in wire.requests)
    assert (facts.fault, facts.status, facts.service_code, facts.inner_code, facts.detail) == (Fault.NONE, 401, None, None, "")
    assert facts.request_id == "request-1"
    assert got.vault.region == "westus2"
    assert got.server_time == 1445412480.0
    assert got.endpoint == "contoso.vault.azure.net:443"
    assert [request.headers.get("authorization") for request in wire.requests] == [None, *[f"Bearer {TOKEN}"] * 3]
    for request in wire.requests:
        assert request.headers["host"] == "contoso.vault.azure.net"
        assert request.headers["user-agent"].startswith("ekm-exporter/")
        assert (request.headers["accept"], request.headers["accept-encoding"]) == ("*/*", "identity")
    assert len({request.headers["x-ms-client-request-id"] for request in wire.requests}) == 4
    assert json.loads(wire.requests[2].body)["alg"] == "RSA-OAEP"


async def test_connection_phases_belong_to_the_first_exchange(serve, session_to, fake_vault):
    wire = await serve(fake_vault)
    loop = asyncio.get_running_loop()
    async with session_to(wire) as session:
        before = loop.time()
        first, _ = await session.challenge(deadline=until())
        took = loop.time() - before
        second, _ = await session.get_key(TOKEN, "Key0", None, deadline=until())
    assert list(first.phases) == [Phase.CONNECT, Phase.TLS, Phase.WAIT, Phase.TRANSFER]  # connect_to has an address: no DNS
    assert all(seconds >= 0 for seconds in first.phases.values())
    assert 0 < sum(first.phases.values()) <= took
    assert first.phases[Phase.TLS] > 0
    assert first.certificate.issuer == "CN=Test CA"
    assert 10 * 86400 < first.certificate.not_after - time.time() < 21 * 86400
    assert list(second.phases) == [Phase.WAIT, Phase.TRANSFER]
    assert second.certificate is None


WHOLE = response(401, b"{}", WWW_Authenticate=CHALLENGE)


async def test_wait_ends_with_the_first_byte_of_the_response(challenged):
    facts, challenge = await challenged(writes(WHOLE[:20], WHOLE[20:], then=keeps_open, pause=PAUSE))
    assert challenge is not None
    assert facts.phases[Phase.TRANSFER] >= PAUSE


async def test_unfinished_headers_count_as_wait(challenged):
    facts, _ = await challenged(writes(b"HTTP/1.1 401 Status\r\nServer: ", then=is_silent), PAUSE)
    assert (facts.fault, facts.phase_reached) == (Fault.READ_TIMEOUT, Phase.WAIT)
    assert Phase.TRANSFER not in facts.phases
    assert facts.phases[Phase.WAIT] > PAUSE / 2


async def test_host_name_in_connect_to_is_resolved(serve, session_to, fake_vault):
    wire = await serve(fake_vault)
    async with session_to(None, connect_to={"contoso.vault.azure.net:443": f"localhost:{wire.port}"}) as session:
        facts, _ = await session.challenge(deadline=until())
    assert facts.fault is Fault.NONE
    assert facts.phases[Phase.DNS] > 0


async def test_concurrent_sessions_have_their_own_phases(serve, session_to, fake_vault):
    wire = await serve(fake_vault)

    async def one():
        async with session_to(wire) as session:
            return await round_trip(session)

    results = await asyncio.gather(*(one() for _ in range(50)))
    assert wire.connections == 50
    assert len(wire.requests) == 200
    for first, _, got, *_ in results:
        assert set(first.phases) == {Phase.CONNECT, Phase.TLS, Phase.WAIT, Phase.TRANSFER}
        assert set(got.phases) == {Phase.WAIT, Phase.TRANSFER}


@pytest.mark.parametrize(
    ("step", "body", "fault"),
    [
        (Step.GET_KEY, b"<html>", Fault.ANSWER_NOT_JSON),
        (Step.WRAP_KEY, b"", Fault.ANSWER_EMPTY),
        (Step.UNWRAP_KEY, b'{"value": "!"}', Fault.VALUE_UNUSABLE),
    ],
)
async def test_unusable_body_with_status_200_has_its_own_fault(serve, session_to, key, *, step, body, fault):
    wire = await serve(lambda _request: response(200, body))
    async with session_to(wire) as session:
        if step is Step.GET_KEY:
            facts, value = await session.get_key(TOKEN, key.name, key.version, deadline=until())
        else:
            facts, value = await session.operate(step, TOKEN, key, "RSA-OAEP", b"x" * 32, deadline=until())
    assert (facts.fault, facts.status, value) == (fault, 200, None)


@pytest.mark.parametrize("size", [255, 257, 32, 1])
async def test_wrapped_bytes_of_another_size_than_the_key_fail_wrap(serve, session_to, key, *, size):
    """Unwrap would fail with them, and a failed unwrap means that databases do not open."""
    wire = await serve(lambda _request: response(200, {"kid": "k", "value": encode(bytes(size))}))
    async with session_to(wire) as session:
        facts, value = await session.operate(Step.WRAP_KEY, TOKEN, key, "RSA-OAEP", b"x" * 32, deadline=until())
    assert (facts.fault, facts.status, value) == (Fault.VALUE_UNUSABLE, 200, None)
    assert facts.detail == f"{size} bytes, encrypted with a key of 2048 bits"


async def test_vault_that_echoes_the_request_leaks_no_token(serve, session_to, caplog):
    caplog.set_level(logging.DEBUG)
    wire = await serve(lambda request: response(500, f"{request.headers} {TOKEN}".encode()))
    async with session_to(wire) as session:
        facts, _ = await session.get_key(TOKEN, "Key0", None, deadline=until())
    assert TOKEN not in repr(facts)
    assert TOKEN.partition(".")[2] not in repr(facts)
    assert TOKEN not in caplog.text
    assert TOKEN not in repr(session)


async def test_key_name_and_version_are_escaped_in_the_path(serve, session_to):
    wire = await serve(lambda _request: response(404))
    async with session_to(wire) as session:
        await session.get_key(TOKEN, "../secrets/x?y", "a/b#c", deadline=until())
    assert wire.requests[0].target == "/keys/..%2Fsecrets%2Fx%3Fy/a%2Fb%23c?api-version=7.4"


@pytest.fixture
def key(fake_vault):
    _, key = read_key(json.dumps(fake_vault.document()).encode())
    return key


@pytest.mark.parametrize(
    ("header", "message", "expected"),
    [
        ('Bearer error="insufficient_claims", claims="e30="', "AKV10094: Claims are missing.", ("insufficient_claims", 10094)),
        ("Bearer", "[TokenExpired] Error validating token: 'S2S12086'.", ("TokenExpired", None)),
        ("Bearer", "AKV10046: Unable to resolve the key used for signature validation.", (None, 10046)),
    ],
)
async def test_vault_401_names_its_cause(serve, key_facts, header, message, expected):
    body = {"error": {"code": "Unauthorized", "message": message}}
    wire = await serve(lambda _request: response(401, body, Content_Type="application/json", WWW_Authenticate=header))
    facts = await key_facts(wire)
    assert (facts.fault, facts.status, (facts.inner_code, facts.akv)) == (Fault.HTTP_STATUS, 401, expected)


def test_request_and_response_show_no_token_and_no_body():
    shown = repr(Request("POST", "https://vault/keys", {"Authorization": f"Bearer {TOKEN}"}, b"MARKED"))
    shown += repr(Response(None, 200, {"Set-Cookie": TOKEN}, b"MARKED"))
    assert TOKEN not in shown
    assert "MARKED" not in shown


# The challenge: accepted authorities and resources, and the fault of others.


def challenge_of(authorization, resource="https://vault.azure.net"):
    return f'Bearer authorization="{authorization}", resource="{resource}"'


@pytest.mark.parametrize(
    ("answer", "fault"),
    [
        (response(401, b""), Fault.CHALLENGE_ABSENT),
        (response(401, b"", WWW_Authenticate="Negotiate"), Fault.CHALLENGE_NO_AUTHORIZATION),
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


CUT = f"HTTP/1.1 401 No\r\nWWW-Authenticate: {CHALLENGE}\r\nContent-Length: 99\r\n\r\n{{".encode()


@pytest.mark.parametrize(("then", "fault"), [(closes, Fault.NONE), (is_silent, Fault.BODY_TIMEOUT)], ids=["cut", "stalled"])
async def test_challenge_needs_no_whole_body_but_none_that_stalls(challenged, then, fault):
    facts, challenge = await challenged(writes(CUT, then=then), 0.5)
    assert (facts.fault, facts.status, facts.phase_reached) == (fault, 401, Phase.TRANSFER)
    assert (None if challenge is None else challenge.tenant) == (TENANT if fault is Fault.NONE else None)


# Local encryption, which replaces a wrap that the vault refused.


@pytest.fixture(scope="module")
def pair():
    private = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    numbers = private.public_key().public_numbers()
    key = KeyFacts(
        name="Key0",
        version="1",
        kid="https://contoso.vault.azure.net/keys/Key0/1",
        kty="RSA",
        size_bits=2048,
        modulus=numbers.n.to_bytes(256, "big"),
        exponent=numbers.e.to_bytes(3, "big"),
    )
    return private, key


@pytest.mark.parametrize(("algorithm", "digest"), [("RSA-OAEP", hashes.SHA1), ("RSA-OAEP-256", hashes.SHA256)])
def test_private_key_decrypts_locally_encrypted_bytes(pair, algorithm, digest):
    private, key = pair
    data = bytes(range(32))
    sealed = encrypt_locally(key, algorithm, data)
    assert private.decrypt(sealed, padding.OAEP(padding.MGF1(digest()), digest(), None)) == data


@pytest.mark.parametrize(
    ("change", "algorithm", "size"),
    [
        ({}, "RSA1_5", 32),
        ({"kty": "EC"}, "RSA-OAEP", 32),
        ({"size_bits": 4096}, "RSA-OAEP", 32),
        ({"exponent": b"\x02"}, "RSA-OAEP", 32),
        ({"modulus": b"\x01" * 20}, "RSA-OAEP", 32),
        ({}, "RSA-OAEP", 500),
    ],
)
def test_unusable_key_algorithm_or_data_gives_none(pair, change, algorithm, size):
    assert encrypt_locally(replace(pair[1], **change), algorithm, bytes(size)) is None


# A list of a vault that never ends.


class Endless(VaultSession):
    """Each page has many entries and a link to the next one."""

    def __init__(self, entries: int) -> None:
        self.host, self._query, self.requests, self._entries = "v.vault.azure.net", "api-version=7.4", 0, entries

    async def request(self, *_request, **_options):
        self.requests += 1
        return Facts(fault=Fault.NONE, status=200), Page(("x",) * self._entries, f"https://{self.host}/keys?page={self.requests}")


@pytest.mark.parametrize(("entries", "most", "requests"), [(1000, 100, 3), (25, 7, 7)], ids=["large pages", "many pages"])
async def test_list_ends_after_its_entries_or_pages(entries, most, requests):
    session = Endless(entries)
    facts, found = await session.entries("/keys", "t", lambda _: (Fault.NONE, None), deadline=1.0, most_pages=most)
    assert (facts.fault, facts.detail, found) == (Fault.BODY_TOO_LARGE, f"more than {most} pages of 25", None)
    assert session.requests == requests

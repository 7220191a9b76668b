"""The facts of a probe whose wait for a shared token timed out."""

import asyncio
import time
from contextvars import copy_context

import pytest

from exporter.clients.entra import fetch_token, pending_facts
from exporter.config.settings import Credential
from exporter.core.values import Challenge, CredentialKind, Fault, Phase
from exporter.probing.secrets import CredentialSecret
from exporter.probing.tokens import ReuseWindow, TokenCache
from exporter.runtime.tasks import PoolExhausted
from tests.support.tls_server import ENTRA, TENANT, TOKEN, is_silent, response

CREDENTIAL = Credential(name="sql", kind=CredentialKind.CLIENT_SECRET, client_id=TENANT)
CHALLENGE = Challenge(authority=f"https://{ENTRA}", tenant=TENANT, resource="https://vault.azure.net")


class Secrets:
    def find(self, _credential):
        return CredentialSecret(text="s3cret", fingerprint="1")


@pytest.fixture
async def get_token():
    """Get a token from a cache whose requests have a longer timeout than the caller."""
    caches = []

    async def get(network, patience, credential=CREDENTIAL):
        cache = TokenCache(Secrets(), reuse_policy=lambda *_: ReuseWindow(60.0, 5.0))
        caches.append(cache)
        started = asyncio.get_running_loop().time()
        return await cache.token(credential, network, CHALLENGE, started=started, deadline=started + patience)

    yield get
    for cache in caches:
        await cache.aclose()


async def starts_a_body(wire, _reader, writer):
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{")
    await wire.release.wait()
    return False


@pytest.mark.parametrize(
    ("behaviour", "expected"),
    [
        ({"tls": False, "on_connect": is_silent}, (Fault.TLS_TIMEOUT, Phase.TLS)),
        ({"answer": lambda _request: is_silent}, (Fault.READ_TIMEOUT, Phase.WAIT)),
        ({"answer": lambda _request: starts_a_body}, (Fault.BODY_TIMEOUT, Phase.TRANSFER)),
    ],
    ids=["in the handshake", "before the headers", "in the body"],
)
async def test_timeout_names_the_phase_of_the_request(serve, network_to, get_token, behaviour, expected):
    entra = await serve(**behaviour)
    result = await get_token(network_to(entra=entra), 0.4)
    assert result.token is None
    assert (result.facts.fault, result.facts.phase_reached) == expected
    assert result.facts.endpoint == f"{ENTRA}:443"


async def test_silent_imds_is_named_as_the_endpoint(serve, network_to, get_token, monkeypatch, free_port):
    imds = await serve(tls=False, on_connect=is_silent)
    monkeypatch.setenv("AZURE_POD_IDENTITY_AUTHORITY_HOST", f"http://127.0.0.1:{imds.port}")
    identity = Credential(name="vm", kind=CredentialKind.MANAGED_IDENTITY)
    result = await get_token(network_to(entra=free_port), 0.6, identity)
    assert result.token is None
    assert (result.facts.fault, result.facts.endpoint) == (Fault.IDENTITY_UNAVAILABLE, f"127.0.0.1:{imds.port}")
    assert result.facts.detail.startswith(f"127.0.0.1:{imds.port}: ")
    assert ENTRA not in result.facts.detail


async def test_wait_for_the_handshake_limit_is_no_network_fault(serve, network_to, get_token):
    full = asyncio.Semaphore(0)
    with pytest.raises(PoolExhausted):
        await get_token(network_to(entra=await serve(), limiter=full), 0.2)


async def test_request_that_was_not_started_has_no_phase(network_to):
    facts = pending_facts(copy_context(), network_to(), CHALLENGE.authority)
    assert (facts.fault, facts.phase_reached) == (Fault.READ_TIMEOUT, None)


async def test_token_has_its_expiry(serve, network_to):
    body = {"token_type": "Bearer", "expires_in": 3599, "access_token": TOKEN}
    entra = await serve(lambda _request: response(200, body, Content_Type="application/json"))
    deadline = asyncio.get_running_loop().time() + 5.0
    answer = await fetch_token(network_to(entra=entra), CREDENTIAL, "s3cret", CHALLENGE, deadline=deadline)
    assert answer.token == TOKEN
    assert answer.expires_at == pytest.approx(time.time() + 3599, abs=10)

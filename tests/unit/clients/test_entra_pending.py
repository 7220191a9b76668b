"""The shared token over a real wire: what a probe that gives up says of the request it waited for."""

import asyncio
import time
from contextvars import copy_context

import pytest

from exporter.clients import fetch_token
from exporter.clients.entra import pending_facts
from exporter.config.model import Credential, CredentialKind
from exporter.core.faults import Fault
from exporter.core.model import Challenge, Phase
from exporter.runtime.thread_pool import PoolExhausted
from exporter.tokens.cache import TokenCache
from exporter.tokens.reuse import ReuseWindow
from exporter.tokens.secret_cache import Secret
from tests.support.tls_server import ENTRA, TENANT, TOKEN, response

CREDENTIAL = Credential(name="sql", kind=CredentialKind.CLIENT_SECRET, client_id=TENANT)
CHALLENGE = Challenge(authority=f"https://{ENTRA}", tenant=TENANT, resource="https://vault.azure.net")


class Secrets:
    async def current(self, _credential):
        return Secret(text="s3cret", fingerprint="1")


@pytest.fixture
async def ask():
    """Asks a desk for a token over a network, with less patience than the request itself has."""
    desks = []

    async def asking(network, patience, credential=CREDENTIAL):
        async def fetch(_module, credential, secret, challenge, *, deadline):
            return await fetch_token(network, credential, secret, challenge, deadline=deadline)

        def glimpse(context, _module, challenge):
            return pending_facts(context, network, challenge.authority)

        desk = TokenCache(fetch, Secrets(), window=lambda *_: ReuseWindow(60.0, 5.0), pending_facts=glimpse)
        desks.append(desk)
        started = asyncio.get_running_loop().time()
        return await desk.token(credential, network.module, CHALLENGE, started=started, deadline=started + patience)

    yield asking
    for desk in desks:
        await desk.aclose()


async def says_nothing(wire, _reader, _writer):
    await wire.release.wait()
    return True


async def begins_a_body(wire, _reader, writer):
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{")
    await wire.release.wait()
    return False


@pytest.mark.parametrize(
    ("behaviour", "expected"),
    [
        ({"tls": False, "on_connect": says_nothing}, (Fault.TLS_TIMEOUT, Phase.TLS)),
        ({"answer": lambda _request: says_nothing}, (Fault.READ_TIMEOUT, Phase.WAIT)),
        ({"answer": lambda _request: begins_a_body}, (Fault.BODY_TIMEOUT, Phase.TRANSFER)),
    ],
    ids=["in the handshake", "before the headers", "in the body"],
)
async def test_giving_up_names_the_phase_that_the_request_was_in(serve, network_to, ask, behaviour, expected):
    entra = await serve(**behaviour)
    grant = await ask(network_to(entra=entra), 0.4)
    assert grant.token is None
    assert (grant.facts.fault, grant.facts.phase_reached) == expected
    assert grant.facts.endpoint == f"{ENTRA}:443"


async def test_swallowed_imds_request_names_the_identity_endpoint(serve, network_to, ask, monkeypatch, free_port):
    imds = await serve(tls=False, on_connect=says_nothing)
    monkeypatch.setenv("AZURE_POD_IDENTITY_AUTHORITY_HOST", f"http://127.0.0.1:{imds.port}")
    identity = Credential(name="vm", kind=CredentialKind.MANAGED_IDENTITY)
    grant = await ask(network_to(entra=free_port), 0.6, identity)
    assert grant.token is None
    assert (grant.facts.fault, grant.facts.endpoint) == (Fault.IDENTITY_UNAVAILABLE, f"127.0.0.1:{imds.port}")
    assert grant.facts.detail.startswith(f"127.0.0.1:{imds.port}: ")
    assert ENTRA not in grant.facts.detail


async def test_waiting_for_a_place_of_our_own_is_never_the_networks_fault(serve, network_to, ask):
    full = asyncio.Semaphore(0)
    with pytest.raises(PoolExhausted):
        await ask(network_to(entra=await serve(), gate=full), 0.2)


async def test_a_request_that_was_not_begun_has_read_nothing(network_to):
    facts = pending_facts(copy_context(), network_to(), CHALLENGE.authority)
    assert (facts.fault, facts.phase_reached) == (Fault.READ_TIMEOUT, None)


async def test_a_grant_knows_when_it_expires(serve, network_to):
    body = {"token_type": "Bearer", "expires_in": 3599, "access_token": TOKEN}
    entra = await serve(lambda _request: response(200, body, Content_Type="application/json"))
    deadline = asyncio.get_running_loop().time() + 5.0
    answer = await fetch_token(network_to(entra=entra), CREDENTIAL, "s3cret", CHALLENGE, deadline=deadline)
    assert answer.token == TOKEN
    assert answer.expires_at == pytest.approx(time.time() + 3599, abs=10)

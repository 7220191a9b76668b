"""A response with `Connection: close`: the next request has a new connection, also to an IP address."""

import asyncio

import pytest

from exporter.clients.key_vault import VaultSession
from exporter.config.settings import Proxy
from exporter.core.values import Fault, Phase
from tests.support.tls_server import CHALLENGE, TOKEN, VAULT, closes, get_key, is_silent, resets, response, until
from tests.unit.clients.http.test_network import tunnel
from tests.unit.clients.http.test_timed_sockets import CountingLimiter

CLOSE = response(401, b"{}", WWW_Authenticate=CHALLENGE, Connection="close")
HOSTS = pytest.mark.parametrize("host", [VAULT, "127.0.0.1"])
PROXIES = pytest.mark.parametrize("proxy_host", ["localhost", "127.0.0.1"])


def answers_and_closes(_request):
    async def answer(_wire, _reader, writer):
        writer.write(CLOSE)
        await writer.drain()
        return False

    return answer


def once(later):
    """Answer the first request and close; every later one is for `later`."""
    left = [answers_and_closes]
    return lambda request: left.pop()(request) if left else later


def session_with(network_to, wire, host, **options):
    address = VAULT if host == VAULT else f"{host}:{wire.port}"
    return VaultSession(network_to(wire, **options), address, "7.4")


@HOSTS
@pytest.mark.parametrize("behaviour", [closes, resets])
async def test_lost_answer_of_a_new_connection_is_not_resent(serve, network_to, host, behaviour):
    wire = await serve(once(behaviour))
    async with session_with(network_to, wire, host) as session:
        await session.challenge(deadline=until())
        facts = await get_key(session)
        assert session.sent == 2
    assert facts.fault in (Fault.CONNECTION_CLOSED, Fault.CONNECTION_RESET)
    assert (facts.resent, len(wire.requests)) == (False, 2)
    assert Phase.CONNECT in facts.phases


@HOSTS
async def test_each_new_connection_takes_a_handshake_slot(serve, network_to, host):
    limiter, wire = CountingLimiter(2), await serve(answers_and_closes)

    async def probe():
        async with session_with(network_to, wire, host, limiter=limiter) as session:
            return [(await session.challenge(deadline=until(20.0)))[0] for _ in range(4)]

    found = await asyncio.gather(*(probe() for _ in range(5)))
    assert all(Phase.CONNECT in facts.phases for each in found for facts in each)
    assert (wire.connections, limiter.taken, limiter.held) == (20, 20, 0)


@PROXIES
@pytest.mark.parametrize(
    ("second", "fault"),
    [
        (is_silent, Fault.PROXY_TIMEOUT),
        (response(407, b"", Proxy_Authenticate="Basic"), Fault.PROXY_STATUS),
        (response(503, b""), Fault.PROXY_STATUS),
    ],
    ids=["silent", "407", "503"],
)
async def test_second_connect_to_a_proxy_is_a_new_connection(serve, network_to, proxy_host, second, fault):
    vault = await serve(answers_and_closes)
    connects = [tunnel(vault.port)]
    proxy = await serve(lambda request: connects.pop()(request) if connects else second, tls=False)
    network = network_to(proxy=Proxy(url=f"http://{proxy_host}:{proxy.port}"))
    async with VaultSession(network, VAULT, "7.4") as session:
        await session.challenge(deadline=until())
        facts, _ = await session.get_key(TOKEN, "Key0", None, deadline=until(0.5))
    assert (facts.fault, facts.phase_reached, facts.resent) == (fault, Phase.CONNECT, False)

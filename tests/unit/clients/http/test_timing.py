"""The marks of an exchange, and the interfaces of the SDK and of Python that they depend on."""

import asyncio
import contextlib
import gc
import socket
import ssl
from types import SimpleNamespace

import pytest
from azure.core.pipeline.transport import AsyncHttpTransport
from azure.keyvault.keys.aio import KeyClient

from exporter.clients.http.exchange import CURRENT, Exchange
from exporter.clients.http.network import NetworkError, Networks
from exporter.clients.http.timing import TimedSocket, TimedSSLObject, make_context, make_socket
from exporter.clients.key_vault import Request, VaultSession
from exporter.config.settings import Config, Module, Settings
from exporter.core.values import Fault, Phase
from tests.support.tls_server import TOKEN, VAULT, is_silent, until

# The data that end the wait phase of an exchange.


class Clock:
    """A fake loop time, which advances by a second with each call."""

    now = 0.0

    def time(self):
        self.now += 1
        return self.now


@pytest.fixture
async def exchange(monkeypatch, network_to):
    connection = network_to().connection(VAULT, 443)
    made = connection.traffic.exchange = Exchange(f"{VAULT}:443", connection, connection.traffic)
    with monkeypatch.context() as patched:
        patched.setattr(asyncio.get_running_loop(), "time", Clock().time)
        yield made
    await connection.close()


def answered(exchange):
    exchange.mark("received")
    exchange.mark("ended")
    return exchange.phases()


async def test_first_data_of_the_response_ends_the_wait(exchange):
    exchange.request_sent()  # 1
    exchange.bytes_sent()  # 2
    for _ in range(3):
        exchange.traffic.data_read(1)  # 3: the first is marked
    exchange.bytes_sent()  # the response has begun, so these bytes are no request
    assert answered(exchange) == {Phase.WAIT: 1.0, Phase.TRANSFER: 2.0}  # headers at 4, the end at 5


async def test_second_request_starts_a_new_wait(exchange):
    """A session through a proxy sends CONNECT before the first request."""
    exchange.request_sent()
    exchange.traffic.data_read(1)  # at 2
    exchange.request_sent()  # 3
    exchange.bytes_sent()  # 4
    exchange.traffic.data_read(1)  # 5
    assert answered(exchange)[Phase.WAIT] == 1.0


async def test_wait_without_tls_ends_at_the_headers(exchange):
    exchange.request_sent()  # 1
    assert answered(exchange)[Phase.WAIT] == 1.0  # headers at 2


async def test_connect_without_tls_ends_at_the_first_request(exchange):
    await exchange.connect_begins()  # 1
    exchange.request_sent()  # 2
    exchange.request_sent()  # 3: a second request over the same connection
    assert answered(exchange) == {Phase.CONNECT: 1.0, Phase.WAIT: 1.0, Phase.TRANSFER: 1.0}


async def test_connection_without_an_exchange_records_nothing(exchange):
    exchange.traffic.exchange = None
    exchange.traffic.data_read(1)
    assert exchange.at == {}


class Pipe:
    """A TLS client and a TLS server that exchange bytes in memory."""

    def __init__(self, client_context, server_context):
        to_client, to_server = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.client = client_context.wrap_bio(to_client, to_server, server_hostname=VAULT)
        self.server = server_context.wrap_bio(to_server, to_client, server_side=True)

    def shake_hands(self):
        for side in (self.client, self.server, self.client, self.server):
            with contextlib.suppress(ssl.SSLWantReadError):
                side.do_handshake()


@pytest.fixture
def pipe(authority):
    return Pipe(make_context(authority.file), authority.server(VAULT))


async def test_handshake_and_session_ticket_are_no_data(pipe, exchange):
    exchange.request_sent()
    named = CURRENT.set(exchange)
    try:
        pipe.shake_hands()
    finally:
        CURRENT.reset(named)
    with pytest.raises(ssl.SSLWantReadError):  # only the session tickets have arrived
        pipe.client.read()
    assert (list(exchange.at), exchange.certificate.issuer) == (["sent", "connected", "tls", "secured"], "CN=Test CA")
    pipe.server.write(b"response")
    assert pipe.client.read() == b"response"
    assert list(exchange.at)[-1] == "first_byte"


async def test_socket_belongs_to_the_exchange_that_makes_it(exchange):
    named = CURRENT.set(exchange)
    try:
        made = make_socket((socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", ("127.0.0.1", 1)))
    finally:
        CURRENT.reset(named)
    with made:
        assert isinstance(made, TimedSocket)
        assert made.traffic is exchange.traffic
        assert exchange.traffic.sockets == [made]
        assert (made.family, made.type, made.proto) == (socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)


# Interfaces of the SDK and of Python on which the clients depend.


class CountingCredential:
    requests = 0

    async def get_token(self, *_scopes, **_options):
        self.requests += 1
        raise AssertionError("the SDK must not request a token")

    async def close(self):
        pass


async def test_sdk_passes_url_and_options_to_the_transport():
    """One `KeyClient` serves all vaults: it keeps an absolute URL, and needs no more of a request than `Request` has."""
    seen = []

    class Transport(AsyncHttpTransport):
        async def send(self, request, **options):
            seen.append((request, options))
            return SimpleNamespace()

        async def opened(self, *_):
            raise AssertionError("a client must not open the transport")

        open = close = __aenter__ = __aexit__ = opened

    credential = CountingCredential()
    client = KeyClient("https://unused.invalid", credential, transport=Transport(), api_version="7.4", policies=[])
    for host in (VAULT, f"other.{VAULT}:8443"):
        request = Request("POST", f"https://{host}/keys/Key0?api-version=7.4", {"Authorization": "t"}, b"{}")
        await client.send_request(request, stream=True)
        assert seen[-1] == (request, {"stream": True})
        assert seen[-1][0] is request
        assert request.url == f"https://{host}/keys/Key0?api-version=7.4"
    assert credential.requests == 0


@pytest.mark.parametrize("version", ["7.0", "7.4", "7.6", "2025-07-01", "99.9"])
async def test_any_api_version_is_sent_as_configured(serve, network_to, fake_vault, version):
    wire = await serve(fake_vault)
    async with VaultSession(network_to(wire), VAULT, version) as session:
        assert (await session.challenge(deadline=until()))[0].fault is Fault.NONE
    assert wire.requests[0].target == f"/keys?api-version={version}"


def test_context_makes_timed_objects_and_requires_tls_1_2(authority):
    context = make_context(authority.file)
    assert context.sslobject_class is TimedSSLObject
    assert isinstance(context.wrap_bio(ssl.MemoryBIO(), ssl.MemoryBIO(), server_hostname=VAULT), TimedSSLObject)
    assert context.minimum_version is ssl.TLSVersion.TLSv1_2
    assert context.verify_mode is ssl.CERT_REQUIRED
    assert context.check_hostname
    assert len(context.get_ca_certs()) == 1
    assert len(make_context(None).get_ca_certs()) != 1


@pytest.mark.parametrize("content", [None, b"", b"no certificate"])
def test_unusable_ca_file_is_named(tmp_path, pool, content):
    file = tmp_path / "corp-ca.pem"
    if content is not None:
        file.write_bytes(content)
    module = Module(name="corp", ca_file=file)
    config = Config(settings=Settings(), credentials={}, modules={"corp": module}, targets={})
    with pytest.raises(NetworkError, match=r"corp.*corp-ca\.pem"):
        Networks(config, pool=pool)


def test_modules_with_the_same_authorities_share_one_context(authority, pool):
    modules = {name: Module(name=name, ca_file=authority.file) for name in ("a", "b")}
    config = Config(settings=Settings(), credentials={}, modules=modules, targets={})
    networks = Networks(config, pool=pool)
    assert networks.network_of(modules["a"])._context is networks.network_of(modules["b"])._context


class CountingLimiter:
    def __init__(self, slots):
        self._semaphore = asyncio.Semaphore(slots)
        self.held = self.most = self.taken = 0

    async def acquire(self):
        await self._semaphore.acquire()
        self.held += 1
        self.taken += 1
        self.most = max(self.most, self.held)

    def release(self):
        self.held -= 1
        self._semaphore.release()


@pytest.mark.parametrize("host", [VAULT, "127.0.0.1"])
async def test_handshakes_are_limited_and_release_their_slot_once(serve, network_to, fake_vault, host):
    """For an IP address, aiohttp calls no resolver, so the connector waits for the slot."""
    wire, limiter = await serve(fake_vault), CountingLimiter(2)
    network = network_to(wire, limiter=limiter)

    async def one():
        async with VaultSession(network, VAULT if host == VAULT else f"{host}:{wire.port}", "7.4") as session:
            first, _ = await session.get_key(TOKEN, "Key0", None, deadline=until())
            second, _ = await session.get_key(TOKEN, "Key0", None, deadline=until())
            return first.fault, Phase.CONNECT in first.phases, second.fault, Phase.CONNECT in second.phases

    assert set(await asyncio.gather(*(one() for _ in range(12)))) == {(Fault.NONE, True, Fault.NONE, False)}
    assert (limiter.most, limiter.taken, limiter.held) == (2, 12, 0)


async def test_hanging_handshake_releases_its_slot_soon(serve, network_to, fake_vault):
    stuck, healthy, limiter = await serve(tls=False, on_connect=is_silent), await serve(fake_vault), CountingLimiter(1)
    loop = asyncio.get_running_loop()

    async def one(wire, seconds):
        async with VaultSession(network_to(wire, limiter=limiter), VAULT, "7.4") as session:
            before = loop.time()
            facts, _ = await session.challenge(deadline=until(seconds))
            return facts.fault, loop.time() - before

    hanging = asyncio.create_task(one(stuck, 4.0))
    await asyncio.sleep(0.01)
    fault, took = await one(healthy, 30.0)
    assert fault is Fault.NONE
    assert took < 3.0  # the hanging one holds its slot for HANDSHAKE_HOLD_SECONDS
    assert (await hanging)[0] is Fault.TLS_TIMEOUT
    assert limiter.held == 0


@pytest.mark.parametrize("how", ["refused", "untrusted"])
async def test_failed_connection_releases_its_slot_at_once(serve, network_to, free_port, stranger, how):
    limiter = CountingLimiter(1)
    wire = free_port if how == "refused" else await serve(context=stranger.server(VAULT))
    for _ in range(3):
        async with VaultSession(network_to(wire, limiter=limiter), VAULT, "7.4") as session:
            await session.challenge(deadline=until())
        assert limiter.held == 0
    assert limiter.taken == 3


async def test_a_thousand_unused_sessions_leave_nothing_behind(network_to):
    """Sessions without a request cause no warning and no garbage."""
    network = network_to(None)

    async def many(number):
        for _ in range(number):
            async with VaultSession(network, VAULT, "7.4"):
                pass
        gc.collect()
        return len(gc.get_objects())

    before = await many(50)
    assert await many(1000) - before < 200

"""The network path: proxies, name resolution, and waits for a service of the host."""

import asyncio
import base64
import contextlib
import socket
import threading

import pytest
from azure.core import AsyncPipelineClient
from azure.core.rest import HttpRequest

from exporter.clients.http.exchange import TRANSPORT, USER_AGENT
from exporter.clients.http.network import split_url
from exporter.clients.key_vault import check_endpoint
from exporter.config.settings import Proxy, SecretSource
from exporter.core.values import Fault, Phase, Step
from exporter.knowledge.classify import Classification, classify
from exporter.knowledge.reasons import Reason
from exporter.runtime.tasks import PoolExhausted
from tests.support.tls_server import VAULT, closes, get_key, is_silent, response, until
from tests.system.abuse.echoes import ENCODINGS, leaks

# Requests through a proxy and past it, and the faults of a proxy.

PASSWORD = "MARKED-proxy-password"


def tunnel(to):
    """A proxy that connects every CONNECT to one port."""

    async def pump(reader, writer):
        with contextlib.suppress(ConnectionError):
            while data := await reader.read(65536):
                writer.write(data)
                await writer.drain()
        writer.close()

    def answer(request):
        async def run(_wire, reader, writer):
            assert request.method == "CONNECT"
            onward_reader, onward_writer = await asyncio.open_connection("127.0.0.1", to)
            writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
            try:
                await asyncio.gather(pump(reader, onward_writer), pump(onward_reader, writer))
            finally:
                onward_writer.close()
            return False

        return run

    return answer


def through(port, **options):
    return {"proxy": Proxy(url=f"http://127.0.0.1:{port}", **options)}


async def test_session_through_a_proxy_sends_one_connect(serve, session_to, fake_vault):
    vault = await serve(fake_vault)
    proxy = await serve(tunnel(vault.port), tls=False)
    async with session_to(None, **through(proxy.port)) as session:
        facts, _ = await session.challenge(deadline=until())
        second = await get_key(session)
    assert facts.fault is Fault.NONE
    assert second.fault is Fault.NONE
    assert [request.target for request in proxy.requests] == [f"{VAULT}:443"]
    assert "authorization" not in proxy.requests[0].headers
    assert proxy.requests[0].headers["user-agent"] == USER_AGENT
    assert set(facts.phases) == {Phase.CONNECT, Phase.TLS, Phase.WAIT, Phase.TRANSFER}
    assert facts.endpoint == f"{VAULT}:443"
    assert facts.certificate.issuer == "CN=Test CA"
    assert vault.connections == 1


async def test_certificate_of_a_tls_proxy_is_not_that_of_a_host_behind_it(serve, network_to, authority, stranger):
    vault = await serve(context=stranger.server(VAULT))
    proxy = await serve(tunnel(vault.port), context=authority.server("proxy.example"))
    network = network_to(proxy=Proxy(url=f"https://127.0.0.1:{proxy.port}", username="user"))
    facts, certificate = await check_endpoint(network, VAULT, "/", deadline=until())
    assert (facts.fault, certificate) == (Fault.TLS_UNTRUSTED, None)
    assert len(proxy.requests) == 1


async def test_name_of_a_proxy_is_resolved(serve, session_to, fake_vault):
    vault = await serve(fake_vault)
    proxy = await serve(tunnel(vault.port), tls=False)
    async with session_to(None, proxy=Proxy(url=f"http://localhost:{proxy.port}")) as session:
        facts, _ = await session.challenge(deadline=until())
    assert facts.fault is Fault.NONE
    assert facts.phases[Phase.DNS] > 0


@pytest.mark.parametrize("encoding", ENCODINGS)
async def test_password_echoed_by_a_proxy_is_masked(serve, key_facts, tmp_path, encoding):
    (tmp_path / "password").write_text(PASSWORD)
    echoed = ENCODINGS[encoding](PASSWORD)
    head = f"HTTP/1.1 407 you sent {echoed}\r\nProxy-Authenticate: {echoed}\r\nContent-Length: 0\r\n\r\n"
    proxy = await serve(lambda _request: head.encode(), tls=False)
    password = SecretSource(file=tmp_path / "password")
    facts = await key_facts(None, **through(proxy.port, username="someone", password=password))
    assert (facts.fault, facts.status) == (Fault.PROXY_STATUS, 407)
    assert leaks(repr(facts), PASSWORD) == []


async def test_credentials_echoed_by_a_proxy_are_masked_also_if_the_password_is_short(serve, key_facts, tmp_path):
    (tmp_path / "password").write_text("pw")
    echoed = base64.b64encode(b"someone:pw").decode()
    proxy = await serve(lambda _request: f"HTTP/1.1 407 you sent {echoed}\r\nContent-Length: 0\r\n\r\n".encode(), tls=False)
    facts = await key_facts(None, **through(proxy.port, username="someone", password=SecretSource(file=tmp_path / "password")))
    assert "you sent <secret>" in facts.detail
    assert echoed not in repr(facts)


async def test_proxy_password_is_reread_and_sent_to_the_proxy_only(serve, key_facts, fake_vault, tmp_path):
    vault = await serve(fake_vault)
    proxy = await serve(tunnel(vault.port), tls=False)
    file = tmp_path / "password"
    options = through(proxy.port, username="user", password=SecretSource(file=file))
    for password in (PASSWORD, "another"):
        file.write_text(password + "\n")
        assert (await key_facts(None, **options)).fault is Fault.NONE
        sent = proxy.requests[-1].headers["proxy-authorization"]
        assert base64.b64decode(sent.removeprefix("Basic ")).decode() == f"user:{password}"
    assert all("proxy-authorization" not in request.headers for request in vault.requests)


async def test_unreadable_proxy_password_sends_nothing(serve, key_facts, tmp_path):
    proxy = await serve(tls=False)
    options = through(proxy.port, username="user", password=SecretSource(file=tmp_path / "gone"))
    facts = await key_facts(None, **options)
    assert facts.fault is Fault.SECRET_UNREADABLE
    assert proxy.connections == 0


@pytest.mark.parametrize(
    ("status", "reason"),
    [(407, Reason.PROXY_AUTH), *((status, Reason.PROXY_STATUS) for status in (302, 403, 502, 504))],
)
async def test_refusal_of_a_proxy_keeps_its_status(serve, key_facts, status, reason):
    answer = response(status, b"", Proxy_Authenticate="Basic", Location="http://login.example/")
    proxy = await serve(lambda _request: answer, tls=False)
    facts = await key_facts(None, **through(proxy.port))
    assert (facts.fault, facts.status) == (Fault.PROXY_STATUS, status)
    assert classify(Step.GET_KEY, facts).reason is reason
    assert len(proxy.requests) == 1


@pytest.mark.parametrize(
    ("behaviour", "fault", "seconds"),
    [
        (lambda _request: is_silent, Fault.PROXY_TIMEOUT, 0.3),
        (lambda _request: closes, Fault.PROXY_UNREACHABLE, 5),
        (lambda _request: b"220 no proxy at all\r\n\r\n", Fault.PROXY_INVALID, 5),
    ],
    ids=["silence", "hang-up", "garbage"],
)
async def test_failed_connect_request_is_the_proxys_fault(serve, key_facts, *, behaviour, fault, seconds):
    proxy = await serve(behaviour, tls=False)
    facts = await key_facts(None, **through(proxy.port), seconds=seconds)
    assert facts.fault is fault, facts
    assert len(proxy.requests) == 1


@pytest.mark.parametrize("waits", [True, False], ids=["after the handshake began", "at once"])
@pytest.mark.parametrize("keeps_open", [True, False])
async def test_web_page_instead_of_a_tunnel_is_the_proxys_fault(serve, key_facts, *, waits, keeps_open):
    """A login page has no Content-Length if the portal writes it as it goes."""

    async def page(_wire, reader, writer):
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n")
        if waits:
            await reader.read(100)
        writer.write(b"<html>Please log in</html>" * 20)
        await writer.drain()
        return keeps_open

    proxy = await serve(lambda _request: page, tls=False)
    facts = await key_facts(None, **through(proxy.port), seconds=1)
    assert facts.fault is Fault.PROXY_INVALID
    assert classify(Step.GET_KEY, facts) == Classification(3008, Reason.PROXY_INVALID)


async def test_absent_proxy_is_unreachable(key_facts, free_port):
    assert (await key_facts(None, **through(free_port))).fault is Fault.PROXY_UNREACHABLE


async def test_proxy_with_an_unknown_name_is_unresolved(key_facts):
    assert (await key_facts(None, proxy=Proxy(url="http://proxy.invalid:3128"))).fault is Fault.PROXY_UNRESOLVED


async def test_silent_vault_behind_a_proxy_is_a_tls_timeout(serve, key_facts):
    vault = await serve(tls=False, on_connect=is_silent)
    proxy = await serve(tunnel(vault.port), tls=False)
    facts = await key_facts(None, **through(proxy.port), seconds=0.3)
    assert facts.fault is Fault.TLS_TIMEOUT


async def test_certificate_behind_a_proxy_is_no_page_of_the_proxy(serve, key_facts, fake_vault):
    """The handshake's bytes follow the proxy's response too."""
    vault = await serve(fake_vault)
    proxy = await serve(tunnel(vault.port), tls=False)
    assert (await key_facts(None, **through(proxy.port), trusted=False)).fault is Fault.TLS_UNTRUSTED


async def test_connect_to_bypasses_the_proxy(serve, key_facts, fake_vault):
    vault, proxy = await serve(fake_vault), await serve(tls=False)
    assert (await key_facts(vault, **through(proxy.port))).fault is Fault.NONE
    assert proxy.connections == 0


@pytest.mark.parametrize(
    ("entry", "bypassed"),
    [
        (".vault.azure.net", True),
        ("vault.azure.net", True),
        ("contoso.vault.azure.net", True),
        (".AZURE.NET", True),
        ("*", True),
        ("ontoso.vault.azure.net", False),
        (".vault.azure.cn", False),
        ("login.microsoftonline.com", False),
    ],
)
def test_no_proxy_matches_hosts_and_domains(network_to, entry, bypassed):
    network = network_to(None, proxy=Proxy(url="http://proxy.example:3128", no_proxy=("localhost", entry)))
    assert (network.proxy_for(VAULT, 443) is None) is bypassed
    assert network.proxy_for("else.example", 443) is None or entry != "*"


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://login.microsoftonline.com", ("login.microsoftonline.com", 443)),
        ("https://Entra.example:8443/", ("entra.example", 8443)),
        ("contoso.vault.azure.net", ("contoso.vault.azure.net", 443)),
        ("contoso.vault.azure.net:8443", ("contoso.vault.azure.net", 8443)),
        ("https://[::1]:8443", ("::1", 8443)),
        ("https://[::1]", ("::1", 443)),
        ("[2001:db8::1]:8443", ("2001:db8::1", 8443)),
    ],
)
def test_url_is_split_into_host_and_port(url, expected):
    assert split_url(url) == expected


# Name resolution: errors, timeouts and a lack of threads.


@pytest.fixture
def replace_resolver(monkeypatch):
    """Replace `getaddrinfo` of the system, which runs on threads of the pool."""

    def replace(function):
        monkeypatch.setattr(socket, "getaddrinfo", function)

    return replace


@pytest.fixture
def stuck(replace_resolver):
    """Block the resolver until the end of the test."""
    over, entered = threading.Event(), threading.Semaphore(0)

    def wait(*_args, **_kwargs):
        entered.release()
        over.wait(10)
        raise socket.gaierror(socket.EAI_AGAIN, "over")

    replace_resolver(wait)
    yield entered
    over.set()


@pytest.mark.parametrize(
    ("number", "fault"),
    [
        (socket.EAI_NONAME, Fault.DNS_NOT_FOUND),
        (socket.EAI_NODATA, Fault.DNS_NOT_FOUND),
        (11004, Fault.DNS_NOT_FOUND),  # of Windows
        (socket.EAI_ADDRFAMILY, Fault.DNS_NOT_FOUND),
        (socket.EAI_AGAIN, Fault.DNS_TEMPORARY),
        (socket.EAI_FAIL, Fault.DNS_TEMPORARY),
        (socket.EAI_SYSTEM, Fault.DNS_TEMPORARY),
        (12345, Fault.DNS_TEMPORARY),
    ],
)
async def test_missing_name_and_broken_resolver_are_separate_faults(key_facts, replace_resolver, number, fault):
    def fail(*_args, **_kwargs):
        raise socket.gaierror(number, "words")

    replace_resolver(fail)
    facts = await key_facts(None)
    assert facts.fault is fault
    assert facts.phase_reached is Phase.DNS
    assert set(facts.phases) == {Phase.DNS}
    assert facts.exception == "ClientConnectorDNSError"


async def test_name_without_addresses_is_not_found(key_facts, replace_resolver):
    replace_resolver(lambda *_args, **_kwargs: [])
    assert (await key_facts(None)).fault is Fault.DNS_NOT_FOUND


async def test_invalid_name_is_not_found(key_facts):
    assert (await key_facts(None, connect_to={f"{VAULT}:443": "a..b:443"})).fault is Fault.DNS_NOT_FOUND


async def test_silent_resolver_is_a_dns_timeout(key_facts, stuck):
    facts = await key_facts(None, seconds=0.3)
    assert stuck.acquire(blocking=False)
    assert facts.fault is Fault.DNS_TIMEOUT
    assert facts.phase_reached is Phase.DNS
    assert facts.phases[Phase.DNS] == pytest.approx(0.3, abs=0.15)


@pytest.fixture
async def occupied(pool):
    """Every thread of the pool is in use until this event is set."""
    free = threading.Event()
    held = [asyncio.create_task(pool.run(free.wait)) for _ in range(8)]
    await asyncio.sleep(0)
    yield free
    free.set()
    await asyncio.gather(*held)


@pytest.mark.parametrize("late", [False, True], ids=["no thread", "a late one"])
async def test_wait_for_a_thread_is_no_fault_of_the_resolver(session_to, occupied, replace_resolver, late):
    over = threading.Event()
    replace_resolver(lambda *_args, **_kwargs: over.wait(10))
    if late:
        asyncio.get_running_loop().call_later(0.25, occupied.set)
    async with session_to(None) as session:
        with pytest.raises(PoolExhausted):
            await get_key(session, 0.35)
    over.set()


@pytest.mark.usefixtures("occupied")
async def test_cancelled_wait_for_a_thread_raises_cancelled_error(session_to):
    async def one():
        async with session_to(None) as session:
            await get_key(session, 60)

    task = asyncio.create_task(one())
    await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_dead_names_do_not_delay_a_healthy_one(session_to, key_facts, serve, fake_vault, replace_resolver):
    real, over = socket.getaddrinfo, threading.Event()

    def some_are_dead(name, *args, **kwargs):
        if name != "localhost":
            over.wait(10)
        return real(name, *args, **kwargs)

    replace_resolver(some_are_dead)
    wire = await serve(fake_vault)

    async def dead():
        async with session_to(None) as session:
            return await get_key(session, 0.5)

    dying = [asyncio.create_task(dead()) for _ in range(7)]
    await asyncio.sleep(0.05)
    facts = await key_facts(None, connect_to={f"{VAULT}:443": f"localhost:{wire.port}"}, seconds=0.4)
    assert facts.fault is Fault.NONE
    assert {facts.fault for facts in await asyncio.gather(*dying)} == {Fault.DNS_TIMEOUT}
    over.set()


async def test_most_specific_failure_of_several_addresses_counts(key_facts, replace_resolver, free_port):
    def two(*_args, **_kwargs):  # a multicast address fails at once
        hosts = ("224.0.0.1", "127.0.0.1")
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (host, free_port)) for host in hosts]

    replace_resolver(two)
    assert (await key_facts(None, connect_to={f"{VAULT}:443": f"vault.example:{free_port}"})).fault is Fault.CONNECT_REFUSED


async def test_address_without_a_route_is_network_down(key_facts):
    facts = await key_facts(None, connect_to={f"{VAULT}:443": "224.0.0.1:443"})
    assert facts.fault is Fault.NETWORK_DOWN
    assert facts.phase_reached is Phase.CONNECT


async def test_second_address_is_tried_if_the_first_refuses(key_facts, replace_resolver, serve, fake_vault):
    wire = await serve(fake_vault)

    def two(_name, port, **_kwargs):
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (host, port)) for host in ("127.0.0.2", "127.0.0.1")]

    replace_resolver(two)
    assert (await key_facts(None, connect_to={f"{VAULT}:443": f"vault.example:{wire.port}"})).fault is Fault.NONE


# The default chain's short wait for an identity service of the host is kept; other waits are the exchange's.


@pytest.fixture
def unresponsive_port():
    """A port whose queue is full: a connection attempt gets no response, as with a host without an identity service."""
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.socket())
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for _ in range(8):
            client = stack.enter_context(socket.socket())
            client.setblocking(False)
            client.connect_ex(listener.getsockname())
        yield listener.getsockname()[1]


async def send(network, url, **options):
    connection = network.connection("127.0.0.1", 80)
    client = AsyncPipelineClient(url, transport=TRANSPORT, policies=[])
    request = HttpRequest("GET", url)
    try:
        return await connection.exchange(lambda: client.send_request(request, stream=True, **options), deadline=until(60.0))
    finally:
        await connection.close()


async def test_wait_for_a_connection_to_an_identity_service_is_kept(network_to, unresponsive_port):
    exchange = await send(network_to(), f"http://127.0.0.1:{unresponsive_port}/metadata", connection_timeout=0.2)
    assert exchange.error is not None
    assert not exchange.timed_out


async def test_wait_for_a_vault_is_the_exchanges(network_to, serve):
    wire = await serve()
    network = network_to(vault=wire)
    exchange = await send(network, f"https://{VAULT}/keys", connection_timeout=1e-9)
    assert exchange.response is not None

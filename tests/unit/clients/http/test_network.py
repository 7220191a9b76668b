"""Requests through a proxy and past it, and the faults of a proxy."""

import asyncio
import base64
import contextlib

import pytest

from exporter.clients.http.exchange import USER_AGENT
from exporter.clients.http.network import split_url
from exporter.config.settings import Proxy, SecretSource
from exporter.core.values import Fault, Phase, Step
from exporter.knowledge.classify import Classification, classify
from exporter.knowledge.reasons import Reason
from tests.support.tls_server import VAULT, closes, get_key, is_silent, response, until
from tests.system.abuse.echoes import ENCODINGS, leaks

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


async def test_web_page_instead_of_a_tunnel_is_the_proxys_fault(serve, key_facts):
    async def page(_wire, reader, writer):
        writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
        await reader.read(100)
        writer.write(b"<html>Please log in</html>" * 20)
        await writer.drain()
        return False

    proxy = await serve(lambda _request: page, tls=False)
    facts = await key_facts(None, **through(proxy.port))
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
    ],
)
def test_url_is_split_into_host_and_port(url, expected):
    assert split_url(url) == expected

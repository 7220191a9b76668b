"""Failures of real connections, and the fault of each."""

import asyncio
import socket
import ssl
from pathlib import Path

import pytest

from exporter.core.values import Fault, Phase
from tests.support.tls_server import DAY, ENTRA, NOW, TOKEN, VAULT, FakeVault, closes, get_key, is_silent, resets, response, until
from tests.support.web_server import until as eventually

# Behaviour of a server before TLS is established.


async def closes_in_the_handshake(_wire, reader, writer):
    await reader.read(100)
    writer.close()
    return True


async def resets_in_the_handshake(wire, reader, writer):
    await reader.read(100)
    return not await resets(wire, reader, writer)


async def sends_plain_http(_wire, reader, writer):
    await reader.read(100)
    writer.write(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")
    await writer.drain()
    await reader.read(100)
    return True


async def sends_another_protocol(_wire, reader, writer):
    writer.write(b"220 mail.example ESMTP\r\n" * 20)
    await writer.drain()
    await reader.read(100)
    return True


@pytest.mark.parametrize(
    ("behaviour", "fault", "phase"),
    [
        (closes_in_the_handshake, Fault.TLS_RESET, Phase.TLS),
        (resets_in_the_handshake, Fault.TLS_RESET, Phase.TLS),
        (is_silent, Fault.TLS_TIMEOUT, Phase.TLS),
        (sends_plain_http, Fault.TLS_NOT_TLS, Phase.TLS),
        (sends_another_protocol, Fault.TLS_NOT_TLS, Phase.TLS),
    ],
)
async def test_failed_handshake_has_its_own_fault(serve, key_facts, behaviour, fault, phase):
    wire = await serve(tls=False, on_connect=behaviour)
    facts = await key_facts(wire, seconds=0.3 if behaviour is is_silent else 5)
    assert facts.fault is fault, facts
    assert facts.phase_reached is phase
    assert facts.status is None
    assert Phase.CONNECT in facts.phases
    assert wire.connections == 1


@pytest.mark.parametrize("host", ["other.example", ENTRA])
async def test_certificate_of_another_host_is_a_wrong_name(serve, key_facts, authority, host):
    wire = await serve(context=authority.server(host))
    assert (await key_facts(wire)).fault is Fault.TLS_WRONG_NAME


@pytest.mark.parametrize(
    ("start", "end", "fault"),
    [
        (NOW - 10 * DAY, NOW - DAY, Fault.TLS_EXPIRED),
        (NOW + DAY, NOW + 10 * DAY, Fault.TLS_NOT_YET_VALID),
    ],
)
async def test_certificate_outside_its_dates_has_its_own_fault(serve, key_facts, authority, *, start, end, fault):
    wire = await serve(context=authority.server(VAULT, start=start, end=end))
    facts = await key_facts(wire)
    assert facts.fault is fault
    assert facts.exception == "SSLCertVerificationError"
    assert "certificate" in facts.detail


async def test_certificate_of_an_unknown_authority_is_untrusted(serve, key_facts, stranger):
    wire = await serve(context=stranger.server(VAULT))
    facts = await key_facts(wire)
    assert facts.fault is Fault.TLS_UNTRUSTED
    assert facts.refused_issuer == ("CN=Unknown CA" if hasattr(ssl.SSLObject, "get_unverified_chain") else None)
    assert facts.certificate is None  # only a verified one has a metric
    assert not wire.requests


async def test_private_authority_is_untrusted_without_a_ca_file(serve, key_facts):
    wire = await serve(FakeVault())
    assert (await key_facts(wire, trusted=False)).fault is Fault.TLS_UNTRUSTED


async def test_closed_port_is_connect_refused(key_facts, free_port):
    facts = await key_facts(free_port)
    assert facts.fault is Fault.CONNECT_REFUSED
    assert facts.phase_reached is Phase.CONNECT
    assert facts.exception == "ConnectionRefusedError"
    assert (facts.addresses, facts.local_address) == (("127.0.0.1",), "127.0.0.1")


async def test_dropped_syn_is_a_connect_timeout(key_facts):
    with socket.socket() as full, socket.socket() as first, socket.socket() as second:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        for filler in (first, second):  # fill the queue, so that the system drops the next SYN
            filler.setblocking(False)
            filler.connect_ex(full.getsockname())
        facts = await key_facts(full.getsockname()[1], seconds=0.3)
    assert facts.fault is Fault.CONNECT_TIMEOUT
    assert 0.2 < facts.phases[Phase.CONNECT] < 5


# Behaviour of a server after the request.


async def trickles_headers(wire, _reader, writer):
    writer.write(b"HTTP/1.1 200 OK\r\n")
    for number in range(1000):
        writer.write(f"X-{number}: y\r\n".encode())
        await writer.drain()
        await asyncio.wait([asyncio.ensure_future(wire.release.wait())], timeout=0.02)
    return False


async def stops_in_a_header(_wire, _reader, writer):
    writer.write(b"HTTP/1.1 200 OK\r\nContent-")
    await writer.drain()
    return False


async def stops_in_the_body(_wire, _reader, writer):
    writer.write(b'HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{"key"')
    await writer.drain()
    return False


async def resets_in_the_body(wire, reader, writer):
    writer.write(b'HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{"key"')
    await writer.drain()
    await asyncio.sleep(0.02)
    return await resets(wire, reader, writer)


async def breaks_a_chunk(_wire, _reader, writer):
    writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n")
    await writer.drain()
    await asyncio.sleep(0.02)  # together with the headers, the chunk would give not_http
    writer.write(b"ZZ\r\n")
    await writer.drain()
    return False


async def stalls_in_the_body(wire, _reader, writer):
    writer.write(b'HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{"key"')
    await writer.drain()
    await wire.release.wait()
    return False


async def sends_ten_megabytes(_wire, _reader, writer):
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 10485760\r\n\r\n")
    for _ in range(160):
        writer.write(bytes(65536))
        await writer.drain()
    return False


async def sends_endless_chunks(wire, _reader, writer):
    writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    while not wire.release.is_set() and not writer.is_closing():
        writer.write(b"10000\r\n" + bytes(65536) + b"\r\n")
        await writer.drain()
        await asyncio.sleep(0)  # drain may not yield, but the loop has to notice that the client closed
    return False


@pytest.mark.parametrize(
    ("behaviour", "fault", "seconds"),
    [
        (closes, Fault.CONNECTION_CLOSED, 5),
        (resets, Fault.CONNECTION_RESET, 5),
        (is_silent, Fault.READ_TIMEOUT, 0.3),
        (trickles_headers, Fault.READ_TIMEOUT, 0.3),
        (stops_in_a_header, Fault.CONNECTION_CLOSED, 5),
        (stops_in_the_body, Fault.BODY_TRUNCATED, 5),
        (resets_in_the_body, Fault.BODY_TRUNCATED, 5),
        (stalls_in_the_body, Fault.BODY_TIMEOUT, 0.3),
        (sends_ten_megabytes, Fault.BODY_TOO_LARGE, 5),
        (sends_endless_chunks, Fault.BODY_TOO_LARGE, 5),
    ],
)
async def test_request_with_a_failed_response_is_not_repeated(serve, session_to, behaviour, fault, seconds):
    wire = await serve(lambda _request: behaviour)
    loop = asyncio.get_running_loop()
    async with session_to(wire) as session:
        before = loop.time()
        facts = await get_key(session, seconds)
        took = loop.time() - before
    assert facts.fault is fault, facts
    assert len(wire.requests) == 1
    assert wire.connections == 1
    assert took < seconds + 10
    assert sum(facts.phases.values()) <= took


async def test_broken_chunk_is_a_fault_of_the_body(serve, key_facts):
    """The fault depends on when aiohttp notices; the code is the same."""
    wire = await serve(lambda _request: breaks_a_chunk)
    facts = await key_facts(wire, seconds=0.3)
    assert facts.fault in (Fault.BODY_TRUNCATED, Fault.BODY_TIMEOUT)
    assert len(wire.requests) == 1


@pytest.mark.parametrize(
    "garbage",
    [
        b"\x00\x01\x02 nonsense\r\n\r\n",
        b"220 mail.example ESMTP\r\n\r\n",
        b"HTTP/1.1 abc Nope\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nBad Header\x00: x\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX: " + b"y" * 20000 + b"\r\n\r\n",
    ],
    ids=["binary", "smtp", "status", "nul", "length", "long"],
)
async def test_malformed_response_is_not_http(serve, key_facts, garbage):
    wire = await serve(lambda _request: garbage)
    facts = await key_facts(wire)
    assert facts.fault is Fault.NOT_HTTP, facts
    assert len(wire.requests) == 1
    assert "\x00" not in facts.detail


async def test_redirect_is_a_fault_and_not_followed(serve, session_to):
    wire = await serve(lambda _request: response(302, b"", Location=f"https://{VAULT}/elsewhere"))
    async with session_to(wire) as session:
        facts = await get_key(session)
        challenged, _ = await session.challenge(deadline=until())
    assert (facts.fault, facts.status) == (Fault.REDIRECT, 302)
    assert challenged.fault is Fault.REDIRECT
    assert [request.path for request in wire.requests] == ["/keys/Key0", "/keys"]


async def test_interim_responses_are_skipped(serve, session_to, fake_vault):
    wire = await serve(lambda request: b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" + fake_vault(request))
    async with session_to(wire) as session:
        facts, key = await session.get_key(TOKEN, "Key0", None, deadline=until())
    assert facts.fault is Fault.NONE
    assert key.size_bits == 2048


async def test_interim_responses_alone_are_a_read_timeout(serve, key_facts):
    wire = await serve(lambda _request: b"HTTP/1.1 100 Continue\r\n\r\n")
    assert (await key_facts(wire, seconds=0.3)).fault is Fault.READ_TIMEOUT


@pytest.mark.parametrize("status", [101, 400, 401, 403, 404, 409, 418, 429, 451, 500, 502, 503, 504, 599, 600, 999])
async def test_other_status_is_kept_with_its_codes(serve, key_facts, status):
    body = {"error": {"code": "Forbidden", "message": "no", "innerError": {"code": "ForbiddenByPolicy"}}}
    wire = await serve(lambda _request: response(status, body, Retry_After="7", x_ms_request_id="r"))
    facts = await key_facts(wire)
    assert (facts.fault, facts.status) == (Fault.HTTP_STATUS, status)
    if status != 101:  # its body is not HTTP
        assert (facts.service_code, facts.inner_code) == ("Forbidden", "ForbiddenByPolicy")
    assert facts.retry_after_seconds == 7
    assert facts.request_id == "r"
    assert len(wire.requests) == 1


async def test_step_without_time_left_sends_nothing(serve, key_facts, fake_vault):
    wire = await serve(fake_vault)
    facts = await key_facts(wire, seconds=-0.1)
    assert facts.fault is Fault.READ_TIMEOUT
    assert not wire.requests


async def test_step_after_a_timeout_opens_a_new_connection(serve, session_to, fake_vault):
    wire = await serve(lambda request: is_silent if request.connection == 1 else fake_vault(request))
    async with session_to(wire) as session:
        assert (await get_key(session, 0.2)).fault is Fault.READ_TIMEOUT
        facts, key = await session.get_key(TOKEN, "Key0", None, deadline=until())
    assert facts.fault is Fault.NONE
    assert key is not None
    assert wire.connections == 2


@pytest.mark.parametrize("behaviour", [is_silent, stalls_in_the_body])
async def test_cancelled_exchange_leaves_no_socket(serve, session_to, behaviour):
    wire = await serve(lambda _request: behaviour)

    async def one():
        async with session_to(wire) as session:
            await session.get_key(TOKEN, "Key0", None, deadline=until(60))

    tasks = [asyncio.create_task(one()) for _ in range(5)]
    await eventually(lambda: len(wire.requests) == 5)
    for task in tasks:
        task.cancel()
    results = await asyncio.gather(*tasks, return_exceptions=True)
    assert all(isinstance(result, asyncio.CancelledError) for result in results)
    wire.release.set()
    await eventually(lambda: not wire.open)


async def test_peer_that_never_closes_does_not_hold_the_socket(serve, key_facts):
    """The TLS shutdown would wait 30 seconds for this server."""
    wire = await serve(lambda _request: is_silent)
    before = open_sockets()
    for _ in range(3):
        assert (await key_facts(wire, seconds=0.1)).fault is Fault.READ_TIMEOUT
    await eventually(lambda: not client_sockets(wire.port))
    assert open_sockets() - before <= 3  # the server's sockets


def client_sockets(port):
    """Return the sockets of this process that are connected to the port."""
    rows = [line.split() for line in Path("/proc/self/net/tcp").read_text(encoding="ascii").splitlines()[1:]]
    established = "01"
    return [row for row in rows if row[2].endswith(f":{port:04X}") and row[3] == established]


def open_sockets():
    return sum(1 for entry in Path("/proc/self/fd").iterdir() if _is_socket(entry))


def _is_socket(entry):
    try:
        return str(entry.readlink()).startswith("socket:")
    except OSError:
        return False

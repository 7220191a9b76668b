"""The facts of an exchange: headers, and the fault of each exception and of real connections."""

import asyncio
import errno
import socket
import ssl
import time
from email.utils import formatdate
from itertools import pairwise
from pathlib import Path

import aiohttp
import pytest
from azure.core.exceptions import ClientAuthenticationError, IncompleteReadError, ServiceRequestError, ServiceResponseError
from azure.identity import CredentialUnavailableError
from cryptography.hazmat.primitives.serialization import Encoding

from exporter.clients.http import facts
from exporter.clients.http.exchange import BodyTooLargeError, ConnectionLostError, Exchange, Response
from exporter.clients.http.facts import (
    RULES,
    facts_from,
    fault_of,
    local_address,
    request_id,
    retry_after,
    server_time,
    vault_headers,
)
from exporter.config.settings import SecretSource, SecretUnreadableError
from exporter.core.secrets import LIMIT, remember
from exporter.core.values import Fault, Phase, VaultHeaders
from tests.support.tls_server import (
    DAY,
    ENTRA,
    NOW,
    TOKEN,
    VAULT,
    FakeVault,
    closes,
    get_key,
    is_silent,
    resets,
    response,
    until,
    writes,
)
from tests.support.web_server import until as eventually

# Values of response headers; malformed headers are ignored.

DATE = "Wed, 21 Oct 2015 07:28:00 GMT"


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("0", 0.0),
        (" 17 ", 17.0),
        ("999999999", 86400.0),
        ("99999999999999", 86400.0),
        ("-5", None),
        ("1.5", 1.5),
        ("1.5.2", None),
        ("9" * 400, None),
        ("1e9", None),
        ("soon", None),
        ("", None),
        ("Wed, 21 Oct 2015 07:28:30 GMT", 30.0),
        ("Wed, 21 Oct 2015 07:27:00 GMT", 0.0),
        ("Wed, 21 Oct 2195 07:28:00 GMT", 86400.0),
        ("Wed, 21 Oct 99999 07:28:00 GMT", None),
        ("٣", None),
    ],
)
def test_retry_after_is_seconds_or_a_date_and_bounded(text, seconds):
    assert retry_after({"Retry-After": text, "Date": DATE}) == seconds


def test_retry_date_without_server_date_uses_the_local_clock():
    assert retry_after({"Retry-After": formatdate(time.time() + 100, usegmt=True)}) == pytest.approx(100, abs=3)


def test_server_time_is_the_date_header():
    assert server_time({"Date": DATE}) == 1445412480.0
    assert server_time({"Date": "yesterday"}) is None
    assert server_time({"Date": "Fri, 31 Dec 9999 23:59:59 -0500"}) is None
    assert server_time({"Date": "Mon, 01 Jan 1900 00:00:00 GMT"}) is None
    assert server_time({}) is None


@pytest.mark.parametrize("date", ["Wed Oct 21 07:28:00 2015", "Wed, 21 Oct 2015 07:28:00", "Wed, 21 Oct 2015 07:28:00 -0000"])
def test_date_without_a_zone_is_gmt_on_any_host(date, monkeypatch):
    monkeypatch.setenv("TZ", "America/New_York")
    time.tzset()
    try:
        facts._http_date.cache_clear()
        assert server_time({"Date": date}) == 1445412480.0
    finally:
        monkeypatch.undo()
        time.tzset()


def test_request_id_must_be_a_word():
    assert request_id({"x-ms-request-id": "1b9d6bcd-bbfd-4b2d-9b5d-ab8dfbbd4bed"}) == "1b9d6bcd-bbfd-4b2d-9b5d-ab8dfbbd4bed"
    assert request_id({"x-ms-request-id": "<script>"}) is None
    assert request_id({"x-ms-request-id": "x" * 200}) is None


@pytest.mark.parametrize(
    ("info", "connection"),
    [
        ("conn_type=Ipv4;addr=198.51.100.10;act_addr_fam=InterNetwork;", "public"),
        ("addr=10.4.5.6;act_addr_fam=InterNetworkV6;", "private"),
        ("conn_type=PrivateLink;addr=198.51.100.10;", "private"),
        ("addr=fd00::1;", "private"),
        ("addr=172.32.0.1;", "public"),
        ("addr=nonsense;", None),
        ("", None),
        (";;;=", None),
    ],
)
def test_network_path_is_private_public_or_unknown(info, connection):
    headers = {"x-ms-keyvault-region": "westus2", "x-ms-keyvault-network-info": info}
    assert vault_headers(headers).connection == connection


def test_diagnostic_headers_must_be_words():
    found = vault_headers({"x-ms-keyvault-region": "westus2", "x-ms-keyvault-service-version": "1.9.2200.1"})
    assert found == VaultHeaders(region="westus2", service_version="1.9.2200.1")
    assert vault_headers({"x-ms-keyvault-region": "a\nb", "x-ms-keyvault-service-version": "x" * 100}) is None
    for other in ("203.0.113.7", "fe80::1", "0a1b2c3d-0000-4000-8000-0123456789ab", "a1b2c3d4-0000-4000-8000-0123456789ab"):
        assert vault_headers({"x-ms-keyvault-region": other}) is None
    assert vault_headers({"x-ms-keyvault-region": "West US 2"}).region == "West US 2"
    assert vault_headers({}) is None


def test_equal_vault_headers_are_one_object():
    sent = {"x-ms-keyvault-region": "westus2", "x-ms-keyvault-service-version": "1.9.2200.1"}
    assert vault_headers(sent) is vault_headers(dict(sent))
    assert vault_headers(sent) != vault_headers(sent | {"x-ms-keyvault-region": "eastus"})


# The fault of each exception, and the facts of any response.

FOUR = (Phase.CONNECT, Phase.TLS, Phase.WAIT, Phase.TRANSFER)


def chained(*errors):
    """Chain the exceptions: each is caused by the next one."""
    for outer, inner in pairwise(errors):
        outer.__cause__ = inner
    return errors[0]


def sdk(*errors):
    return chained(ServiceRequestError("the SDK's words"), *errors)


def tls(reason, number=1):
    error = ssl.SSLError(number, f"[SSL: {reason}] words")
    error.reason = reason
    return error


def certificate(code):
    error = ssl.SSLCertVerificationError(1, "certificate verify failed")
    error.verify_code = code
    return error


@pytest.mark.parametrize(
    ("number", "faults"),
    [
        (errno.ECONNREFUSED, (Fault.CONNECT_REFUSED, Fault.TLS_RESET, Fault.CONNECTION_RESET, Fault.BODY_TRUNCATED)),
        (errno.ECONNRESET, (Fault.CONNECT_RESET, Fault.TLS_RESET, Fault.CONNECTION_RESET, Fault.BODY_TRUNCATED)),
        (errno.EPIPE, (Fault.CONNECT_RESET, Fault.TLS_RESET, Fault.CONNECTION_CLOSED, Fault.BODY_TRUNCATED)),
        (errno.ECONNABORTED, (Fault.CONNECT_RESET, Fault.TLS_RESET, Fault.CONNECTION_CLOSED, Fault.BODY_TRUNCATED)),
        (errno.ETIMEDOUT, (Fault.CONNECT_TIMEOUT, Fault.TLS_TIMEOUT, Fault.READ_TIMEOUT, Fault.BODY_TIMEOUT)),
        (errno.EHOSTUNREACH, (Fault.CONNECT_UNREACHABLE, Fault.TLS_RESET, Fault.CONNECTION_RESET, Fault.BODY_TRUNCATED)),
        (errno.EHOSTDOWN, (Fault.CONNECT_UNREACHABLE, Fault.TLS_RESET, Fault.CONNECTION_RESET, Fault.BODY_TRUNCATED)),
        (errno.ENETUNREACH, (Fault.NETWORK_DOWN, Fault.TLS_RESET, Fault.CONNECTION_RESET, Fault.BODY_TRUNCATED)),
        (errno.ENETDOWN, (Fault.NETWORK_DOWN, Fault.TLS_RESET, Fault.CONNECTION_RESET, Fault.BODY_TRUNCATED)),
        (errno.EACCES, (Fault.CONNECT_FAILED, Fault.TLS_FAILED, Fault.CONNECTION_RESET, Fault.BODY_TRUNCATED)),
    ],
)
def test_error_number_has_a_fault_for_each_stage(number, faults):
    error = sdk(aiohttp.ClientOSError(number, "words"), OSError(number, "words"))
    assert tuple(fault_of(error, phase, via_proxy=False)[0] for phase in FOUR) == faults


@pytest.mark.parametrize(
    ("error", "phase", "fault"),
    [
        (ConnectionResetError(), Phase.TLS, Fault.TLS_RESET),
        (ConnectionAbortedError("SSL handshake is taking longer than 60.0 seconds"), Phase.TLS, Fault.TLS_TIMEOUT),
        (TimeoutError(), Phase.CONNECT, Fault.CONNECT_TIMEOUT),
        (BrokenPipeError(), Phase.WAIT, Fault.CONNECTION_CLOSED),
        (ConnectionRefusedError(), Phase.CONNECT, Fault.CONNECT_REFUSED),
        (tls("WRONG_VERSION_NUMBER"), Phase.TLS, Fault.TLS_NOT_TLS),
        (tls("HTTP_REQUEST"), Phase.TLS, Fault.TLS_NOT_TLS),
        (tls("record_layer_failure"), Phase.TLS, Fault.TLS_NOT_TLS),
        (tls("UNSUPPORTED_PROTOCOL"), Phase.TLS, Fault.TLS_FAILED),
        (tls("TLSV1_ALERT_INTERNAL_ERROR"), Phase.WAIT, Fault.TLS_FAILED),
        (tls("DECRYPTION_FAILED_OR_BAD_RECORD_MAC"), Phase.TRANSFER, Fault.BODY_TRUNCATED),
        (ssl.SSLEOFError(8, "EOF occurred"), Phase.TLS, Fault.TLS_RESET),
        (ssl.SSLEOFError(8, "EOF occurred"), Phase.WAIT, Fault.CONNECTION_CLOSED),
        (ssl.SSLZeroReturnError(6, "closed"), Phase.TLS, Fault.TLS_RESET),
        (certificate(10), Phase.TLS, Fault.TLS_EXPIRED),
        (certificate(9), Phase.TLS, Fault.TLS_NOT_YET_VALID),
        (certificate(62), Phase.TLS, Fault.TLS_WRONG_NAME),
        (certificate(64), Phase.TLS, Fault.TLS_WRONG_NAME),
        *((certificate(code), Phase.TLS, Fault.TLS_UNTRUSTED) for code in (2, 18, 19, 20, 21, 23, 26, 79)),
        (ssl.SSLCertVerificationError("without a code"), Phase.TLS, Fault.TLS_UNTRUSTED),
        (aiohttp.ServerDisconnectedError(), Phase.WAIT, Fault.CONNECTION_CLOSED),
        (aiohttp.SocketTimeoutError(), Phase.WAIT, Fault.READ_TIMEOUT),
        (aiohttp.ConnectionTimeoutError(), Phase.CONNECT, Fault.CONNECT_TIMEOUT),
        (aiohttp.ClientPayloadError("cut"), Phase.TRANSFER, Fault.BODY_TRUNCATED),
        (BodyTooLargeError("big"), Phase.TRANSFER, Fault.BODY_TOO_LARGE),
        (aiohttp.ClientResponseError(None, (), status=400, message="x"), Phase.WAIT, Fault.NOT_HTTP),
        (aiohttp.ClientConnectionError("Connector is closed"), Phase.CONNECT, Fault.CONNECT_FAILED),
        (SecretUnreadableError(SecretSource(env="X"), "is not set"), Phase.CONNECT, Fault.SECRET_UNREADABLE),
        (CredentialUnavailableError("no identity"), Phase.CONNECT, Fault.IDENTITY_UNAVAILABLE),
        (ClientAuthenticationError("no"), Phase.CONNECT, Fault.IDENTITY_UNAVAILABLE),
        (FileNotFoundError(2, "No such file", "/token"), Phase.CONNECT, Fault.IDENTITY_UNAVAILABLE),
        (KeyError("access_token"), Phase.CONNECT, Fault.INTERNAL),
        (RuntimeError("words"), Phase.WAIT, Fault.INTERNAL),
    ],
)
def test_innermost_exception_decides_the_fault(error, phase, fault):
    found, cause = fault_of(sdk(error), phase, via_proxy=False)
    assert found is fault
    assert cause is error


@pytest.mark.parametrize(
    ("error", "fault"),
    [
        (ConnectionRefusedError(errno.ECONNREFUSED, "x"), Fault.PROXY_UNREACHABLE),
        (OSError(errno.EHOSTUNREACH, "x"), Fault.PROXY_UNREACHABLE),
        (OSError(errno.ETIMEDOUT, "x"), Fault.PROXY_TIMEOUT),
        (OSError(errno.ENETUNREACH, "x"), Fault.NETWORK_DOWN),
        (aiohttp.ServerDisconnectedError(), Fault.PROXY_UNREACHABLE),
        (aiohttp.ClientResponseError(None, (), status=400, message="x"), Fault.PROXY_INVALID),
    ],
)
def test_failed_connection_to_a_proxy_is_the_proxys_fault(error, fault):
    assert fault_of(sdk(error), Phase.CONNECT, via_proxy=True)[0] is fault


def test_failed_tls_through_a_proxy_is_the_hosts_fault():
    error = sdk(ConnectionResetError(errno.ECONNRESET, "x"))
    assert fault_of(error, Phase.TLS, via_proxy=True)[0] is Fault.TLS_RESET


def test_sdk_exception_with_a_cause_is_ignored():
    cut = chained(IncompleteReadError("x"), aiohttp.ClientPayloadError("cut"))
    lost = chained(ServiceResponseError("x"), ConnectionLostError("x"), aiohttp.ServerDisconnectedError())
    assert fault_of(cut, Phase.TRANSFER, via_proxy=False)[0] is Fault.BODY_TRUNCATED
    assert fault_of(lost, Phase.WAIT, via_proxy=False)[0] is Fault.CONNECTION_CLOSED


def test_most_specific_error_number_of_a_text_counts():
    text = "Multiple exceptions: [Errno 101] Connect call failed ('::1', 443, 0, 0), [Errno 111] Connect call failed"
    assert fault_of(sdk(OSError(text)), Phase.CONNECT, via_proxy=False)[0] is Fault.CONNECT_REFUSED


def test_circular_chain_of_exceptions_is_internal():
    first, second = RuntimeError("a"), RuntimeError("b")
    first.__cause__, second.__cause__ = second, first
    assert fault_of(first, Phase.WAIT, via_proxy=False)[0] is Fault.INTERNAL
    assert fault_of(None, Phase.WAIT, via_proxy=False)[0] is Fault.INTERNAL


def test_no_rule_is_hidden_by_an_earlier_one():
    for index, (kind, _) in enumerate(RULES):
        for earlier, _ in RULES[:index]:
            assert not issubclass(kind, earlier), (kind, earlier)


async def _exchange(status, headers, body, complete):
    answer = Response(None, status, headers, body, complete)
    return Exchange("host:443", response=answer, at={"received": 1.0, "ended": 1.0})


async def test_huge_error_body_is_shortened_and_masked():
    secret = "b" * 10 + "-MARK"
    body = b"<html>\x00\x01 client_secret=abcdefgh 203.0.113.9 " + secret.encode() + b"x" * 500_000
    remember(secret)
    facts = facts_from(await _exchange(500, {}, body, True))
    assert len(facts.detail) <= LIMIT
    for leak in (secret, "abcdefgh", "203.0.113.9", "\x00"):
        assert leak not in facts.detail


# Failures of real connections, and the fault of each.

# Behaviour of a server before TLS is established.


async def closes_in_the_handshake(_wire, reader, writer):
    await reader.read(100)
    writer.close()
    return True


async def resets_in_the_handshake(wire, reader, writer):
    await reader.read(100)
    return not await resets(wire, reader, writer)


async def sends_plain_http(wire, reader, writer):
    await reader.read(100)
    return await writes(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n", then=reads_on)(wire, reader, writer)


async def reads_on(_wire, reader, _writer):
    await reader.read(100)
    return True


@pytest.mark.parametrize(
    ("behaviour", "fault", "phase"),
    [
        (closes_in_the_handshake, Fault.TLS_RESET, Phase.TLS),
        (resets_in_the_handshake, Fault.TLS_RESET, Phase.TLS),
        (is_silent, Fault.TLS_TIMEOUT, Phase.TLS),
        (sends_plain_http, Fault.TLS_NOT_TLS, Phase.TLS),
        (writes(b"220 mail.example ESMTP\r\n" * 20, then=reads_on), Fault.TLS_NOT_TLS, Phase.TLS),
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


@pytest.mark.parametrize(
    ("host", "dates", "fault"),
    [
        ("other.example", {}, Fault.TLS_WRONG_NAME),
        (ENTRA, {}, Fault.TLS_WRONG_NAME),
        (VAULT, {"start": NOW - 10 * DAY, "end": NOW - DAY}, Fault.TLS_EXPIRED),
        (VAULT, {"start": NOW + DAY, "end": NOW + 10 * DAY}, Fault.TLS_NOT_YET_VALID),
    ],
)
async def test_unusable_certificate_has_its_own_fault(serve, key_facts, authority, *, host, dates, fault):
    facts = await key_facts(await serve(context=authority.server(host, **dates)))
    assert (facts.fault, facts.exception) == (fault, "SSLCertVerificationError")
    assert "certificate" in facts.detail


async def test_certificate_of_an_unknown_authority_is_untrusted(serve, key_facts, stranger):
    wire = await serve(context=stranger.server(VAULT))
    facts = await key_facts(wire)
    assert facts.fault is Fault.TLS_UNTRUSTED
    assert facts.refused_issuer == ("CN=Unknown CA" if hasattr(ssl.SSLObject, "get_unverified_chain") else None)
    assert facts.certificate is None  # only a verified one has a metric
    assert not wire.requests


async def test_issuer_is_shown_whatever_follows_the_refused_certificate(serve, key_facts, authority, stranger, tmp_path):
    unknown_version = authority.certificate.public_bytes(Encoding.DER).replace(
        bytes.fromhex("a003020102"), bytes.fromhex("a003020105"), 1
    )
    stranger.server(VAULT)
    chain = next(stranger.folder.glob("leaf-*.pem")).read_text() + ssl.DER_cert_to_PEM_cert(unknown_version)
    (tmp_path / "chain.pem").write_text(chain)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(tmp_path / "chain.pem")
    facts = await key_facts(await serve(context=context))
    assert facts.fault is Fault.TLS_UNTRUSTED
    assert facts.refused_issuer == ("CN=Unknown CA" if hasattr(ssl.SSLObject, "get_unverified_chain") else None)


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


BEGUN = b'HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{"key"'
stops_in_a_header = writes(b"HTTP/1.1 200 OK\r\nContent-")
stops_in_the_body = writes(BEGUN)
resets_in_the_body = writes(BEGUN, b"", then=resets, pause=0.02)
# Together with the headers, the broken chunk would give not_http.
breaks_a_chunk = writes(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n", b"ZZ\r\n", pause=0.02)
stalls_in_the_body = writes(BEGUN, then=is_silent)
sends_ten_megabytes = writes(b"HTTP/1.1 200 OK\r\nContent-Length: 10485760\r\n\r\n", *[bytes(65536)] * 160)


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


# The address of this host on the route to another one.


@pytest.mark.parametrize("destination", ["127.0.0.1", "::1"])
def test_loopback_is_reached_from_itself(destination):
    family = socket.AF_INET6 if ":" in destination else socket.AF_INET
    try:
        with socket.socket(family) as bound:
            bound.bind((destination, 0))
        expected = destination
    except OSError:  # a host without IPv6
        expected = None
    assert local_address(destination) == expected


def test_destination_without_a_route_has_no_address(monkeypatch):
    def refuse(*_given):
        raise OSError("no route")

    monkeypatch.setattr(facts.socket.socket, "connect", refuse, raising=False)
    assert local_address("203.0.113.7") is None


def test_unspecified_address_is_none(monkeypatch):
    monkeypatch.setattr(facts.socket.socket, "connect", lambda *_given: None, raising=False)
    assert local_address("203.0.113.7") is None

"""Servers that send without end: the exchange ends after a bounded number of bytes."""

import asyncio

import pytest

from exporter.clients.http.timing import MOST_RECEIVED_BYTES, ConnectionState, TooMuchReceivedError
from exporter.config.settings import Proxy
from exporter.core.values import Fault
from tests.support.tls_server import CHALLENGE, TOKEN, response, until

HEAD = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
FLOODS = {
    "interim responses": (b"", b"HTTP/1.1 100 Continue\r\n\r\n" * 1000),
    "interim headers": (b"", b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" * 500),
    "blank lines": (b"", b"\r\n" * 10_000),
    "blanks in a header": (b"HTTP/1.1 200 OK\r\nX:", b" " * 20_000),
    "tiny chunks": (HEAD, b"1\r\na\r\n" * 2000),
    "a chunk extension": (HEAD + b"1;", b"a" * 20_000),
}


def flooding(flood, sent):
    first, piece = FLOODS[flood]

    async def floods(_wire, _reader, writer):
        writer.write(first)
        while not writer.is_closing():
            writer.write(piece)
            sent.append(len(piece))
            await writer.drain()
            await asyncio.sleep(0)
        return False

    return floods


@pytest.mark.parametrize("flood", FLOODS)
async def test_flood_ends_long_before_the_deadline(serve, session_to, flood):
    """Parsing it until the deadline would delay every other probe."""
    sent = []
    wire = await serve(lambda _request: flooding(flood, sent))
    async with session_to(wire) as session:
        facts, _ = await session.get_key(TOKEN, "Key0", None, deadline=until(60))
    assert facts.fault is Fault.BODY_TOO_LARGE, facts
    assert sum(sent) < MOST_RECEIVED_BYTES + 16 * 1024 * 1024  # the rest is in the buffers of the system
    assert len(wire.requests) == 1


@pytest.mark.parametrize("flood", ["interim responses", "blank lines"])
async def test_flood_of_a_proxy_ends_long_before_the_deadline(serve, session_to, flood):
    proxy = await serve(lambda _request: flooding(flood, []), tls=False)
    async with session_to(None, proxy=Proxy(url=f"http://127.0.0.1:{proxy.port}")) as session:
        facts, _ = await session.get_key(TOKEN, "Key0", None, deadline=until(60))
    assert facts.fault is Fault.PROXY_INVALID, facts


async def test_limit_counts_each_exchange_by_itself(serve, session_to):
    large = response(401, b"x" * 1_000_000, WWW_Authenticate=CHALLENGE)
    wire = await serve(lambda _request: large)
    async with session_to(wire) as session:
        for _ in range(3):
            facts, challenge = await session.challenge(deadline=until(60))
            assert (facts.fault, challenge is not None) == (Fault.NONE, True)
    assert wire.connections == 1


@pytest.mark.parametrize(("size", "is_too_large"), [(1_048_576, False), (1_048_577, True)])
async def test_body_of_more_than_a_mebibyte_is_not_read(serve, session_to, size, is_too_large):
    wire = await serve(lambda _request: response(200, b"x" * size))
    async with session_to(wire) as session:
        facts, _ = await session.get_key(TOKEN, "Key0", None, deadline=until(60))
    assert (facts.fault is Fault.BODY_TOO_LARGE) is is_too_large


def test_response_has_a_quarter_more_bytes_at_most():
    connection = ConnectionState()
    connection.count(1_310_720)
    with pytest.raises(TooMuchReceivedError):
        connection.count(1)

"""Long responses: identical bytes in every coding, and no wait for a client that does not read."""

import asyncio
import gzip
import socket

import pytest
from aiohttp import ClientPayloadError, ClientSession, web

from exporter.web import listener
from exporter.web.listener import ListenAddress, WebServer

PIECES = [b"# HELP a b\n", b"", b"x" * 300_000, b"a 1\n" * 50_000, b"end\n"]
WHOLE = b"".join(PIECES)


async def pieces():
    for piece in PIECES:
        yield piece


def serving(source, *, zipped=False):
    async def handler(request):
        return await listener.stream(request, source(), headers={"Content-Type": "text/plain"}, gzip=zipped)

    app = web.Application()
    app.router.add_get("/", handler)
    return WebServer(app, [ListenAddress("127.0.0.1", 0)])


@pytest.mark.parametrize("zipped", [False, True])
async def test_client_receives_the_bytes_that_were_sent(zipped):
    async with serving(pieces, zipped=zipped) as server, ClientSession(auto_decompress=False) as session:
        async with session.get(server.urls[0]) as response:
            body = await response.read()
            assert response.headers.get("Content-Encoding") == ("gzip" if zipped else None)
        assert (gzip.decompress(body) if zipped else body) == WHOLE
        assert not zipped or len(body) < len(WHOLE) / 10


async def test_other_tasks_run_between_two_slices():
    slices, turns, ended = 50, [], asyncio.Event()

    async def rendered():
        other = asyncio.create_task(another_task())
        for _ in range(slices):
            yield b"x" * listener.SLICE_BYTES
        other.cancel()
        ended.set()

    async def another_task():
        while True:
            turns.append(1)
            await asyncio.sleep(0)

    async with serving(rendered) as server, ClientSession() as session, session.get(server.urls[0]) as response:
        await response.read()
        await ended.wait()
    assert len(turns) >= slices


async def test_head_has_the_headers_and_no_body():
    async def never():
        raise AssertionError("rendered without a client")
        yield b""

    async with serving(never, zipped=True) as server, ClientSession() as session, session.head(server.urls[0]) as response:
        assert response.status == 200
        assert response.headers["Content-Encoding"] == "gzip"
        assert await response.read() == b""


async def test_error_in_the_middle_leaves_an_incomplete_response():
    async def broken():
        yield b"a 1\n"
        raise RuntimeError("broken")

    async with serving(broken) as server, ClientSession() as session, session.get(server.urls[0]) as response:
        with pytest.raises(ClientPayloadError):
            await response.read()


async def test_client_that_stops_reading_is_disconnected(monkeypatch):
    monkeypatch.setattr(listener, "SECONDS_TO_TAKE_IT", 0.2)
    ended = asyncio.Event()

    async def endless():
        try:
            while True:
                yield b"x" * 65536
        finally:
            ended.set()

    async with serving(endless) as server:
        with socket.create_connection(("127.0.0.1", server.listening[0].port)) as stalled:
            stalled.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            async with asyncio.timeout(30):
                await ended.wait()


async def test_short_pieces_are_sent_together_and_long_ones_alone():
    short, long = "é" * 500, "x" * 5000
    found = [piece async for piece in listener.encoded([long, *[short] * 5, long])]
    assert [len(piece.decode()) for piece in found] == [5000, 2500, 5000, 0]
    assert b"".join(found).decode() == long + 5 * short + long

"""How much memory a TLS connection holds while nothing comes over it."""

import asyncio
import tracemalloc
from asyncio import sslproto

from exporter.core.faults import Fault
from exporter.runtime.buffers import TLS_BUFFER_BYTES, bound_tls_buffers
from tests.support.tls_server import TOKEN, FakeVault, response, until

WAITING = 10
OURS_AND_THEIRS = 2  # the server of the test has buffers as well


async def test_waiting_connection_holds_a_small_buffer(serve, session_to, monkeypatch):
    monkeypatch.setattr(sslproto.SSLProtocol, "max_size", sslproto.SSLProtocol.max_size)
    bound_tls_buffers()
    asked = asyncio.Event()

    async def silent(_wire, reader, _writer):
        if len(wire.requests) == WAITING:
            asked.set()
        await reader.read()

    wire = await serve(lambda _request: silent)

    async def wait():
        async with session_to(wire) as session:
            return (await session.challenge(deadline=until(2)))[0].fault

    tracemalloc.start()
    try:
        tasks = [asyncio.create_task(wait()) for _ in range(WAITING)]
        await asked.wait()
        held = sum(
            trace.size
            for trace in tracemalloc.take_snapshot().filter_traces([tracemalloc.Filter(True, sslproto.__file__)]).traces
        )
    finally:
        tracemalloc.stop()
    assert set(await asyncio.gather(*tasks)) == {Fault.READ_TIMEOUT}
    assert held < 2 * OURS_AND_THEIRS * WAITING * TLS_BUFFER_BYTES


async def test_answer_beyond_the_buffer_is_read_whole(serve, session_to, monkeypatch):
    monkeypatch.setattr(sslproto.SSLProtocol, "max_size", sslproto.SSLProtocol.max_size)
    bound_tls_buffers()
    document = FakeVault().document() | {"padding": "x" * (10 * TLS_BUFFER_BYTES)}
    wire = await serve(lambda _request: response(200, document))
    async with session_to(wire) as session:
        facts, key = await session.get_key(TOKEN, "Key0", None, deadline=until())
    assert facts.fault is Fault.NONE
    assert key is not None

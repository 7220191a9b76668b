"""The memory of an idle TLS connection."""

import asyncio
import tracemalloc
from asyncio import sslproto

from exporter.core.values import Fault
from exporter.runtime.loop import TLS_BUFFER_BYTES, bound_tls_buffers
from tests.support.tls_server import TOKEN, FakeVault, response, until

WAITING = 10
ENDS = 2  # the test's server has buffers too


async def test_waiting_connection_holds_a_small_buffer(serve, session_to, monkeypatch):
    monkeypatch.setattr(sslproto.SSLProtocol, "max_size", sslproto.SSLProtocol.max_size)
    bound_tls_buffers()
    all_waiting = asyncio.Event()

    async def silent(_wire, reader, _writer):
        if len(wire.requests) == WAITING:
            all_waiting.set()
        await reader.read()

    wire = await serve(lambda _request: silent)

    async def wait():
        async with session_to(wire) as session:
            return (await session.challenge(deadline=until(2)))[0].fault

    tracemalloc.start()
    try:
        tasks = [asyncio.create_task(wait()) for _ in range(WAITING)]
        await all_waiting.wait()
        held = sum(
            trace.size
            for trace in tracemalloc.take_snapshot().filter_traces([tracemalloc.Filter(True, sslproto.__file__)]).traces
        )
    finally:
        tracemalloc.stop()
    assert set(await asyncio.gather(*tasks)) == {Fault.READ_TIMEOUT}
    assert held < 2 * ENDS * WAITING * TLS_BUFFER_BYTES


async def test_response_larger_than_the_buffer_is_read_whole(serve, session_to, monkeypatch):
    monkeypatch.setattr(sslproto.SSLProtocol, "max_size", sslproto.SSLProtocol.max_size)
    bound_tls_buffers()
    document = FakeVault().document() | {"padding": "x" * (10 * TLS_BUFFER_BYTES)}
    wire = await serve(lambda _request: response(200, document))
    async with session_to(wire) as session:
        facts, key = await session.get_key(TOKEN, "Key0", None, deadline=until())
    assert facts.fault is Fault.NONE
    assert key is not None

"""Bytes after a response: the session raises nothing and closes its sockets."""

import asyncio
import gc

import pytest

from exporter.core.values import Fault
from tests.support.tls_server import CHALLENGE, TOKEN, FakeVault, until
from tests.support.web_server import until as eventually

ANSWERS = {
    "length": b"Content-Length: 2\r\n\r\n{}",
    "chunks": b"Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
    "long": b"Content-Length: 100000\r\n\r\n" + b"z" * 100_000,
}
SURPLUS = {
    "byte": b"x",
    "zeros": bytes(20),
    "much": b"y" * 200_000,
    "answer": b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\nx",
}
# NOT_HTTP if aiohttp parses the surplus together with the response.
EXPECTED = (Fault.NONE, Fault.NOT_HTTP)


def pieces(answer, surplus, cut):
    """The response and the surplus, in one write or several."""
    whole = f"HTTP/1.1 401 No\r\nWWW-Authenticate: {CHALLENGE}\r\n".encode() + answer
    headers = whole.index(b"\r\n\r\n") + 4
    return {
        "whole": [whole + surplus],
        "after headers": [whole[:headers], whole[headers:] + surplus],
        "in the body": [whole[: headers + 1], whole[headers + 1 :] + surplus[:3], surplus[3:]],
        "after the body": [whole, surplus],
    }[cut]


@pytest.fixture(autouse=True)
def older_objects():
    """What the collector does not search: all objects of a whole run would take it a second."""
    gc.freeze()
    yield
    gc.unfreeze()


@pytest.mark.parametrize("cut", ["whole", "after headers", "in the body", "after the body"])
@pytest.mark.parametrize("surplus", SURPLUS)
@pytest.mark.parametrize("answer", ANSWERS)
async def test_surplus_bytes_raise_nothing_and_close_the_sockets(serve, session_to, *, answer, surplus, cut):
    async def sends_surplus(_wire, _reader, writer):
        for piece in pieces(ANSWERS[answer], SURPLUS[surplus], cut):
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(0.005)
        return True

    wire = await serve(lambda _request: sends_surplus)
    async with session_to(wire) as session:
        facts, challenge = await session.challenge(deadline=until())
        after, _ = await session.get_key(TOKEN, "Key0", None, deadline=until())
        sockets = list(session._connection._state.sockets)
    assert facts.fault in EXPECTED, facts
    assert (challenge is not None) is (facts.fault is Fault.NONE)
    assert after.fault in (*EXPECTED, Fault.HTTP_STATUS, Fault.ANSWER_EMPTY), after
    await all_closed(sockets)


async def test_failed_close_of_a_session_still_closes_the_sockets(serve, session_to):
    async def fail():
        raise RuntimeError("close failed")

    wire = await serve(FakeVault())
    async with session_to(wire) as session:
        await session.challenge(deadline=until())
        sockets = list(session._connection._state.sockets)
        close, session._connection._session.close = session._connection._session.close, fail
    assert len(sockets) == 1
    await all_closed(sockets)
    await close()


async def all_closed(sockets):
    await eventually(lambda: all(each.fileno() == -1 for each in sockets))
    gc.collect()  # an unclosed transport would warn here

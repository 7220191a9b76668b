"""The transport raises what azure-core's own transport raises."""

import asyncio
from types import SimpleNamespace

import aiohttp
import pytest
from azure.core.pipeline.transport import AioHttpTransport
from azure.core.rest import HttpRequest

from exporter.clients.http.exchange import HttpExchange, RecordingTransport
from exporter.clients.http.timing import ExchangeTimer

URL = "https://vault.example/keys"
KEY = SimpleNamespace(ssl=True, host="vault.example", port=443, is_ssl=True)
ERRORS = (
    aiohttp.ClientConnectorError(KEY, OSError(111, "refused")),
    aiohttp.ClientResponseError(SimpleNamespace(real_url=URL), ()),
    aiohttp.ClientPayloadError("cut"),
    aiohttp.ConnectionTimeoutError("slow"),
    aiohttp.SocketTimeoutError("slow"),
    aiohttp.ServerDisconnectedError(),
    aiohttp.InvalidURL(URL),
    TimeoutError("slow"),
    OSError(9, "bad descriptor"),
    ValueError("wrong"),
)
NAMES = [type(error).__name__ for error in ERRORS]


class Content:
    """A body that fails when it is read."""

    def __init__(self, error):
        self.error = error

    async def readany(self):
        raise self.error

    async def read(self, _size):
        raise self.error


class Session:
    """A session whose requests, or whose bodies, fail."""

    auto_decompress = False

    def __init__(self, *, sending=None, reading=None):
        self.sending, self.content = sending, Content(reading)
        self.closed = 0
        self.status, self.headers, self.reason = 200, {}, ""

    async def request(self, *_args, **_options):
        if self.sending is not None:
            raise self.sending
        return self

    async def __aenter__(self):
        return self

    def close(self):
        self.closed += 1


async def failure_of(coroutine):
    with pytest.raises(Exception) as raised:  # noqa: PT011 - the caller compares the class
        await coroutine
    return type(raised.value), type(raised.value.__cause__), str(raised.value)


async def sdk_reads(session):
    transport = AioHttpTransport(session=session, session_owner=False)
    response = await transport.send(HttpRequest("GET", URL), stream=True)
    return [chunk async for chunk in response.iter_raw()]


def recording(session):
    transport = RecordingTransport(session, None)
    transport.exchange = HttpExchange(endpoint="vault.example:443", timer=ExchangeTimer())
    return transport


@pytest.mark.parametrize("error", ERRORS, ids=NAMES)
async def test_failed_request_raises_as_the_sdk_does(error):
    raised = await failure_of(recording(Session(sending=error)).send(HttpRequest("GET", URL)))
    assert raised == await failure_of(
        AioHttpTransport(session=Session(sending=error), session_owner=False).send(HttpRequest("GET", URL))
    )


@pytest.mark.parametrize("error", [error for error in ERRORS if not isinstance(error, aiohttp.ConnectionTimeoutError)])
async def test_broken_body_raises_as_the_sdk_does_and_closes_the_response(error):
    session = Session(reading=error)
    transport = recording(session)
    exchange = transport.exchange
    raised = await failure_of(transport.send(HttpRequest("GET", URL)))
    assert raised == await failure_of(sdk_reads(Session(reading=error)))
    assert session.closed == 1
    assert (exchange.response.status, exchange.response.complete) == (200, False)


async def test_cancellation_is_passed_on_and_closes_the_response():
    session = Session(reading=asyncio.CancelledError())
    with pytest.raises(asyncio.CancelledError):
        await recording(session).send(HttpRequest("GET", URL))
    assert session.closed == 1


async def test_request_outside_of_an_exchange_is_refused():
    with pytest.raises(RuntimeError, match="outside of an exchange"):
        await RecordingTransport(Session(), None).send(HttpRequest("GET", URL))

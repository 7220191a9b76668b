"""One HTTP exchange, recorded by a transport around the SDK's transport.

The SDK hides the status of a response that it cannot parse. The transport therefore records status, headers and the bounded
body of the last response before the SDK reads it. An exchange returns that record and the SDK's result or exception.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import ssl
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Self
from urllib.parse import urlsplit

import aiohttp
from azure.core.pipeline.transport import AioHttpTransport, AsyncHttpTransport
from azure.core.rest import AsyncHttpResponse, HttpRequest

from exporter import __version__
from exporter.clients.http.resolver import is_address
from exporter.clients.http.response import RecordedResponse, SdkResponse
from exporter.clients.http.timing import CURRENT, MOST_RECEIVED_BYTES, ConnectionState, ExchangeTimer, HandshakeLimiter, current
from exporter.core.known_secrets import remember
from exporter.runtime.clock import loop_time
from exporter.runtime.exception_tree import drop_tracebacks, every_exception
from exporter.runtime.logging import fields, frames_of, place_of
from exporter.runtime.shortage import Shortage, shortage_of
from exporter.runtime.thread_pool import PoolExhausted

_log = logging.getLogger(__name__)

_PROOFS_ON_THIS_HOST = ("X-IDENTITY-HEADER", "secret", "Authorization")  # App Service, Service Fabric, Azure Arc
USER_AGENT = f"ekm-exporter/{__version__}"
MAX_BODY_BYTES = 1024 * 1024
PORTS = {"https": 443, "http": 80}


class BodyTooLargeError(Exception):
    """The body is larger than any response of Key Vault or Entra ID."""


class SecretTimeoutError(Exception):
    """Reading a local file that the request needs exceeded the deadline."""

    def __init__(self) -> None:
        super().__init__("reading the secret file took too long")


class ConnectionLostError(aiohttp.ClientConnectionError):
    """The connection broke. aiohttp does not repeat a request after this class."""


# What aiohttp and OpenSSL raise if the far side closed or reset an open connection.
_CONNECTION_ENDED = (ConnectionLostError, ConnectionError, ssl.SSLEOFError, ssl.SSLZeroReturnError)


@dataclass(slots=True)
class HttpExchange:
    """One exchange with `endpoint` (host:port).

    It has the marks, the recorded response, and the result or exception of the SDK.
    """

    endpoint: str
    timer: ExchangeTimer
    via_proxy: bool = False
    proxy: str | None = None  # host:port
    answer: RecordedResponse | None = None
    result: object = None
    error: Exception | None = None
    raised_at: str | None = None  # the innermost frames of `error`
    timed_out: bool = False
    resent: bool = False  # the request was sent twice: the far side had closed the first connection

    @property
    def lost_connection(self) -> bool:
        """Whether a reused connection ended before a byte of the response."""
        lost = self.timer.is_reused_connection and not self.timer.has_response_bytes and not self.timed_out
        return lost and any(isinstance(each, _CONNECTION_ENDED) for each in every_exception(self.error))


async def send_once(request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType) -> aiohttp.ClientResponse:
    """Send a request once: the aiohttp middleware that prevents repeats.

    It also marks the arrival of the headers.
    """
    try:
        response = await handler(request)
    except aiohttp.ClientConnectorError:
        raise
    except (aiohttp.ServerDisconnectedError, aiohttp.ClientOSError) as error:
        raise ConnectionLostError(str(error)) from error
    current().headers_received()
    return response


class RecordingTransport(AsyncHttpTransport[HttpRequest, AsyncHttpResponse]):
    """The SDK's transport over a given session, without timeouts of its own.

    The exchange sets the deadline.
    """

    def __init__(self, session: aiohttp.ClientSession, proxy: str | None) -> None:
        self._inner = AioHttpTransport(session=session, session_owner=False, connection_timeout=None, read_timeout=None)
        self._proxy = proxy
        self.proxy_headers: Mapping[str, str] | None = None
        self.exchange: HttpExchange | None = None  # the exchange under way

    async def send(self, request: HttpRequest, **options: Any) -> AsyncHttpResponse:
        """Send the request, record the response and return it with its body.

        Options of the SDK (stream, proxies, timeouts) are ignored. One counts: how long the default chain waits for a
        connection to the host's identity service, which most hosts lack. Without it no later identity would have its turn.
        """
        scheme, rest = request.url.split("://", 1)
        # A plain HTTP endpoint is an identity service of this host or its link: never behind a proxy.
        proxy = self._proxy if scheme == "https" else None
        exchange = self._begin(scheme, rest.partition("/")[0], proxy)
        request.headers.setdefault("Accept-Encoding", "identity")
        # Every request of every part of the SDK: audit logs show the exporter under this name.
        request.headers["User-Agent"] = USER_AGENT
        to_proxy = None if proxy is None else {"User-Agent": USER_AGENT, **(self.proxy_headers or {})}
        _remember_proof(request)
        limit = {name: options[name] for name in ("connection_timeout",) if scheme == "http" and name in options}
        response = await self._inner.send(request, stream=True, proxy=proxy, proxy_headers=to_proxy, **limit)
        answer = exchange.answer = RecordedResponse(status=response.status_code, headers=response.headers)
        try:
            answer.body = await _read(response)
        except BaseException:
            with contextlib.suppress(Exception):  # the first error has the cause
                await response.close()
            raise
        answer.complete = True
        return SdkResponse(request, answer)

    def _begin(self, scheme: str, authority: str, proxy: str | None) -> HttpExchange:
        exchange = self.exchange
        if exchange is None:
            raise RuntimeError("a request outside of an exchange")
        exchange.answer, exchange.via_proxy = None, proxy is not None
        exchange.proxy = None if proxy is None else urlsplit(proxy).netloc.rpartition("@")[2]
        exchange.endpoint, exchange.timer.hop_is_address = _endpoint_of(scheme, authority, proxy)
        exchange.timer.endpoint = exchange.endpoint
        return exchange

    async def open(self) -> None:
        """The session is open from its creation."""

    async def close(self) -> None:
        """Keep the session open: its owner closes it.

        The SDK closes a transport whenever a client ends.
        """

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        """See `close`."""


@lru_cache(maxsize=8192)
def _endpoint_of(scheme: str, authority: str, proxy: str | None) -> tuple[str, bool]:
    """Return the endpoint as host:port, and whether the first hop is an IP address."""
    url = urlsplit(f"{scheme}://{authority}")
    first = url if proxy is None else urlsplit(proxy)
    endpoint = authority if url.port is not None else f"{authority}:{PORTS.get(scheme, 443)}"
    return endpoint, is_address(first.hostname or "")


def _remember_proof(request: HttpRequest) -> None:
    """Mask the proof of a sign-in from now on.

    azure-identity creates or reads an assertion by itself. An identity service of this host (plain HTTP) receives a header
    whose value comes from the environment or a file.
    """
    if request.url.startswith("http://"):
        for name in _PROOFS_ON_THIS_HOST:
            remember(request.headers.get(name, "").removeprefix("Basic "))
    if isinstance(form := request.content, dict):
        for name in ("client_secret", "client_assertion"):
            remember(str(form.get(name, "")))


async def _read(response: AsyncHttpResponse) -> bytes:
    chunks, size = [], 0
    async for chunk in response.iter_raw():
        chunks.append(chunk)
        size += len(chunk)
        if size > MAX_BODY_BYTES:
            raise BodyTooLargeError(f"more than {MAX_BODY_BYTES} bytes")
    return b"".join(chunks)


class HostConnection:
    """The connections of one probe to one host.

    Create it in the event loop. The creator closes it.
    """

    def __init__(
        self,
        *,
        endpoint: str,
        connector: aiohttp.TCPConnector,
        trace: aiohttp.TraceConfig,
        proxy: str | None,
        proxy_headers: Callable[[], Awaitable[Mapping[str, str]]] | None,
        limiter: HandshakeLimiter | None,
    ) -> None:
        """Create the session. `proxy_headers` is called once, before the first request.

        It may raise any exception that `faults` classifies.
        """
        self._endpoint, self._proxy_headers, self._limiter, self._state = endpoint, proxy_headers, limiter, ConnectionState()
        self._session = aiohttp.ClientSession(
            connector=connector,
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            trust_env=False,
            trace_configs=[trace],
            middlewares=(send_once,),
        )
        self.transport = RecordingTransport(self._session, proxy)

    async def exchange(self, call: Callable[[], Awaitable[object]], *, deadline: float) -> HttpExchange:
        """Run `call`, which sends through `transport`, until `deadline` (loop time).

        If the far side closed a reused connection before a byte of the response, `call` runs once more on a new connection.
        Raises CancelledError, and PoolExhausted if this process lacked a resource or waited for one until the deadline.
        """
        exchange = await self._attempt(call, deadline)
        if exchange.lost_connection:
            exchange = await self._attempt(call, deadline)
            exchange.resent = True
        return exchange

    async def _attempt(self, call: Callable[[], Awaitable[object]], deadline: float) -> HttpExchange:
        timer = ExchangeTimer(self._limiter, self._state)
        self._state.exchange_begins(timer)
        exchange = self.transport.exchange = HttpExchange(endpoint=self._endpoint, timer=timer)
        if deadline <= loop_time():  # the timeout would take effect only after a connection attempt
            exchange.timed_out = True
            return exchange
        named = CURRENT.set(timer)
        try:
            async with asyncio.timeout_at(deadline) as limit:
                if self._proxy_headers is not None and self.transport.proxy_headers is None:
                    self.transport.proxy_headers = await self._proxy_headers()
                exchange.result = await call()
        except PoolExhausted:
            raise
        except Exception as error:  # noqa: BLE001 - exceptions of the SDK become values here
            exchange.error, exchange.raised_at, exchange.timed_out = error, frames_of(error), limit.expired()
            drop_tracebacks(error)
            if self._state.is_flooded:  # aiohttp reports the body as truncated
                exchange.error = BodyTooLargeError(f"more than {MOST_RECEIVED_BYTES} bytes")
        finally:
            CURRENT.reset(named)
            timer.finish()
            self._state.timer = self.transport.exchange = None
        lacking = Shortage.RESOLVER if exchange.timed_out and timer.is_pool_exhaustion else shortage_of(exchange.error)
        if lacking is Shortage.RESOLVER:
            raise PoolExhausted("time ran out before a thread or a handshake slot was free")
        if lacking is not None:
            raise PoolExhausted(f"the system grants no {lacking}", lacking)
        if exchange.timed_out and timer.reached is None:  # no network phase began
            exchange.error, exchange.timed_out = SecretTimeoutError(), False
        return exchange

    async def close(self) -> None:
        """Abort every open connection at once, also if the caller is cancelled.

        Raises nothing but CancelledError. After bytes that are not HTTP, aiohttp may close a TLS connection twice. A third
        call fails inside asyncio and leaves the remaining connections open. A connection that is abandoned just before its
        handshake also stays open. Shutting the sockets down ends all of them.
        """
        try:
            await self._session.close()
        except Exception as error:  # noqa: BLE001 - a failure here changes no response
            _log.debug("connections not closed in order", extra=fields(**place_of(error)))
        finally:
            self._state.shut_down()

"""One HTTP exchange: the SDK's transport with a memory, over a session of one probe.

The SDK hides the status of answers that it cannot read. So the transport notes status, headers and body (bounded) of the
last answer before the SDK sees them, and an exchange gives back what was noted beside whatever the SDK made of it.
Not for: what an observation means (see `faults`), or where to connect (see `network`).
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
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
from exporter.clients.http.timing import CURRENT, ConnectionState, ExchangeTimer, HandshakeLimiter, current
from exporter.core.known_secrets import remember
from exporter.runtime.clock import loop_time
from exporter.runtime.exception_tree import drop_tracebacks
from exporter.runtime.logging import fields, frames_of, place_of
from exporter.runtime.shortage import Shortage, shortage_of
from exporter.runtime.thread_pool import PoolExhausted

_log = logging.getLogger(__name__)

_PROOFS_ON_THIS_HOST = ("X-IDENTITY-HEADER", "secret", "Authorization")  # App Service, Service Fabric, Azure Arc
USER_AGENT = f"ekm-exporter/{__version__}"
MAX_BODY_BYTES = 1024 * 1024
PORTS = {"https": 443, "http": 80}


class BodyTooLargeError(Exception):
    """The answer's body goes beyond what any answer of a vault or of Entra needs."""


class SecretTimeoutError(Exception):
    """Time ran out while a file that the request needs was being read on this host."""

    def __init__(self) -> None:
        super().__init__("reading the secret file took too long")


class ConnectionLostError(aiohttp.ClientConnectionError):
    """The connection broke; not one of the classes after which aiohttp sends an idempotent request again."""


@dataclass(slots=True)
class HttpExchange:
    """One exchange with `endpoint` (host:port): its marks, the answer noted, what the SDK returned or raised."""

    endpoint: str
    timer: ExchangeTimer
    via_proxy: bool = False
    answer: RecordedResponse | None = None
    result: object = None
    error: Exception | None = None
    raised_at: str | None = None  # the innermost frames of `error`
    timed_out: bool = False


async def send_once(request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType) -> aiohttp.ClientResponse:
    """A middleware that keeps aiohttp from repeating a request, and marks the arrival of the headers."""
    try:
        response = await handler(request)
    except aiohttp.ClientConnectorError:
        raise
    except (aiohttp.ServerDisconnectedError, aiohttp.ClientOSError) as error:
        raise ConnectionLostError(str(error)) from error
    current().headers_received()
    return response


class RecordingTransport(AsyncHttpTransport[HttpRequest, AsyncHttpResponse]):
    """Wraps the SDK's transport over a given session. It never waits by itself: deadlines are the exchange's."""

    def __init__(self, session: aiohttp.ClientSession, proxy: str | None) -> None:
        self._inner = AioHttpTransport(session=session, session_owner=False, connection_timeout=None, read_timeout=None)
        self._proxy = proxy
        self.proxy_headers: Mapping[str, str] | None = None
        self.exchange: HttpExchange | None = None  # where the exchange under way wants the answer noted

    async def send(self, request: HttpRequest, **_: Any) -> AsyncHttpResponse:
        """Send, note the answer, and return it read. The SDK's options (stream, proxies, time-outs) are ours to decide."""
        scheme, rest = request.url.split("://", 1)
        # What speaks plain HTTP is an identity service on this host or its link: never behind a proxy.
        proxy = self._proxy if scheme == "https" else None
        exchange = self._begin(scheme, rest.partition("/")[0], proxy)
        request.headers.setdefault("Accept-Encoding", "identity")
        # Whoever is asked, whatever part of the SDK asks: audits find us by this name.
        request.headers["User-Agent"] = USER_AGENT
        to_proxy = None if proxy is None else {"User-Agent": USER_AGENT, **(self.proxy_headers or {})}
        _remember_proof(request)
        response = await self._inner.send(request, stream=True, proxy=proxy, proxy_headers=to_proxy)
        answer = exchange.answer = RecordedResponse(status=response.status_code, headers=response.headers)
        try:
            answer.body = await _read(response)
        except BaseException:
            with contextlib.suppress(Exception):  # the first error is the one that explains
                await response.close()
            raise
        answer.complete = True
        return SdkResponse(request, answer)

    def _begin(self, scheme: str, authority: str, proxy: str | None) -> HttpExchange:
        exchange = self.exchange
        if exchange is None:
            raise RuntimeError("a request outside of an exchange")
        exchange.answer, exchange.via_proxy = None, proxy is not None
        exchange.endpoint, exchange.timer.hop_is_address = _way(scheme, authority, proxy)
        exchange.timer.endpoint = exchange.endpoint
        return exchange

    async def open(self) -> None:
        """The session is open since it was made."""

    async def close(self) -> None:
        """The session is its maker's to close; the SDK closes a transport whenever a client ends."""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        """See `close`."""


@lru_cache(maxsize=8192)
def _way(scheme: str, authority: str, proxy: str | None) -> tuple[str, bool]:
    """The host:port that is asked, and whether the first host on the way is an address: the same in every probe."""
    asked = urlsplit(f"{scheme}://{authority}")
    first = asked if proxy is None else urlsplit(proxy)
    endpoint = authority if asked.port is not None else f"{authority}:{PORTS.get(scheme, 443)}"
    return endpoint, is_address(first.hostname or "")


def _remember_proof(request: HttpRequest) -> None:
    """Remember what a sign-in proves itself with; azure-identity makes an assertion, or reads one, by itself.

    An identity service of this host (plain HTTP) is shown a header that the host's environment or a file gives.
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
    """The connections of one probe to one host. Made in the loop, closed by its maker."""

    def __init__(
        self,
        *,
        endpoint: str,
        connector: aiohttp.TCPConnector,
        trace: aiohttp.TraceConfig,
        proxy: str | None,
        proxy_headers: Callable[[], Awaitable[Mapping[str, str]]] | None,
        gate: HandshakeLimiter | None,
    ) -> None:
        """`proxy_headers` is asked once, before the first request; it may raise what `evidence` knows."""
        self._endpoint, self._proxy_headers, self._gate, self._state = endpoint, proxy_headers, gate, ConnectionState()
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
        """Make `call`, which sends through `transport`, until `deadline` (the loop's time).

        Raises CancelledError, and PoolExhausted if this process lacked something, or time ran out while waiting for something of its own.
        """
        timer = self._state.timer = ExchangeTimer(self._gate, self._state)
        exchange = self.transport.exchange = HttpExchange(endpoint=self._endpoint, timer=timer)
        if deadline <= loop_time():  # it would still connect before it noticed
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
        except Exception as error:  # noqa: BLE001 - this is where the SDK's exceptions end: as values
            exchange.error, exchange.raised_at, exchange.timed_out = error, frames_of(error), limit.expired()
            drop_tracebacks(error)
        finally:
            CURRENT.reset(named)
            timer.finish()
            self._state.timer = self.transport.exchange = None
        lacking = Shortage.RESOLVER if exchange.timed_out and timer.is_pool_exhaustion else shortage_of(exchange.error)
        if lacking is Shortage.RESOLVER:
            raise PoolExhausted("time ran out before a thread or a place among the handshakes was free")
        if lacking is not None:
            raise PoolExhausted(f"the system grants no {lacking}", lacking)
        if exchange.timed_out and timer.reached is None:  # it never came to the network
            exchange.error, exchange.timed_out = SecretTimeoutError(), False
        return exchange

    async def close(self) -> None:
        """Abort what is open, at once, also if the caller is cancelled here. Raises CancelledError alone.

        After bytes that are no HTTP, aiohttp may close a TLS connection twice. A third call breaks inside asyncio, and the
        connections that aiohttp had not reached by then stay open. So does one that is given up just before its handshake.
        """
        try:
            await self._session.close()
        except Exception as error:  # noqa: BLE001 - all answers are in: a failure here changes none of them
            _log.debug("connections not closed in order", extra=fields(**place_of(error)))
        finally:
            self._state.shut_down()

"""One HTTP exchange: its marks, the response as far as it arrived, and the result or exception of the SDK.

The SDK hides the status of a response that it cannot parse. The connection therefore records status, headers and the bounded body of the
last response before the SDK reads it. azure-core's own transport for aiohttp would wrap each response and read its body through a
generator: a twentieth of the processor time of a probe.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import ssl
from collections.abc import Awaitable, Callable, Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, ClassVar, Literal, Self
from urllib.parse import urlencode, urlsplit

import aiohttp
from azure.core.exceptions import (
    AzureError,
    IncompleteReadError,
    ServiceRequestError,
    ServiceRequestTimeoutError,
    ServiceResponseError,
    ServiceResponseTimeoutError,
)
from azure.core.pipeline.transport import AsyncHttpTransport
from azure.core.rest import HttpRequest
from azure.core.settings import settings

from exporter import __version__
from exporter.core.names import is_address
from exporter.core.secrets import remember
from exporter.core.values import PeerCertificate, Phase
from exporter.runtime.errors import drop_tracebacks, every_exception
from exporter.runtime.logging import fields, frames_of, place_of
from exporter.runtime.loop import loop_time
from exporter.runtime.tasks import PoolExhausted, Shortage, shortage_of

_log = logging.getLogger(__name__)

USER_AGENT = f"ekm-exporter/{__version__}"
MAX_BODY_BYTES = 1024 * 1024
# A response with a body of the largest size needs less. More is a flood, which would delay other probes while it is parsed.
MOST_RECEIVED_BYTES = 1280 * 1024
_MOST_KEPT = 16 * 1024  # longer than aiohttp allows a head to be
# A handshake that takes longer waits for the network, not for this host's processor, and releases its slot.
HANDSHAKE_HOLD_SECONDS = 0.25


class BodyTooLargeError(Exception):
    """The body is larger than any response of Key Vault or Entra ID."""


class TooMuchReceivedError(OSError):
    """An exchange received more bytes than any response has.

    It is an OSError: asyncio then closes the connection without a log line.
    """


class SecretTimeoutError(Exception):
    """Reading a local file that the request needs exceeded the deadline."""

    def __init__(self) -> None:
        super().__init__("reading the secret file took too long")


class ConnectionLostError(aiohttp.ClientConnectionError):
    """The connection broke. aiohttp does not repeat a request after this class."""


@dataclass(slots=True, eq=False)
class Response:
    """The response as far as it arrived, with what the SDK reads of one. `content` is whole only if `complete`."""

    request: Any
    status_code: int
    headers: Mapping[str, str] = field(repr=False)
    content: bytes = field(default=b"", repr=False)  # of Entra ID, a token
    complete: bool = False
    reason: ClassVar = ""
    is_stream_consumed: ClassVar = True

    @property
    def content_type(self) -> str | None:
        return self.headers.get("Content-Type")

    def body(self) -> bytes:
        return self.content

    def text(self, encoding: str | None = None) -> str:
        """Return the body as UTF-8, whatever a header declares: Azure sends it."""
        del encoding
        return self.content.decode("utf-8-sig", errors="replace")

    async def read(self) -> bytes:
        return self.content

    async def close(self) -> None:
        """Nothing is open."""


# The marks of an exchange, in their order. `queued` waits for a resolver thread, and `dns` begins on it. `connected` is the first request
# without TLS. `last_byte` of the request and `first_byte` of the response are more exact than `sent` and `received`; they are missing
# without TLS, or if the event loop bypasses `TimedSocket`.
Mark = Literal[
    "queued", "dns", "resolved", "connect", "connected", "tls", "secured", "sent", "last_byte", "first_byte", "received", "ended"
]
_BEGUN: tuple[tuple[Mark, Phase], ...] = (
    ("received", Phase.TRANSFER),
    ("sent", Phase.WAIT),
    ("secured", Phase.WAIT),
    ("tls", Phase.TLS),
    ("connect", Phase.CONNECT),
    ("dns", Phase.DNS),
)
_NEW_OR_ANSWERED: frozenset[Mark] = frozenset({"queued", "connect", "first_byte", "received"})
# What aiohttp and OpenSSL raise if the far side closed or reset an open connection.
_CONNECTION_ENDED = (ConnectionLostError, ConnectionError, ssl.SSLEOFError, ssl.SSLZeroReturnError)


@dataclass(slots=True, eq=False)
class Exchange:
    """One exchange with `endpoint` (host:port). Marks are in the loop's time; those that were not reached are missing."""

    endpoint: str
    connection: HostConnection | None = None  # until the exchange has ended
    traffic: Traffic | None = None
    proxy: str | None = None  # host:port
    response: Response | None = None
    result: object = field(default=None, repr=False)  # of the SDK, a token
    error: Exception | None = None
    raised_at: str | None = None  # the innermost frames of `error`
    timed_out: bool = False
    resent: bool = False  # the request was sent twice: the far side had closed the first connection
    at: dict[Mark, float] = field(default_factory=dict)
    addresses: tuple[str, ...] = ()  # of the host or the proxy, if a connection was begun
    certificate: PeerCertificate | None = None
    leaf: bytes | None = None  # the peer's certificate as DER
    refused_issuer: str | None = None
    hop_is_address: bool = False  # aiohttp does not call the resolver for an address
    waits_for_slot: bool = False  # of the handshakes
    _slot: asyncio.TimerHandle | None = None  # set while this exchange holds one
    _loop: asyncio.AbstractEventLoop = field(default_factory=asyncio.get_running_loop)

    def mark(self, name: Mark, *, stale: Mark | None = None) -> None:
        """Set a mark to now, and remove one of an earlier attempt."""
        self.at[name] = self._loop.time()
        if stale is not None:
            self.at.pop(stale, None)

    async def connect_begins(self) -> None:
        """Wait for a handshake slot; `connect` starts after it."""
        limiter = None if self.connection is None else self.connection.limiter
        if limiter is not None and self._slot is None:
            self.waits_for_slot = True
            await limiter.acquire()
            self.waits_for_slot = False
            self._slot = self._loop.call_later(HANDSHAKE_HOLD_SECONDS, self.release_slot)
        self.mark("connect", stale="connected")

    def release_slot(self) -> None:
        """Release the handshake slot if this exchange still holds it."""
        if self._slot is not None and self.connection is not None and self.connection.limiter is not None:
            self._slot.cancel()
            self._slot = None
            self.connection.limiter.release()

    def request_sent(self) -> None:
        """Mark that a connection is open for the request, which is sent now."""
        self.mark("sent", stale="first_byte")
        self.at.setdefault("connected", self.at["sent"])

    def bytes_sent(self) -> None:
        if "first_byte" not in self.at:
            self.mark("last_byte")

    @property
    def lost_connection(self) -> bool:
        """Whether a reused connection ended before a byte of the response."""
        lost = not self.timed_out and _NEW_OR_ANSWERED.isdisjoint(self.at)
        return lost and any(isinstance(each, _CONNECTION_ENDED) for each in every_exception(self.error))

    @property
    def is_pool_exhaustion(self) -> bool:
        """Whether this process delayed the exchange: no handshake slot or no thread.

        It is True if the exchange still waits for one, or if the wait for a thread exceeded the time left for the lookup.
        A timeout is then the exporter's own and no fault of the network.
        """
        if self.waits_for_slot or "queued" not in self.at or "resolved" in self.at:
            return self.waits_for_slot
        began = self.at.get("dns")
        return began is None or began - self.at["queued"] > self._now() - began

    @property
    def reached(self) -> Phase | None:
        """The last phase that began."""
        for mark, phase in _BEGUN:
            if mark in self.at:
                return phase
        return None

    def phases(self) -> dict[Phase, float]:
        """Return the seconds of each phase; an unfinished phase lasts until now."""
        at = self.at.get
        sent, received = at("sent"), at("received")
        # Incomplete headers belong to `wait`.
        responded = None if received is None else at("first_byte", received)
        spans = (
            (Phase.DNS, at("dns"), at("resolved")),
            (Phase.CONNECT, at("connect"), at("tls", at("connected"))),
            (Phase.TLS, at("tls"), at("secured")),
            (Phase.WAIT, None if sent is None else at("last_byte", sent), responded),
            (Phase.TRANSFER, responded, at("ended")),
        )
        reached, found = self.reached, {}
        for phase, start, end in spans:
            stop = self._now() if end is None and phase is reached else end
            if start is not None and stop is not None:
                found[phase] = max(0.0, stop - start)
        return found

    def _now(self) -> float:
        return self.at.get("ended") or self._loop.time()


CURRENT: ContextVar[Exchange | None] = ContextVar("ekm_exchange", default=None)


def current() -> Exchange:
    """Return this task's exchange; an unused one outside of an exchange."""
    return CURRENT.get() or Exchange("")


_PROOFS_ON_THIS_HOST = ("X-IDENTITY-HEADER", "secret", "Authorization")  # App Service, Service Fabric, Azure Arc
_NO_TIMEOUT = aiohttp.ClientTimeout()  # the exchange sets the deadline

settings.tracing_enabled = False  # without a value, each request of the SDK searches for a tracing library

# The first class that matches decides, as in azure-core's transport: azure-identity distinguishes these errors.
_ERRORS: tuple[tuple[type[Exception], type[AzureError]], ...] = (
    (aiohttp.ClientResponseError, ServiceResponseError),
    (aiohttp.ConnectionTimeoutError, ServiceRequestTimeoutError),
    (TimeoutError, ServiceResponseTimeoutError),
    (aiohttp.ClientError, ServiceRequestError),
)
_ERRORS_OF_BODY = ((aiohttp.ClientPayloadError, IncompleteReadError), *_ERRORS)


async def send_once(request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType) -> aiohttp.ClientResponse:
    """Send a request once: the aiohttp middleware that prevents repeats. It also marks the arrival of the headers."""
    try:
        response = await handler(request)
    except aiohttp.ClientConnectorError:
        raise
    except (aiohttp.ServerDisconnectedError, aiohttp.ClientOSError) as error:
        raise ConnectionLostError(str(error)) from error
    current().mark("received")
    return response


@dataclass(slots=True, eq=False)
class Traffic:
    """The sockets of one probe to one host, and what they received since the exchange under way began.

    They refer to this object alone: asyncio holds a socket in reference cycles for a while.
    """

    exchange: Exchange | None = None  # under way
    sockets: list[socket.socket] = field(default_factory=list)  # open or closed
    received: int = 0  # bytes
    plain: bytes = b""  # the first ones without TLS

    @property
    def is_flood(self) -> bool:
        return self.received > MOST_RECEIVED_BYTES

    @property
    def has_body(self) -> bool:
        """Whether more than a head arrived without TLS: a proxy that opens a tunnel sends no body."""
        return bool(self.plain.partition(b"\r\n\r\n")[2])

    def data_read(self, size: int) -> None:
        """Mark and count received bytes. Raises TooMuchReceivedError."""
        if self.exchange is not None and "sent" in self.exchange.at and "first_byte" not in self.exchange.at:
            self.exchange.mark("first_byte")
        self._count(size)

    def plain_read(self, data: bytes) -> None:
        """Count bytes without TLS, and keep the first ones. Raises TooMuchReceivedError."""
        self.plain = (self.plain + data)[:_MOST_KEPT]
        self._count(len(data))

    def _count(self, size: int) -> None:
        self.received += size
        if self.is_flood:
            raise TooMuchReceivedError(f"more than {MOST_RECEIVED_BYTES} bytes")


class HostConnection:
    """The connections of one probe to one host. Create it in the event loop. The creator closes it.

    Exchanges follow one another, on the same connection if it stays open.
    """

    def __init__(
        self,
        *,
        endpoint: str,
        connector: aiohttp.TCPConnector,
        proxy: str | None,
        proxy_headers: Callable[[], Awaitable[Mapping[str, str]]] | None,
        limiter: asyncio.Semaphore | None,
    ) -> None:
        """Create the session. `proxy_headers` is called once, before the first request.

        It may raise any exception that `facts` classifies. `limiter` limits concurrent handshakes: they use the processor of this host.
        """
        self._endpoint, self.proxy, self.limiter = endpoint, proxy, limiter
        self._ask_proxy_headers = proxy_headers
        self.proxy_headers: Mapping[str, str] | None = None
        self.traffic, self.sent = Traffic(), 0  # requests that left this host
        self.session = aiohttp.ClientSession(
            connector=connector,
            headers={"Accept-Encoding": "identity"},
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            trust_env=False,
            middlewares=(send_once,),
        )

    async def exchange(self, call: Callable[[], Awaitable[object]], *, deadline: float, resent: bool = False) -> Exchange:
        """Run `call`, which sends through `TRANSPORT`, until `deadline` (loop time).

        If the far side closed a reused connection before a byte of the response, `call` runs once more on a new connection, as `resent`.
        Raises CancelledError, and PoolExhausted if this process lacked a resource or waited for one until the deadline.
        """
        traffic = self.traffic
        exchange = traffic.exchange = Exchange(self._endpoint, self, traffic, resent=resent)
        traffic.received, traffic.plain = 0, b""
        if deadline <= loop_time():  # the timeout would take effect only after a connection attempt
            exchange.timed_out = True
            return exchange
        named = CURRENT.set(exchange)
        try:
            async with asyncio.timeout_at(deadline) as limit:
                if self._ask_proxy_headers is not None and self.proxy_headers is None:
                    self.proxy_headers = await self._ask_proxy_headers()
                exchange.result = await call()
        except PoolExhausted:
            raise
        except Exception as error:  # noqa: BLE001 - exceptions of the SDK become values here
            exchange.error, exchange.raised_at, exchange.timed_out = error, frames_of(error), limit.expired()
            drop_tracebacks(error)
            if traffic.is_flood:  # aiohttp reports the body as truncated
                exchange.error = BodyTooLargeError(f"more than {MOST_RECEIVED_BYTES} bytes")
        finally:
            CURRENT.reset(named)
            exchange.mark("ended")
            exchange.release_slot()
            traffic.exchange = exchange.connection = None
        if exchange.error is not None:
            lacking = Shortage.RESOLVER if exchange.timed_out and exchange.is_pool_exhaustion else shortage_of(exchange.error)
            if lacking is Shortage.RESOLVER:
                raise PoolExhausted("time ran out before a thread or a handshake slot was free")
            if lacking is not None:
                raise PoolExhausted(f"the system grants no {lacking}", lacking)
            if exchange.timed_out and exchange.reached is None:  # no network phase began
                exchange.error, exchange.timed_out = SecretTimeoutError(), False
        self.sent += exchange.reached in (Phase.WAIT, Phase.TRANSFER)
        is_lost = exchange.lost_connection and not resent
        return await self.exchange(call, deadline=deadline, resent=True) if is_lost else exchange

    async def close(self) -> None:
        """Abort every open connection at once, also if the caller is cancelled.

        Raises nothing but CancelledError. After bytes that are not HTTP, aiohttp may close a TLS connection twice. A third
        call fails inside asyncio and leaves the remaining connections open. A connection that is abandoned just before its
        handshake also stays open. Shutting the sockets down ends all of them: the event loop then reads an end of file.
        """
        try:
            await self.session.close()
        except Exception as error:  # noqa: BLE001 - a failure here changes no response
            _log.debug("connections not closed in order", extra=fields(**place_of(error)))
        finally:
            for each in self.traffic.sockets:
                with contextlib.suppress(OSError):  # already closed, or not connected
                    each.shutdown(socket.SHUT_RDWR)
            self.traffic.sockets.clear()  # each has a reference to it


class Transport(AsyncHttpTransport[HttpRequest, Any]):
    """The transport of every client of the SDK. It sends over the connection of this task's exchange, and owns none itself."""

    async def send(self, request: HttpRequest, **options: Any) -> Response:
        """Send the request, record the response and return it with its body. Raises what azure-core's own transport raises.

        All options of the SDK are ignored (stream, proxies, timeouts) but one: how long the default chain waits for a connection to the
        host's identity service, which most hosts lack. Without it no later identity would have its turn.
        """
        exchange = CURRENT.get()
        connection = None if exchange is None else exchange.connection
        if exchange is None or connection is None:
            raise RuntimeError("a request outside of an exchange")
        connect_seconds = options.get("connection_timeout")
        scheme, rest = request.url.split("://", 1)
        # A plain HTTP endpoint is an identity service of this host or its link: never behind a proxy.
        proxy = connection.proxy if scheme == "https" else None
        exchange.response, exchange.proxy = None, None if proxy is None else urlsplit(proxy).netloc.rpartition("@")[2]
        exchange.endpoint, exchange.hop_is_address = _endpoint_of(scheme, rest.partition("/")[0], proxy)
        # Every request of every part of the SDK: audit logs show the exporter under this name.
        request.headers["User-Agent"] = USER_AGENT
        _remember_proof(request)
        form = request.content
        try:
            response = await connection.session.request(
                request.method,
                request.url,
                headers=request.headers,
                # aiohttp would prepare parts of a file for each field of a form.
                data=urlencode(form, doseq=True).encode("ascii") if isinstance(form, dict) else form,
                timeout=_NO_TIMEOUT
                if scheme == "https" or connect_seconds is None
                else aiohttp.ClientTimeout(sock_connect=connect_seconds),
                allow_redirects=False,
                proxy=proxy,
                proxy_headers=None if proxy is None else {"User-Agent": USER_AGENT, **(connection.proxy_headers or {})},
            )
            recorded = exchange.response = Response(request, response.status, response.headers)
            try:
                recorded.content = await _read(response.content)
            except BaseException:
                response.close()
                raise
        except Exception as error:
            table = _ERRORS if exchange.response is None else _ERRORS_OF_BODY
            raised = next((raised for kind, raised in table if isinstance(error, kind)), None)
            if raised is None:
                raise
            raise raised(error, error=error) from error
        recorded.complete = True
        return recorded

    async def open(self) -> None:
        """Nothing is to be opened."""

    async def close(self) -> None:
        """Close nothing: the SDK calls this whenever a client ends."""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        """See `close`."""


TRANSPORT = Transport()


@lru_cache(maxsize=8192)
def _endpoint_of(scheme: str, authority: str, proxy: str | None) -> tuple[str, bool]:
    """Return the endpoint as host:port, and whether the first hop is an IP address."""
    url = urlsplit(f"{scheme}://{authority}")
    first = url if proxy is None else urlsplit(proxy)
    endpoint = authority if url.port is not None else f"{authority}:{80 if scheme == 'http' else 443}"
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


async def _read(content: aiohttp.StreamReader) -> bytes:
    chunks, size = [], 0
    while chunk := await content.readany():
        chunks.append(chunk)
        size += len(chunk)
        if size > MAX_BODY_BYTES:
            raise BodyTooLargeError(f"more than {MAX_BODY_BYTES} bytes")
    return chunks[0] if len(chunks) == 1 else b"".join(chunks)

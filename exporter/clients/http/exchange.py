"""One HTTP exchange: its marks, the recorded response, and the result or exception of the SDK.

The SDK hides the status of a response that it cannot parse. The transport therefore records status, headers and the bounded body of the
last response before the SDK reads it. azure-core's own transport for aiohttp would wrap each response and read its body through a
generator: a twentieth of the processor time of a probe.
"""

from __future__ import annotations

import json
import ssl
from collections.abc import AsyncIterator, Mapping, MutableMapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Self
from urllib.parse import urlencode, urlsplit

import aiohttp
from azure.core.exceptions import (
    AzureError,
    HttpResponseError,
    IncompleteReadError,
    ServiceRequestError,
    ServiceRequestTimeoutError,
    ServiceResponseError,
    ServiceResponseTimeoutError,
)
from azure.core.pipeline.transport import AsyncHttpTransport
from azure.core.rest import AsyncHttpResponse, HttpRequest
from azure.core.settings import settings
from azure.core.utils import case_insensitive_dict

from exporter import __version__
from exporter.clients.http.timing import ExchangeTimer, current
from exporter.core.names import is_address
from exporter.core.secrets import remember
from exporter.runtime.errors import every_exception


@dataclass(slots=True)
class RecordedResponse:
    """The response as far as it arrived. `body` is whole only if `complete`."""

    status: int
    headers: Mapping[str, str]
    body: bytes = b""
    complete: bool = False


class SdkResponse(AsyncHttpResponse):
    """A recorded response as the SDK's response class."""

    reason = ""
    is_closed = True
    is_stream_consumed = True
    encoding = "utf-8"  # whatever a header declares: Azure sends it

    def __init__(self, request: HttpRequest, recorded: RecordedResponse) -> None:
        self._request, self._recorded = request, recorded

    @property
    def request(self) -> HttpRequest:
        return self._request

    @property
    def status_code(self) -> int:
        return self._recorded.status

    @property
    def headers(self) -> MutableMapping[str, str]:
        return case_insensitive_dict(self._recorded.headers)

    @property
    def content_type(self) -> str | None:
        return self._recorded.headers.get("content-type")

    @property
    def url(self) -> str:
        return self._request.url

    @property
    def content(self) -> bytes:
        return self._recorded.body

    def body(self) -> bytes:
        return self._recorded.body

    def text(self, encoding: str | None = None) -> str:
        del encoding
        return self._recorded.body.decode("utf-8-sig", errors="replace")

    def json(self) -> Any:
        return json.loads(self.text())

    def raise_for_status(self) -> None:
        if self.status_code >= 400:
            raise HttpResponseError(response=self)

    async def read(self) -> bytes:
        return self._recorded.body

    async def iter_raw(self, **_: Any) -> AsyncIterator[bytes]:
        yield self._recorded.body

    iter_bytes = iter_raw

    async def close(self) -> None:
        """Nothing is open."""

    async def __aexit__(self, *_: object) -> None:
        """Nothing is open."""


USER_AGENT = f"ekm-exporter/{__version__}"
MAX_BODY_BYTES = 1024 * 1024


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

    It holds the marks, the recorded response, and the result or exception of the SDK.
    """

    endpoint: str
    timer: ExchangeTimer
    via_proxy: bool = False
    proxy: str | None = None  # host:port
    response: RecordedResponse | None = None
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


HEADERS: Mapping[str, str] = {"Accept-Encoding": "identity"}  # of every session
PORTS = {"https": 443, "http": 80}

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
    current().headers_received()
    return response


class BaseTransport(AsyncHttpTransport[HttpRequest, AsyncHttpResponse]):
    """A transport that owns no session: the SDK opens and closes nothing."""

    async def open(self) -> None:
        """The session is open from its creation."""

    async def close(self) -> None:
        """Keep the session open: its owner closes it. The SDK closes a transport whenever a client ends."""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        """See `close`."""


class RoutedTransport(BaseTransport):
    """The transport of a client that all probes share. It sends over the transport of the request option `over`."""

    async def send(self, request: HttpRequest, **options: Any) -> AsyncHttpResponse:
        """Send the request over a transport of its probe."""
        over: BaseTransport = options.pop("over")
        return await over.send(request, **options)


class RecordingTransport(BaseTransport):
    """A transport over a given session, without timeouts of its own. The exchange sets the deadline."""

    def __init__(self, session: aiohttp.ClientSession, proxy: str | None) -> None:
        self._session, self._proxy = session, proxy
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
        # Every request of every part of the SDK: audit logs show the exporter under this name.
        request.headers["User-Agent"] = USER_AGENT
        _remember_proof(request)
        limits = _NO_TIMEOUT
        if scheme == "http" and "connection_timeout" in options:
            limits = aiohttp.ClientTimeout(sock_connect=options["connection_timeout"])
        try:
            recorded = exchange.response = await self._receive(exchange, request, proxy, limits)
        except Exception as error:
            table = _ERRORS if exchange.response is None else _ERRORS_OF_BODY
            raised = next((raised for kind, raised in table if isinstance(error, kind)), None)
            if raised is None:
                raise
            raise raised(error, error=error) from error
        return SdkResponse(request, recorded)

    async def _receive(
        self, exchange: HttpExchange, request: HttpRequest, proxy: str | None, limits: aiohttp.ClientTimeout
    ) -> RecordedResponse:
        response = await self._session.request(
            request.method,
            request.url,
            headers=request.headers,
            data=_encoded(request.content),
            timeout=limits,
            allow_redirects=False,
            proxy=proxy,
            proxy_headers=None if proxy is None else {"User-Agent": USER_AGENT, **(self.proxy_headers or {})},
        )
        recorded = exchange.response = RecordedResponse(status=response.status, headers=response.headers)
        try:
            recorded.body = await _read(response.content)
        except BaseException:
            response.close()
            raise
        recorded.complete = True
        return recorded

    def _begin(self, scheme: str, authority: str, proxy: str | None) -> HttpExchange:
        exchange = self.exchange
        if exchange is None:
            raise RuntimeError("a request outside of an exchange")
        exchange.response, exchange.via_proxy = None, proxy is not None
        exchange.proxy = None if proxy is None else urlsplit(proxy).netloc.rpartition("@")[2]
        exchange.endpoint, exchange.timer.hop_is_address = _endpoint_of(scheme, authority, proxy)
        exchange.timer.endpoint = exchange.endpoint
        return exchange


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


def _encoded(content: Any) -> Any:
    """Return a form as bytes: aiohttp would prepare parts of a file for each of its fields."""
    return urlencode(content, doseq=True).encode("ascii") if isinstance(content, dict) else content


async def _read(content: aiohttp.StreamReader) -> bytes:
    chunks, size = [], 0
    while chunk := await content.readany():
        chunks.append(chunk)
        size += len(chunk)
        if size > MAX_BODY_BYTES:
            raise BodyTooLargeError(f"more than {MAX_BODY_BYTES} bytes")
    return chunks[0] if len(chunks) == 1 else b"".join(chunks)

"""One HTTP exchange: its marks, the recorded response, and the result or exception of the SDK."""

from __future__ import annotations

import ssl
from dataclasses import dataclass

import aiohttp

from exporter import __version__
from exporter.clients.http.exchange_timer import ExchangeTimer
from exporter.clients.http.response import RecordedResponse
from exporter.runtime.exception_tree import every_exception

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

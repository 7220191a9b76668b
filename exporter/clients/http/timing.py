"""What sets the marks of an exchange: objects that asyncio and aiohttp use for TLS, sockets and connections.

`SSLContext.sslobject_class` and aiohttp's `socket_factory` are documented extension points. An event loop that bypasses the socket's
methods, as on Windows, reports no sent bytes: the marks of `TimedConnector` and of a middleware are used then.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import aiohttp
from cryptography import x509

from exporter.clients.http.exchange import Exchange, Traffic, current
from exporter.core.values import PeerCertificate

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer, WriteableBuffer

ISSUER_LIMIT = 200

_size = len  # a parameter of `read` has that name


class TimedSSLObject(ssl.SSLObject):
    """An SSL object that marks the handshake, its certificate and later reads.

    The first call of the handshake marks the end of the TCP connect.
    """

    _exchange: Exchange | None = None  # until the handshake has ended
    _traffic: Traffic | None = None
    _begun = False

    def do_handshake(self) -> None:
        if not self._begun:
            self._begun = True
            self._exchange = current()
            self._traffic = self._exchange.traffic
            self._exchange.mark("tls", stale="secured")
            self._exchange.leaf = None  # that of a proxy
        exchange = self._exchange
        try:
            super().do_handshake()
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
            raise
        except ssl.SSLError as error:
            if exchange is not None:
                is_refused = isinstance(error, ssl.SSLCertVerificationError)
                refused = _shown(self, "get_unverified_chain", (), 1) if is_refused else None
                exchange.refused_issuer = None if refused is None else refused.issuer
                exchange.release_slot()
            raise
        if exchange is not None:
            self._exchange, exchange.leaf = None, self.getpeercert(binary_form=True)
            exchange.certificate = _shown(self, "get_verified_chain", (exchange.leaf,))
            exchange.mark("secured")
            exchange.release_slot()

    def read(self, len: int = 1024, buffer: WriteableBuffer | None = None) -> bytes:  # noqa: A002 - as the library names it
        """Read as `ssl.SSLObject` does and mark the data. Raises as the base class does, and TooMuchReceivedError."""
        data = super().read(len, buffer)
        if data and self._traffic is not None:  # nothing is read at the end of the stream
            # With a buffer, the base class returns the number of bytes.
            self._traffic.data_read(_size(data) if buffer is None else int(data))
        return data

    def unwrap(self) -> None:
        """Send the TLS closing message without waiting for the peer's. A silent peer would hold the socket for half a minute."""
        with contextlib.suppress(ssl.SSLWantReadError):
            super().unwrap()


def make_context(ca_file: Path | None) -> ssl.SSLContext:
    """Return a client context that trusts the system's authorities or only `ca_file`.

    Raises OSError (ssl.SSLError is one) if the file cannot be read or holds no certificate. Blocks for some milliseconds.
    """
    context = ssl.create_default_context(cafile=None if ca_file is None else str(ca_file))
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    # Newer Python versions reject authorities that older versions and Windows accept: the verdict is the same everywhere.
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    context.sslobject_class = TimedSSLObject
    return context


def _shown(
    connection: ssl.SSLObject, method: str, otherwise: tuple[bytes | None, ...], most: int | None = None
) -> PeerCertificate | None:
    """Return the certificate of the chain that a method of Python 3.13 shows, or of its first `most` certificates."""
    chain = getattr(connection, method, lambda: otherwise)()
    return _read(tuple(filter(None, chain[:most])))


@lru_cache(maxsize=1024)
def _read(chain: tuple[bytes, ...]) -> PeerCertificate | None:
    """Parse a certificate chain that begins with that of the server, once per distinct chain."""
    try:
        certificates = [x509.load_der_x509_certificate(der) for der in chain]
        ends = min(each.not_valid_after_utc.timestamp() for each in certificates)
        return PeerCertificate(not_after=ends, issuer=certificates[0].issuer.rfc4514_string()[:ISSUER_LIMIT])
    except (ValueError, x509.InvalidVersion):
        return None  # OpenSSL accepts it and cryptography does not: no facts are better than wrong facts


class TimedSocket(socket.socket):
    """A socket that marks sent bytes; the TLS object does not know when they leave.

    It counts what a proxy or an identity service sends without TLS; asyncio reads TLS with `recv_into`.
    """

    traffic: Traffic | None = None

    def recv(self, bufsize: int, flags: int = 0, /) -> bytes:
        """Receive as `socket.socket` does. Raises TooMuchReceivedError too."""
        data = super().recv(bufsize, flags)
        if self.traffic is not None:
            self.traffic.plain_read(data)
        return data

    def send(self, data: ReadableBuffer, flags: int = 0, /) -> int:
        sent = super().send(data, flags)
        if self.traffic is not None and (exchange := self.traffic.exchange) is not None:
            exchange.bytes_sent()
        return sent


def make_socket(address: aiohttp.AddrInfoType) -> socket.socket:
    """Return a socket for the exchange of this task. Raises OSError if there is none."""
    family, kind, protocol, _, _ = address
    made = TimedSocket(family, kind, protocol)
    made.traffic = current().traffic
    if made.traffic is not None:
        made.traffic.sockets.append(made)
    return made


class TimedConnector(aiohttp.TCPConnector):
    """A connector that marks when a connection is open for the next request.

    aiohttp does not call the resolver for an IP address: the wait for a handshake slot is then here.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._latest: dict[str, asyncio.BaseTransport | None] = {}  # of the last request, by endpoint

    async def connect(
        self,
        req: aiohttp.ClientRequest,
        traces: list[aiohttp.tracing.Trace],
        timeout: aiohttp.ClientTimeout,  # noqa: ASYNC109 - of aiohttp
    ) -> aiohttp.connector.Connection:
        """Connect as `TCPConnector` does."""
        exchange = current()
        latest = self._latest.pop(exchange.endpoint, None)
        if exchange.hop_is_address and (latest is None or latest.is_closing()):
            await exchange.connect_begins()
        connection = await super().connect(req, traces, timeout)
        self._latest[exchange.endpoint] = connection.transport
        exchange.request_sent()
        return connection

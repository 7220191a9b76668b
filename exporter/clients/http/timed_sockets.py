"""SSL context, SSL object, socket and connector that report to the timer of an exchange.

`SSLContext.sslobject_class` and aiohttp's `socket_factory` are documented extension points: asyncio runs the handshake through
an object of this module. An event loop that bypasses the socket's methods, as on Windows, reports no sent bytes. The later
mark is used then.
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

from exporter.clients.http.exchange_timer import ConnectionState, ExchangeTimer, current
from exporter.core.model import PeerCertificate

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer, WriteableBuffer


ISSUER_LIMIT = 200

_size = len  # a parameter of `read` has that name


class TimedSSLObject(ssl.SSLObject):
    """An SSL object that marks the handshake, its certificate and later reads.

    The first call of the handshake marks the end of the TCP connect.
    """

    _timer: ExchangeTimer | None = None
    _connection: ConnectionState | None = None
    _begun = False

    def do_handshake(self) -> None:
        if not self._begun:
            self._begun = True
            self._timer = current()
            self._connection = self._timer.connection
            self._timer.tls_begins()
        try:
            super().do_handshake()
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
            raise
        except ssl.SSLError as error:
            if self._timer is not None:
                self._timer.tls_fails(_refused_issuer(self) if isinstance(error, ssl.SSLCertVerificationError) else None)
            raise
        timer, self._timer = self._timer, None
        if timer is not None:
            timer.tls_ends(_shown(self))

    def read(self, len: int = 1024, buffer: WriteableBuffer | None = None) -> bytes:  # noqa: A002 - as the library names it
        """Read as `ssl.SSLObject` does and mark the data.

        Raises as the base class does, and TooMuchReceivedError.
        """
        data = super().read(len, buffer)
        if data and self._connection is not None:  # nothing is read at the end of the stream
            # With a buffer, the base class returns the number of bytes.
            self._connection.data_read(_size(data) if buffer is None else int(data))
        return data

    def unwrap(self) -> None:
        """Send the TLS closing message without waiting for the peer's.

        A silent peer would hold the socket for half a minute.
        """
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


def _shown(connection: ssl.SSLObject) -> PeerCertificate | None:
    verified = getattr(connection, "get_verified_chain", None)  # from Python 3.13 on
    chain = verified() if verified is not None else [connection.getpeercert(binary_form=True)]
    return _read(tuple(filter(None, chain)))


def _refused_issuer(connection: ssl.SSLObject) -> str | None:
    """Return the issuer of a certificate that was refused; None if this version of Python cannot show it."""
    shown = getattr(connection, "get_unverified_chain", None)  # from Python 3.13 on
    certificate = _read(tuple(shown()[:1]) if shown is not None else ())
    return None if certificate is None else certificate.issuer


@lru_cache(maxsize=1024)
def _read(chain: tuple[bytes, ...]) -> PeerCertificate | None:
    """Parse a certificate chain that begins with that of the server, once per distinct chain."""
    try:
        certificates = [x509.load_der_x509_certificate(der) for der in chain]
        ends = min(each.not_valid_after_utc.timestamp() for each in certificates)
        return PeerCertificate(not_after=ends, issuer=certificates[0].issuer.rfc4514_string()[:ISSUER_LIMIT])
    except ValueError:  # OpenSSL accepts it and cryptography does not: no facts are better than wrong facts
        return None


class TimedSocket(socket.socket):
    """A socket that marks sent bytes; the TLS object does not know when they leave.

    It counts what a proxy or an identity service sends without TLS; asyncio reads TLS with `recv_into`.
    """

    connection: ConnectionState | None = None

    def recv(self, bufsize: int, flags: int = 0, /) -> bytes:
        """Receive as `socket.socket` does. Raises TooMuchReceivedError too."""
        data = super().recv(bufsize, flags)
        if self.connection is not None:
            self.connection.count(len(data))
        return data

    def send(self, data: ReadableBuffer, flags: int = 0, /) -> int:
        sent = super().send(data, flags)
        if self.connection is not None:
            self.connection.bytes_sent()
        return sent


def make_socket(address: aiohttp.AddrInfoType) -> socket.socket:
    """Return a socket for the exchange of this task. Raises OSError if there is none."""
    family, kind, protocol, _, _ = address
    made = TimedSocket(family, kind, protocol)
    made.connection = current().connection
    if made.connection is not None:
        made.connection.sockets.append(made)
    return made


class TimedConnector(aiohttp.TCPConnector):
    """A connector that marks when a connection is open for the next request.

    aiohttp does not call the resolver for an IP address: the wait for a handshake slot is then here.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._latest: dict[str | None, asyncio.BaseTransport | None] = {}  # of the last request, by endpoint

    async def connect(
        self,
        req: aiohttp.ClientRequest,
        traces: list[aiohttp.tracing.Trace],
        timeout: aiohttp.ClientTimeout,  # noqa: ASYNC109 - of aiohttp
    ) -> aiohttp.connector.Connection:
        """Connect as `TCPConnector` does."""
        timer = current()
        latest = self._latest.pop(timer.endpoint, None)
        if timer.hop_is_address and (latest is None or latest.is_closing()):
            await timer.connect_begins()
        connection = await super().connect(req, traces, timeout)
        self._latest[timer.endpoint] = connection.transport
        timer.request_sent()
        return connection

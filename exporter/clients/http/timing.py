"""The timer of one exchange: times of DNS, connect, TLS, wait and transfer.

`Resolver` marks `dns`, `TimedSSLObject` marks `connect`, `tls` and `transfer`, and `TimedSocket` the start of `wait`. Without
their marks, those of `TimedConnector` and of a middleware are used. A context variable holds the timer of the exchange under
way. A connection lives longer than an exchange: its `ConnectionState` holds the timer instead.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from contextvars import ContextVar
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import aiohttp
from cryptography import x509

from exporter.core.values import PeerCertificate, Phase

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer, WriteableBuffer

# A handshake that takes longer waits for the network, not for this host's processor, and releases its slot.
HANDSHAKE_HOLD_SECONDS = 0.25


# A response with a body of the largest size needs less. More is a flood, which would delay other probes while it is parsed.
MOST_RECEIVED_BYTES = 1280 * 1024
_MOST_KEPT = 16 * 1024  # longer than aiohttp allows a head to be


class TooMuchReceivedError(OSError):
    """An exchange received more bytes than any response has.

    It is an OSError: asyncio then closes the connection without a log line.
    """


class HandshakeLimiter(Protocol):
    """A limit of concurrent handshakes, such as an `asyncio.Semaphore`. Handshakes use the processor of this host."""

    async def acquire(self) -> object: ...

    def release(self) -> None: ...


class ConnectionState:
    """The sockets of one probe to one host, and the timer of the exchange under way.

    Exchanges follow one another on the same connection.
    """

    __slots__ = ("_plain", "_received", "sockets", "timer")

    def __init__(self) -> None:
        self.timer: ExchangeTimer | None = None  # of the exchange under way
        self.sockets: list[socket.socket] = []  # every socket of the probe, open or closed
        self._received = 0  # bytes since the exchange began
        self._plain = b""  # the first ones without TLS

    def exchange_begins(self, timer: ExchangeTimer) -> None:
        self.timer, self._received, self._plain = timer, 0, b""

    def bytes_sent(self) -> None:
        if self.timer is not None:
            self.timer.bytes_sent()

    @property
    def is_flooded(self) -> bool:
        return self._received > MOST_RECEIVED_BYTES

    def data_read(self, size: int) -> None:
        """Mark and count received bytes. Raises TooMuchReceivedError."""
        if self.timer is not None:
            self.timer.data_read()
        self.count(size)

    def plain_read(self, data: bytes) -> None:
        """Count bytes without TLS, and keep the first ones. Raises TooMuchReceivedError."""
        self._plain = (self._plain + data)[:_MOST_KEPT]
        self.count(len(data))

    @property
    def has_body(self) -> bool:
        """Whether more than a head arrived without TLS: a proxy that opens a tunnel sends no body."""
        return bool(self._plain.partition(b"\r\n\r\n")[2])

    def count(self, size: int) -> None:
        """Count received bytes. Raises TooMuchReceivedError."""
        self._received += size
        if self.is_flooded:
            raise TooMuchReceivedError(f"more than {MOST_RECEIVED_BYTES} bytes")

    def shut_down(self) -> None:
        """Shut the sockets down: the event loop then reads an end of file and closes them."""
        for each in self.sockets:
            with contextlib.suppress(OSError):  # already closed, or not connected
                each.shutdown(socket.SHUT_RDWR)
        self.sockets.clear()  # each has a reference to this object


class ExchangeTimer:
    """The marks of one exchange, in the loop's time (seconds). A mark is None if it was not reached."""

    __slots__ = (
        "_first_byte",
        "_last_byte",
        "_limiter",
        "_loop",
        "_queued",
        "_timer",
        "addresses",
        "certificate",
        "connect_start",
        "connected",
        "connection",
        "dns_end",
        "dns_queue_start",
        "dns_start",
        "ended",
        "endpoint",
        "hop_is_address",
        "received",
        "refused_issuer",
        "sent",
        "tls_end",
        "tls_start",
    )

    def __init__(self, limiter: HandshakeLimiter | None = None, connection: ConnectionState | None = None) -> None:
        self._loop = asyncio.get_running_loop()
        self._limiter = limiter
        self.connection = connection
        self._timer: asyncio.TimerHandle | None = None  # set while this exchange holds a handshake slot
        self.endpoint: str | None = None  # host:port of the last request
        self.addresses: tuple[str, ...] = ()  # of the host or the proxy, if a connection was begun
        self.hop_is_address = False  # aiohttp does not call the resolver for an address
        self._queued = False  # waits for a handshake slot
        self.certificate: PeerCertificate | None = None
        self.refused_issuer: str | None = None
        self.dns_queue_start: float | None = None
        self.dns_start: float | None = None
        self.dns_end: float | None = None
        self.connect_start: float | None = None
        self.tls_start: float | None = None
        self.tls_end: float | None = None
        self.connected: float | None = None
        self.sent: float | None = None
        # More exact than `sent` and `received`. None without TLS, or if the event loop bypasses `TimedSocket`.
        self._last_byte: float | None = None  # of the request
        self._first_byte: float | None = None  # of the response
        self.received: float | None = None
        self.ended: float | None = None

    def dns_queue_begins(self) -> None:
        """Mark the start of the wait for a resolver thread."""
        self.dns_queue_start = self._loop.time()

    def dns_begins(self) -> None:
        """Mark the start of the lookup, on the thread that runs it. The wait for that thread is not part of `dns`."""
        self.dns_start = self._loop.time()

    def dns_ends(self) -> None:
        self.dns_end = self._loop.time()

    async def connect_begins(self) -> None:
        """Wait for a handshake slot; `connect` starts after it."""
        if self._limiter is not None and self._timer is None:
            self._queued = True
            await self._limiter.acquire()
            self._queued = False
            self._timer = self._loop.call_later(HANDSHAKE_HOLD_SECONDS, self.release_slot)
        self.connect_start, self.connected = self._loop.time(), None

    def tls_begins(self) -> None:
        self.tls_start, self.tls_end = self._loop.time(), None

    def tls_ends(self, certificate: PeerCertificate | None) -> None:
        self.tls_end, self.certificate = self._loop.time(), certificate
        self.release_slot()

    def tls_fails(self, refused_issuer: str | None) -> None:
        self.refused_issuer = refused_issuer
        self.release_slot()

    def release_slot(self) -> None:
        """Release the handshake slot if this exchange still holds it."""
        if self._timer is not None and self._limiter is not None:
            self._timer.cancel()
            self._timer = None
            self._limiter.release()

    def request_sent(self) -> None:
        """Mark that a connection is open for the request, which is sent now."""
        self.sent, self._first_byte = self._loop.time(), None
        if self.connected is None:
            self.connected = self.sent

    def bytes_sent(self) -> None:
        if self._first_byte is None:
            self._last_byte = self._loop.time()

    def data_read(self) -> None:
        if self._first_byte is None and self.sent is not None:
            self._first_byte = self._loop.time()

    def headers_received(self) -> None:
        self.received = self._loop.time()

    def finish(self) -> None:
        """Mark the end of the exchange, successful or not."""
        self.ended = self._loop.time()
        self.release_slot()

    @property
    def is_reused_connection(self) -> bool:
        """Whether the exchange began no connection of its own."""
        return self.connect_start is None and self.dns_queue_start is None

    @property
    def has_response_bytes(self) -> bool:
        """Whether a byte of the response arrived."""
        return self._first_byte is not None or self.received is not None

    @property
    def is_pool_exhaustion(self) -> bool:
        """Whether this process delayed the exchange: no handshake slot or no thread.

        It is True if the exchange still waits for one, or if the wait for a thread exceeded the time left for the lookup.
        A timeout is then the exporter's own and no fault of the network.
        """
        if self._queued:
            return True
        if self.dns_queue_start is None or self.dns_end is not None:
            return False
        return self.dns_start is None or self.dns_start - self.dns_queue_start > self._now() - self.dns_start

    @property
    def reached(self) -> Phase | None:
        """The last phase that began."""
        if self.received is not None:
            return Phase.TRANSFER
        if self.sent is not None or self.tls_end is not None:
            return Phase.WAIT
        if self.tls_start is not None:
            return Phase.TLS
        if self.connect_start is not None:
            return Phase.CONNECT
        return Phase.DNS if self.dns_start is not None else None

    def phases(self) -> dict[Phase, float]:
        """Return the seconds of each phase; an unfinished phase lasts until now."""
        connected = self.tls_start if self.tls_start is not None else self.connected
        requested = self.sent if self.sent is None or self._last_byte is None else self._last_byte
        # Incomplete headers belong to `wait`.
        responded = self.received if self.received is None or self._first_byte is None else self._first_byte
        spans = (
            (Phase.DNS, self.dns_start, self.dns_end),
            (Phase.CONNECT, self.connect_start, connected),
            (Phase.TLS, self.tls_start, self.tls_end),
            (Phase.WAIT, requested, responded),
            (Phase.TRANSFER, responded, self.ended),
        )
        reached, found = self.reached, {}
        for phase, start, end in spans:
            stop = self._now() if end is None and phase is reached else end
            if start is not None and stop is not None:
                found[phase] = max(0.0, stop - start)
        return found

    def _now(self) -> float:
        return self._loop.time() if self.ended is None else self.ended


CURRENT: ContextVar[ExchangeTimer | None] = ContextVar("ekm_exchange", default=None)


def current() -> ExchangeTimer:
    """Return the timer of this task's exchange; an unused one outside of an exchange."""
    return CURRENT.get() or ExchangeTimer()


# What reports to the timer of an exchange. `SSLContext.sslobject_class` and aiohttp's `socket_factory` are documented extension points: asyncio runs the handshake through
# an object of this module. An event loop that bypasses the socket's methods, as on Windows, reports no sent bytes. The later
# mark is used then.

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
        """Read as `ssl.SSLObject` does and mark the data. Raises as the base class does, and TooMuchReceivedError."""
        data = super().read(len, buffer)
        if data and self._connection is not None:  # nothing is read at the end of the stream
            # With a buffer, the base class returns the number of bytes.
            self._connection.data_read(_size(data) if buffer is None else int(data))
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
            self.connection.plain_read(data)
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

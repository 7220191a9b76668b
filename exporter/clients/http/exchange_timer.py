"""The timer of one exchange: times of DNS, connect, TLS, wait and transfer.

`Resolver` marks `dns`, `TimedSSLObject` marks `connect`, `tls` and `transfer`, and `TimedSocket` the start of `wait`. Without
their marks, those of `TimedConnector` and of a middleware are used. A context variable holds the timer of the exchange under
way. A connection lives longer than an exchange: its `ConnectionState` holds the timer instead.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from contextvars import ContextVar
from typing import Protocol

from exporter.core.model import PeerCertificate, Phase

# A handshake that takes longer waits for the network, not for this host's processor, and releases its slot.
HANDSHAKE_HOLD_SECONDS = 0.25


# A response with a body of the largest size needs less. More is a flood, which would delay other probes while it is parsed.
MOST_RECEIVED_BYTES = 1280 * 1024


class TooMuchReceivedError(OSError):
    """An exchange received more bytes than any response has.

    It is an OSError: asyncio then closes the connection without a log line.
    """


class HandshakeLimiter(Protocol):
    """A limit of concurrent handshakes, such as an `asyncio.Semaphore`.

    Handshakes use the processor of this host.
    """

    async def acquire(self) -> object: ...

    def release(self) -> None: ...


class ConnectionState:
    """The sockets of one probe to one host, and the timer of the exchange under way.

    Exchanges follow one another on the same connection.
    """

    __slots__ = ("_received", "sockets", "timer")

    def __init__(self) -> None:
        self.timer: ExchangeTimer | None = None  # of the exchange under way
        self.sockets: list[socket.socket] = []  # every socket of the probe, open or closed
        self._received = 0  # bytes since the exchange began

    def exchange_begins(self, timer: ExchangeTimer) -> None:
        self.timer, self._received = timer, 0

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
        """Mark the start of the lookup, on the thread that runs it.

        The wait for that thread is not part of `dns`.
        """
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

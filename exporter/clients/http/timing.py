"""The marks of one exchange: when the name was resolved, the connection made, TLS agreed, the answer begun and ended.

`dns` is marked by our resolver (aiohttp reports none for a proxy's name), `connect` and `tls` by our `ssl.SSLObject`, `wait` and
`transfer` by our socket and, where it noted nothing, by aiohttp's tracing and a middleware. A context variable names the exchange
to all of them but the connection, which outlives it: its `ConnectionState` knows which exchange is under way.
Not for: judging what the marks mean (see `faults`).
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from contextvars import ContextVar
from types import SimpleNamespace
from typing import Protocol

import aiohttp

from exporter.core.model import PeerCertificate, Phase

# A handshake that takes longer waits for the network, not for our processor, and lets the next one go.
HANDSHAKE_HOLD_SECONDS = 0.25


class HandshakeLimiter(Protocol):
    """Bounds the handshakes in flight, whose cost is our processor's; an `asyncio.Semaphore` will do."""

    async def acquire(self) -> object: ...

    def release(self) -> None: ...


class ConnectionState:
    """The connection of one probe to one host, over which one exchange after another goes."""

    __slots__ = ("_came", "_time", "sockets", "timer")

    def __init__(self) -> None:
        self.timer: ExchangeTimer | None = None  # of the exchange under way
        self.sockets: list[socket.socket] = []  # all that were made for it, open or not
        self._time = asyncio.get_running_loop().time
        self._came: float | None = None  # the last bytes, whatever they were

    def bytes_sent(self) -> None:
        if self.timer is not None:
            self.timer.bytes_sent(self._time())

    def bytes_received(self) -> None:
        self._came = self._time()

    def shut_down(self) -> None:
        """End the connections from below: the event loop then sees an end of file, and lets go of each."""
        for each in self.sockets:
            with contextlib.suppress(OSError):  # closed already, or never connected
                each.shutdown(socket.SHUT_RDWR)

    def data_read(self) -> None:
        """The bytes that came last were no handshake, nor a ticket for the next one."""
        if self.timer is not None and self._came is not None:
            self.timer.data_received(self._came)


class ExchangeTimer:
    """The marks of one exchange, in the loop's time (seconds). None: not reached."""

    __slots__ = (
        "_first_byte",
        "_gate",
        "_last_byte",
        "_loop",
        "_queued",
        "_timer",
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
        "sent",
        "tls_end",
        "tls_start",
    )

    def __init__(self, gate: HandshakeLimiter | None = None, connection: ConnectionState | None = None) -> None:
        self._loop = asyncio.get_running_loop()
        self._gate = gate
        self.connection = connection
        self._timer: asyncio.TimerHandle | None = None  # set while a place among the handshakes is held
        self.endpoint: str | None = None  # host:port of the last request
        self.hop_is_address = False  # then aiohttp never asks the resolver
        self._queued = False  # waits for a place among the handshakes
        self.certificate: PeerCertificate | None = None
        self.dns_queue_start: float | None = None
        self.dns_start: float | None = None
        self.dns_end: float | None = None
        self.connect_start: float | None = None
        self.tls_start: float | None = None
        self.tls_end: float | None = None
        self.connected: float | None = None
        self.sent: float | None = None
        # Nearer to the wire than the two around them; unknown without TLS, and where the event loop goes past our socket.
        self._last_byte: float | None = None  # of the request
        self._first_byte: float | None = None  # of the answer
        self.received: float | None = None
        self.ended: float | None = None

    def dns_queue_begins(self) -> None:
        """The resolver asked for a thread."""
        self.dns_queue_start = self._loop.time()

    def dns_begins(self) -> None:
        """Called on the thread that does the look-up: waiting for the thread is not part of `dns`."""
        self.dns_start = self._loop.time()

    def dns_ends(self) -> None:
        self.dns_end = self._loop.time()

    async def connect_begins(self) -> None:
        """Waits for a place among the handshakes in flight; `connect` starts after that."""
        if self._gate is not None and self._timer is None:
            self._queued = True
            await self._gate.acquire()
            self._queued = False
            self._timer = self._loop.call_later(HANDSHAKE_HOLD_SECONDS, self.release_slot)
        self.connect_start = self._loop.time()

    def tls_begins(self) -> None:
        self.tls_start, self.tls_end = self._loop.time(), None

    def tls_ends(self, certificate: PeerCertificate | None) -> None:
        self.tls_end, self.certificate = self._loop.time(), certificate
        self.release_slot()

    def release_slot(self) -> None:
        """Give back the place among the handshakes, if it is still held."""
        if self._timer is not None and self._gate is not None:
            self._timer.cancel()
            self._timer = None
            self._gate.release()

    def connection_made(self) -> None:
        self.connected = self._loop.time()

    def request_sent(self) -> None:
        self.sent, self._first_byte = self._loop.time(), None

    def bytes_sent(self, at: float) -> None:
        if self._first_byte is None:
            self._last_byte = at

    def data_received(self, at: float) -> None:
        if self._first_byte is None and self.sent is not None:
            self._first_byte = at

    def headers_received(self) -> None:
        self.received = self._loop.time()

    def finish(self) -> None:
        """The exchange is over, well or not."""
        self.ended = self._loop.time()
        self.release_slot()

    @property
    def is_pool_exhaustion(self) -> bool:
        """Whether it waits for a place or a thread of ours, or did so for longer than the look-up then had.

        A time-out then is nobody else's fault.
        """
        if self._queued:
            return True
        if self.dns_queue_start is None or self.dns_end is not None:
            return False
        return self.dns_start is None or self.dns_start - self.dns_queue_start > self._now() - self.dns_start

    @property
    def reached(self) -> Phase | None:
        """The phase that was entered last."""
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
        """Seconds of each phase; the one that was cut lasts until the cut, or until now."""
        connected = self.tls_start if self.tls_start is not None else self.connected
        asked = self.sent if self.sent is None or self._last_byte is None else self._last_byte
        # An answer that has begun and whose headers never end is still waited for.
        answered = self.received if self.received is None or self._first_byte is None else self._first_byte
        spans = (
            (Phase.DNS, self.dns_start, self.dns_end),
            (Phase.CONNECT, self.connect_start, connected),
            (Phase.TLS, self.tls_start, self.tls_end),
            (Phase.WAIT, asked, answered),
            (Phase.TRANSFER, answered, self.ended),
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
    """The exchange of this task; one that nobody reads where there is none."""
    return CURRENT.get() or ExchangeTimer()


async def _on_connection_create_start(_session: object, _context: SimpleNamespace, _params: object) -> None:
    timer = current()
    if timer.hop_is_address:
        await timer.connect_begins()


async def _on_connection_create_end(_session: object, _context: SimpleNamespace, _params: object) -> None:
    current().connection_made()


async def _on_request_headers_sent(_session: object, _context: SimpleNamespace, _params: object) -> None:
    current().request_sent()


def _trace_config() -> aiohttp.TraceConfig:
    config = aiohttp.TraceConfig()
    config.on_connection_create_start.append(_on_connection_create_start)
    config.on_connection_create_end.append(_on_connection_create_end)
    config.on_request_headers_sent.append(_on_request_headers_sent)
    config.freeze()
    return config


TRACE = _trace_config()

"""One client's connection: its time limits and size limits.

A client that only holds a connection is cut, so that probes keep their sockets and their share of the event loop.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from exporter.web.server.client_source import source_of
from exporter.web.server.known_addresses import KnownAddresses

# For the header of a request, from the connection or from its first byte.
HEADER_SECONDS = 10.0
# Between two requests: longer than a usual scrape interval.
IDLE_SECONDS = 75.0
# Time for the HTTP protocol to close an idle connection before it is cut.
_SLACK_SECONDS = 5.0
# For a client that does not read its response.
WRITE_SECONDS = 30.0
# Bytes above the system's buffer at which a response waits for its client.
_UNSENT_BYTES = 1  # at 0, TLS would never resume writing
# Request line, header and body of one request.
MOST_BYTES = 32 * 1024

_TOO_LARGE = b"HTTP/1.1 431 Request Header Fields Too Large\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"

Speak = Callable[[], asyncio.Protocol]
Vet = Callable[[asyncio.Transport], bool]


class Connection(asyncio.Protocol):
    """A layer between a transport and its HTTP protocol that enforces the time limits."""

    def __init__(
        self,
        speak: Speak,
        *,
        address: str,
        vet: Vet,
        on_end: Callable[[Connection], None],
        may_begin: Callable[[Connection], bool] = lambda _connection: True,
        known: KnownAddresses | None = None,
    ) -> None:
        """`speak` makes the HTTP protocol after `vet` has accepted the client."""
        self._known = KnownAddresses() if known is None else known
        self._speak = speak
        self._inner: asyncio.Protocol | None = None
        self._vet = vet
        self._on_end = on_end
        self._may_begin = may_begin
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._deadline: asyncio.TimerHandle | None = None
        self._unread: asyncio.TimerHandle | None = None
        self._received = 0
        self._fresh = True  # no byte of the next request has arrived
        self.address = source_of(address)
        self.busy = False
        self.served = False
        self.trusted = False  # the client has presented a valid password or certificate
        self.since = self._loop.time()
        self.pending: asyncio.Task[None] | None = None  # the task that sets the connection up, with its TLS handshake

    def cut(self) -> None:
        """Abort the connection at once."""
        if self._transport is not None:
            self._transport.abort()
        elif self.pending is not None:
            self.pending.cancel()

    def share(self, most: int) -> int:
        """Return how many of `most` places are kept for the client's address."""
        return self._known.share_of(self.address, most)

    def become_known(self) -> None:
        """Record that the client has completed a scrape or a login."""
        self._known.add(self.address)

    @property
    def stalled_seconds(self) -> float:
        """Seconds since the client stopped reading its response; 0 if it reads."""
        return 0.0 if self._unread is None else WRITE_SECONDS - (self._unread.when() - self._loop.time())

    def begin(self) -> bool:
        """Mark a complete request as in work.

        Return False if the address has too many of them.
        """
        self.busy = True
        self._keep_time(None)
        return self._may_begin(self)

    def end(self) -> None:
        """Mark the request as done."""
        self.busy, self.served, self._fresh, self._received = False, True, True, 0
        self.since = self._loop.time()
        self._keep_time(IDLE_SECONDS + _SLACK_SECONDS)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)  # noqa: S101 - stream transports are always of this type
        self._transport = transport
        if not self._vet(transport):
            transport.abort()
            return
        self._inner = self._speak()
        self._keep_time(HEADER_SECONDS)
        self._inner.connection_made(transport)
        transport.set_write_buffer_limits(high=_UNSENT_BYTES, low=0)  # last, because TLS may pause writing at once

    def connection_lost(self, error: Exception | None) -> None:
        self._keep_time(None)
        self._stop_unread_timer()
        self._on_end(self)
        self._transport = None  # breaks a reference cycle that holds a quarter of a megabyte of TLS buffers
        if self._inner is not None:
            self._inner.connection_lost(error)

    def data_received(self, data: bytes) -> None:
        if self._inner is None or self._transport is None:
            return
        self._received += len(data)
        if self._received > MOST_BYTES:
            self._refuse(self._transport)
            return
        if self._fresh and self.served and not self.busy:
            self._keep_time(HEADER_SECONDS)
        self._fresh = False
        self._inner.data_received(data)

    def eof_received(self) -> bool | None:
        return None if self._inner is None else self._inner.eof_received()

    def pause_writing(self) -> None:
        if self._unread is None:
            self._unread = self._loop.call_later(WRITE_SECONDS, self.cut)
        if self._inner is not None:
            self._inner.pause_writing()

    def resume_writing(self) -> None:
        self._stop_unread_timer()
        if self._inner is not None:
            self._inner.resume_writing()

    def _stop_unread_timer(self) -> None:
        if self._unread is not None:
            self._unread.cancel()
            self._unread = None

    def _refuse(self, transport: asyncio.Transport) -> None:
        if self.busy or transport.get_write_buffer_size():
            transport.abort()
        elif not transport.is_closing():
            transport.write(_TOO_LARGE)
            transport.close()

    def _keep_time(self, seconds: float | None) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
        self._deadline = None if seconds is None else self._loop.call_later(seconds, self.cut)


def connection_of(transport: asyncio.BaseTransport | None) -> Connection | None:
    """Return the connection of a transport; None in a server without time limits."""
    protocol = transport.get_protocol() if transport is not None else None
    return protocol if isinstance(protocol, Connection) else None

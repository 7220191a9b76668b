"""One client's connection: how long it may wait, how much it may send, how long it may leave an answer lying.

For: cutting off those who only hold a place, and a limit on places, so that probes keep their sockets and their turn.
Not for: HTTP, which the protocol behind it speaks, or TLS.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from exporter.web.client_source import source_of

# To send the first request, and any later one once it has begun.
HEADER_SECONDS = 10.0
# Between two requests: longer than a usual scrape interval.
IDLE_SECONDS = 75.0
# For the protocol behind to close an idle connection politely, before it is cut.
_SLACK_SECONDS = 5.0
# To read on, once so much of an answer lies unread that no more of it can be sent.
WRITE_SECONDS = 30.0
# Bytes beyond what the system has taken, from which on an answer waits for its client.
_UNSENT_BYTES = 1  # TLS never stops waiting at 0
# Request line, header and body of one request.
MOST_BYTES = 32 * 1024
# At once: of all clients, of those that wait for or send a request, and of these from one address. A connection that is being
# answered counts towards the first and the last: a Prometheus that scrapes `/probe` for thousands of targets may have hundreds.
MOST_CONNECTIONS = 2048
MOST_WAITING = 128  # half a megabyte each where TLS is spoken
MOST_WAITING_OF_ONE_ADDRESS = 64
MOST_BUSY_OF_ONE_ADDRESS = 512
_KNOWN_ADDRESSES = 256  # addresses that have shown a right password or certificate

_TOO_LARGE = b"HTTP/1.1 431 Request Header Fields Too Large\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"

Speak = Callable[[], asyncio.Protocol]
Vet = Callable[[asyncio.Transport], bool]


class Connection(asyncio.Protocol):
    """Stands between a transport and the protocol that speaks HTTP on it, and keeps the time."""

    def __init__(
        self,
        speak: Speak,
        *,
        address: str,
        vet: Vet,
        on_end: Callable[[Connection], None],
        may_begin: Callable[[Connection], bool] = lambda _connection: True,
    ) -> None:
        """`speak` makes the protocol behind, once `vet` has found nothing against the client."""
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
        self._fresh = True  # nothing of the request that is waited for has come
        self.address = source_of(address)
        self.busy = False
        self.served = False
        self.trusted = False  # the client has shown a right password or certificate
        self.since = self._loop.time()
        self.pending: asyncio.Task[None] | None = None  # what brings the connection about: a TLS handshake

    def cut(self) -> None:
        """End it at once, whatever it was doing."""
        if self._transport is not None:
            self._transport.abort()
        elif self.pending is not None:
            self.pending.cancel()

    @property
    def stalled_seconds(self) -> float:
        """How long the client has not read its answer; 0 if it reads."""
        return 0.0 if self._unread is None else WRITE_SECONDS - (self._unread.when() - self._loop.time())

    def begin(self) -> bool:
        """A whole request has come: its handler keeps the time now. False if the address has too many busy connections."""
        self.busy = True
        self._keep_time(None)
        return self._may_begin(self)

    def end(self) -> None:
        """The handler is through."""
        self.busy, self.served, self._fresh, self._received = False, True, True, 0
        self.since = self._loop.time()
        self._keep_time(IDLE_SECONDS + _SLACK_SECONDS)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)  # noqa: S101 - streams have no other kind
        self._transport = transport
        if not self._vet(transport):
            transport.abort()
            return
        self._inner = self._speak()
        self._keep_time(HEADER_SECONDS)
        self._inner.connection_made(transport)
        transport.set_write_buffer_limits(high=_UNSENT_BYTES, low=0)  # TLS may pause writing at once

    def connection_lost(self, error: Exception | None) -> None:
        self._keep_time(None)
        self.resume_writing(tell=False)
        self._on_end(self)
        self._transport = None  # a circle, in which TLS keeps a quarter of a megabyte until somebody collects it
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

    def resume_writing(self, *, tell: bool = True) -> None:
        if self._unread is not None:
            self._unread.cancel()
            self._unread = None
        if tell and self._inner is not None:
            self._inner.resume_writing()

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
    """The connection that a transport belongs to; None in a server that keeps no time."""
    protocol = transport.get_protocol() if transport is not None else None
    return protocol if isinstance(protocol, Connection) else None


@dataclass(slots=True)
class ConnectionLimiter:
    """Who is connected. Where no place is left, a newcomer gets that of the client who has waited longest without a request."""

    most: int = MOST_CONNECTIONS
    most_waiting: int = MOST_WAITING
    most_waiting_of_one: int = MOST_WAITING_OF_ONE_ADDRESS
    most_busy_of_one: int = MOST_BUSY_OF_ONE_ADDRESS
    _known: OrderedDict[str, None] = field(default_factory=OrderedDict)
    _taken: dict[str, dict[Connection, None]] = field(default_factory=dict)
    _count: int = 0

    def __len__(self) -> int:
        return self._count

    def take(self, connection: Connection) -> bool:
        """False where every place is taken by somebody who is being answered."""
        self._cut_down(_waiting(self._taken.get(connection.address, ())), self.most_waiting_of_one - 1)
        waiting = _waiting(self.all())
        self._cut_down(waiting, min(self.most_waiting, self.most - self._count + len(waiting)) - 1)
        if self._count >= self.most:
            return False
        self._taken.setdefault(connection.address, {})[connection] = None
        self._count += 1
        return True

    def may_begin(self, connection: Connection) -> bool:
        """Whether one more connection of its address may be busy: half of all places are kept for other addresses."""
        busy = sum(each.busy for each in self._taken.get(connection.address, ()))
        return busy <= max(1, min(self.most_busy_of_one, self.most // 2))

    def give_back(self, connection: Connection) -> None:
        """May be called more than once."""
        own = self._taken.get(connection.address, {})
        if connection in own:
            if connection.trusted:
                self._remember(connection.address)
            del own[connection]
            self._count -= 1
            if not own:
                del self._taken[connection.address]

    def all(self) -> list[Connection]:
        return [connection for own in self._taken.values() for connection in own]

    def _remember(self, address: str) -> None:
        self._known[address] = None
        self._known.move_to_end(address)
        if len(self._known) > _KNOWN_ADDRESSES:
            self._known.popitem(last=False)

    def _cut_down(self, waiting: list[Connection], most: int) -> None:
        """Cut those that have waited longest until so many are left.

        Clients of unknown addresses go first, and among them those that have never asked for anything.
        """
        excess = len(waiting) - max(0, most)
        if excess <= 0:
            return
        waiting.sort(key=lambda each: (each.trusted or each.address in self._known, each.served, each.since))
        for connection in waiting[:excess]:
            self.give_back(connection)
            connection.cut()


def _waiting(connections: Iterable[Connection]) -> list[Connection]:
    return [connection for connection in connections if not connection.busy]

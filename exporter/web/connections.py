"""Connections of clients: their time limits, size limits and number, and which client loses its place to another one.

A client that only holds a connection is cut, so that probes keep their sockets and their share of the event loop. Limits and counts
are per source (`source_of`); logs show the address. An address is known after a scrape or a login. A known address has a share of
the connections and of the unfinished responses. While it uses less, its client replaces one of an address that uses more than its
own share. So a flood from any number of strangers cannot shut a known client out.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable, Iterable
from ipaddress import IPv6Address, ip_address

from exporter.runtime.loop import loop_time

MOST_KNOWN = 32  # addresses; so few that every one can have its share
KNOWN_SECONDS = 15 * 60.0  # after the last scrape or login; longer than any usual scrape interval


class KnownAddresses:
    """Sources of addresses, see `source_of`. Use it from one event loop."""

    def __init__(self) -> None:
        self._last: dict[str, float] = {}  # time of the last scrape or login

    def __contains__(self, address: str) -> bool:
        return address in self._last and loop_time() - self._last[address] <= KNOWN_SECONDS

    def add(self, address: str) -> None:
        """Add an address or renew it.

        A full table accepts no other address until one of its own is old, so that strangers displace no known address.
        """
        if len(self._last) >= MOST_KNOWN and address not in self._last:
            self._last = {each: at for each, at in self._last.items() if each in self}
        if len(self._last) < MOST_KNOWN or address in self._last:
            self._last[address] = loop_time()

    def share_of(self, address: str, most: int) -> int:
        """Return how many of `most` places are kept for an address; 0 for a stranger."""
        return max(1, most // MOST_KNOWN) if address in self else 0


def source_of(address: str) -> str:
    """Return an IPv4 address unchanged, and the /64 network of an IPv6 address, whose client can use any address of it."""
    try:
        found = ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if not isinstance(found, IPv6Address):
        return address
    return f"{int(found) >> 64:x}::" if found.ipv4_mapped is None else str(found.ipv4_mapped)


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


class Connection(asyncio.Protocol):
    """A layer between a transport and its HTTP protocol that enforces the time limits."""

    def __init__(
        self,
        speak: Callable[[], asyncio.Protocol],
        *,
        address: str,
        vet: Callable[[asyncio.Transport], bool],
        limiter: ConnectionLimiter,
    ) -> None:
        """`speak` makes the HTTP protocol after `vet` has accepted the client."""
        self._speak, self._vet, self._limiter = speak, vet, limiter
        self._inner = asyncio.Protocol()  # ignores everything until there is the HTTP protocol
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._limits: dict[str, asyncio.TimerHandle] = {}  # each cuts the client
        self._received = 0
        self._fresh = True  # no byte of the next request has arrived
        self.address = source_of(address)
        self.busy = self.served = False
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
        return self._limiter.known.share_of(self.address, most)

    def become_known(self) -> None:
        """Record that the client has completed a scrape or a login."""
        self._limiter.known.add(self.address)

    @property
    def stalled_seconds(self) -> float:
        """Seconds since the client stopped reading its response; 0 if it reads."""
        limit = self._limits.get("unread")
        return 0.0 if limit is None else WRITE_SECONDS - (limit.when() - self._loop.time())

    def begin(self) -> bool:
        """Mark a complete request as in work. Return False if the address has too many of them."""
        self.busy = True
        self._limit("silent", None)
        return self._limiter.may_begin(self)

    def end(self) -> None:
        """Mark the request as done."""
        self.busy, self.served, self._fresh, self._received = False, True, True, 0
        self.since = self._loop.time()
        self._limit("silent", IDLE_SECONDS + _SLACK_SECONDS)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)  # noqa: S101 - stream transports are always of this type
        self._transport = transport
        if not self._vet(transport):
            transport.abort()
            return
        self._inner = self._speak()
        self._limit("silent", HEADER_SECONDS)
        self._inner.connection_made(transport)
        transport.set_write_buffer_limits(high=_UNSENT_BYTES, low=0)  # last, because TLS may pause writing at once

    def connection_lost(self, error: Exception | None) -> None:
        self._limit("silent", None)
        self._limit("unread", None)
        self._limiter.give_back(self)
        self._transport = None  # breaks a reference cycle that holds a quarter of a megabyte of TLS buffers
        self._inner.connection_lost(error)

    def data_received(self, data: bytes) -> None:
        self._received += len(data)
        if self._received > MOST_BYTES:
            self._refuse()
            return
        if self._fresh and self.served and not self.busy:
            self._limit("silent", HEADER_SECONDS)
        self._fresh = False
        self._inner.data_received(data)

    def eof_received(self) -> bool | None:
        return self._inner.eof_received()

    def pause_writing(self) -> None:
        if "unread" not in self._limits:
            self._limit("unread", WRITE_SECONDS)
        self._inner.pause_writing()

    def resume_writing(self) -> None:
        self._limit("unread", None)
        self._inner.resume_writing()

    def _refuse(self) -> None:
        transport = self._transport
        if transport is None or self.busy or transport.get_write_buffer_size():
            self.cut()
        elif not transport.is_closing():
            transport.write(_TOO_LARGE)
            transport.close()

    def _limit(self, what: str, seconds: float | None) -> None:
        """Cut the client after so many seconds, in place of the earlier limit of this name; None: no limit."""
        if (earlier := self._limits.pop(what, None)) is not None:
            earlier.cancel()
        if seconds is not None:
            self._limits[what] = self._loop.call_later(seconds, self.cut)


def connection_of(transport: asyncio.BaseTransport | None) -> Connection | None:
    """Return the connection of a transport; None in a server without time limits."""
    protocol = transport.get_protocol() if transport is not None else None
    return protocol if isinstance(protocol, Connection) else None


# Simultaneous connections: all, those that wait for or send a request, those per address, and busy ones per address. A Prometheus
# that scrapes `/probe` for thousands of targets can have hundreds of busy ones.
MOST_CONNECTIONS = 2048
MOST_WAITING = 128  # half a megabyte each with TLS
MOST_WAITING_OF_ONE_ADDRESS = 64
MOST_BUSY_OF_ONE_ADDRESS = 512
MAX_UNFINISHED = 40  # as node_exporter's --web.max-requests
# A client that has not read for this time loses its place to any other client.
STALLED_SECONDS = 5.0


class HeldConnections:
    """The connections that have one of `most` places. Use it from one event loop."""

    def __init__(self, most: int) -> None:
        self.most = most
        self._taken: defaultdict[str, dict[Connection, None]] = defaultdict(dict)  # by address

    def __len__(self) -> int:
        return sum(map(len, self._taken.values()))

    def all(self) -> list[Connection]:
        return [connection for own in self._taken.values() for connection in own]

    def give_back(self, connection: Connection) -> None:
        """Free the place, if any; a second call has no effect."""
        self._taken[connection.address].pop(connection, None)
        if not self._taken[connection.address]:
            del self._taken[connection.address]

    def _excess(self, connection: Connection) -> int:
        """Return how many places its address has above the share that is kept for it."""
        return len(self._taken.get(connection.address, ())) - connection.share(self.most)

    def _make_room(self, may_be_cut: Callable[[Connection], bool]) -> bool:
        """Cut a client of the address with the most places above its share.

        The client that has not read for the longest time goes first, else the newest one.
        """
        found = [each for each in reversed(self.all()) if may_be_cut(each)]
        if found:
            self._cut(max(found, key=lambda each: (self._excess(each), each.stalled_seconds)))
        return bool(found)

    def _cut(self, connection: Connection) -> None:
        self.give_back(connection)
        connection.cut()


class UnfinishedResponses(HeldConnections):
    """The responses that are being made or sent: `--web.max-requests`; 0 sets no limit.

    An address that has more places than others gives one to a client of another address. A known address has a place at any time.
    """

    def take(self, connection: Connection) -> bool:
        """Take a place; return False if none is free and none can be freed."""
        own, is_owed = len(self._taken.get(connection.address, ())), self._excess(connection) < 0

        def may_be_cut(each: Connection) -> bool:
            has_more = len(self._taken[each.address]) > own + 1
            return has_more or each.stalled_seconds > STALLED_SECONDS or (is_owed and self._excess(each) > 0)

        is_free = not self.most or len(self) < self.most or self._make_room(may_be_cut)
        if is_free:
            self._taken[connection.address][connection] = None
        return is_free


class ConnectionLimiter(HeldConnections):
    """The open connections. At the limit, a new client replaces the one that has waited longest."""

    def __init__(
        self,
        most: int = MOST_CONNECTIONS,
        *,
        most_waiting: int = MOST_WAITING,
        most_waiting_of_one: int = MOST_WAITING_OF_ONE_ADDRESS,
        most_busy_of_one: int = MOST_BUSY_OF_ONE_ADDRESS,
    ) -> None:
        super().__init__(most)
        self._most_waiting, self._most_waiting_of_one = most_waiting, most_waiting_of_one
        self._most_busy_of_one = most_busy_of_one
        self.known = KnownAddresses()

    def take(self, connection: Connection) -> bool:
        """Add a connection; return False if all others are busy and none of them yields.

        A busy connection yields only to a known address below its share.
        """
        self._cut_down(self._taken.get(connection.address, ()), self._most_waiting_of_one - 1)
        busy = sum(each.busy for each in self.all())
        self._cut_down(self.all(), min(self._most_waiting, self.most - busy) - 1)
        is_owed = self._excess(connection) < 0
        is_free = len(self) < self.most or (is_owed and self._make_room(lambda each: self._excess(each) > 0))
        if is_free:
            self._taken[connection.address][connection] = None
        return is_free

    def may_begin(self, connection: Connection) -> bool:
        """Whether its address may have one more busy connection. Half of all places remain for others."""
        busy = sum(each.busy for each in self._taken.get(connection.address, ()))
        return busy <= max(1, min(self._most_busy_of_one, self.most // 2))

    def _cut_down(self, connections: Iterable[Connection], most: int) -> None:
        """Cut the connections that have waited longest until `most` are left of those that wait.

        Strangers go first, and among them clients that have never sent a request.
        """
        waiting = [each for each in connections if not each.busy]
        waiting.sort(key=lambda each: (each.trusted or each.address in self.known, each.served, each.since))
        for connection in waiting[: max(0, len(waiting) - max(0, most))]:
            self._cut(connection)

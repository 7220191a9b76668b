"""The limits on connections and on unfinished responses, and which client loses its place to another one."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable

from exporter.web.server.connections import Connection
from exporter.web.server.known_addresses import KnownAddresses

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
        self._taken: dict[str, dict[Connection, None]] = {}  # by address
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def all(self) -> list[Connection]:
        return [connection for own in self._taken.values() for connection in own]

    def give_back(self, connection: Connection) -> None:
        """Free the place, if any; a second call has no effect."""
        own = self._taken.get(connection.address, {})
        if connection in own:
            del own[connection]
            self._count -= 1
            if not own:
                del self._taken[connection.address]

    def _add(self, connection: Connection) -> None:
        own = self._taken.setdefault(connection.address, {})
        self._count += connection not in own
        own[connection] = None

    def _connections_of(self, address: str) -> Collection[Connection]:
        return self._taken.get(address, ())

    def _excess(self, connection: Connection) -> int:
        """Return how many places its address has above the share that is kept for it."""
        return len(self._connections_of(connection.address)) - connection.share(self.most)

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
        own, is_owed = len(self._connections_of(connection.address)), self._excess(connection) < 0

        def may_be_cut(each: Connection) -> bool:
            has_more = len(self._connections_of(each.address)) > own + 1
            return has_more or each.stalled_seconds > STALLED_SECONDS or (is_owed and self._excess(each) > 0)

        if self.most and len(self) >= self.most and not self._make_room(may_be_cut):
            return False
        self._add(connection)
        return True


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
        self._cut_down(_waiting(self._connections_of(connection.address)), self._most_waiting_of_one - 1)
        waiting = _waiting(self.all())
        self._cut_down(waiting, min(self._most_waiting, self.most - len(self) + len(waiting)) - 1)
        is_owed = self._excess(connection) < 0
        if len(self) >= self.most and not (is_owed and self._make_room(lambda each: self._excess(each) > 0)):
            return False
        self._add(connection)
        return True

    def may_begin(self, connection: Connection) -> bool:
        """Whether its address may have one more busy connection.

        Half of all places remain for others.
        """
        busy = sum(each.busy for each in self._connections_of(connection.address))
        return busy <= max(1, min(self._most_busy_of_one, self.most // 2))

    def _cut_down(self, waiting: list[Connection], most: int) -> None:
        """Cut the connections that have waited longest until `most` are left.

        Strangers go first, and among them clients that have never sent a request.
        """
        waiting.sort(key=lambda each: (each.trusted or each.address in self.known, each.served, each.since))
        for connection in waiting[: max(0, len(waiting) - max(0, most))]:
            self._cut(connection)


def _waiting(connections: Iterable[Connection]) -> list[Connection]:
    return [connection for connection in connections if not connection.busy]

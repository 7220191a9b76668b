"""The limits on simultaneous connections, and which connection yields to a new one."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from exporter.web.server.connections import Connection
from exporter.web.server.known_addresses import KnownAddresses

# Simultaneous connections: all, those that wait for or send a request, those per address, and busy ones per address. A Prometheus
# that scrapes `/probe` for thousands of targets can have hundreds of busy ones.
MOST_CONNECTIONS = 2048
MOST_WAITING = 128  # half a megabyte each with TLS
MOST_WAITING_OF_ONE_ADDRESS = 64
MOST_BUSY_OF_ONE_ADDRESS = 512


@dataclass(slots=True)
class ConnectionLimiter:
    """The open connections.

    At the limit, a new client replaces the one that has waited longest.
    """

    most: int = MOST_CONNECTIONS
    most_waiting: int = MOST_WAITING
    most_waiting_of_one: int = MOST_WAITING_OF_ONE_ADDRESS
    most_busy_of_one: int = MOST_BUSY_OF_ONE_ADDRESS
    known: KnownAddresses = field(default_factory=KnownAddresses)
    _taken: dict[str, dict[Connection, None]] = field(default_factory=dict)
    _count: int = 0

    def __len__(self) -> int:
        return self._count

    def take(self, connection: Connection) -> bool:
        """Add a connection; return False if all others are busy and none of them yields."""
        self._cut_down(_waiting(self._taken.get(connection.address, ())), self.most_waiting_of_one - 1)
        waiting = _waiting(self.all())
        self._cut_down(waiting, min(self.most_waiting, self.most - self._count + len(waiting)) - 1)
        if self._count >= self.most and not self._make_room(connection.address):
            return False
        self._taken.setdefault(connection.address, {})[connection] = None
        self._count += 1
        return True

    def may_begin(self, connection: Connection) -> bool:
        """Whether its address may have one more busy connection.

        Half of all places remain for others.
        """
        busy = sum(each.busy for each in self._taken.get(connection.address, ()))
        return busy <= max(1, min(self.most_busy_of_one, self.most // 2))

    def give_back(self, connection: Connection) -> None:
        """Remove a connection; a second call has no effect."""
        own = self._taken.get(connection.address, {})
        if connection in own:
            del own[connection]
            self._count -= 1
            if not own:
                del self._taken[connection.address]

    def all(self) -> list[Connection]:
        return [connection for own in self._taken.values() for connection in own]

    def _make_room(self, address: str) -> bool:
        """Cut a busy connection for a known address below its share.

        The address that exceeds its own share the most loses its longest stalled connection, else its newest one.
        """
        if len(self._taken.get(address, ())) >= self.known.share_of(address, self.most):
            return False
        excess = {each: len(own) - self.known.share_of(each, self.most) for each, own in self._taken.items()}
        greediest = max(excess, key=excess.__getitem__)
        if excess[greediest] <= 0:
            return False
        self._cut(max(reversed(self._taken[greediest]), key=lambda each: each.stalled_seconds))
        return True

    def _cut_down(self, waiting: list[Connection], most: int) -> None:
        """Cut the connections that have waited longest until `most` are left.

        Strangers go first, and among them clients that have never sent a request.
        """
        excess = len(waiting) - max(0, most)
        if excess <= 0:
            return
        waiting.sort(key=lambda each: (each.trusted or each.address in self.known, each.served, each.since))
        for connection in waiting[:excess]:
            self._cut(connection)

    def _cut(self, connection: Connection) -> None:
        self.give_back(connection)
        connection.cut()


def _waiting(connections: Iterable[Connection]) -> list[Connection]:
    return [connection for connection in connections if not connection.busy]

"""The limit on unfinished responses: `--web.max-requests`.

An unfinished response is being made or sent. A client that stops reading keeps its place only until another client needs it. An
address that has more places than others gives one to a client of another address. A known address has a place at any time.
"""

from __future__ import annotations

from collections import Counter

from exporter.web.server.connections import Connection

MAX_UNFINISHED = 40  # as node_exporter's --web.max-requests
# A client that has not read for this time loses its place to any other client.
STALLED_SECONDS = 5.0


class UnfinishedResponses:
    """At most `most` places; 0 sets no limit. Use it from one event loop."""

    def __init__(self, most: int = MAX_UNFINISHED) -> None:
        self.most = most
        self._open: dict[Connection, None] = {}

    def __len__(self) -> int:
        return len(self._open)

    def take(self, connection: Connection) -> bool:
        """Take a place; return False if none is free and none can be freed."""
        if self.most and len(self._open) >= self.most and not self._make_room(connection):
            return False
        self._open[connection] = None
        return True

    def give_back(self, connection: Connection) -> None:
        """Free the place, if any; a second call has no effect."""
        self._open.pop(connection, None)

    def _make_room(self, connection: Connection) -> bool:
        """Cut a client of the address with the most places above its share.

        The client that has not read for the longest time goes first, else the newest one.
        """
        places = Counter(each.address for each in self._open)
        own = places[connection.address]
        is_owed = own < connection.share(self.most)

        def excess(each: Connection) -> int:
            return places[each.address] - each.share(self.most)

        def may_be_cut(each: Connection) -> bool:
            return places[each.address] > own + 1 or each.stalled_seconds > STALLED_SECONDS or (is_owed and excess(each) > 0)

        found = [each for each in reversed(self._open) if may_be_cut(each)]
        if not found:
            return False
        victim = max(found, key=lambda each: (excess(each), each.stalled_seconds))
        self.give_back(victim)
        victim.cut()
        return True

"""The addresses of known clients: those that completed a scrape or a login.

A known address has a share of the connections and of the unfinished responses. While it uses less, its client replaces one of an
address that uses more than its own share. So a flood from any number of strangers cannot shut a known client out.
"""

from __future__ import annotations

from exporter.runtime.clock import loop_time

MOST_KNOWN = 32  # addresses; so few that every one can have its share
KNOWN_SECONDS = 15 * 60.0  # after the last scrape or login; longer than any usual scrape interval


class KnownAddresses:
    """Sources of addresses, see `client_source`. Use it from one event loop."""

    def __init__(self) -> None:
        self._last: dict[str, float] = {}  # time of the last scrape or login

    def __contains__(self, address: str) -> bool:
        return self._is_recent(self._last.get(address))

    def add(self, address: str) -> None:
        """Add an address or renew it.

        A full table accepts no other address until one of its own is old, so that strangers displace no known address.
        """
        if address not in self._last and len(self._last) >= MOST_KNOWN:
            self._last = {each: at for each, at in self._last.items() if self._is_recent(at)}
            if len(self._last) >= MOST_KNOWN:
                return
        self._last[address] = loop_time()

    def share_of(self, address: str, most: int) -> int:
        """Return how many of `most` places are kept for an address; 0 for a stranger."""
        return max(1, most // MOST_KNOWN) if address in self else 0

    @staticmethod
    def _is_recent(at: float | None) -> bool:
        return at is not None and loop_time() - at <= KNOWN_SECONDS

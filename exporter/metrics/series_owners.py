"""Which targets an owner of shared series (a credential, a vault, an endpoint) still serves.

For: knowing when the last one is gone, so that the owner's series can go too.
Not for: the series themselves (see `exposition`).
"""

from __future__ import annotations

from collections.abc import Iterable

from exporter.metrics.spec import Scope


class SeriesOwners:
    def __init__(self) -> None:
        self._owners: dict[tuple[str, Scope], set[str]] = {}
        self._served: dict[tuple[Scope, str], set[str]] = {}

    def add(self, target: str, scope: Scope, owner: str) -> None:
        self._owners.setdefault((target, scope), set()).add(owner)
        self._served.setdefault((scope, owner), set()).add(target)

    def replace(self, target: str, scope: Scope, owners: Iterable[str]) -> list[str]:
        """Ties the target to these owners of the scope only; returns the owners that serve no target any more."""
        old = self._owners.pop((target, scope), set())
        new = set(owners)
        for owner in new:
            self.add(target, scope, owner)
        return [owner for owner in sorted(old - new) if self._untie(target, scope, owner)]

    def _untie(self, target: str, scope: Scope, owner: str) -> bool:
        served = self._served[scope, owner]
        served.discard(target)
        if served:
            return False
        del self._served[scope, owner]
        return True

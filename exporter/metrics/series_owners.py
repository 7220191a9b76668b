"""Track which targets use a credential, vault or endpoint."""

from __future__ import annotations

from collections.abc import Iterable

from exporter.metrics.spec import SeriesScope


class SeriesOwners:
    def __init__(self) -> None:
        self._owners: dict[tuple[str, SeriesScope], set[str]] = {}
        self._served: dict[tuple[SeriesScope, str], set[str]] = {}

    def add(self, target: str, scope: SeriesScope, owner: str) -> None:
        self._owners.setdefault((target, scope), set()).add(owner)
        self._served.setdefault((scope, owner), set()).add(target)

    def replace(self, target: str, scope: SeriesScope, owners: Iterable[str]) -> list[str]:
        """Replace the owners of a target in one scope; return the owners without a target."""
        old = self._owners.pop((target, scope), set())
        new = set(owners)
        for owner in new:
            self.add(target, scope, owner)
        return [owner for owner in sorted(old - new) if self._untie(target, scope, owner)]

    def _untie(self, target: str, scope: SeriesScope, owner: str) -> bool:
        served = self._served[scope, owner]
        served.discard(target)
        if served:
            return False
        del self._served[scope, owner]
        return True

"""Track which targets use a credential, vault or endpoint."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from exporter.metrics.spec import SeriesScope


class SeriesOwners:
    def __init__(self) -> None:
        self._owners: dict[tuple[str, SeriesScope], tuple[str, ...]] = {}
        self._targets = Counter[tuple[SeriesScope, str]]()

    def add(self, target: str, scope: SeriesScope, owner: str) -> None:
        owners = self._owners.get((target, scope), ())
        if owner not in owners:
            self._owners[target, scope] = (*owners, owner)
            self._targets[scope, owner] += 1

    def replace(self, target: str, scope: SeriesScope, owners: Iterable[str]) -> list[str]:
        """Replace the owners of a target in one scope; return the owners without a target."""
        old = self._owners.pop((target, scope), ())
        for owner in owners:
            self.add(target, scope, owner)
        for owner in old:
            self._targets[scope, owner] -= 1
        unused = sorted(owner for owner in old if not self._targets[scope, owner])
        for owner in unused:
            del self._targets[scope, owner]
        return unused

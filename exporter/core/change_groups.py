"""Groups of changes: those of one kind that began together are one, such as 40 vaults behind one changed firewall."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from exporter.core.common_causes import TOGETHER_SECONDS

C = TypeVar("C")  # a change


@dataclass(slots=True)
class ChangeGroup(Generic[C]):
    """Changes of one kind. `newest` is the last one, `oldest` the Unix time of the first; `targets` are the newest first."""

    newest: C
    oldest: float
    targets: dict[str, C] = field(default_factory=dict)


class ChangeGroups(Generic[C]):
    """Groups changes that are added with the newest first, at most `most` groups."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._open: dict[Hashable, ChangeGroup[C]] = {}
        self.groups: list[ChangeGroup[C]] = []

    def add(self, kind: Hashable, at: float, target: str, change: C) -> bool:
        """Add a change at a Unix time; return whether an older one could still belong to a group.

        A change belongs to the group of its kind whose last one began at most `TOGETHER_SECONDS` later.
        """
        group = self._open.get(kind)
        if group is None or group.oldest - at > TOGETHER_SECONDS:
            if len(self.groups) == self._most:
                return any(each.oldest - at <= TOGETHER_SECONDS for each in self._open.values())
            group = self._open[kind] = ChangeGroup(change, at)
            self.groups.append(group)
        group.oldest = at
        group.targets.setdefault(target, change)
        return True

"""The last changes over all targets: what belongs together is one, with the vaults and SQL Servers behind it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from heapq import heapify, heappop, heapreplace
from itertools import islice

from exporter.core.change_groups import ChangeGroup, ChangeGroups
from exporter.core.sql_servers import server_names
from exporter.runtime.slices import yield_with_pauses
from exporter.state.changes import ObservedChange
from exporter.state.records import TargetRecord

MOST_CHANGES = 20_000  # that are read for one list
_PER_SLICE = 100  # targets or changes between two turns of other tasks
_Heap = list[tuple[float, str, list[ObservedChange]]]  # by the negative time of the newest change of each target


@dataclass(frozen=True, slots=True)
class RecentChange:
    """Changes that belong together, the number of their vaults, and that of their SQL Servers."""

    group: ChangeGroup[ObservedChange]
    vaults: int
    servers: int


async def recent_changes(records: Iterable[TargetRecord | None], *, most: int) -> list[RecentChange]:
    """Return at most `most` groups of changes, the newest first, and let other tasks run in between."""
    heap, known, groups = _Heap(), dict[str, TargetRecord](), ChangeGroups[ObservedChange](most)
    async for record in yield_with_pauses(records, _PER_SLICE):
        if record is not None and record.changes:
            known[record.target.name] = record
            changes = list(record.changes)  # the newest are taken off below
            heap.append((-changes[-1].at, record.target.name, changes))
    heapify(heap)
    async for name, change in yield_with_pauses(islice(_newest_first(heap), MOST_CHANGES), _PER_SLICE):
        if not groups.add(change.kind, change.at, name, change):
            break
    return [await _counted(group, known) for group in groups.groups]


def _newest_first(heap: _Heap) -> Iterator[tuple[str, ObservedChange]]:
    while heap:
        _, name, changes = heap[0]
        yield name, changes.pop()
        if changes:
            heapreplace(heap, (-changes[-1].at, name, changes))
        else:
            heappop(heap)


async def _counted(group: ChangeGroup[ObservedChange], known: dict[str, TargetRecord]) -> RecentChange:
    vaults, servers = set[str](), set[str]()
    async for name in yield_with_pauses(group.targets, _PER_SLICE):
        target = known[name].target
        vaults.add(target.vault)
        servers.update(server_names(target.instances))
    return RecentChange(group, len(vaults), len(servers))

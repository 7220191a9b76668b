"""Causes of failures, and the last changes, with the targets and SQL Servers behind each: what the status page and the metrics show."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from heapq import heapify, heappop, heapreplace
from itertools import islice
from operator import itemgetter
from typing import NamedTuple
from urllib.parse import urlsplit

from exporter.config.settings import Module, Target
from exporter.core.names import server_names
from exporter.core.values import Step
from exporter.knowledge.causes import (
    Began,
    Cause,
    CauseFinder,
    ChangeGroup,
    ChangeGroups,
    Failed,
    incident_id,
    incidents,
    nearest_incident,
)
from exporter.knowledge.reason_row import Link
from exporter.knowledge.report import ProbeReport
from exporter.runtime.loop import yield_with_pauses
from exporter.state.record import Ended, ObservedChange, TargetRecord, beginning_of, failed_probe, readiness_at, unsteady_at

MOST_CAUSES = 100  # that metrics and JSON have
TARGETS_PER_SLICE = 50  # targets between two turns of other tasks: about a millisecond
CAUSES_PER_SLICE = 50


class Linked(NamedTuple):
    """A target, the names of its links, and its failure, if any."""

    target: Target
    names: Mapping[Link, str]
    failed: Failed | None


@dataclass(slots=True)
class CauseGroup:
    """A cause, its targets, and the SQL Servers and availability groups that depend on them.

    `parts` holds the first target of each vault behind each broken link. `beginnings` are Unix times, those of its failures. `began` is
    the first of them, and whether it was only seen then. `unsteady` are the targets of the same incident that are ready now, if others
    are not. `of_incident` is the id of an incident of several causes.
    """

    cause: Cause
    began: tuple[float, bool]
    targets: list[str] = field(default_factory=list)
    parts: dict[tuple[str, str], str] = field(default_factory=dict)
    servers: dict[str, str] = field(default_factory=dict)
    at_risk: set[str] = field(default_factory=set)  # SQL Servers of targets that are not ready; a target that names none is one
    availability_groups: set[str] = field(default_factory=set)
    urgent: tuple[bool, bool, bool, str] | tuple[()] = ()
    beginnings: list[float] = field(default_factory=list)
    last: float = 0.0
    interval: float = 0.0  # the longest one of its targets, in seconds
    unsteady: list[str] = field(default_factory=list)
    of_incident: str = ""

    def add(self, target: Target, failed: Failed) -> None:
        """Add one target: a fleet adds thousands, in slices."""
        servers, is_other = server_names(target.instances), failed.reason is not self.cause.reason
        order = (not failed.not_ready, is_other, failed.unsteady, target.name)
        self.targets.append(target.name)
        self.parts.setdefault((failed.names.get(self.cause.link, ""), target.vault), target.name)
        self.servers.update(servers)
        self.at_risk.update((servers or (f"target {target.name}",)) if failed.not_ready else ())
        self.availability_groups.update(each["ag"] for each in target.instances if "ag" in each)
        self.began, self.last = min(self.began, (failed.since, failed.is_first_seen)), max(self.last, failed.since)
        self.beginnings.append(failed.since)
        self.interval = max(self.interval, target.interval)
        self.urgent = min(self.urgent or order, order)

    def absorb(self, other: CauseGroup) -> None:
        """Add another cause of the same incident. Of an unsteady one, a cause that is broken now has the names of the targets only."""
        if other.cause.unsteady and not self.cause.unsteady:
            self.unsteady += other.targets
            return
        self.targets += other.targets
        for part, target in other.parts.items():
            self.parts.setdefault(part, target)
        self.servers.update(other.servers)
        self.at_risk |= other.at_risk
        self.availability_groups |= other.availability_groups
        self.began, self.last = min(self.began, other.began), max(self.last, other.last)
        self.urgent = min(self.urgent, other.urgent)

    @property
    def since(self) -> float:
        """Unix time at which the first of its failures began."""
        return self.began[0]

    @property
    def is_first_seen(self) -> bool:
        """Whether the first of its failures may be older than `since`."""
        return self.began[1]

    @property
    def id(self) -> str:
        """Text of the query parameter `cause`."""
        return self.of_incident or self.cause.id

    @property
    def links(self) -> list[str]:
        """The names of the broken links, such as the vaults of a cause of several."""
        return list(dict.fromkeys(name for name, _ in self.parts))

    @property
    def first(self) -> str:
        """The most urgent target, if possible with the reason of the cause."""
        return self.urgent[-1] if self.urgent else ""

    @property
    def order(self) -> tuple[object, ...]:
        """Sort by most SQL Servers at risk, then what cannot be undone, then the oldest.

        Unsteady targets are ready, so they are last.
        """
        is_irreversible = self.cause.reason is not None and self.cause.reason.row.is_irreversible
        return -len(self.at_risk), self.cause.unsteady, not is_irreversible, self.since


async def cause_groups(targets: Iterable[Linked], within: Callable[[str], bool] | None = None) -> list[CauseGroup]:
    """Return the causes in the order of their urgency, with the targets that are `within` a filter by their name.

    All targets show what a cause is, also those outside the filter. Other tasks run in between.
    """
    every, failing = CauseFinder(), list[tuple[Target, Failed]]()
    async for target, names, failed in yield_with_pauses(targets, TARGETS_PER_SLICE):
        every.add(target.name, names, failed)
        if failed is not None and (within is None or within(target.name)):
            failing.append((target, failed))
    causes = await asyncio.to_thread(every.find) if failing else {}  # tens of milliseconds for thousands of failures
    groups = dict[Cause, CauseGroup]()
    async for target, failed in yield_with_pauses(failing, TARGETS_PER_SLICE):
        cause = causes[target.name]
        groups.setdefault(cause, CauseGroup(cause, (failed.since, failed.is_first_seen))).add(target, failed)
    return sorted(groups.values(), key=lambda group: group.order)


async def incident_groups(groups: Sequence[CauseGroup]) -> list[CauseGroup]:
    """Return the incidents of the causes in the order of their urgency: of several causes, a group of all their targets.

    Other tasks run in between.
    """
    alike = await asyncio.to_thread(_alike, groups) if groups else []
    found = list[tuple[tuple[object, ...], CauseGroup]]()
    async for several in yield_with_pauses(alike, CAUSES_PER_SLICE):
        incident = await _incident(several)
        found.append((incident.order, incident))
    return [incident for _, incident in sorted(found, key=itemgetter(0))]


def _alike(groups: Sequence[CauseGroup]) -> list[list[CauseGroup]]:
    of_cause = {group.cause: group for group in groups}
    began = (Began(group.cause, group.beginnings, group.interval) for group in groups)
    return [[of_cause[each.cause] for each in several] for several in incidents(began)]


async def _incident(groups: Sequence[CauseGroup]) -> CauseGroup:
    if len(groups) == 1:
        return groups[0]
    cause = groups[0].cause
    names = {group.cause.name for group in groups if group.cause.unsteady is cause.unsteady}
    whole = CauseGroup(replace(cause, name=cause.name if len(names) == 1 else ""), groups[0].began, last=groups[0].last)
    whole.urgent = groups[0].urgent
    async for group in yield_with_pauses(groups, CAUSES_PER_SLICE):
        whole.absorb(group)
    whole.of_incident = incident_id(whole.cause, whole.since)
    return whole


def chosen_groups(groups: Sequence[CauseGroup], incidents: Sequence[CauseGroup], cause: str) -> list[CauseGroup]:
    """Return the incident or the cause with this id; for the id of an incident that changed, the nearest one."""
    exact = [group for group in (*incidents, *groups) if group.id == cause][:1]
    if exact:
        return exact
    nearest = nearest_incident(cause, ((group.cause, group.since) for group in incidents))
    return [group for group in incidents if incident_id(group.cause, group.since) == nearest]


def linked(target: Target, module: Module, record: TargetRecord | None, now: float) -> Linked:
    """Return a target with its links and its failure at `now`, a Unix time; an unsteady one has its most frequent failure."""
    report = None if record is None else record.last
    names, unsteady, failed = links_of(target, module, record, report), unsteady_at(record, now), None
    step, _, reason = failed_probe(report) if unsteady is None else unsteady.most
    if record is not None and report is not None and step is not None:
        since, is_first_seen = beginning_of(record, report.started_at, unsteady=unsteady is not None)
        failed = Failed(
            step=step,
            reason=reason,
            names=names,
            since=since,
            is_first_seen=is_first_seen,
            not_ready=readiness_at(target, record, now).ready is False,
            unsteady=unsteady is not None,
        )
    return Linked(target, names, failed)


def ended_link(target: Target, module: Module, record: TargetRecord | None, ended: Ended | None) -> Linked:
    """Return a target with its links and the failure that has ended, if any."""
    names = links_of(target, module, record, None if record is None else record.last)
    failed = None if ended is None else Failed(step=ended.step, reason=ended.reason, names=names, since=ended.began)
    return Linked(target, names, failed)


def links_of(target: Target, module: Module, record: TargetRecord | None, report: ProbeReport | None) -> dict[Link, str]:
    """Return the name of each link of a target. Without a proxy, or while the region is unknown, that link is missing."""
    token = None if report is None else report.step(Step.TOKEN)
    host = None if token is None or token.facts is None else token.facts.endpoint
    names = {
        Link.HOST: "",
        Link.PROXY: None if module.proxy is None else _place(module.proxy.url),
        Link.ENTRA: host.removesuffix(":443") if host else _place(module.authority_host or ""),
        Link.REGION: None if record is None else record.region,
        Link.CREDENTIAL: target.credential,
        Link.VAULT: target.vault,
        Link.KEY: f"{target.vault}/{target.key}",
    }
    return {link: name for link, name in names.items() if name is not None}


def _place(url: str) -> str:
    """Return host and port of a URL, without user and password."""
    return urlsplit(url).netloc.rpartition("@")[2]


# The last changes over all targets: what belongs together is one, with the vaults and SQL Servers behind it.

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

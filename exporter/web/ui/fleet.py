"""All targets of a page: the matching ones in order, counts, and causes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import IntEnum
from itertools import chain
from operator import itemgetter

from exporter.presentation.sql_causes import SqlCause, closed_behind, sql_causes
from exporter.presentation.sql_proofs import SqlProofs
from exporter.runtime.slices import yield_with_pauses
from exporter.state.cause_groups import (
    TARGETS_PER_SLICE,
    CauseGroup,
    cause_groups,
    chosen_groups,
    ended_link,
    incident_groups,
    linked,
)
from exporter.web.ui.query import TargetQuery, key_of, matcher, verdict_matcher
from exporter.web.ui.view_models import TargetView, Urgency

MOST_LABELS = 200


class HeadlineState(IntEnum):
    """What a headline counts, the most urgent first: a SQL Server has the first state of its targets."""

    NOT_READY = 0
    UNKNOWN = 1
    UNSTEADY = 2
    OTHER = 3


_STATES = {Urgency.NOT_READY: HeadlineState.NOT_READY, Urgency.UNKNOWN: HeadlineState.UNKNOWN}


@dataclass(frozen=True, slots=True, kw_only=True)
class HeadlineCounts:
    """How many targets or SQL Servers there are, and how many of them are in a state that a headline names."""

    total: int
    not_ready: int
    unknown: int
    unsteady: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Fleet:
    """The listed views in order, and counts and causes of all views within the scope of the query."""

    shown: list[TargetView]
    counts: Mapping[Urgency, int]
    codes: Mapping[int, int]  # targets by the code of their first failure
    labels: list[str]  # NAME=VALUE, the first `MOST_LABELS` in order
    label_names: list[str]  # of targets and their SQL Servers, at most `MOST_LABELS`
    causes: list[CauseGroup]  # incidents, or the chosen one
    ended: list[CauseGroup]  # incidents of the last hour that are over
    has_ended: bool  # the chosen cause: everything is as without the choice
    own: list[SqlCause]  # of SQL Servers themselves
    views: Mapping[str, TargetView]  # of all targets, by name
    scope: Collection[str]  # names of targets
    waiting: int  # targets without a finished probe
    lost: Sequence[float]  # of each target that is not measured, the share of the time that this host lost
    targets: HeadlineCounts
    servers: HeadlineCounts  # that the configuration names, each with the most urgent state of its targets

    @property
    def total(self) -> int:
        return len(self.views)


@dataclass(slots=True)
class _Counts:
    """What is counted of each view: suggestions for the filter of all, states of those within the scope."""

    codes: Counter[int] = field(default_factory=Counter)
    labels: set[str] = field(default_factory=set)
    names: set[str] = field(default_factory=set)
    urgencies: Counter[Urgency] = field(default_factory=Counter)
    targets: Counter[HeadlineState] = field(default_factory=Counter)
    servers: dict[str, HeadlineState] = field(default_factory=dict)
    waiting: int = 0
    lost: list[float] = field(default_factory=list)

    def suggest(self, view: TargetView) -> None:
        self.codes.update([view.failure.code] if view.failure is not None and view.failure.code is not None else ())
        self.labels.update(f"{name}={value}" for name, value in view.target.labels.items())
        self.names.update(view.target.labels, *view.target.instances)

    def add(self, view: TargetView) -> None:
        self.urgencies[view.urgency] += 1
        self.waiting += view.report is None and view.readiness.stolen is None
        if view.readiness.stolen is not None:
            self.lost.append(view.readiness.stolen)
        state = HeadlineState.UNSTEADY if view.unsteady is not None else _STATES.get(view.urgency, HeadlineState.OTHER)
        self.targets[state] += 1
        self.servers.update((server, min(self.servers.get(server, state), state)) for server in view.servers)


async def fleet(views: Iterable[TargetView], query: TargetQuery, proofs: SqlProofs) -> Fleet:
    """Filter and sort the views, and let other tasks run in between."""
    counts, matches = _Counts(), matcher(query)
    every, within = dict[str, TargetView](), dict[str, TargetView]()
    async for each in yield_with_pauses(views, TARGETS_PER_SLICE):
        every[each.target.name] = each
        counts.suggest(each)
        if matches(each):
            within[each.target.name] = each
            counts.add(each)
    groups = await cause_groups(
        (linked(each.target, each.module, each.record, each.now) for each in every.values()), within.__contains__
    )
    causes = await incident_groups(groups)
    own = await _add_own_causes(within, proofs, all_servers=not query.scope)
    every.update(within)
    causes.sort(key=lambda group: not any(every[name].closed for name in group.targets))  # those with closed databases first
    chosen = chosen_groups(groups, causes, query.cause)
    itself = [each for each in own if each.id == query.cause]
    is_chosen = bool(chosen or itself)
    is_listed, order = verdict_matcher(query), key_of(query)
    found = (within[name] for name in (_targets_of(chosen, itself) if is_chosen else within))
    listed = [(order(each), each) async for each in yield_with_pauses(found, TARGETS_PER_SLICE) if is_listed(each)]
    return Fleet(
        shown=[each for _, each in sorted(listed, key=itemgetter(0))],
        counts=counts.urgencies,
        codes=counts.codes,
        labels=sorted(counts.labels)[:MOST_LABELS],
        label_names=sorted(counts.names)[:MOST_LABELS],
        causes=chosen if is_chosen else causes,
        ended=await _ended(every, within),
        has_ended=bool(query.cause) and not is_chosen,
        own=own,
        views=every,
        scope=within.keys(),
        waiting=counts.waiting,
        lost=counts.lost,
        targets=_headline_counts(counts.targets),
        servers=_headline_counts(Counter(counts.servers.values())),
    )


async def _ended(every: Mapping[str, TargetView], within: Collection[str]) -> list[CauseGroup]:
    """Return the incidents that ended within the last hour, the latest first."""
    if not [view async for view in yield_with_pauses(every.values(), TARGETS_PER_SLICE) if view.ended is not None]:
        return []
    links = (ended_link(each.target, each.module, each.record, each.ended) for each in every.values())
    found = await incident_groups(await cause_groups(links, within.__contains__))
    return sorted(found, key=lambda group: over_since(group, every), reverse=True)


def over_since(group: CauseGroup, views: Mapping[str, TargetView]) -> float:
    """Return the Unix time at which the last failure of an ended incident was over."""
    return max(view.ended.at for name in group.targets if (view := views[name]).ended is not None)


async def _add_own_causes(views: dict[str, TargetView], proofs: SqlProofs, *, all_servers: bool) -> list[SqlCause]:
    """Return the causes of SQL Servers themselves, and show each one in the views of its targets."""
    verdicts = ((each.target, each.readiness.ready, each.record) for each in views.values())
    causes = await sql_causes(verdicts, proofs, all_servers=all_servers)
    async for name, server in yield_with_pauses((each for cause in causes for each in cause.targets.items()), TARGETS_PER_SLICE):
        views[name] = replace(views[name], own=(*views[name].own, server))
    views_now = ((each.target, each.readiness.ready, each.record) for each in tuple(views.values()))
    for name, closed in (await closed_behind(views_now, proofs)).items():
        views[name] = replace(views[name], closed=closed)
    return causes


def _targets_of(causes: Iterable[CauseGroup], own: Iterable[SqlCause]) -> Iterable[str]:
    """Return the names of the targets behind the causes."""
    return chain(*(each.targets for each in causes), *(each.targets for each in own))


def _headline_counts(states: Counter[HeadlineState]) -> HeadlineCounts:
    return HeadlineCounts(
        total=states.total(),
        not_ready=states[HeadlineState.NOT_READY],
        unknown=states[HeadlineState.UNKNOWN],
        unsteady=states[HeadlineState.UNSTEADY],
    )

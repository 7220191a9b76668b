"""All targets of a page: the matching ones in order, counts, and causes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from enum import IntEnum
from operator import itemgetter
from typing import Any

from exporter.presentation.sql_causes import SqlCause, sql_causes
from exporter.presentation.sql_proofs import SqlProofs
from exporter.runtime.slices import yield_with_pauses
from exporter.state.cause_groups import TARGETS_PER_SLICE, CauseGroup, cause_groups, linked
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
    """The matching views in order, and counts over all targets."""

    shown: list[TargetView]
    counts: Mapping[Urgency, int]
    codes: Mapping[int, int]  # targets by the code of their first failure
    labels: list[str]  # NAME=VALUE, the first `MOST_LABELS` in order
    label_names: list[str]  # of targets and their SQL Servers, at most `MOST_LABELS`
    causes: list[CauseGroup]
    own: list[SqlCause]  # of SQL Servers themselves
    views: Mapping[str, TargetView]  # of all targets, by name
    targets: HeadlineCounts
    servers: HeadlineCounts  # that the configuration names, each with the most urgent state of its targets

    @property
    def total(self) -> int:
        return self.targets.total


async def fleet(
    views: Iterable[TargetView],
    matches: Callable[[TargetView], bool],
    order: Callable[[TargetView], tuple[Any, ...]],
    proofs: SqlProofs,
    *,
    cause: str = "",
) -> Fleet:
    """Filter and sort the views, and let other tasks run in between; `cause` is an id or empty."""
    counts, codes = Counter[Urgency](), Counter[int]()
    labels, names = set[str](), set[str]()
    targets, servers = Counter[HeadlineState](), dict[str, HeadlineState]()
    every = dict[str, TargetView]()
    async for each in yield_with_pauses(views, TARGETS_PER_SLICE):
        every[each.target.name] = each
        counts[each.urgency] += 1
        codes.update([each.failure.code] if each.failure is not None and each.failure.code is not None else ())
        labels.update(f"{name}={value}" for name, value in each.target.labels.items())
        names.update(each.target.labels, *each.target.instances)
        state = HeadlineState.UNSTEADY if each.unsteady is not None else _STATES.get(each.urgency, HeadlineState.OTHER)
        targets[state] += 1
        servers.update((server, min(servers.get(server, state), state)) for server in each.servers)
    causes = await cause_groups(linked(each.target, each.module, each.record, each.now) for each in every.values())
    own = await _add_own_causes(every, proofs)
    members = {group.cause.id: group.targets for group in causes} | {found.id: [*found.targets] for found in own}
    behind = (every[name] for name in members.get(cause, ())) if cause else every.values()
    chosen = [(order(each), each) async for each in yield_with_pauses(behind, TARGETS_PER_SLICE) if matches(each)]
    return Fleet(
        shown=[each for _, each in sorted(chosen, key=itemgetter(0))],
        counts=counts,
        codes=codes,
        labels=sorted(labels)[:MOST_LABELS],
        label_names=sorted(names)[:MOST_LABELS],
        causes=causes,
        own=own,
        views=every,
        targets=_headline_counts(targets),
        servers=_headline_counts(Counter(servers.values())),
    )


async def _add_own_causes(views: dict[str, TargetView], proofs: SqlProofs) -> list[SqlCause]:
    """Return the causes of SQL Servers themselves, and show each one in the views of its targets."""
    causes = await sql_causes(((each.target, each.readiness.ready) for each in views.values()), proofs)
    async for name, server in yield_with_pauses((each for cause in causes for each in cause.targets.items()), TARGETS_PER_SLICE):
        views[name] = replace(views[name], own=(*views[name].own, server))
    return causes


def _headline_counts(states: Counter[HeadlineState]) -> HeadlineCounts:
    return HeadlineCounts(
        total=states.total(),
        not_ready=states[HeadlineState.NOT_READY],
        unknown=states[HeadlineState.UNKNOWN],
        unsteady=states[HeadlineState.UNSTEADY],
    )

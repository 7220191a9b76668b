"""All targets of a page: the matching ones in order, counts, and causes; and the query of `/targets` and of the status page.

Parameters are `q`, `verdict`, `code`, `cause`, `label`, `sort` and `page`, and `causes=all` of the status page. An invalid value is
ignored or matches nothing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import IntEnum, StrEnum
from functools import partial
from itertools import chain
from operator import itemgetter
from typing import Any

from exporter.config.settings import Target
from exporter.explain.explanation import LONGEST
from exporter.explain.search import explain
from exporter.knowledge.reasons import Reason
from exporter.knowledge.report import StepResult
from exporter.presentation.sql import SqlCause, SqlProofs, sql_causes, stuck_behind
from exporter.runtime.loop import yield_with_pauses
from exporter.state.causes import TARGETS_PER_SLICE, CauseGroup, cause_groups, chosen_groups, ended_link, incident_groups, linked
from exporter.web.pages.views import TargetView, Urgency

_LONGEST = 200  # characters of a word or label that count
_LIMITS = {"cause": 600, "code": LONGEST}  # a cause has the names of a vault, a key and a reason
_MOST_LABELS = 10  # of a query
MOST_LABELS = 200  # of a page, as suggestions

BY_LABEL = "label:"  # of `sort`, before the label's name

UNSTEADY = "unsteady"
# Values of `verdict`, each with its filter.
VERDICTS: Mapping[str, Callable[[TargetView], bool]] = {
    **{urgency.name.lower(): partial(lambda urgency, view: view.urgency is urgency, urgency) for urgency in Urgency},
    UNSTEADY: lambda view: view.unsteady is not None,
}


class SortOrder(StrEnum):
    """Values of `sort` other than `label:NAME`; equal targets are sorted by name."""

    URGENCY = "urgency"
    NAME = "name"
    VAULT = "vault"
    CODE = "code"
    LAST_PROBE = "last_probe"
    DURATION = "duration"
    EXPIRY = "expiry"


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetQuery:
    """A filter and an order.

    `labels` are `NAME=VALUE` or `NAME`; all must match. `code` is a number, which matches its counterpart too, or a reason. `words` are
    in names, or are a text that the command `explain` takes.
    A non-empty `by_label` takes precedence over `order`.
    """

    words: str = ""
    verdict: str = ""  # a key of `VERDICTS`
    code: str = ""
    cause: str = ""  # id of a cause, see `knowledge.causes.Cause`
    labels: tuple[str, ...] = ()
    order: SortOrder = SortOrder.URGENCY
    by_label: str = ""
    page: int = 1
    all_causes: bool = False  # instead of the first few

    @property
    def everything(self) -> bool:
        return not (self.words or self.code or self.cause or self.labels or self.verdict)

    @property
    def scope(self) -> list[tuple[str, str]]:
        """The parameters that restrict all of a page: headline, counts, causes and expiry dates as well as the list."""
        named = (("q", self.words), ("code", self.code), *(("label", each) for each in self.labels))
        return [pair for pair in named if pair[1]]

    @property
    def sort(self) -> str:
        """The value of the parameter `sort`."""
        return f"{BY_LABEL}{self.by_label}" if self.by_label else self.order.value

    def parameters(self) -> list[tuple[str, str]]:
        """Return the query parameters, without the page and the defaults."""
        named = [("q", self.words), ("verdict", self.verdict), ("code", self.code), ("cause", self.cause)]
        sort = "" if self.sort == SortOrder.URGENCY.value else self.sort
        return [pair for pair in (*named, *(("label", each) for each in self.labels), ("sort", sort)) if pair[1]]

    def and_label(self, label: str) -> TargetQuery:
        return replace(self, labels=tuple(dict.fromkeys((*self.labels, label))), page=1)


def read(query: Iterable[tuple[str, str]], targets: Iterable[Target]) -> TargetQuery:
    """Read a query. The first value of a parameter counts; labels accumulate.

    A sort by a label is ignored unless one of the targets has that label.
    """
    values: dict[str, str] = {}
    labels: dict[str, None] = {}
    for name, value in query:
        text = value.strip()[: _LIMITS.get(name, _LONGEST)]
        if name == "label" and text and len(labels) < _MOST_LABELS:
            labels[text] = None
        values.setdefault(name, text)
    page = values.get("page", "1")
    orders = {order.value: order for order in SortOrder}
    return TargetQuery(
        words=values.get("q", ""),
        verdict=verdict if (verdict := values.get("verdict", "")) in VERDICTS else "",
        code=_short_form(values.get("code", "")),
        cause=values.get("cause", ""),
        labels=tuple(labels),
        order=orders.get(values.get("sort", ""), SortOrder.URGENCY),
        by_label=_label_to_sort_by(values.get("sort", ""), targets),
        page=int(page) if page.isascii() and page.isdigit() and len(page) < 10 else 1,
        all_causes=values.get("causes") == "all",
    )


def matcher(query: TargetQuery) -> Callable[[TargetView], bool]:
    """Return the filter of the scope as a function, prepared once."""
    words, labels = query.words.casefold().split(), [each.partition("=") for each in query.labels]
    by_code, by_words = _failures(query.code), _failures(query.words)

    def matches(view: TargetView) -> bool:
        if query.code and not by_code(view.failure):
            return False
        if not all(_has(view.target, name.strip(), value.strip() if equals else None) for name, equals, value in labels):
            return False
        return not words or _contains(view.target, words) or by_words(view.failure)

    return matches


def _label_to_sort_by(sort: str, targets: Iterable[Target]) -> str:
    """Return the label to sort by; empty if none is requested or no target has it."""
    name = sort.removeprefix(BY_LABEL).strip() if sort.startswith(BY_LABEL) else ""
    return name if name and any(_has(target, name, None) for target in targets) else ""


def _label_key(name: str) -> Callable[[TargetView], tuple[Any, ...]]:
    """Sort by the target's own label, else by the first label of its SQL Servers."""

    def key(view: TargetView) -> tuple[Any, ...]:
        target = view.target
        values = (
            [target.labels[name]] if name in target.labels else sorted(each[name] for each in target.instances if name in each)
        )
        return not values, *values[:1], target.name

    return key


def _urgency(view: TargetView) -> tuple[Any, ...]:
    """Sort failures by their beginning, which later probes do not change: no row moves while a page refreshes."""
    urgency = min(view.urgency, Urgency.FAILING) if view.fails_itself else view.urgency
    since = view.since if view.urgency in (Urgency.NOT_READY, Urgency.FAILING) else None
    return urgency, view.unsteady is None, *_known_first(since, view)


def _known_first(value: float | None, view: TargetView) -> tuple[Any, ...]:
    return value is None, value or 0.0, view.target.name


# Sort keys; unknown values come last.
_KEYS: Mapping[SortOrder, Callable[[TargetView], tuple[Any, ...]]] = {
    SortOrder.URGENCY: _urgency,
    SortOrder.NAME: lambda view: (view.target.name,),
    SortOrder.VAULT: lambda view: (view.target.vault, view.target.name),
    SortOrder.CODE: lambda view: _known_first(view.failure.code if view.failure else None, view),
    SortOrder.LAST_PROBE: lambda view: _known_first(None if view.age is None else -view.age, view),
    SortOrder.DURATION: lambda view: _known_first(-view.report.duration if view.report else None, view),
    SortOrder.EXPIRY: lambda view: _known_first(view.ending.at if view.ending else None, view),
}


def _short_form(text: str) -> str:
    """Return the number or the reason that a text stands for, else the beginning of the text."""
    found = explain(text) if text else None
    if found is not None and found.reason is not None:
        return found.reason.value
    return str(found.rows[0].code) if found is not None and found.rows else text[:_LONGEST]


def _failures(text: str) -> Callable[[StepResult | None], bool]:
    """Return the filter for failures that a code, message, reason or log line stands for."""
    found = explain(text) if text else None
    reason: Reason | None = None if found is None else found.reason
    rows = () if found is None else found.rows
    numbers = {number for row in rows for number in (row.code, row.counterpart) if number is not None}

    def matches(failure: StepResult | None) -> bool:
        if failure is None or found is None:
            return False
        return failure.reason is reason if reason is not None else failure.code in numbers

    return matches


def _has(target: Target, name: str, value: str | None) -> bool:
    """Whether the target or a SQL Server that depends on it has the label."""
    return any(name in labels and value in (None, labels[name]) for labels in (target.labels, *target.instances))


def _contains(target: Target, words: list[str]) -> bool:
    servers = " ".join(value for each in target.instances for value in each.values())
    text = f"{target.name} {target.vault} {target.key} {servers}".casefold()
    return all(word in text for word in words)


class HeadlineState(IntEnum):
    """What a headline counts, the most urgent first: a SQL Server has the first state of its targets."""

    NOT_READY = 0
    UNKNOWN = 1
    UNSTEADY = 2
    OTHER = 3


_STATES = {Urgency.NOT_READY: HeadlineState.NOT_READY, Urgency.UNKNOWN: HeadlineState.UNKNOWN}


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
    targets: Counter[HeadlineState]
    servers: Counter[HeadlineState]  # that the configuration names, each with the most urgent state of its targets

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


async def fleet(views: Iterable[TargetView], query: TargetQuery, proofs: SqlProofs, now: float) -> Fleet:
    """Filter and sort the views at `now`, a Unix time, and let other tasks run in between."""
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
    own = await _add_own_causes(within, proofs, now, all_servers=not query.scope)
    every.update(within)
    causes.sort(key=lambda group: not any(every[name].is_closed for name in group.targets))  # those with closed databases first
    chosen = chosen_groups(groups, causes, query.cause)
    itself = [each for each in own if each.id == query.cause]
    is_chosen = bool(chosen or itself)
    is_listed: Callable[[TargetView], bool] = VERDICTS.get(query.verdict, lambda _: True)
    order = _label_key(query.by_label) if query.by_label else _KEYS[query.order]
    behind = chain(*(each.targets for each in chosen), *(each.targets for each in itself))
    found = (within[name] for name in (behind if is_chosen else within))
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
        targets=counts.targets,
        servers=Counter(counts.servers.values()),
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


async def _add_own_causes(views: dict[str, TargetView], proofs: SqlProofs, now: float, *, all_servers: bool) -> list[SqlCause]:
    """Return the causes of SQL Servers themselves, and show each one in the views of its targets."""
    verdicts = ((each.target, each.readiness.ready, each.record) for each in views.values())
    causes = await sql_causes(verdicts, proofs, all_servers=all_servers)
    async for name, server in yield_with_pauses((each for cause in causes for each in cause.targets.items()), TARGETS_PER_SLICE):
        views[name] = replace(views[name], own=(*views[name].own, server))
    views_now = ((each.target, each.readiness.ready, each.record) for each in tuple(views.values()))
    for name, stuck in (await stuck_behind(views_now, proofs, now)).items():
        views[name] = replace(views[name], stuck=stuck)
    return causes

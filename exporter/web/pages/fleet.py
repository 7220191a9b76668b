"""All targets of a page: the matching ones in order, counts, and causes; and the query of `/targets` and of the status page.

Parameters are `q`, `verdict`, `code`, `cause`, `label`, `sort` and `page`, and `causes=all` of the status page. An invalid value is
ignored or matches nothing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import chain, islice
from operator import itemgetter
from typing import Any

from msgspec import structs

from exporter.config.settings import Target
from exporter.explain.explanation import LONGEST, Explanation
from exporter.explain.search import explain
from exporter.knowledge.report import StepResult
from exporter.knowledge.verdict import State
from exporter.presentation.sql import SqlCause, SqlProofs, sql_causes, stuck_behind
from exporter.runtime.loop import yield_with_pauses
from exporter.state.causes import TARGETS_PER_SLICE, CauseGroup, cause_groups, chosen_groups, ended_link, incident_groups, linked
from exporter.web.pages.views import URGENCY, TargetView

_LONGEST = 200  # characters of a word or label that count
_LIMITS = {"cause": 600, "code": LONGEST}  # a cause has the names of a vault, a key and a reason
_MOST_LABELS = 10  # of a query
MOST_LABELS = 200  # of a page, as suggestions

UNSTEADY = "unsteady"
# Values of `verdict`, each with its filter.
VERDICTS: Mapping[str, Callable[[TargetView], bool]] = {
    **{state.value: partial(lambda state, view: view.state is state, state) for state in State},
    UNSTEADY: lambda view: view.unsteady is not None,
}

SortKey = Callable[[TargetView], tuple[Any, ...]]


def _known_first(value: float | None, view: TargetView) -> tuple[Any, ...]:
    return value is None, value or 0.0, view.target.name


def _urgency(view: TargetView) -> tuple[Any, ...]:
    """Sort failures by their beginning, which later probes do not change: no row moves while a page refreshes."""
    place = min(URGENCY[view.state], URGENCY[State.FAILING] if view.fails_itself else len(URGENCY))
    since = view.since if view.state in (State.NOT_READY, State.FAILING) else None
    return place, view.unsteady is None, *_known_first(since, view)


# Values of `sort` other than `label:NAME`, each with its words and its key. Unknown values come last, equal targets are sorted by name.
BY_URGENCY = "urgency"
BY_LABEL = "label:"  # before the label's name
ORDERS: Mapping[str, tuple[str, SortKey]] = {
    BY_URGENCY: ("most urgent first", _urgency),
    "name": ("name", lambda view: (view.target.name,)),
    "vault": ("vault", lambda view: (view.target.vault, view.target.name)),
    "code": ("code", lambda view: _known_first(view.failure.code if view.failure else None, view)),
    "last_probe": ("longest without a probe", lambda view: _known_first(view.report.started_at if view.report else None, view)),
    "duration": ("slowest probe first", lambda view: _known_first(-view.report.duration if view.report else None, view)),
    "expiry": ("earliest expiry first", lambda view: _known_first(view.ending.at if view.ending else None, view)),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetQuery:
    """A filter and an order.

    `labels` are `NAME=VALUE` or `NAME`; all must match. `code` is a number, which matches its counterpart too, or a reason. `words` are
    in names, or are a text that the command `explain` takes.
    """

    words: str = ""
    verdict: str = ""  # a key of `VERDICTS`
    code: str = ""
    cause: str = ""  # id of a cause, see `knowledge.causes.Cause`
    labels: tuple[str, ...] = ()
    sort: str = BY_URGENCY  # a key of `ORDERS`, or `label:NAME`
    page: int = 1
    all_causes: bool = False  # instead of the first few

    @property
    def everything(self) -> bool:
        return not (self.scope or self.cause or self.verdict)

    @property
    def scope(self) -> list[tuple[str, str]]:
        """The parameters that restrict all of a page: headline, counts, causes and expiry dates as well as the list."""
        return [pair for pair in self.parameters() if pair[0] in ("q", "code", "label")]

    def parameters(self) -> list[tuple[str, str]]:
        """Return the query parameters, without the page and the defaults."""
        named = [("q", self.words), ("verdict", self.verdict), ("code", self.code), ("cause", self.cause)]
        sort = "" if self.sort == BY_URGENCY else self.sort
        return [pair for pair in (*named, *(("label", each) for each in self.labels), ("sort", sort)) if pair[1]]


def read(query: Iterable[tuple[str, str]], targets: Iterable[Target]) -> TargetQuery:
    """Read a query. The first value of a parameter counts; labels accumulate.

    A sort by a label is ignored unless one of the targets has that label.
    """
    pairs = [(name, value.strip()[: _LIMITS.get(name, _LONGEST)]) for name, value in query]
    values, labels = dict(reversed(pairs)), dict.fromkeys(value for name, value in pairs if name == "label" and value)
    code, page, sort = values.get("code", ""), values.get("page", "1"), values.get("sort", "")
    if sort.startswith(BY_LABEL):
        label = sort.removeprefix(BY_LABEL).strip()
        sort = f"{BY_LABEL}{label}" if label and any(_has(target, label, None) for target in targets) else BY_URGENCY
    found = explain(code) if code else None
    if found is not None and (found.reason is not None or found.rows):
        code = str(found.rows[0].code) if found.reason is None else found.reason.value
    return TargetQuery(
        words=values.get("q", ""),
        verdict=verdict if (verdict := values.get("verdict", "")) in VERDICTS else "",
        code=code[:_LONGEST],
        cause=values.get("cause", ""),
        labels=tuple(islice(labels, _MOST_LABELS)),
        sort=sort if sort in ORDERS or sort.startswith(BY_LABEL) else BY_URGENCY,
        page=int(page) if page.isascii() and page.isdigit() and len(page) < 10 else 1,
        all_causes=values.get("causes") == "all",
    )


def matcher(query: TargetQuery) -> Callable[[TargetView], bool]:
    """Return the filter of the scope as a function, prepared once."""
    words, labels = query.words.casefold().split(), [each.partition("=") for each in query.labels]
    by_code, by_words = (explain(text) if text else None for text in (query.code, query.words))

    def matches(view: TargetView) -> bool:
        target = view.target
        if query.code and not _stands_for(by_code, view.failure):
            return False
        if not all(_has(target, name.strip(), value.strip() if equals else None) for name, equals, value in labels):
            return False
        names = (target.name, target.vault, target.key, *chain(*(each.values() for each in target.instances))) if words else ()
        text = " ".join(names).casefold()
        return all(word in text for word in words) or _stands_for(by_words, view.failure)

    return matches


def _stands_for(found: Explanation | None, failure: StepResult | None) -> bool:
    """Whether a code, message, reason or log line stands for a failure."""
    if found is None or failure is None:
        return False
    if found.reason is not None:
        return failure.reason is found.reason
    return failure.code is not None and any(failure.code in (row.code, row.counterpart) for row in found.rows)


def _has(target: Target, name: str, value: str | None) -> bool:
    """Whether the target or a SQL Server that depends on it has the label."""
    return any(name in labels and value in (None, labels[name]) for labels in (target.labels, *target.instances))


def _label_key(name: str) -> SortKey:
    """Sort by the target's own label, else by the first label of its SQL Servers."""

    def key(view: TargetView) -> tuple[Any, ...]:
        target = view.target
        values = sorted(each[name] for each in target.instances if name in each)
        first = target.labels[name] if name in target.labels else values[0] if values else None
        return first is None, first or "", target.name

    return key


# What a headline counts, the most urgent first: a SQL Server has the first state of its targets. All others are one.
HEADLINE: Mapping[str, int] = {State.NOT_READY: 0, State.UNKNOWN: 1, UNSTEADY: 2}


@dataclass(slots=True, kw_only=True)
class Fleet:
    """All targets at `now`, a Unix time: the listed ones in order, and counts and causes of those within the scope of the query."""

    query: TargetQuery
    now: float
    views: dict[str, TargetView] = field(default_factory=dict)  # of all targets, by name
    codes: Counter[int] = field(default_factory=Counter)  # of all targets, by the code of their first failure
    labels: set[tuple[str, str]] = field(default_factory=set)  # name and value, of all targets
    label_names: set[str] = field(default_factory=set)  # of all targets and their SQL Servers
    scope: dict[str, None] = field(default_factory=dict)  # names of targets
    counts: Counter[State] = field(default_factory=Counter)
    targets: Counter[int] = field(default_factory=Counter)  # by `HEADLINE`
    servers: dict[str, int] = field(default_factory=dict)  # that the configuration names, by the name
    waiting: int = 0  # targets without a finished probe
    lost: list[float] = field(
        default_factory=list
    )  # of each target that is not measured, the share of the time that this host lost
    own: list[SqlCause] = field(default_factory=list)  # of SQL Servers themselves
    causes: list[CauseGroup] = field(default_factory=list)  # incidents, or the chosen one
    has_over: bool = False  # whether a failure of a target ended within the last hour
    has_failed: bool = False  # whether a target fails, or comes and goes
    ended: list[CauseGroup] = field(default_factory=list)  # incidents of the last hour that are over
    has_ended: bool = False  # the chosen cause: everything is as without the choice
    shown: list[TargetView] = field(default_factory=list)

    def add(self, view: TargetView, *, is_within: bool) -> None:
        target, failure = view.target, view.failure
        self.views[target.name] = view
        self.has_over = self.has_over or view.ended is not None
        self.has_failed = self.has_failed or failure is not None or view.unsteady is not None
        if failure is not None and failure.code is not None:
            self.codes[failure.code] += 1
        self.labels.update(target.labels.items())
        self.label_names.update(target.labels, *target.instances)
        if not is_within:
            return
        self.scope[target.name] = None
        self.counts[view.state] += 1
        self.waiting += view.report is None and view.readiness.stolen is None
        if view.readiness.stolen is not None:
            self.lost.append(view.readiness.stolen)
        state = HEADLINE.get(UNSTEADY if view.unsteady is not None else view.state, len(HEADLINE))
        self.targets[state] += 1
        self.servers.update({server: min(self.servers.get(server, state), state) for server in view.servers})

    def within(self) -> Iterable[TargetView]:
        return (self.views[name] for name in self.scope)

    async def add_own_causes(self, proofs: SqlProofs) -> None:
        """Add the causes of SQL Servers themselves, and show each one in the views of its targets."""
        verdicts = ((each.target, each.readiness.ready, each.record) for each in self.within())
        self.own = await sql_causes(verdicts, proofs, all_servers=not self.query.scope)
        own = (each for cause in self.own for each in cause.targets.items())
        async for name, server in yield_with_pauses(own, TARGETS_PER_SLICE):
            self.views[name] = structs.replace(self.views[name], own=(*self.views[name].own, server))
        verdicts = ((each.target, each.readiness.ready, each.record) for each in self.within())
        for name, stuck in (await stuck_behind(verdicts, proofs, self.now)).items():
            self.views[name] = structs.replace(self.views[name], stuck=stuck)

    async def add_ended(self) -> None:
        """Add the incidents that ended within the last hour, the latest first."""
        if not self.has_over:
            return
        links = (ended_link(each.target, each.module, each.record, each.ended) for each in self.views.values())
        found = await incident_groups(await cause_groups(links, self.scope.__contains__))
        self.ended = sorted(found, key=self.over_since, reverse=True)

    def over_since(self, group: CauseGroup) -> float:
        """Return the Unix time at which the last failure of an ended incident was over."""
        return max(view.ended.at for name in group.targets if (view := self.views[name]).ended is not None)


async def fleet(views: Iterable[TargetView], query: TargetQuery, proofs: SqlProofs, now: float) -> Fleet:
    """Filter and sort the views at `now`, a Unix time, and let other tasks run in between."""
    found, matches = Fleet(query=query, now=now), matcher(query)
    async for each in yield_with_pauses(views, TARGETS_PER_SLICE):
        found.add(each, is_within=matches(each))
    every = found.views.values()
    # Without a failure there is no cause: thousands of good targets need no look at their links.
    links = (linked(each.target, each.module, each.record, each.now) for each in (every if found.has_failed else ()))
    groups = await cause_groups(links, found.scope.__contains__)
    causes = await incident_groups(groups)
    await found.add_own_causes(proofs)
    causes.sort(
        key=lambda group: not any(found.views[name].is_closed for name in group.targets)
    )  # those with closed databases first
    chosen = chosen_groups(groups, causes, query.cause)
    itself = [each for each in found.own if each.id == query.cause]
    found.causes, names = causes, list(found.scope)
    if chosen or itself:
        found.causes, names = chosen, [*chain(*(each.targets for each in chosen)), *chain(*(each.targets for each in itself))]
    elif query.cause:
        found.has_ended, found.query = True, replace(query, cause="")
    is_listed: Callable[[TargetView], bool] = VERDICTS.get(query.verdict, lambda _: True)
    order = _label_key(query.sort.removeprefix(BY_LABEL)) if query.sort.startswith(BY_LABEL) else ORDERS[query.sort][1]
    candidates = yield_with_pauses((found.views[name] for name in names), TARGETS_PER_SLICE)
    listed = [(order(each), each) async for each in candidates if is_listed(each)]
    found.shown = [each for _, each in sorted(listed, key=itemgetter(0))]
    await found.add_ended()
    return found

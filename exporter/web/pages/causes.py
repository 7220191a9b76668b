"""The causes of failures with the SQL Servers behind each, their tickets, and the chain of a target, as HTML."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import islice
from math import inf
from operator import itemgetter

from exporter.core import counted, durations
from exporter.core.values import Step, Vantage
from exporter.knowledge import advice
from exporter.knowledge.causes import TITLES, Cause, cause_of
from exporter.knowledge.reason_row import Link, sentence
from exporter.knowledge.tickets import TEAM_TITLES, Team
from exporter.knowledge.verdict import FAILURES_OF_UNSTEADY, State
from exporter.presentation.diagnosis import Diagnosis, diagnose
from exporter.presentation.expiries import Ending
from exporter.presentation.sql import SqlCause, SqlProofs, urgency_text
from exporter.presentation.text import VAULTS, vault_actions
from exporter.presentation.ticket import Extent, extent_of, ticket_text
from exporter.runtime.loop import yield_with_pauses
from exporter.runtime.process import computer_name
from exporter.sqlserver.differences import Difference
from exporter.sqlserver.gate.inputs import RestartReadiness
from exporter.sqlserver.instance import few
from exporter.sqlserver.proof import ProofState
from exporter.state.causes import CauseGroup, linked, links_of
from exporter.web.pages.fleet import Fleet
from exporter.web.pages.html import (
    COPY,
    NAMED,
    Child,
    Html,
    Urls,
    brief_code,
    copyable,
    element,
    link,
    named_servers,
    scrollable,
    target_links,
    who_acts,
)
from exporter.web.pages.sql_servers import proof_badge, sql_cause, start_here
from exporter.web.pages.views import URGENCY, TargetView, badge, brief_name, unsteady_badge, when

PER_PAGE = 50
SHOWN = 8  # causes on a page
MOST_SHOWN = 100  # on the page of all causes
OWN_SHOWN = 3  # of the first ones, causes of SQL Servers themselves
_FAILED = "nf"  # letters of failed probes
_OTHER_ACTIONS = "Some targets need another action: their pages show it."
_SHORTEST_RANGE = 60.0  # seconds between the first and the last beginning: a cause without a range
MOST_PARTS = 300  # vaults, keys and credentials of the ticket of a chosen cause
SHARED_PARTS = 100  # of all tickets of a page with several causes, the most urgent first
FEW_PARTS = 10  # of a ticket, whatever the tickets before it have
_PARTS_PER_SLICE = 4  # a quarter of a millisecond each


@dataclass(frozen=True, slots=True, kw_only=True)
class ListPage:
    """The status page, or one page of the list of targets. Pages count from 1; any requested number is valid.

    `notices` are sentences, `log_texts` and `tickets` are by the id of a cause.
    """

    path: str
    fleet: Fleet
    vantage: Vantage
    notices: Sequence[str] = ()
    endings: Sequence[Ending] = ()
    differences: Sequence[Difference] = ()
    restart: Sequence[RestartReadiness] = ()
    log_texts: Mapping[str, str] = field(default_factory=dict)
    tickets: Mapping[str, Child] = field(default_factory=dict)

    @property
    def is_status(self) -> bool:
        return self.path == "/"

    @property
    def count(self) -> int:
        return max(1, -(-len(self.fleet.shown) // PER_PAGE))

    @property
    def number(self) -> int:
        return min(max(self.fleet.query.page, 1), self.count)

    @property
    def causes(self) -> Sequence[CauseGroup]:
        """All causes on the status page, or the chosen one."""
        return self.fleet.causes if self.is_status or self.fleet.query.cause else ()

    @property
    def own(self) -> Sequence[SqlCause]:
        """The causes of SQL Servers themselves: all on the status page, or the chosen one."""
        chosen = self.fleet.query.cause
        return [each for each in self.fleet.own if (chosen == each.id if chosen else self.is_status)]

    @property
    def cards(self) -> Sequence[CauseGroup]:
        """The causes with a card. Those of SQL Servers themselves have a few places of their own: no probe shows them."""
        return self.causes[: MOST_SHOWN if self.fleet.query.all_causes else SHOWN - len(self.own_cards)]

    @property
    def own_cards(self) -> Sequence[SqlCause]:
        return self.own[: MOST_SHOWN if self.fleet.query.all_causes else OWN_SHOWN]


def causes_section(urls: Urls, page: ListPage) -> Iterator[Child]:
    """Yield the causes with their size, age and first action, each card alone: all of them are many."""
    made: list[tuple[float, partial[Html]]] = []
    for group in page.cards:
        is_closed = any(page.fleet.views[name].is_closed for name in group.targets)  # databases of a SQL Server behind it
        made.append((-inf if is_closed else -len(group.at_risk), partial(_cause, urls, group, page, is_closed=is_closed)))
    made += [(each.weight, partial(sql_cause, urls, each, page.fleet.now)) for each in page.own_cards]
    if made:
        yield Html('<ol class="causes" aria-label="Causes">')
        yield from (card() for _, card in sorted(made, key=itemgetter(0)))
        yield Html("</ol>")
    if more := len(page.causes) + len(page.own) - len(made):
        words, query = counted(more, "more cause"), page.fleet.query
        every = urls.to("/", query=[*query.scope, ("causes", "all")])
        yield element("p", f"{words}: their targets are in the list." if query.all_causes else link(every, words))


def _cause(urls: Urls, group: CauseGroup, page: ListPage, *, is_closed: bool) -> Html:
    views = page.fleet.views
    first, log_text = views[group.first], page.log_texts.get(group.id, "")
    code, affected = first.failed.code, group.targets
    diagnosis = first.diagnosis
    if len(affected) <= NAMED:
        affected = sorted(affected, key=lambda name: (URGENCY[views[name].state], name))
    are = "is" if len(group.unsteady) == 1 else "are"
    unsteady = f" {counted(len(group.unsteady), 'further target')} {are} unsteady, and ready now."
    # What fails if only wrap does; the headline has what fails if a vault is not ready.
    advised = None if diagnosis is None else diagnosis.advice()
    what = advised.means if advised is not None and first.readiness.ready else ""
    return element(
        "li",
        proof_badge(ProofState.CLOSED) if is_closed else None,
        badge(first.state) if first.unsteady is None else unsteady_badge(),
        element("h2", group_title(group), title=group.cause.name or None),
        element("span", _age(group, first, page.fleet.now), class_="age"),
        None
        if code is None or diagnosis is None
        else [element("span", brief_code(urls, code), class_="code"), who_acts(diagnosis.who)],
        element("p", _size(group), target_links(urls, group.id, affected), unsteady if group.unsteady else None),
        element("p", sentence(log_text)) if log_text else None,
        start_here(urls) if is_closed else None,
        element("p", what) if what else None,
        _action(group, views),
        page.tickets.get(group.id),
        class_="bad-edge" if first.state is State.NOT_READY else None,
        data_key=group.id,
    )


def _age(group: CauseGroup, first: TargetView, now: float) -> Child:
    """Return when its failures began, the first and the last; of one that comes and goes, how often the first target failed."""
    if first.unsteady is not None:
        within = durations.write(first.unsteady.probes * first.target.interval)
        one = f", of {first.target.name}" if len(group.targets) > 1 else ""
        return f"{str(first.unsteady).removeprefix('unsteady: ')}, within {within}{one}"
    last = [", last ", when(group.last, now)] if group.last - group.since >= _SHORTEST_RANGE else None
    recent = "" if first.record is None else first.record.recent
    failed = sum(map(recent.count, _FAILED))
    before = failed - len(recent) + len(recent.rstrip(_FAILED))
    waves = f", in waves: {failed} of the last {len(recent)} probes failed" if before >= FAILURES_OF_UNSTEADY else None
    return ["first seen " if group.is_first_seen else "began ", when(group.since, now, absent="an unknown time ago"), last, waves]


def _action(group: CauseGroup, views: Mapping[str, TargetView]) -> Child:
    """Return the first action. An action for several vaults has one line for each."""
    several = group.cause.link is Link.CREDENTIAL or group.cause.is_several
    parts = dict.fromkeys((group.first, *(group.parts.values() if several else ())))
    shown = [views[name] for name in islice(parts, VAULTS)]
    found = [view.diagnosis.named(group.first) for view in shown if view.diagnosis is not None]
    advised = [each.advice() for each in found]
    actions = list(dict.fromkeys(advice.actions[0] for advice in advised if advice is not None and advice.actions))
    if not actions:
        return None
    alike = [each for each in actions if each.startswith(actions[0].partition("`")[0])]
    words, commands = vault_actions(alike, vaults=len(parts))
    together, then = found[0].advice(several=len(parts) > 1), "" if advised[0] is None else advised[0].then
    undo = f"{together.actions[0]} " if together is not None and together.actions and together.actions[0] not in actions else ""
    others = "" if len(alike) == len(actions) else _OTHER_ACTIONS
    return copyable(undo + " ".join(filter(None, (words, then, others))), commands)


def group_title(group: CauseGroup) -> str:
    """Return the cause as text, with the name of the link if only one is shown."""
    links = group.links
    cause = replace(group.cause, name=links[0]) if group.cause.is_several and len(links) == 1 else group.cause
    return title_of(cause, len(links))


def title_of(cause: Cause, several: int = 1) -> str:
    """Return the cause as text, such as `Credential sql-prod: the client secret has expired`, or `40 vaults: ...`."""
    name = f" {brief_name(cause.name)}" if cause.name else ""
    title = f"{several:,} {TITLES[cause.link].lower()}s" if cause.is_several else f"{TITLES[cause.link]}{name}"
    step = Step.TOKEN if cause.link is Link.ENTRA else Step.GET_KEY
    return f"{title}: {advice.cause(cause.reason, step)}"


def _size(group: CauseGroup) -> Child:
    """Return how many SQL Servers depend on it, else how many targets; and the first names of several vaults, keys or credentials."""
    groups = group.availability_groups
    within = f" in {counted(len(groups), 'availability group')}" if groups else ""
    named = named_servers(group.servers.values(), within)
    links = f"{TITLES[group.cause.link]}s: {few(sorted(map(brief_name, group.links)), NAMED)}. "
    size = named if group.servers else element("strong", counted(len(group.targets), "target"))
    return [size, ". ", links if group.cause.is_several and len(group.links) > 1 else None]


def chain(view: TargetView) -> Html:
    """Return the links from this host to SQL Server as boxes, with the broken one marked: on a narrow screen it comes first."""
    _, links, failed = linked(view.target, view.module, view.record, view.now)
    broken = None if failed is None or failed.unsteady else cause_of(failed)
    names = dict(links) | {Link.HOST: "this host", Link.KEY: view.target.key_name}
    order = list(Link)
    at = len(order) if broken is None else order.index(broken.link)
    shown = [
        (names[each], TITLES[each], "before" if number < at else "broken" if number == at else "after")
        for number, each in enumerate(order)
        if each is not Link.REGION and each in names
    ]
    servers = list(view.servers.values())
    last = f"{servers[0]} and {len(servers) - 1} more" if len(servers) > 1 else "".join(servers) or "not named"
    shown.append((last, "SQL Server", "after" if broken is not None else "broken" if view.fails_itself else "before"))
    itself = "broken at SQL Server itself" if view.fails_itself else "no link is known to be broken"
    words = itself if broken is None else f"broken at {title_of(broken)}"
    boxes = [
        element(
            "span",
            element("span", f"\N{MULTIPLICATION X} {kind}" if state == "broken" else kind, class_="kind"),
            element("span", brief_name(name)),
            class_=state,
            title=f"{kind}: {name}",
        )
        for name, kind, state in shown
    ]
    return element("div", boxes, class_="chain", role="img", aria_label=f"From the exporter to SQL Server: {words}.")


async def group_tickets(urls: Urls, page: ListPage, proofs: SqlProofs) -> dict[str, Child]:
    """Return the ticket of each card whose cause another team repairs, by the id of the cause.

    If one cause was chosen, its ticket may be long. Other tasks run in between.
    """
    found, left = dict[str, Child](), MOST_PARTS if page.fleet.query.cause else SHARED_PARTS
    for group in page.cards:
        most = max(left, FEW_PARTS)
        if (ticket := await _group_ticket(group, page, proofs, most)) is not None:
            is_short = most < min(len(group.parts), MOST_PARTS)
            chosen = urls.to("/targets", query=[("cause", group.id)])
            more = [" ", link(chosen, f"Show the text for up to {MOST_PARTS}")] if is_short else None
            found[group.id] = _details(*ticket, more)
            left -= len(group.parts)
    return found


async def _group_ticket(group: CauseGroup, page: ListPage, proofs: SqlProofs, most: int) -> tuple[Team, str] | None:
    """Return the ticket of a cause for its team, with one target of each vault, key or credential, `most` of them.

    The result is None if no other team repairs the cause.
    """

    def diagnosis_of(name: str) -> Diagnosis | None:
        view = page.fleet.views[name]
        return diagnose(view.target, view.record, view.now, proofs.target_proofs(view.target))

    first, subject = page.fleet.views[group.first], diagnosis_of(group.first)
    if subject is None or subject.team is None:
        return None
    links = links_of(first.target, first.module, first.record, first.report)
    own = links.get(group.cause.link, ""), first.target.vault
    names = [name for part, name in islice(group.parts.items(), most) if part != own]
    others = [diagnosis_of(name) async for name in yield_with_pauses(names, _PARTS_PER_SLICE)]
    extent = Extent(
        began=group.since,
        last=group.last,
        is_first_seen=group.is_first_seen,
        servers=list(group.servers.values()),
        others=[each for each in others if each is not None],
        vaults=len({vault for _, vault in group.parts}),
        total=len(group.parts),
        urgency=page.log_texts.get(group.id, ""),
    )
    if len(extent.others) < _PARTS_PER_SLICE:
        return subject.team, ticket_text(subject, extent, computer_name())
    return subject.team, await asyncio.to_thread(ticket_text, subject, extent, computer_name())


def target_ticket(view: TargetView) -> Child:
    """Return the ticket of one target; None if no other team repairs it."""
    subject = view.diagnosis
    if subject is None or subject.team is None:
        return None
    urgency = urgency_text(view.own, view.now) if view.state is State.NOT_READY else ""
    return _details(subject.team, ticket_text(subject, replace(extent_of(subject), urgency=urgency), computer_name()))


def _details(team: Team, words: str, more: Child = None) -> Html:
    title = f"For {TEAM_TITLES[team]}: ready text"
    note = "Read it before you send it: it names hosts, vaults and SQL Servers, and no secret."
    content = [element("p", note, more, class_="quiet"), COPY, scrollable(element("code", words), label=title)]
    return element("details", element("summary", title), element("div", content, data_copy=True), class_="ticket")

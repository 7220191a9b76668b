"""The ticket for the team that repairs a failure, folded on the status page and on the page of a target."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import islice

from exporter.core.tickets.team import TITLES, Team
from exporter.presentation.sql_proofs import SqlProofs
from exporter.presentation.sql_texts import urgency_text
from exporter.presentation.ticket import ticket_plans, ticket_text
from exporter.presentation.ticket_subject import Extent, TicketSubject, extent_of, subject_of
from exporter.runtime.computer import computer_name
from exporter.runtime.slices import yield_with_pauses
from exporter.state.cause_groups import CauseGroup, links_of
from exporter.tde.server_proof import ServerProof
from exporter.web.ui.html import Child, Html, element
from exporter.web.ui.layout import Urls, link
from exporter.web.ui.view_models import TargetView, Urgency

MOST_PARTS = 300  # vaults, keys and credentials of the ticket of a chosen cause
SHARED_PARTS = 100  # of all tickets of a page with several causes, the most urgent first
FEW_PARTS = 10  # of a ticket, whatever the tickets before it have
_PARTS_PER_SLICE = 4  # a quarter of a millisecond each


async def group_tickets(
    urls: Urls,
    groups: Iterable[CauseGroup],
    views: Mapping[str, TargetView],
    proofs: SqlProofs,
    log_texts: Mapping[str, str],
    *,
    is_chosen: bool,
) -> dict[str, Child]:
    """Return the ticket of each cause that another team repairs; tickets and `log_texts` are by the id of the cause.

    With `is_chosen`, the page has one cause, and its ticket may be long. Other tasks run in between.
    """
    found, left = dict[str, Child](), MOST_PARTS if is_chosen else SHARED_PARTS
    for group in groups:
        most = max(left, FEW_PARTS)
        team_and_words = await _group_ticket(group, views, proofs, log_texts.get(group.id, ""), most)
        if team_and_words is None:
            continue
        is_short = most < min(len(group.parts), MOST_PARTS)
        more = [" ", link(urls.targets([("cause", group.id)]), f"Show the text for up to {MOST_PARTS}")] if is_short else None
        found[group.id] = _details(*team_and_words, more)
        left -= len(group.parts)
    return found


async def _group_ticket(
    group: CauseGroup, views: Mapping[str, TargetView], proofs: SqlProofs, log_text: str, most: int
) -> tuple[Team, str] | None:
    """Return the ticket of a cause for its team, with one target of each vault, key or credential, `most` of them.

    The result is None if no other team repairs the cause.
    """
    first = views[group.first]
    subject = _subject(first, proofs.target_proofs(first.target))
    if subject is None or subject.team is None:
        return None
    links = links_of(first.target, first.module, first.record, first.report)
    own = links.get(group.cause.link, ""), first.target.vault
    names = [name for part, name in islice(group.parts.items(), most) if part != own]
    others = [
        _subject(view, proofs.target_proofs(view.target))
        async for view in yield_with_pauses(map(views.__getitem__, names), _PARTS_PER_SLICE)
    ]
    extent = Extent(
        began=group.since,
        last=group.last,
        is_first_seen=group.is_first_seen,
        servers=list(group.servers.values()),
        others=[each for each in others if each is not None],
        vaults=len({vault for _, vault in group.parts}),
        total=len(group.parts),
        urgency=log_text,
    )
    host = computer_name()
    plans = [plan async for plan in yield_with_pauses(ticket_plans(subject, extent, host), _PARTS_PER_SLICE)]
    if len(plans) <= _PARTS_PER_SLICE:
        return subject.team, ticket_text(subject, extent, host, plans)
    return subject.team, await asyncio.to_thread(ticket_text, subject, extent, host, plans)


def target_ticket(view: TargetView) -> Child:
    """Return the ticket of one target; None if no other team repairs it."""
    subject = _subject(view, view.own)
    if subject is None or subject.team is None:
        return None
    urgency = urgency_text(view.own, view.now) if view.urgency is Urgency.NOT_READY else ""
    return _details(subject.team, ticket_text(subject, replace(extent_of(subject), urgency=urgency), computer_name()))


def _details(team: Team, words: str, more: Child = None) -> Html:
    title = f"For {TITLES[team]}: ready text"
    button = element("button", "Copy", type="button", class_="copy")
    text = element("pre", element("code", words), tabindex=0, role="region", aria_label=title)
    note = element(
        "p", "Read it before you send it: it names hosts, vaults and SQL Servers, and no secret.", more, class_="quiet"
    )
    return element("details", element("summary", title), element("div", note, button, text, data_copy=True), class_="ticket")


def _subject(view: TargetView, proofs: Sequence[ServerProof]) -> TicketSubject | None:
    subject = subject_of(view.target, view.record, view.now)
    return None if subject is None else replace(subject, proofs=proofs)

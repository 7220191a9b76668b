"""The ticket for the team that repairs a failure, folded on the status page and on the page of a target."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import islice

from exporter.core.tickets.team import TITLES
from exporter.presentation.sql_proofs import SqlProofs
from exporter.presentation.sql_texts import urgency_text
from exporter.presentation.ticket import ticket_text
from exporter.presentation.ticket_subject import Extent, TicketSubject, extent_of, subject_of
from exporter.runtime.computer import computer_name
from exporter.runtime.slices import yield_with_pauses
from exporter.state.cause_groups import CauseGroup, links_of
from exporter.tde.server_proof import ServerProof
from exporter.web.ui.html import Child, element
from exporter.web.ui.view_models import TargetView, Urgency

MOST_PARTS = 300  # vaults, keys and credentials of one ticket
_PARTS_PER_SLICE = 20


async def group_tickets(
    groups: Iterable[CauseGroup], views: Mapping[str, TargetView], proofs: SqlProofs, log_texts: Mapping[str, str]
) -> dict[str, Child]:
    """Return the ticket of each cause that another team repairs; tickets and `log_texts` are by the id of the cause.

    Other tasks run in between.
    """
    return {group.id: await _group_ticket(group, views, proofs, log_texts.get(group.id, "")) for group in groups}


async def _group_ticket(group: CauseGroup, views: Mapping[str, TargetView], proofs: SqlProofs, log_text: str) -> Child:
    """Return the ticket of a cause, with one target of each vault, key or credential; None if no other team repairs it."""
    first = views[group.first]
    subject = _subject(first, proofs.target_proofs(first.target))
    if subject is None or subject.team is None:
        return None
    links = links_of(first.target, first.module, first.record, first.report)
    own = links.get(group.cause.link, ""), first.target.vault
    names = [name for part, name in islice(group.parts.items(), MOST_PARTS) if part != own]
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
    if len(others) < _PARTS_PER_SLICE:
        return ticket_details(subject, extent)
    return await asyncio.to_thread(ticket_details, subject, extent)  # a third of a millisecond for each part


def target_ticket(view: TargetView) -> Child:
    """Return the ticket of one target; None if no other team repairs it."""
    subject = _subject(view, view.own)
    urgency = urgency_text(view.own, view.now) if view.urgency is Urgency.NOT_READY else ""
    return None if subject is None else ticket_details(subject, replace(extent_of(subject), urgency=urgency))


def ticket_details(subject: TicketSubject | None, extent: Extent) -> Child:
    if subject is None or subject.team is None:
        return None
    words, title = ticket_text(subject, extent, computer_name()), f"For {TITLES[subject.team]}: ready text"
    button = element("button", "Copy", type="button", class_="copy")
    text = element("pre", element("code", words), tabindex=0, role="region", aria_label=title)
    note = element("p", "Read it before you send it: it names hosts, vaults and SQL Servers, and no secret.", class_="quiet")
    return element("details", element("summary", title), element("div", note, button, text, data_copy=True), class_="ticket")


def _subject(view: TargetView, proofs: Sequence[ServerProof]) -> TicketSubject | None:
    subject = subject_of(view.target, view.record, view.now)
    return None if subject is None else replace(subject, proofs=proofs)

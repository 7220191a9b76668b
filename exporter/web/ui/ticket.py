"""The ticket for the team that repairs a failure, folded on the status page and on the page of a target."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import islice

from exporter.core.model import Outcome, StepResult
from exporter.core.tickets.team import TITLES
from exporter.presentation.incident import Extent, Incident, extent_of
from exporter.presentation.ticket import MOST_VAULTS, ticket_text
from exporter.runtime.computer import computer_name
from exporter.state.cause_groups import CauseGroup
from exporter.web.ui.html import Child, element
from exporter.web.ui.view_models import TargetView


def group_ticket(group: CauseGroup, views: Mapping[str, TargetView]) -> Child:
    """Return the ticket of a cause, with one target of each vault; None if no other team repairs it."""
    first = views[group.first]
    vaults = {vault: name for (_, vault), name in group.parts.items() if vault != first.target.vault}
    others = (_incident(views[name]) for name in islice(vaults.values(), MOST_VAULTS - 1))
    extent = Extent(
        since=group.since,
        servers=list(group.servers.values()),
        others=[each for each in others if each is not None],
        vaults=len(vaults) + 1,
        note="" if first.unsteady is None else str(first.unsteady),
    )
    return ticket_details(_incident(first), extent)


def target_ticket(view: TargetView) -> Child:
    """Return the ticket of one target; None if no other team repairs it."""
    incident = _incident(view)
    return None if incident is None else ticket_details(incident, extent_of(incident))


def ticket_details(incident: Incident | None, extent: Extent) -> Child:
    if incident is None or incident.team is None:
        return None
    words, title = ticket_text(incident, extent, computer_name()), f"For {TITLES[incident.team]}: ready text"
    button = element("button", "Copy", type="button", class_="copy")
    text = element("pre", element("code", words), tabindex=0, role="region", aria_label=title)
    note = element("p", "Read it before you send it: it names hosts, vaults and SQL Servers, and no secret.", class_="quiet")
    return element("details", element("summary", title), element("div", note, button, text, data_copy=True), class_="ticket")


def _incident(view: TargetView) -> Incident | None:
    """Return the incident of a target: its failure now, or the one that makes it unsteady."""
    if view.report is None:
        return None
    step, code, reason = view.failed
    other = None
    if view.unsteady is not None and step is not None:
        other = StepResult(step=step, outcome=Outcome.FAILED, code=code, reason=reason)
    return Incident(target=view.target, report=view.report, record=view.record, other=other)

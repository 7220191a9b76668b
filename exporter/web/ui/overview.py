"""The status page and the list of targets.

It shows SQL Servers with a vault side that is not ready, causes and first actions.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from exporter.core.codes.shared import WITHOUT_THE_KEY
from exporter.core.model import Vantage
from exporter.core.probe_starts import SPACING
from exporter.core.readiness import NOT_TESTED, STATES, vantage_text
from exporter.presentation.expiries import NOUNS, Ending, EndingKind
from exporter.presentation.sql_causes import SqlCause, sql_headline
from exporter.state.cause_groups import CauseGroup
from exporter.tde.differences import Difference
from exporter.web.ui.causes import Cards, causes_section, shown_groups, shown_own
from exporter.web.ui.ended import ended_section
from exporter.web.ui.expiring import expiring_section
from exporter.web.ui.filters import filters, match_count, scope_line
from exporter.web.ui.fleet import Fleet, HeadlineCounts
from exporter.web.ui.html import Child, Html, element, text
from exporter.web.ui.labels import badge, brief_name, expires_in, not_tested, unsteady_badge
from exporter.web.ui.layout import Urls, counted, foot, head, link, table_foot, table_head
from exporter.web.ui.query import UNSTEADY, TargetQuery
from exporter.web.ui.rows import COLUMNS, target_row
from exporter.web.ui.sql_differences import differences_line
from exporter.web.ui.sql_servers import sql_legend
from exporter.web.ui.view_models import TargetView, Urgency

PER_PAGE = 50
_ROWS_AT_ONCE = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class ListPage:
    """One page of a list. Pages count from 1; any requested number is valid.

    `now` is a Unix time.
    """

    title: str
    path: str
    fleet: Fleet
    query: TargetQuery
    vantage: Vantage
    ready: bool
    now: float
    delayed: str = ""  # a notice about first probes
    keeps_state: bool = True
    endings: Sequence[Ending] = ()
    log_texts: Mapping[str, str] = field(default_factory=dict)  # by the id of a cause
    tickets: Mapping[str, Child] = field(default_factory=dict)  # by the id of a cause
    differences: Sequence[Difference] = ()

    @property
    def number(self) -> int:
        return min(max(self.query.page, 1), self.count)

    @property
    def count(self) -> int:
        return max(1, -(-len(self.fleet.shown) // PER_PAGE))

    @property
    def shown(self) -> Sequence[TargetView]:
        return self.fleet.shown[(self.number - 1) * PER_PAGE : self.number * PER_PAGE]

    @property
    def causes(self) -> Sequence[CauseGroup]:
        """All causes on the status page, or the chosen one."""
        return self.fleet.causes if self.path == "/" or self.query.cause else ()

    @property
    def own(self) -> Sequence[SqlCause]:
        """The causes of SQL Servers themselves: all on the status page, or the chosen one."""
        if self.path != "/" and not self.query.cause:
            return ()
        return [cause for cause in self.fleet.own if self.query.cause in ("", cause.id)]

    @property
    def cards(self) -> Sequence[CauseGroup]:
        """The causes with a card."""
        return shown_groups(self.causes, self.own, all_causes=self.query.all_causes)


def overview(urls: Urls, page: ListPage) -> Iterator[Html]:
    """Yield the document in pieces of a few rows."""
    heading = page.path != "/"
    yield head(urls, page.title, at=page.path, now=page.now, heading=heading)
    yield Html('<div id="standing" data-live>')
    yield from map(text, _verdict_section(urls, page))
    yield Html("</div>")
    yield filters(urls, page.query, page.fleet)
    yield Html('<div id="list" data-live>' + text(match_count(urls, page.query, page.fleet)))
    caption = f"State of the vault side, {vantage_text(page.vantage)}. {not_tested(NOT_TESTED)}"
    yield table_head(COLUMNS, caption=caption, name="targets")
    advised = {name for group in page.cards for name in (*group.targets, *group.unsteady)}
    advised.update(name for cause in shown_own(page.own, all_causes=page.query.all_causes) for name in cause.targets)
    for start in range(0, len(page.shown), _ROWS_AT_ONCE):
        rows = page.shown[start : start + _ROWS_AT_ONCE]
        yield text(target_row(urls, view, page.query, action=view.target.name not in advised) for view in rows)
    yield Html(table_foot() + _pages(urls, page) + "</div>" + _legend() + foot(urls))


def _verdict_section(urls: Urls, page: ListPage) -> Iterator[Child]:
    fleet, is_status = page.fleet, page.path == "/"
    behind = (server for name in fleet.scope for server in fleet.views[name].closed)
    themselves = sql_headline(fleet.own, behind)
    is_bad = bool(page.fleet.counts.get(Urgency.NOT_READY) or themselves)
    if is_status:
        yield element("h1", _headline(page.fleet, themselves), class_="bad-ink" if is_bad else None)
        yield scope_line(urls, page.query, page.fleet)
    if page.fleet.has_ended:
        ended = "has ended, or is outside the filter" if page.query.scope else "has ended"
        yield element("p", f"The cause of this link {ended}. This page shows what is there now.", class_="notice")
    yield element("div", _badges(urls, page), _causes_count(page), _next_expiry(page), class_="overall")
    if fleet.lost:
        lost = f"{len(fleet.lost):,} of {fleet.targets.total:,} targets are not measured: this host is too slow"
        yield element(
            "p", f"{lost} (up to {100 * max(fleet.lost):.0f} % of the time lost). Nothing is known about them.", class_="notice"
        )
    if page.delayed:
        yield element("p", page.delayed, class_="notice")
    elif not page.ready or page.fleet.waiting == page.fleet.targets.total > 0:
        yield element("p", _first_round(page.fleet), class_="notice")
    if not page.keeps_state:
        yield element("p", "The state directory cannot be written: a restart loses what is new. See the log.", class_="notice")
    if is_bad and is_status:
        yield element("p", WITHOUT_THE_KEY, class_="quiet")
    more = urls.status([*page.query.scope, ("causes", "all")])
    cards = Cards(
        groups=page.causes, own=page.own, views=page.fleet.views, now=page.now, log_texts=page.log_texts,
        tickets=page.tickets, all_causes=page.query.all_causes, more=more,
    )  # fmt: skip
    yield from causes_section(urls, cards)
    if page.query.all_causes and is_status:
        yield element("p", link(urls.status(page.query.scope), "Show the first causes only"))
    if is_status:
        yield from ended_section(urls, page.fleet.ended, page.fleet.views)
    yield differences_line(urls, page.differences)
    yield from expiring_section(urls, page.endings, page.now)


def _badges(urls: Urls, page: ListPage) -> Html:
    """Return the number of targets in each state, each with a link to their list."""
    counts, scope = page.fleet.counts, page.query.scope
    badges = [(urgency.name.lower(), badge(urgency, count=counts.get(urgency, 0))) for urgency in Urgency]
    if page.fleet.targets.unsteady:
        badges.append((UNSTEADY, unsteady_badge(page.fleet.targets.unsteady)))
    entries = [element("li", link(urls.targets([*scope, ("verdict", name)]), shown)) for name, shown in badges]
    return element("ul", entries, class_="summary", aria_label="Targets by state")


def _headline(fleet: Fleet, themselves: str) -> str:
    """Return the state of the fleet in one line; `themselves` is that of SQL Servers, whatever the vault side is."""
    counts = fleet.servers if fleet.servers.total else fleet.targets
    return ". ".join(filter(None, (_vault_side(fleet, counts), themselves)))


def _first_round(fleet: Fleet) -> str:
    """Return why little is known yet, and that no action is needed."""
    if fleet.waiting < fleet.targets.total or not fleet.waiting:
        return "The first round of probes has not finished yet."
    minutes = math.ceil(fleet.total * SPACING / 60)
    return (
        "No probe has finished since the exporter started or read a new configuration. No action is needed: wait for the first round, "
        f"about {minutes} min on an idle host. For one target at once, open its page and choose Probe now."
    )


def _vault_side(fleet: Fleet, counts: HeadlineCounts) -> str:
    """Return how many SQL Servers or targets are not ready, or that all are ready, or that nothing is known."""
    is_server = counts is fleet.servers
    if not counts.total:
        return "No target matches the filter" if fleet.total else "0 of 0 targets ready"
    if fleet.waiting == fleet.targets.total:
        return f"Nothing known yet of {counted(counts.total, 'SQL Server' if is_server else 'target')}"
    ready = fleet.counts.get(Urgency.READY, 0) == fleet.targets.total
    noun, state = "SQL Servers: vault side" if is_server else "targets", "ready" if ready else "not ready"
    others = {"unknown": counts.unknown, "unsteady": counts.unsteady}
    more = "".join(f", {number:,} {name}" for name, number in others.items() if number)
    return f"{counts.total if ready else counts.not_ready:,} of {counts.total:,} {noun} {state}{more}"


def _causes_count(page: ListPage) -> Child:
    number = len(page.causes) + len(page.own)
    return element("p", element("strong", counted(number, "cause"))) if number else None


def _next_expiry(page: ListPage) -> Child:
    """Return what expires next, if it is soon, with a link to the section.

    Azure renews its own TLS certificates, and a backup does not expire, so they are in the section only.
    """
    planned = (ending for ending in page.endings if ending.kind not in (EndingKind.TLS, EndingKind.BACKUP))
    coming = next((ending for ending in planned if ending.at > page.now and ending.is_soon(page.now)), None)
    if coming is None:
        return None
    where = link("#expiring", f"{NOUNS[coming.kind]} {brief_name(coming.name)}")
    return element("p", "Next expiry: ", element("strong", expires_in(coming, page.now)), ", ", where)


def _legend() -> Html:
    meanings = [(element("dt", badge(Urgency[state.name])), element("dd", meaning)) for state, meaning in STATES.items()]
    return element("details", element("summary", "What the states mean"), element("dl", [*meanings, *sql_legend()]), id="states")


def _pages(urls: Urls, page: ListPage) -> Html:
    if page.count == 1:
        return Html("")

    def to(number: int, words: str) -> Html:
        return link(urls.targets([*page.query.parameters(), ("page", number)]), words)

    before = to(page.number - 1, "Previous") if page.number > 1 else None
    after = to(page.number + 1, "Next") if page.number < page.count else None
    return element(
        "nav", before, element("span", f"Page {page.number} of {page.count}"), after, class_="pages", aria_label="Pages"
    )

"""The status page and the list of targets.

It shows SQL Servers with a vault side that is not ready, causes and first actions.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from exporter.core.codes.shared import WITHOUT_THE_KEY
from exporter.core.model import Vantage
from exporter.core.readiness import NOT_TESTED, STATES, vantage_text
from exporter.presentation.expiries import NOUNS, Ending, EndingKind
from exporter.presentation.sql_causes import SqlCause, cannot_get_keys
from exporter.state.cause_groups import CauseGroup
from exporter.tde.differences import Difference
from exporter.web.ui.causes import OWN_SHOWN, SHOWN, causes_section
from exporter.web.ui.expiring import expiring_section
from exporter.web.ui.filters import filters, match_count
from exporter.web.ui.fleet import Fleet
from exporter.web.ui.html import Child, Html, element, text
from exporter.web.ui.labels import badge, brief_name, expires_in, not_tested, unsteady_badge
from exporter.web.ui.layout import Urls, counted, foot, head, link, live, table_foot, table_head
from exporter.web.ui.query import UNSTEADY, TargetQuery
from exporter.web.ui.rows import COLUMNS, target_row
from exporter.web.ui.sql_differences import differences_line
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
        if self.path != "/" and not self.query.cause:
            return ()
        return [group for group in self.fleet.causes if self.query.cause in ("", group.cause.id)]

    @property
    def own(self) -> Sequence[SqlCause]:
        """The causes of SQL Servers themselves: all on the status page, or the chosen one."""
        if self.path != "/" and not self.query.cause:
            return ()
        return [cause for cause in self.fleet.own if self.query.cause in ("", cause.id)]


def overview(urls: Urls, page: ListPage) -> Iterator[Html]:
    """Yield the document in pieces of a few rows."""
    heading = page.path != "/"
    yield head(urls, page.title, at=page.path, now=page.now, heading=heading)
    yield live("standing", _verdict_section(urls, page))
    yield filters(urls, page.query, page.fleet)
    yield Html('<div id="list" data-live>' + text(match_count(urls, page.query, page.fleet)))
    caption = f"State of the vault side, {vantage_text(page.vantage)}. {not_tested(NOT_TESTED)}"
    yield table_head(COLUMNS, caption=caption, name="targets")
    advised = {name for group in page.causes[:SHOWN] for name in group.targets}
    advised.update(name for cause in page.own[:OWN_SHOWN] for name in cause.targets)
    for start in range(0, len(page.shown), _ROWS_AT_ONCE):
        rows = page.shown[start : start + _ROWS_AT_ONCE]
        yield text(target_row(urls, view, page.query, action=view.target.name not in advised) for view in rows)
    yield Html(table_foot() + _pages(urls, page) + "</div>" + _legend() + foot(urls))


def _verdict_section(urls: Urls, page: ListPage) -> Iterator[Child]:
    counts, themselves = page.fleet.counts, cannot_get_keys(page.fleet.own)
    is_bad = bool(counts.get(Urgency.NOT_READY) or themselves)
    if page.path == "/":
        yield element("h1", _headline(page.fleet, themselves), class_="bad-ink" if is_bad else None)
    badges = [(urgency.name.lower(), badge(urgency, count=counts.get(urgency, 0))) for urgency in Urgency]
    if page.fleet.targets.unsteady:
        badges.append((UNSTEADY, unsteady_badge(page.fleet.targets.unsteady)))
    entries = [element("li", link(urls.targets([("verdict", name)]), shown)) for name, shown in badges]
    yield element(
        "div",
        element("ul", entries, class_="summary", aria_label="Targets by state"),
        _causes_count(page),
        _next_expiry(page),
        class_="overall",
    )
    if page.delayed:
        yield element("p", page.delayed, class_="notice")
    elif not page.ready:
        yield element("p", "The first round of probes has not finished yet.", class_="notice")
    if not page.keeps_state:
        yield element("p", "The state directory cannot be written: a restart loses what is new. See the log.", class_="notice")
    if is_bad and page.path == "/":
        yield element("p", WITHOUT_THE_KEY, class_="quiet")
    yield from causes_section(urls, page.causes, page.own, views=page.fleet.views, now=page.now, log_texts=page.log_texts)
    yield differences_line(urls, page.differences)
    yield from expiring_section(urls, page.endings, page.now)


def _headline(fleet: Fleet, themselves: int) -> str:
    """Return the state of the fleet in one line; `themselves` SQL Servers cannot get a key, whatever the vault side is."""
    ready = fleet.counts.get(Urgency.READY, 0) == fleet.total
    state, counts = "ready" if ready else "not ready", fleet.servers if fleet.servers.total else fleet.targets
    noun = "SQL Servers: vault side" if fleet.servers.total else "targets"
    others = {"unknown": counts.unknown, "unsteady": counts.unsteady}
    more = "".join(f", {number:,} {name}" for name, number in others.items() if number)
    itself = (
        f". {counted(themselves, 'SQL Server')} cannot get {'its key itself' if themselves == 1 else 'their keys themselves'}"
    )
    return (
        f"{counts.total if ready else counts.not_ready:,} of {counts.total:,} {noun} {state}{more}{itself if themselves else ''}"
    )


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
    return element("details", element("summary", "What the states mean"), element("dl", meanings), id="states")


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

"""The status page and the list of targets.

It shows SQL Servers with a vault side that is not ready, causes and first actions.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from exporter.core.durations import moment
from exporter.core.model import Vantage
from exporter.core.readiness import STATES, seen_from
from exporter.presentation.expiring import NOUNS, Ending, EndingKind
from exporter.web.ui.causes import causes_section
from exporter.web.ui.expiring import expiring_section
from exporter.web.ui.filters import filters, found
from exporter.web.ui.fleet import Fleet
from exporter.web.ui.html import Child, Html, element, text
from exporter.web.ui.labels import badge, not_tested, until
from exporter.web.ui.layout import Urls, as_of, foot, head, link, live, table_foot, table_head
from exporter.web.ui.query import TargetQuery
from exporter.web.ui.rows import COLUMNS, target_row
from exporter.web.ui.view_models import TargetView, Urgency

PER_PAGE = 50
_ROWS_AT_ONCE = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """One page of a list. Pages count from 1; any requested number is valid.

    `now` is a Unix time.
    """

    title: str
    path: str
    fleet: Fleet
    choice: TargetQuery
    vantage: Vantage
    ready: bool
    now: float
    endings: Sequence[Ending] = ()

    @property
    def number(self) -> int:
        return min(max(self.choice.page, 1), self.count)

    @property
    def count(self) -> int:
        return max(1, -(-len(self.fleet.shown) // PER_PAGE))

    @property
    def shown(self) -> Sequence[TargetView]:
        return self.fleet.shown[(self.number - 1) * PER_PAGE : self.number * PER_PAGE]


def overview(site: Urls, page: Page) -> Iterator[Html]:
    """Yield the document in pieces of a few rows."""
    yield Html(head(site, page.title, at=page.path) + as_of(moment(page.now)) + live("standing", _verdict_section(site, page)))
    yield filters(site, page.choice, page.fleet)
    yield Html('<div id="list" data-live>' + text(found(site, page.choice, page.fleet)))
    yield table_head(COLUMNS, caption=f"State of the vault side, {seen_from(page.vantage)}. {not_tested()}")
    for start in range(0, len(page.shown), _ROWS_AT_ONCE):
        yield text(target_row(site, view, page.choice) for view in page.shown[start : start + _ROWS_AT_ONCE])
    yield Html(table_foot() + _pages(site, page) + "</div>" + _legend() + foot(site))


def _verdict_section(site: Urls, page: Page) -> Iterator[Child]:
    if not page.ready:
        yield element("p", "The first round of probes has not finished yet.", class_="notice")
    counts = page.fleet.counts
    badges = ((u, badge(u, count=counts.get(u, 0))) for u in Urgency)
    entries = [element("li", link(site.targets([("verdict", urgency.name.lower())]), shown)) for urgency, shown in badges]
    yield element("ul", entries, class_="summary", aria_label="Targets by state")
    yield _next_expiry(page)
    yield from _causes(site, page)
    yield from expiring_section(site, page.endings, page.now)


def _next_expiry(page: Page) -> Child:
    """Return what expires next, if it is soon, with a link to the section.

    Azure renews its own TLS certificates, so they are in the section only.
    """
    planned = (ending for ending in page.endings if ending.kind is not EndingKind.TLS)
    coming = next((ending for ending in planned if ending.at > page.now and ending.is_soon(page.now)), None)
    if coming is None:
        return None
    where = link("#expiring", f"{NOUNS[coming.kind]} {coming.name}")
    return element("p", element("strong", "Next expiry: "), where, ", ", until(coming.at, page.now), ".")


def _causes(site: Urls, page: Page) -> Iterator[Child]:
    """Yield the causes on the status page, or the chosen one."""
    if page.path != "/" and not page.choice.cause:
        return
    groups = [group for group in page.fleet.causes if page.choice.cause in ("", group.cause.id)]
    if groups:
        causes = f"{len(groups)} cause{'' if len(groups) == 1 else 's'}"
        risk = f"{page.fleet.at_risk:,} of {page.fleet.servers:,} SQL Servers have a vault side that is not ready"
        yield element("p", element("strong", f"{causes} · {risk}"))
    yield from causes_section(site, groups, page.now)


def _legend() -> Html:
    meanings = [(element("dt", badge(Urgency[state.name])), element("dd", meaning)) for state, meaning in STATES.items()]
    return element("details", element("summary", "What the states mean"), element("dl", meanings), id="states")


def _pages(site: Urls, page: Page) -> Html:
    if page.count == 1:
        return Html("")

    def to(number: int, words: str) -> Html:
        return link(site.targets([*page.choice.parameters(), ("page", number)]), words)

    before = to(page.number - 1, "Previous") if page.number > 1 else None
    after = to(page.number + 1, "Next") if page.number < page.count else None
    return element(
        "nav", before, element("span", f"Page {page.number} of {page.count}"), after, class_="pages", aria_label="Pages"
    )

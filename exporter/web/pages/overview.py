"""The status page and the list of targets: who is in danger, why, and what to do first.

For: `/` and `/targets`, rendered in pieces.
Not for: one target's details.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from exporter.core.catalogue import BY_CODE
from exporter.core.model import Vantage
from exporter.transcript import what_to_do
from exporter.web.markup import Child, Html, element, text
from exporter.web.pages.beside import marks
from exporter.web.pages.layout import Site, cell, code_link, foot, head, link, prose, table_foot, table_head
from exporter.web.pages.words import ago, badge, not_tested, verdict
from exporter.web.views import Urgency, View

PER_PAGE = 100
_ROWS_AT_ONCE = 20
_COLUMNS = ("Target", "State", "Code and first action", "Last probe", "SQL Server instances")


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """One page of all views, most urgent first. Pages count from 1; `asked` may be any number."""

    views: Sequence[View]
    asked: int = 1

    @property
    def number(self) -> int:
        return min(max(self.asked, 1), self.count)

    @property
    def count(self) -> int:
        return max(1, -(-len(self.views) // PER_PAGE))

    @property
    def shown(self) -> Sequence[View]:
        return self.views[(self.number - 1) * PER_PAGE : self.number * PER_PAGE]


def overview(site: Site, title: str, page: Page, *, vantage: Vantage, ready: bool) -> Iterator[Html]:
    """The whole document in pieces of a few rows each."""
    yield Html(head(site, title) + text([_not_ready_yet(ready), _summary(page.views), _remark(page)]))
    yield table_head(_COLUMNS, caption=f"Targets, those in danger first. {not_tested()}")
    for start in range(0, len(page.shown), _ROWS_AT_ONCE):
        yield text(_row(site, view, vantage) for view in page.shown[start : start + _ROWS_AT_ONCE])
    yield Html(table_foot() + _pages(site, page) + foot(site))


def _not_ready_yet(ready: bool) -> Child:
    return None if ready else element("p", "The first round of probes has not finished yet.", class_="notice", role="status")


def _summary(views: Sequence[View]) -> Html:
    counted = Counter(view.urgency for view in views)
    return element("ul", [element("li", badge(urgency, count=counted[urgency])) for urgency in Urgency], class_="summary")


def _remark(page: Page) -> Child:
    servers = sorted({name for view in page.views if view.urgency is Urgency.NOT_READY for name in view.servers})
    if not servers:
        return None
    named = ", ".join(servers[:20]) + (f" and {len(servers) - 20} more" if len(servers) > 20 else "")
    return element("p", element("strong", "SQL Servers at risk, since their vault side is not ready: "), named, class_="notice")


def _row(site: Site, view: View, vantage: Vantage) -> Html:
    target = view.target
    return element(
        "tr",
        element("th", link(site.target(target.name), target.name), element("div", target.vault, class_="quiet"), scope="row"),
        cell("State", badge(view.urgency), element("div", verdict(view, vantage)), marks(view)),
        cell("Code and first action", _what_to_do(site, view)),
        cell("Last probe", ago(view.age), class_="number"),
        cell("SQL Server instances", ", ".join(view.servers) or "none named", class_="servers"),
    )


def _what_to_do(site: Site, view: View) -> Child:
    failure = view.failure
    if view.report is None or failure is None or failure.code is None:
        return "none" if view.report is not None else ""
    entry = BY_CODE[failure.code]
    first = next(iter(what_to_do(view.target, view.report)), None)
    return [
        code_link(site, failure.code),
        element("div", f"step {failure.step.value}, reason {failure.reason.value if failure.reason else 'unknown'}"),
        element("div", prose(entry.summary)),
        element("div", element("strong", "First: "), prose(first)) if first else None,
    ]


def _pages(site: Site, page: Page) -> Html:
    if page.count == 1:
        return Html("")
    before = link(site.to("/targets", page=page.number - 1), "Previous") if page.number > 1 else None
    after = link(site.to("/targets", page=page.number + 1), "Next") if page.number < page.count else None
    return element("nav", before, f"Page {page.number} of {page.count}", after, class_="pages", aria_label="Pages")

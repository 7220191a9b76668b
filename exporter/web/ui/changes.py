"""The page of the last changes over all targets."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from exporter.config.settings import Target
from exporter.core.codes import BY_CODE
from exporter.core.sql_servers import server_names
from exporter.state.changes import ChangeKind, ObservedChange
from exporter.web.ui.html import Child, Html, element, text
from exporter.web.ui.labels import badge, when
from exporter.web.ui.layout import Urls, cell, code_link, foot, head, link, table_foot, table_head
from exporter.web.ui.view_models import Urgency

SHOWN = 100
_ROWS_AT_ONCE = 20
_COLUMNS = ("When", "Target", "What", "Before", "After")
_NOUNS = {
    ChangeKind.STATE: "state",
    ChangeKind.CODE: "code",
    ChangeKind.REGION: "region of the vault",
    ChangeKind.KEY_VERSION: "key version",
    ChangeKind.NEWEST_VERSION: "newest key version",
    ChangeKind.ISSUER: "issuer of the TLS certificate",
}


class TargetChange(NamedTuple):
    """A change and its target. The newest is the largest."""

    change: ObservedChange
    target: Target

    @property
    def order(self) -> tuple[float, str, str]:
        return self.change.at, self.target.name, self.change.what


def changes_page(urls: Urls, found: Sequence[TargetChange], now: float) -> Iterator[Html]:
    """Yield the document in pieces of a few changes, the newest first."""
    caption = (
        f"The last {SHOWN} changes of all targets, the newest first. A target keeps 20, with --state.dir also over a restart."
    )
    yield Html(head(urls, "Changes", at="/changes", now=now) + '<div id="changes" data-live>')
    if found:
        yield table_head(_COLUMNS, caption=caption, name="changes")
        for start in range(0, len(found), _ROWS_AT_ONCE):
            yield text(_row(urls, each, now) for each in found[start : start + _ROWS_AT_ONCE])
        yield table_foot()
    else:
        yield element("p", "Nothing has changed since the first probes.")
    yield Html("</div>" + foot(urls))


def _row(urls: Urls, each: TargetChange, now: float) -> Html:
    change, target = each
    servers = ", ".join(server_names(target.instances[:3]).values())
    return element(
        "tr",
        element("th", when(change.at, now), scope="row", class_="number"),
        cell("Target", link(urls.target(target.name), target.name), element("div", servers, class_="quiet") if servers else None),
        cell("What", _NOUNS[change.what], element("div", change.subject, class_="quiet") if change.subject else None),
        cell("Before", _value(urls, change.what, change.before)),
        cell("After", _value(urls, change.what, change.after)),
        data_key=f"{change.at}-{target.name}-{change.what}-{change.subject}",
    )


def _value(urls: Urls, what: ChangeKind, value: str) -> Child:
    if what is ChangeKind.CODE and value.isdecimal() and int(value) in BY_CODE:
        return code_link(urls, int(value))
    return badge(Urgency[value.upper()]) if what is ChangeKind.STATE else value

"""The page of the last changes over all targets. Changes that belong together are one row."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import islice

from exporter.config.settings import Target
from exporter.core.codes import BY_CODE
from exporter.core.codes.cause_text import cause
from exporter.core.common_causes import TOGETHER_SECONDS
from exporter.core.readiness import State
from exporter.core.sql_servers import server_names
from exporter.state.changes import MAX_CHANGES, ChangeKind, ObservedChange
from exporter.state.recent_changes import RecentChange
from exporter.web.ui.html import Child, Html, element
from exporter.web.ui.labels import badge, exact_time, span, when
from exporter.web.ui.layout import Urls, cell, code_link, counted, foot, head, link, table_foot, table_head
from exporter.web.ui.view_models import Urgency

SHOWN = 100
LISTED = 50  # targets of a row
_COLUMNS = ("When", "Targets", "What", "Before", "After", "Code and cause")
_NOUNS = {
    ChangeKind.STATE: "state",
    ChangeKind.CODE: "code",
    ChangeKind.REASON: "reason",
    ChangeKind.REGION: "region of the vault",
    ChangeKind.KEY_VERSION: "key version",
    ChangeKind.NEWEST_VERSION: "newest key version",
    ChangeKind.ISSUER: "issuer of the TLS certificate",
}


def changes_page(urls: Urls, found: Sequence[RecentChange], targets: Mapping[str, Target], now: float) -> Iterator[Html]:
    """Yield the document in pieces of one row, the newest first."""
    caption = (
        f"The newest first, at most {SHOWN} rows. Equal changes of several targets within {TOGETHER_SECONDS / 60:.0f} minutes are one row. "
        f"A target keeps {MAX_CHANGES} changes, with --state.dir also over a restart."
    )
    yield Html(head(urls, "Changes", at="/changes", now=now) + '<div id="changes" data-live>')
    if found:
        yield table_head(_COLUMNS, caption=caption, name="changes")
        yield from (_row(urls, each, targets, now) for each in found)
        yield table_foot()
    else:
        yield element("p", "Nothing has changed since the first probes.")
    yield Html("</div>" + foot(urls))


def _row(urls: Urls, each: RecentChange, targets: Mapping[str, Target], now: float) -> Html:
    group, change = each.group, each.group.newest
    lasted = change.at - group.oldest
    changes = group.targets.values()
    before, after = {one.before for one in changes}, {one.after for one in changes}
    return element(
        "tr",
        element(
            "th",
            when(change.at, now),
            element("div", exact_time(change.at), class_="quiet"),
            element("div", f"within {span(lasted)}", class_="quiet") if lasted >= 1 else None,
            scope="row",
            class_="number",
        ),
        cell(
            "Targets", _target(urls, targets[next(iter(group.targets))]) if len(changes) == 1 else _targets(urls, each, targets)
        ),
        cell("What", _NOUNS[change.what], element("div", change.subject, class_="quiet") if change.subject else None),
        cell("Before", _value(urls, change.what, change.before) if len(before) == 1 else "one for each target"),
        cell("After", _value(urls, change.what, change.after) if len(after) == 1 else "one for each target"),
        cell("Code and cause", _cause(urls, change)),
        data_key=f"{group.oldest}-{change.what}-{change.subject}-{change.after}-{change.failure.reason}",
    )


def _target(urls: Urls, target: Target) -> list[Child]:
    servers = ", ".join(server_names(target.instances[:3]).values())
    return [link(urls.target(target.name), target.name), element("div", servers, class_="quiet") if servers else None]


def _targets(urls: Urls, each: RecentChange, targets: Mapping[str, Target]) -> Html:
    """Return the number of targets, vaults and SQL Servers, with the list behind it."""
    number = len(each.group.targets)
    counts = [
        counted(number, "target"),
        counted(each.vaults, "vault"),
        *([counted(each.servers, "SQL Server")] if each.servers else ()),
    ]
    listed = [element("li", _target(urls, targets[name])) for name in islice(each.group.targets, LISTED)]
    more = element("p", f"and {number - LISTED:,} more") if number > LISTED else None
    return element("details", element("summary", ", ".join(counts)), element("ul", listed), more)


def _cause(urls: Urls, change: ObservedChange) -> Child:
    """Return the code and the cause of the failure, or of the one that has ended."""
    step, code, reason = change.failure
    if step is None:
        return None
    ended = change.what is ChangeKind.STATE and change.after == State.READY
    number = None if code is None else code_link(urls, code)
    return [element("div", "ended: " if ended else None, number), element("div", cause(reason, step), class_="quiet")]


def _value(urls: Urls, what: ChangeKind, value: str) -> Child:
    if what is ChangeKind.CODE and value.isdecimal() and int(value) in BY_CODE:
        return code_link(urls, int(value))
    return badge(Urgency[value.upper()]) if what is ChangeKind.STATE else value

"""The pages of codes, `/explain/CODE` and `/explain`, and `/changes`: the last changes over all targets."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from itertools import islice

from exporter.config.settings import Target
from exporter.core import counted
from exporter.core.names import server_names
from exporter.explain.explanation import OTHERWISE, Explanation, effect, elsewhere, visibility
from exporter.explain.search import KINDS, unknown
from exporter.knowledge.advice import cause
from exporter.knowledge.causes import TOGETHER_SECONDS
from exporter.knowledge.code_row import OWNERS, ConnectorError
from exporter.knowledge.codes import BY_CODE, CODES, both_numbers
from exporter.knowledge.verdict import State
from exporter.state.causes import RecentChange
from exporter.state.record import MAX_CHANGES, ChangeKind, ObservedChange
from exporter.web.pages.html import (
    TABLE_FOOT,
    Child,
    Html,
    Urls,
    action_list,
    cell,
    code_link,
    element,
    facts,
    foot,
    head,
    link,
    page,
    prose,
    table,
    table_head,
)
from exporter.web.pages.views import badge, exact_time, span, when

SHOWN = 100  # changes, or several that belong together, on the page
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


def explanation_page(urls: Urls, explanation: Explanation) -> Html:
    """Render one code, or the two that share a symbol; or a message, number or reason, with links to its codes."""
    also, rows = _list("Also in this text", explanation.also), explanation.rows
    if explanation.is_code:
        title = f"{both_numbers(rows[0].code)} {rows[0].symbol}"
        return page(
            urls, title, [element("section", _what_to_do(row, row.effect), _about(row)) for row in rows], also, at="/explain"
        )
    listed = [element("li", link(urls.code(row.code), f"{row.code} {row.symbol}")) for row in rows]
    codes = [element("h2", "Codes"), element("ul", listed)] if listed else None
    who = element("p", f"Who acts: {OWNERS[explanation.owner]}.")
    return page(urls, explanation.title, _what_to_do(explanation, effect(explanation)), who, codes, also, at="/explain")


def _what_to_do(explained: Explanation | ConnectorError, effect: str) -> Child:
    commands = [element("h2", "Commands"), element("pre", "\n".join(explained.commands))]
    return [
        element("p", prose(explained.summary)),
        element("p", prose(effect)) if effect else None,
        _list("Likely causes, most likely first", explained.causes),
        [element("h2", "What to do, in this order"), action_list(explained.actions)] if explained.actions else None,
        commands if explained.commands else None,
    ]


def _about(row: ConnectorError) -> Child:
    pairs = [
        ("number", both_numbers(row.code)),
        ("symbol", element("code", row.symbol)),
        ("owner", OWNERS[row.owner]),
        ("kind", f"{row.category.value}, layer {row.layer.value}"),
        ("probe", prose(visibility(row))),
        ("elsewhere", prose(elsewhere(row)) if elsewhere(row) else None),
    ]
    return [element("h2", "About this code"), facts(pairs)]


def _list(title: str, items: tuple[str, ...]) -> Child:
    return [element("h2", title), element("ol", [element("li", prose(item)) for item in items])] if items else None


def codes_page(urls: Urls, searched: str) -> Html:
    """Render all codes and a search field; `searched` is a text without a match."""
    field = element("input", id="code", name="code", value=searched, size=20, autocomplete="off", spellcheck="false")
    form = element(
        "form",
        element("div", element("label", "Code, message or log line", for_="code"), field),
        element("button", "Explain", type="submit"),
        action=urls.to("/explain"), method="get", class_="filters", role="search", aria_label="Find a code",
    )  # fmt: skip
    why = unknown(searched)
    notice = element("p", f"{why[0].upper()}{why[1:]}", class_="notice", role="alert")
    otherwise = _list("For a failure that no table lists, check in this order", OTHERWISE)
    unmatched = [notice, otherwise] if searched else None
    return page(urls, "Connector codes", element("p", f"Explains {KINDS}."), form, unmatched, _table(urls), at="/explain")


@cache
def _table(urls: Urls) -> Html:
    """Return the table of all codes, which never changes."""
    rows = [
        element(
            "tr",
            element("th", link(urls.code(row.code), row.code), scope="row"),
            cell("What it means", prose(row.summary)),
            cell("Symbol", element("code", row.symbol)),
            cell("Counterpart code", "" if row.counterpart is None else link(urls.code(row.counterpart), row.counterpart)),
            cell("Who can repair it", OWNERS[row.owner]),
        )
        for row in CODES
    ]
    columns = ("Code", "What it means", "Symbol", "Counterpart code", "Who can repair it")
    return table(columns, rows, caption="All codes.", name="codes")


def changes_page(urls: Urls, found: Sequence[RecentChange], targets: Mapping[str, Target], now: float) -> Iterator[Html]:
    """Yield the document in pieces of one row, the newest first."""
    caption = (
        f"The newest first, at most {SHOWN} rows. Equal changes of several targets within {TOGETHER_SECONDS / 60:.0f} minutes are one row. "
        f"A target keeps {MAX_CHANGES} changes, with --state.dir also over a restart."
    )
    nothing = element("p", "Nothing has changed since the first probes.")
    above = table_head(_COLUMNS, caption=caption, name="changes") if found else nothing
    yield Html(head(urls, "Changes", at="/changes", now=now) + '<div id="changes" data-live>' + above)
    yield from (_row(urls, each, targets, now) for each in found)
    yield Html((TABLE_FOOT if found else "") + "</div>" + foot(urls))


def _row(urls: Urls, each: RecentChange, targets: Mapping[str, Target], now: float) -> Html:
    group, change = each.group, each.group.newest
    lasted, changes = change.at - group.oldest, group.targets.values()
    before, after = {one.before for one in changes}, {one.after for one in changes}
    named = _target(urls, targets[next(iter(group.targets))]) if len(changes) == 1 else _targets(urls, each, targets)
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
        cell("Targets", named),
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
    counts = [counted(number, "target"), counted(each.vaults, "vault")]
    counts += [counted(each.servers, "SQL Server")] if each.servers else []
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
    return badge(State(value)) if what is ChangeKind.STATE else value

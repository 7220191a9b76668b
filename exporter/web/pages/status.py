"""The status page and the list of targets.

It shows SQL Servers with a vault side that is not ready, causes and first actions; then what expires soon, and incidents that are
over. The filter form works without a script.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from exporter.core.limits import SPACING
from exporter.core.values import Vantage
from exporter.explain.search import explain
from exporter.knowledge.advice import cause, open_detail
from exporter.knowledge.code_row import SOME_DO_NOT_WRITE, WITHOUT_THE_KEY
from exporter.knowledge.codes import BY_CODE, both_numbers
from exporter.knowledge.expiry import Source
from exporter.knowledge.verdict import NOT_TESTED, STATES, deciding_failure, vantage_text, why_text
from exporter.presentation.expiries import NOUNS, Ending, EndingKind
from exporter.presentation.sql import SqlCause, sql_headline, unread_text
from exporter.sqlserver.audit import counted
from exporter.sqlserver.differences import Difference
from exporter.sqlserver.gate.inputs import RestartReadiness
from exporter.state.causes import CauseGroup
from exporter.web.pages.causes import Cards, causes_section, group_title, shown_groups, shown_own
from exporter.web.pages.fleet import BY_LABEL, UNSTEADY, VERDICTS, Fleet, HeadlineState, SortOrder, TargetQuery, over_since
from exporter.web.pages.html import (
    NAMED,
    Child,
    Html,
    Urls,
    brief_code,
    cell,
    copyable,
    element,
    foot,
    head,
    link,
    markup,
    prose,
    table_foot,
    table_head,
    target_links,
)
from exporter.web.pages.sql_servers import differences_line, own_badges, own_causes, restart_section, sql_legend
from exporter.web.pages.target import marks, state_bar
from exporter.web.pages.views import (
    TargetView,
    Urgency,
    badge,
    brief_name,
    exact_time,
    expires_in,
    not_tested,
    span,
    unsteady_badge,
    when,
)

COLUMNS = ("SQL Server", "State", "Since", "Cause", "Last 40 probes", "Next expiry", "Target")
_SERVERS = 3  # shown in a row
PER_PAGE = 50
_ROWS_AT_ONCE = 2
ENDED_SHOWN = 5
_EXPIRING_SHOWN = 15
_ORDERS = {
    SortOrder.URGENCY: "most urgent first",
    SortOrder.NAME: "name",
    SortOrder.VAULT: "vault",
    SortOrder.CODE: "code",
    SortOrder.LAST_PROBE: "longest without a probe",
    SortOrder.DURATION: "slowest probe first",
    SortOrder.EXPIRY: "earliest expiry first",
}
_SCOPES = {"q": "the words", "code": "the code", "label": "the label"}
# Where the date comes from, if that is not obvious.
_DATES: Mapping[str, str] = {
    Source.DECLARED: ", declared in the configuration",
    Source.GRAPH: ", date of Microsoft Graph",
    Source.KEY_VAULT: ", date of its Key Vault secret",
    Source.ENTRA: ", refused by Entra ID as expired",
}


def target_row(urls: Urls, view: TargetView, query: TargetQuery, *, action: bool) -> Html:
    """Render a target, with its first action if `action`; a label links to the targets with that label."""
    target = view.target
    bar, last = (None, None) if view.record is None else (state_bar(view.record.recent), view.record.last_probe_at)
    labels = [f"{name}={value}" for name, value in target.labels.items()]
    links = [(" ", link(urls.targets(query.and_label(each).parameters()), each)) for each in labels]
    return element(
        "tr",
        element("th", _servers(urls, view), scope="row"),
        cell("State", badge(view.urgency), [element("div", each) for each in own_badges(view)], marks(view)),
        cell("Since", when(view.since, view.now, absent="unknown"), class_="number"),
        cell("Cause", _cause(urls, view, action=action)),
        cell("Last 40 probes", bar, element("div", "last ", when(last, view.now), class_="quiet"), class_="number"),
        cell("Next expiry", _next_expiry(view), class_="number"),
        cell(
            "Target",
            element("div", link(urls.target(target.name), target.name)),
            element("div", element("span", brief_name(target.vault), title=target.vault), links, class_="quiet"),
        ),
        data_key=target.name,
    )


def _servers(urls: Urls, view: TargetView) -> Iterator[Child]:
    instances = view.target.instances
    if not instances:
        yield element("span", "no SQL Server named", class_="quiet")
    yield from (element("div", _server(each)) for each in instances[:_SERVERS])
    if len(instances) > _SERVERS:
        yield element("div", link(urls.target(view.target.name), f"and {len(instances) - _SERVERS} more"), class_="quiet")


def _server(labels: Mapping[str, str]) -> Iterator[Child]:
    yield labels.get("sql_instance", "")
    others = ", ".join(f"{name} {value}" for name, value in labels.items() if name != "sql_instance")
    yield [" ", element("span", others, class_="quiet")] if others else None


def _cause(urls: Urls, view: TargetView, *, action: bool) -> Iterator[Child]:
    failure = None if view.report is None else deciding_failure(view.report)
    if view.readiness.ready is None:
        yield element("div", why_text(view.readiness))
    elif failure is None and view.unsteady is None and not view.own:
        yield element("span", "nothing failed", class_="quiet")
    yield own_causes(urls, view, action=action)
    step, code, reason = view.failed
    if step is None or code is None:
        return
    yield element("div", cause(reason, step))
    last = "" if view.unsteady is None else ", but the last probe succeeded"
    yield element("div", brief_code(urls, code), f" in step {step.value}{last}", class_="quiet")
    yield element("div", open_detail(failure), class_="quiet") if failure is not None and open_detail(failure) else None
    advice = view.advice() if action else None
    yield copyable(advice.actions[0]) if advice is not None and advice.actions else None


def _next_expiry(view: TargetView) -> Iterator[Child]:
    if view.ending is None:
        yield element("span", "unknown", class_="quiet")
        yield element("div", view.wrong, class_="quiet") if view.wrong else None
        return
    noun, expired = NOUNS[view.ending.kind], view.ending.has_expired(view.now)
    yield element("span", when(view.ending.at, view.now), class_="bad-ink") if expired else expires_in(view.ending, view.now)
    refused = ", refused by Entra ID" if view.ending.source == Source.ENTRA else ""
    yield element("div", f"{noun} expired{refused}" if expired else noun, class_="quiet")
    yield element("div", view.wrong, class_="quiet") if view.wrong else None


def filters(urls: Urls, query: TargetQuery, fleet: Fleet) -> Html:
    """Render the form, filled with the current query."""
    codes = ((str(code), f"{BY_CODE[code].symbol}, {count}") for code, count in sorted(fleet.codes.items()))
    verdicts = [("", "any"), *((name, name.replace("_", " ")) for name in VERDICTS)]
    return element(
        "form",
        _field("q", "Search", _input("q", query.words, type_="search", placeholder="name, SQL Server, host, 3303", size=28)),
        _field("verdict", "State", _select("verdict", verdicts, query.verdict)),
        _field("code", "Code", _input("code", query.code, suggestions=codes, size=8)),
        [_field(f"label{n}", "Label", _input("label", each, identity=f"label{n}")) for n, each in enumerate(query.labels)],
        _field("label", "Label", _input("label", "", suggestions=((each, "") for each in fleet.labels), placeholder="team=dba")),
        _field("sort", "Order", _select("sort", _orders(query, fleet), query.sort)),
        element("input", type="hidden", name="cause", value=query.cause) if query.cause else None,
        element("button", "Show", type="submit"),
        None if query.everything else link(urls.targets(), "Show all"),
        action=urls.targets(),
        method="get",
        class_="filters",
        role="search",
        aria_label="Filter and sort the targets",
    )


def match_count(urls: Urls, query: TargetQuery, fleet: Fleet) -> Child:
    """Return the number of matches, and what the text stands for; None without a filter."""
    if query.everything:
        return None
    return element("p", f"{len(fleet.shown)} of {fleet.total} targets match.", _meaning(urls, query.code or query.words))


def scope_line(urls: Urls, query: TargetQuery, fleet: Fleet) -> Child:
    """Return which targets the status page is about, with a link to all; None if it is about all."""
    if not query.scope:
        return None
    named = ", ".join(f"{_SCOPES[name]} {value}" for name, value in query.scope)
    share = f"{len(fleet.scope):,} of {fleet.total:,} targets"
    return element("p", f"Only what has {named}: {share}. ", link(urls.status(()), "Show the whole fleet"), class_="notice")


def _meaning(urls: Urls, searched: str) -> Child:
    """Link the explanation of a code, message or log line; None if the text is none."""
    known = explain(searched) if searched else None
    if known is None:
        return None
    title = known.title or f"{both_numbers(known.rows[0].code)} {known.rows[0].symbol}"
    return [" Understood as ", link(urls.to("/explain", code=searched), title), "."]


def _field(identity: str, label: str, control: Child) -> Html:
    return element("div", element("label", label, for_=identity), control)


def _input(
    name: str,
    value: str,
    *,
    identity: str | None = None,
    type_: str = "text",
    suggestions: Iterable[tuple[str, str]] = (),
    placeholder: str | None = None,
    size: int = 14,
) -> Child:
    offered = [element("option", words, value=each) for each, words in suggestions]
    listed = f"{name}-known" if offered else None
    field = element(
        "input", id=identity or name, name=name, value=value, type=type_, list=listed, placeholder=placeholder, size=size,
        autocomplete="off", spellcheck="false",
    )  # fmt: skip
    return [field, element("datalist", offered, id=listed) if offered else None]


def _select(name: str, options: Iterable[tuple[str, str]], chosen: str) -> Html:
    return element(
        "select",
        [element("option", words, value=value, selected=value == chosen) for value, words in options],
        id=name,
        name=name,
    )


def _orders(query: TargetQuery, fleet: Fleet) -> Iterable[tuple[str, str]]:
    """Yield the sort orders, always with the current one."""
    yield from ((order.value, words) for order, words in _ORDERS.items())
    names = dict.fromkeys((*fleet.label_names, query.by_label) if query.by_label else fleet.label_names)
    yield from ((f"{BY_LABEL}{name}", f"label {name}") for name in names)


def ended_section(urls: Urls, groups: Sequence[CauseGroup], views: Mapping[str, TargetView]) -> Iterator[Child]:
    """Yield the latest ones, with the beginning of the first failure and the end of the last one."""
    if not groups:
        return
    lines = [element("li", _ended(urls, group, views)) for group in groups[:ENDED_SHOWN]]
    yield element("ul", lines, class_="quiet", aria_label="Ended within the last hour")
    if len(groups) > ENDED_SHOWN:
        yield element("p", link(urls.to("/changes"), f"{len(groups) - ENDED_SHOWN:,} more ended"), class_="quiet")


def _ended(urls: Urls, group: CauseGroup, views: Mapping[str, TargetView]) -> list[Child]:
    at = over_since(group, views)
    lasted = span(max(0.0, at - group.since))
    few = len(group.targets) <= NAMED
    targets = target_links(urls, group.id, group.targets) if few else counted(len(group.targets), "target")
    return [group_title(group), ": ended ", exact_time(at), f", lasted {lasted}. ", targets]


def expiring_section(urls: Urls, endings: Sequence[Ending], now: float) -> Iterator[Child]:
    """Yield what expires soon or has expired; nothing if there is none."""
    soon = [ending for ending in endings if ending.is_soon(now)]
    if not soon:
        return
    first = f"The first {_EXPIRING_SHOWN} of {len(soon):,}" if len(soon) > _EXPIRING_SHOWN else f"{len(soon)}"
    feed = link(urls.to("/calendar.ics"), "Calendar of all known expiry dates")
    within = element("p", f"{first} within 30 days, TLS certificates within 14 days. ", feed, class_="quiet")
    yield element("div", element("h2", "Expiring soon", id="expiring"), within, class_="headed")
    yield element(
        "ul", [_item(urls, ending, now) for ending in soon[:_EXPIRING_SHOWN]], class_="expiring", aria_labelledby="expiring"
    )


def _item(urls: Urls, ending: Ending, now: float) -> Html:
    wrong = f": {ending.wrong}" if ending.wrong else ""
    more = f" and {len(ending.targets) - 1:,} more" if len(ending.targets) > 1 else None
    targets = [", ", link(urls.target(ending.targets[0]), ending.targets[0]), more] if ending.targets else None
    return element(
        "li",
        element("strong", brief_name(ending.name), title=ending.name),
        element("span", expires_in(ending, now), class_="bad-ink" if ending.has_expired(now) else None),
        element("p", f"{NOUNS[ending.kind]}{_DATES.get(ending.source, '')}{wrong}", targets, class_="quiet"),
        data_key=f"{ending.kind}-{ending.name}",
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class ListPage:
    """One page of a list. Pages count from 1; any requested number is valid. `now` is a Unix time."""

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
    unread: Sequence[tuple[str, str]] = ()  # SQL Servers, and why they are not read
    restart: Sequence[RestartReadiness] = ()

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
        return shown_groups(self.causes, self.own, all_causes=self.query.all_causes)


def overview(urls: Urls, page: ListPage) -> Iterator[Html]:
    """Yield the document in pieces of a few rows."""
    heading = page.path != "/"
    yield head(urls, page.title, at=page.path, now=page.now, heading=heading)
    yield Html('<div id="standing" data-live>')
    yield from map(markup, _verdict_section(urls, page))
    yield Html("</div>")
    yield filters(urls, page.query, page.fleet)
    yield Html('<div id="list" data-live>' + markup(match_count(urls, page.query, page.fleet)))
    caption = f"State of the vault side, {vantage_text(page.vantage)}. {not_tested(NOT_TESTED)}"
    yield table_head(COLUMNS, caption=caption, name="targets")
    advised = {name for group in page.cards for name in (*group.targets, *group.unsteady)}
    advised.update(name for cause in shown_own(page.own, all_causes=page.query.all_causes) for name in cause.targets)
    for start in range(0, len(page.shown), _ROWS_AT_ONCE):
        rows = page.shown[start : start + _ROWS_AT_ONCE]
        yield markup(target_row(urls, view, page.query, action=view.target.name not in advised) for view in rows)
    yield Html(table_foot() + _pages(urls, page) + "</div>" + _legend() + foot(urls))


def _verdict_section(urls: Urls, page: ListPage) -> Iterator[Child]:
    fleet, is_status = page.fleet, page.path == "/"
    behind = (server for name in fleet.scope for server in fleet.views[name].stuck)
    themselves = sql_headline(fleet.own, behind, page.now)
    is_bad = bool(page.fleet.counts.get(Urgency.NOT_READY) or themselves)
    if is_status:
        headline = ". ".join(filter(None, (_vault_side(fleet), themselves)))
        yield element("h1", headline, class_="bad-ink" if is_bad else None)
        yield scope_line(urls, page.query, page.fleet)
    if page.fleet.has_ended:
        ended = "has ended, or is outside the filter" if page.query.scope else "has ended"
        yield element("p", f"The cause of this link {ended}. This page shows what is there now.", class_="notice")
    number = len(page.causes) + len(page.own)
    causes = element("p", element("strong", counted(number, "cause"))) if number else None
    yield element("div", _badges(urls, page), causes, _next_expiry_line(page), class_="overall")
    yield from (element("p", prose(words), class_="notice") for words in _notices(page))
    if is_bad and is_status:
        yield element("p", SOME_DO_NOT_WRITE if "may no longer write" in themselves else WITHOUT_THE_KEY, class_="quiet")
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
    yield restart_section(page.restart, page.now)
    yield differences_line(urls, page.differences)
    yield from expiring_section(urls, page.endings, page.now)


def _notices(page: ListPage) -> Iterator[str]:
    """Yield what is not known."""
    fleet = page.fleet
    if fleet.lost:
        yield (
            f"{len(fleet.lost):,} of {fleet.targets.total():,} targets are not measured: this host is too slow "
            f"(up to {100 * max(fleet.lost):.0f} % of the time lost). Nothing is known about them."
        )
    if page.delayed:
        yield page.delayed
    elif not page.ready or fleet.waiting == fleet.targets.total() > 0:
        yield _first_round(fleet)
    if not page.keeps_state:
        yield "The state directory cannot be written: a restart loses what is new. See the log."
    if page.unread:
        yield unread_text(page.unread, "`sql_servers`")


def _badges(urls: Urls, page: ListPage) -> Html:
    """Return the number of targets in each state, each with a link to their list."""
    counts, scope = page.fleet.counts, page.query.scope
    badges = [(urgency.name.lower(), badge(urgency, count=counts.get(urgency, 0))) for urgency in Urgency]
    if unsteady := page.fleet.targets[HeadlineState.UNSTEADY]:
        badges.append((UNSTEADY, unsteady_badge(unsteady)))
    entries = [element("li", link(urls.targets([*scope, ("verdict", name)]), shown)) for name, shown in badges]
    return element("ul", entries, class_="summary", aria_label="Targets by state")


def _first_round(fleet: Fleet) -> str:
    """Return why little is known yet, and that no action is needed."""
    if fleet.waiting < fleet.targets.total() or not fleet.waiting:
        return "The first round of probes has not finished yet."
    minutes = math.ceil(fleet.total * SPACING / 60)
    return (
        "No probe has finished since the exporter started or read a new configuration. No action is needed: wait for the first round, "
        f"about {minutes} min on an idle host. For one target at once, open its page and choose Probe now."
    )


def _vault_side(fleet: Fleet) -> str:
    """Return how many SQL Servers or targets are not ready, or that all are ready, or that nothing is known."""
    counts = fleet.servers or fleet.targets
    is_server, total = bool(fleet.servers), counts.total()
    if not total:
        return "No target matches the filter" if fleet.total else "0 of 0 targets ready"
    if fleet.waiting == fleet.targets.total():
        return f"Nothing known yet of {counted(total, 'SQL Server' if is_server else 'target')}"
    ready = fleet.counts.get(Urgency.READY, 0) == fleet.targets.total()
    noun, state = "SQL Servers: vault side" if is_server else "targets", "ready" if ready else "not ready"
    others = {"unknown": counts[HeadlineState.UNKNOWN], "unsteady": counts[HeadlineState.UNSTEADY]}
    more = "".join(f", {number:,} {name}" for name, number in others.items() if number)
    return f"{total if ready else counts[HeadlineState.NOT_READY]:,} of {total:,} {noun} {state}{more}"


def _next_expiry_line(page: ListPage) -> Child:
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

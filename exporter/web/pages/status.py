"""The status page and the list of targets.

It shows SQL Servers with a vault side that is not ready, causes and first actions; then what expires soon, and incidents that are
over. The filter form works without a script.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import islice

from exporter.core import counted
from exporter.core.durations import clock_text
from exporter.core.limits import SPACING
from exporter.explain.search import explain
from exporter.knowledge.advice import cause, open_detail
from exporter.knowledge.code_row import OWNERS, SOME_DO_NOT_WRITE, WITHOUT_THE_KEY, Owner
from exporter.knowledge.codes import BY_CODE, both_numbers
from exporter.knowledge.expiry import Source
from exporter.knowledge.verdict import NOT_TESTED, STATES, State, vantage_text, why_text
from exporter.presentation.expiries import NOUNS, Ending, EndingKind
from exporter.presentation.sql import sql_headline, unread_text
from exporter.presentation.text import what_an_instance_is
from exporter.web.pages.causes import PER_PAGE, ListPage, causes_section, group_title
from exporter.web.pages.fleet import BY_LABEL, HEADLINE, MOST_LABELS, ORDERS, UNSTEADY, VERDICTS, Fleet, TargetQuery
from exporter.web.pages.html import (
    NAMED,
    TABLE_FOOT,
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
    table_head,
    target_links,
)
from exporter.web.pages.sql_servers import differences_line, own_badges, own_causes, restart_section, sql_legend
from exporter.web.pages.target import marks, state_bar
from exporter.web.pages.views import (
    TargetView,
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
_ROWS_AT_ONCE = 2
ENDED_SHOWN = 5
_EXPIRING_SHOWN = 15
_HURRY = 14 * 86400.0  # before a secret ends
_SCOPES = {"q": "the words", "code": "the code", "label": "the label"}
# The page that says how to renew it, and its title. Azure renews its own certificates.
_RENEWAL: Mapping[EndingKind, tuple[str, str]] = {
    EndingKind.CREDENTIAL: ("/docs/rollover", "How to roll it over"),
    EndingKind.OTHER_CREDENTIAL: ("/docs/rollover#2-stage-it-in-the-exporter", "How to roll it over"),
    EndingKind.KEY: ("/docs/key-rotation", "How to rotate it"),
    EndingKind.BACKUP: ("/docs/key-rotation#what-to-keep-until-when", "What to back up"),
}
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
    queries = [replace(query, labels=tuple(dict.fromkeys((*query.labels, each)))).parameters() for each in labels]
    links = [(" ", link(urls.to("/targets", query=also), each)) for each, also in zip(labels, queries, strict=True)]
    return element(
        "tr",
        element("th", _servers(urls, view), scope="row"),
        cell("State", badge(view.state), [element("div", each) for each in own_badges(view)], marks(view)),
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


def _servers(urls: Urls, view: TargetView) -> Child:
    instances = view.target.instances
    shown = [
        element("div", server, [" ", element("span", others, class_="quiet")] if others else None)
        for server, others in map(what_an_instance_is, instances[:_SERVERS])
    ]
    more = link(urls.target(view.target.name), f"and {len(instances) - _SERVERS} more")
    return [
        None if instances else element("span", "no SQL Server named", class_="quiet"),
        shown,
        element("div", more, class_="quiet") if len(instances) > _SERVERS else None,
    ]


def _cause(urls: Urls, view: TargetView, *, action: bool) -> Iterator[Child]:
    failure = view.failure
    if view.readiness.ready is None:
        yield element("div", why_text(view.readiness))
    elif failure is None and view.unsteady is None and not view.own:
        yield element("span", "nothing failed", class_="quiet")
    yield own_causes(urls, view, action=action)
    step, code, reason = view.failed
    if step is not None and code is not None:
        last = "" if view.unsteady is None else ", but the last probe succeeded"
        detail = None if failure is None else open_detail(failure)
        diagnosis = view.diagnosis if action else None
        advice = None if diagnosis is None else diagnosis.advice()
        yield element("div", cause(reason, step))
        yield element("div", brief_code(urls, code), f" in step {step.value}{last}", class_="quiet")
        yield element("div", detail, class_="quiet") if detail else None
        yield copyable(f"{advice.actions[0]} {advice.then}".rstrip()) if advice is not None and advice.actions else None


def _next_expiry(view: TargetView) -> Child:
    ending, wrong = view.ending, element("div", view.wrong, class_="quiet") if view.wrong else None
    if ending is None:
        return [element("span", "unknown", class_="quiet"), wrong]
    noun, expired = NOUNS[ending.kind], ending.has_expired(view.now)
    refused = ", refused by Entra ID" if ending.source == Source.ENTRA else ""
    return [
        element("span", when(ending.at, view.now), class_="bad-ink") if expired else expires_in(ending, view.now),
        element("div", f"{noun} expired{refused}" if expired else noun, class_="quiet"),
        wrong,
    ]


def filters(urls: Urls, fleet: Fleet) -> Html:
    """Render the form, filled with the current query."""
    query = fleet.query
    codes = ((str(code), f"{BY_CODE[code].symbol}, {count}") for code, count in sorted(fleet.codes.items()))
    labels = ((each, "") for each in sorted(f"{name}={value}" for name, value in fleet.labels)[:MOST_LABELS])
    verdicts = [("", "any"), *((name, name.replace("_", " ")) for name in VERDICTS)]
    # The current order is always among them.
    names = dict.fromkeys(f"{BY_LABEL}{name}" for name in sorted(fleet.label_names)[:MOST_LABELS])
    names |= {query.sort: None} if query.sort.startswith(BY_LABEL) else {}
    orders = [*((name, words) for name, (words, _) in ORDERS.items()), *((name, name.replace(":", " ", 1)) for name in names)]
    return element(
        "form",
        _field("q", "Search", _input("q", query.words, type_="search", placeholder="name, SQL Server, host, 3303", size=28)),
        _field("verdict", "State", _select("verdict", verdicts, query.verdict)),
        _field("code", "Code", _input("code", query.code, suggestions=codes, size=8)),
        [_field(f"label{n}", "Label", _input("label", each, identity=f"label{n}")) for n, each in enumerate(query.labels)],
        _field("label", "Label", _input("label", "", suggestions=labels, placeholder="team=dba")),
        _field("sort", "Order", _select("sort", orders, query.sort)),
        element("input", type="hidden", name="cause", value=query.cause) if query.cause else None,
        element("button", "Show", type="submit"),
        None if query.everything else link(urls.to("/targets"), "Show all"),
        action=urls.to("/targets"),
        method="get",
        class_="filters",
        role="search",
        aria_label="Filter and sort the targets",
    )


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
    shown = [element("option", words, value=value, selected=value == chosen) for value, words in options]
    return element("select", shown, id=name, name=name)


def match_count(urls: Urls, fleet: Fleet) -> Child:
    """Return the number of matches, and which code, message or log line the text stands for; None without a filter."""
    query = fleet.query
    if query.everything:
        return None
    searched, meaning = query.code or query.words, None
    if (known := explain(searched) if searched else None) is not None:
        title = known.title or f"{both_numbers(known.rows[0].code)} {known.rows[0].symbol}"
        meaning = [" Understood as ", link(urls.to("/explain", query=[("code", searched)]), title), "."]
    return element("p", f"{len(fleet.shown)} of {len(fleet.views)} targets match.", meaning)


def scope_line(urls: Urls, fleet: Fleet) -> Child:
    """Return which targets the status page is about, with a link to all; None if it is about all."""
    named = ", ".join(f"{_SCOPES[name]} {value}" for name, value in fleet.query.scope)
    share = f"{len(fleet.scope):,} of {len(fleet.views):,} targets"
    everything = link(urls.to("/"), "Show the whole fleet")
    return element("p", f"Only what has {named}: {share}. ", everything, class_="notice") if named else None


def ended_section(urls: Urls, fleet: Fleet) -> Child:
    """Return the latest ones, with the beginning of the first failure and the end of the last one; None without any."""
    if not fleet.ended:
        return None
    lines, more = [], len(fleet.ended) - ENDED_SHOWN
    for group in fleet.ended[:ENDED_SHOWN]:
        at, number = fleet.over_since(group), len(group.targets)
        targets = target_links(urls, group.id, group.targets) if number <= NAMED else counted(number, "target")
        lasted = f", lasted {span(max(0.0, at - group.since))}. "
        lines.append(element("li", group_title(group), ": ended ", exact_time(at), lasted, targets))
    return [
        element("ul", lines, class_="quiet", aria_label="Ended within the last hour"),
        element("p", link(urls.to("/changes"), f"{more:,} more ended"), class_="quiet") if more > 0 else None,
    ]


def expiring_section(urls: Urls, page: ListPage) -> Child:
    """Return what expires soon or has expired; None if there is none."""
    soon = [ending for ending in page.endings if ending.is_soon(page.fleet.now)]
    first = f"The first {_EXPIRING_SHOWN} of {len(soon):,}" if len(soon) > _EXPIRING_SHOWN else f"{len(soon)}"
    feed = link(urls.to("/calendar.ics"), "Calendar of all known expiry dates")
    within = element("p", f"{first} within 30 days, TLS certificates within 14 days. ", feed, class_="quiet")
    items = [_item(urls, ending, page.fleet) for ending in soon[:_EXPIRING_SHOWN]]
    headed = element("div", element("h2", "Expiring soon", id="expiring"), within, class_="headed")
    return [headed, element("ul", items, class_="expiring", aria_labelledby="expiring")] if soon else None


def _item(urls: Urls, ending: Ending, fleet: Fleet) -> Html:
    wrong = f": {ending.wrong}" if ending.wrong else ""
    more = f" and {len(ending.targets) - 1:,} more" if len(ending.targets) > 1 else None
    targets = [", ", link(urls.target(ending.targets[0]), ending.targets[0]), more] if ending.targets else None
    renewal = [". ", link(urls.to(_RENEWAL[ending.kind][0]), _RENEWAL[ending.kind][1])] if ending.kind in _RENEWAL else None
    hurry = ending.kind is EndingKind.CREDENTIAL and 0 < ending.at - fleet.now < _HURRY
    return element(
        "li",
        element("strong", brief_name(ending.name), title=ending.name),
        element("span", expires_in(ending, fleet.now), class_="bad-ink" if ending.has_expired(fleet.now) else None),
        element(
            "p",
            f"{NOUNS[ending.kind]}{_DATES.get(ending.source, '')}{wrong}",
            targets,
            renewal,
            f". {_plan(ending, fleet)}" if hurry else None,
            class_="quiet",
        ),
        data_key=f"{ending.kind}-{ending.name}",
    )


def _plan(ending: Ending, fleet: Fleet) -> str:
    """Return the date of a secret that ends within days, and the SQL Servers that need another one, by name: their roles are not known here."""
    views = [fleet.views[name] for name in islice(ending.targets, NAMED) if name in fleet.views]
    servers = sorted({server for view in views for server in view.servers.values()})
    more = " and more" if max(len(servers), len(ending.targets)) > NAMED else ""
    nodes = f" on {', '.join(servers[:NAMED])}{more}, secondaries before the primary" if servers else ""
    return f"Ends at {clock_text(ending.at, fleet.now)}: begin today{nodes}."


def overview(urls: Urls, page: ListPage) -> Iterator[Html]:
    """Yield the document in pieces of a few rows."""
    fleet, query = page.fleet, page.fleet.query
    yield head(urls, "Status" if page.is_status else "Targets", at=page.path, now=fleet.now, heading=not page.is_status)
    yield Html('<div id="standing" data-live>')
    themselves = sql_headline(fleet.own, (server for view in fleet.within() for server in view.stuck), fleet.now)
    is_bad = bool(fleet.counts[State.NOT_READY] or themselves)
    headline = ". ".join(filter(None, (_vault_side(fleet), themselves)))
    ended = "has ended, or is outside the filter" if query.scope else "has ended"
    number = len(page.causes) + len(page.own)
    causes = element("p", element("strong", counted(number, "cause"))) if number else None
    effect = SOME_DO_NOT_WRITE if "may no longer write" in themselves else WITHOUT_THE_KEY
    above: Child = [
        [element("h1", headline, class_="bad-ink" if is_bad else None), scope_line(urls, fleet)] if page.is_status else None,
        _notice(f"The cause of this link {ended}. This page shows what is there now.") if fleet.has_ended else None,
        element("div", _badges(urls, fleet), causes, _next_expiry_line(page), class_="overall"),
        map(_notice, page.notices),
        element("p", effect, class_="quiet") if is_bad and page.is_status else None,
    ]
    yield markup(above)
    yield from map(markup, causes_section(urls, page))
    fewer = element("p", link(urls.to("/", query=query.scope), "Show the first causes only"))
    below: Child = [
        [fewer if query.all_causes else None, ended_section(urls, fleet)] if page.is_status else None,
        restart_section(page.restart, fleet.now),
        differences_line(urls, page.differences),
        expiring_section(urls, page),
    ]
    yield Html(markup(below) + "</div>")
    yield filters(urls, fleet)
    yield Html('<div id="list" data-live>' + markup(match_count(urls, fleet)))
    caption = f"State of the vault side, {vantage_text(page.vantage)}. {not_tested(NOT_TESTED)}"
    yield table_head(COLUMNS, caption=caption, name="targets")
    advised = {name for group in page.cards for name in (*group.targets, *group.unsteady)}
    advised.update(name for cause in page.own_cards for name in cause.targets)
    last = page.number * PER_PAGE
    for start in range(last - PER_PAGE, min(last, len(fleet.shown)), _ROWS_AT_ONCE):
        rows = fleet.shown[start : min(last, start + _ROWS_AT_ONCE)]
        yield markup(target_row(urls, view, fleet.query, action=view.target.name not in advised) for view in rows)
    meanings = [(element("dt", badge(state)), element("dd", meaning)) for state, meaning in STATES.items()]
    states = element("dl", [*meanings, *sql_legend()])
    legend = element("details", element("summary", "What the states mean"), states, id="states")
    yield Html(TABLE_FOOT + _pages(urls, page) + "</div>" + legend + foot(urls))


def _notice(words: str) -> Html:
    return element("p", prose(words), class_="notice")


def notices(fleet: Fleet, delayed: str, unread: Sequence[tuple[str, str]], *, ready: bool, keeps_state: bool) -> list[str]:
    """Return what is not known. `delayed` is a notice about first probes, `unread` SQL Servers, and why they are not read."""
    total, lost = fleet.targets.total(), fleet.lost
    slow = (
        f"{len(lost):,} of {total:,} targets are not measured: this host is too slow "
        f"(up to {100 * max(lost, default=0):.0f} % of the time lost). Nothing is known about them "
        f"until {OWNERS[Owner.EXPORTER]} gives this host more processor time."
    )
    started = (
        "No probe has finished since the exporter started or read a new configuration. No action is needed: wait for the first round, "
        f"about {math.ceil(len(fleet.views) * SPACING / 60)} min on an idle host. For one target at once, open its page and choose Probe now."
    )
    if fleet.waiting < total or not total:
        started = "" if ready else "The first round of probes has not finished yet."
    unwritten = "The state directory cannot be written: a restart loses what is new. See the log."
    unread_words = unread_text(unread, "`sql_servers`") if unread else ""
    return [each for each in (slow if lost else "", delayed or started, "" if keeps_state else unwritten, unread_words) if each]


def _badges(urls: Urls, fleet: Fleet) -> Html:
    """Return the number of targets in each state, each with a link to their list."""
    badges = [(state.value, badge(state, count=fleet.counts[state])) for state in State]
    unsteady = fleet.targets[HEADLINE[UNSTEADY]]
    badges += [(UNSTEADY, unsteady_badge(unsteady))] if unsteady else []
    lists = [(urls.to("/targets", query=[*fleet.query.scope, ("verdict", name)]), shown) for name, shown in badges]
    entries = [element("li", link(address, shown)) for address, shown in lists]
    return element("ul", entries, class_="summary", aria_label="Targets by state")


def _vault_side(fleet: Fleet) -> str:
    """Return how many SQL Servers or targets are not ready, or that all are ready, or that nothing is known."""
    counts = Counter(fleet.servers.values()) or fleet.targets
    total = counts.total()
    if not total:
        return "No target matches the filter" if fleet.views else "0 of 0 targets ready"
    if fleet.waiting == fleet.targets.total():
        return f"Nothing known yet of {counted(total, 'SQL Server' if fleet.servers else 'target')}"
    ready = fleet.counts[State.READY] == fleet.targets.total()
    noun, state = "SQL Servers: vault side" if fleet.servers else "targets", "ready" if ready else "not ready"
    others = ((name, counts[HEADLINE[name]]) for name in (State.UNKNOWN, UNSTEADY))
    more = "".join(f", {number:,} {name}" for name, number in others if number)
    return f"{total if ready else counts[HEADLINE[State.NOT_READY]]:,} of {total:,} {noun} {state}{more}"


def _next_expiry_line(page: ListPage) -> Child:
    """Return what expires next, if it is soon, with a link to the section.

    Azure renews its own TLS certificates, and a backup does not expire, so they are in the section only.
    """
    now = page.fleet.now
    planned = (ending for ending in page.endings if ending.kind not in (EndingKind.TLS, EndingKind.BACKUP))
    coming = next((ending for ending in planned if ending.at > now and ending.is_soon(now)), None)
    if coming is None:
        return None
    where = link("#expiring", f"{NOUNS[coming.kind]} {brief_name(coming.name)}")
    return element("p", "Next expiry: ", element("strong", expires_in(coming, now)), ", ", where)


def _pages(urls: Urls, page: ListPage) -> Html:
    def to(number: int, words: str) -> Child:
        address = urls.to("/targets", query=[*page.fleet.query.parameters(), ("page", number)])
        return link(address, words) if 1 <= number <= page.count else None

    before, after = to(page.number - 1, "Previous"), to(page.number + 1, "Next")
    shown = before, element("span", f"Page {page.number} of {page.count}"), after
    return element("nav", shown, class_="pages", aria_label="Pages") if page.count > 1 else Html("")

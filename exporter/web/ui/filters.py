"""The filter form above a list of targets, which works without a script."""

from __future__ import annotations

from collections.abc import Iterable

from exporter.core.codes import BY_CODE, both_numbers
from exporter.explain.search import explain
from exporter.web.ui.fleet import Fleet
from exporter.web.ui.html import Child, Html, element
from exporter.web.ui.layout import Urls, link
from exporter.web.ui.query import BY_LABEL, VERDICTS, SortOrder, TargetQuery

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


def filters(urls: Urls, query: TargetQuery, fleet: Fleet) -> Html:
    """Render the form, filled with the current query."""
    verdicts = [("", "any"), *((name, name.replace("_", " ")) for name in VERDICTS)]
    return element(
        "form",
        _field("q", "Search", _input("q", query.words, type_="search", placeholder="name, SQL Server, host, 3303", size=28)),
        _field("verdict", "State", _select("verdict", verdicts, query.verdict)),
        _field("code", "Code", _input("code", query.code, suggestions=_codes(fleet), size=8)),
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


def _codes(fleet: Fleet) -> Iterable[tuple[str, str]]:
    for code, count in sorted(fleet.codes.items()):
        yield str(code), f"{BY_CODE[code].symbol}, {count}"

"""The pages of codes: `/explain/CODE` and `/explain`."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

from exporter.core.codes import CODES, ConnectorError, both_numbers
from exporter.core.codes.owners import OWNERS
from exporter.explain.explanation import Explanation
from exporter.explain.introduction import OTHERWISE
from exporter.explain.render import effect, elsewhere, visibility
from exporter.explain.unknown_text import KINDS
from exporter.explain.unknown_text import unknown as why_unknown
from exporter.web.ui.html import Child, Html, element
from exporter.web.ui.layout import Urls, cell, facts, link, page, prose, table


def explain_page(urls: Urls, rows: Sequence[ConnectorError]) -> Html:
    """Render one code, or the two that share a symbol; `rows` is not empty."""
    title = f"{both_numbers(rows[0].code)} {rows[0].symbol}"
    return page(urls, title, [_code(row) for row in rows], at="/explain")


def explanation_page(urls: Urls, explanation: Explanation) -> Html:
    """Render the explanation of a message, number or reason, with links to its codes."""
    return page(
        urls,
        explanation.title,
        element("p", prose(explanation.summary)),
        element("p", prose(effect(explanation))) if effect(explanation) else None,
        *_list("Likely causes, most likely first", explanation.causes),
        *_list("What to do, in this order", explanation.actions),
        *_commands(explanation.commands),
        element("h2", "Codes") if explanation.rows else None,
        element("ul", [element("li", link(urls.code(row.code), f"{row.code} {row.symbol}")) for row in explanation.rows])
        if explanation.rows
        else None,
        at="/explain",
    )


def _list(title: str, items: tuple[str, ...]) -> tuple[Html, ...]:
    return (element("h2", title), element("ol", [element("li", prose(item)) for item in items])) if items else ()


def _commands(lines: tuple[str, ...]) -> tuple[Html, ...]:
    return (element("h2", "Commands"), element("pre", "\n".join(lines))) if lines else ()


def codes_page(urls: Urls, unknown: str) -> Html:
    """Render all codes and a search field; `unknown` is a search text without a match."""
    why = why_unknown(unknown)
    notice = element("p", f"{why[0].upper()}{why[1:]}", class_="notice", role="alert")
    return page(
        urls,
        "Connector codes",
        element("p", f"Explains {KINDS}."),
        _form(urls, unknown),
        notice if unknown else None,
        *(_list("For a failure that no table lists, check in this order", OTHERWISE) if unknown else ()),
        _table(urls),
        at="/explain",
    )


@cache
def _table(urls: Urls) -> Html:
    """Return the table of all codes, which never changes."""
    columns = ("Code", "What it means", "Symbol", "Counterpart code", "Who can repair it")
    return table(columns, [_listed(urls, row) for row in CODES], caption="All codes.", name="codes")


def _form(urls: Urls, text: str) -> Html:
    field = element("input", id="code", name="code", value=text, size=20, autocomplete="off", spellcheck="false")
    return element(
        "form",
        element("div", element("label", "Code, message or log line", for_="code"), field),
        element("button", "Explain", type="submit"),
        action=urls.to("/explain"), method="get", class_="filters", role="search", aria_label="Find a code",
    )  # fmt: skip


def _listed(urls: Urls, row: ConnectorError) -> Html:
    counterpart: Child = "" if row.counterpart is None else link(urls.code(row.counterpart), row.counterpart)
    return element(
        "tr",
        element("th", link(urls.code(row.code), row.code), scope="row"),
        cell("What it means", prose(row.summary)),
        cell("Symbol", element("code", row.symbol)),
        cell("Counterpart code", counterpart),
        cell("Who can repair it", OWNERS[row.owner]),
    )


def _code(row: ConnectorError) -> Html:
    return element(
        "section",
        element("p", prose(row.summary)),
        element("p", prose(row.effect)) if row.effect else None,
        *_list("Likely causes, most likely first", row.causes),
        *_list("What to do, in this order", row.actions),
        *_commands(row.commands),
        element("h2", "About this code"),
        facts(
            [
                ("number", both_numbers(row.code)),
                ("symbol", element("code", row.symbol)),
                ("owner", OWNERS[row.owner]),
                ("kind", f"{row.category.value}, layer {row.layer.value}"),
                ("probe", prose(visibility(row))),
                ("elsewhere", prose(elsewhere(row)) if elsewhere(row) else None),
            ]
        ),
    )

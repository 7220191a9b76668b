"""What a code means.

For: `/explain/CODE`.
Not for: any wording about a code: that stands in the catalogue.
"""

from __future__ import annotations

from collections.abc import Sequence

from exporter.core.catalogue import ConnectorError, both_numbers
from exporter.core.catalogue.render import OWNERS, elsewhere, visibility
from exporter.web.markup import Html, element
from exporter.web.pages.layout import Site, facts, page, prose


def explain_page(site: Site, rows: Sequence[ConnectorError]) -> Html:
    """One code, or the two that share a symbol; `rows` is not empty."""
    title = f"{both_numbers(rows[0].code)} {rows[0].symbol}"
    return page(site, title, [_code(row) for row in rows])


def _code(row: ConnectorError) -> Html:
    return element(
        "section",
        element("p", prose(row.summary)),
        element("h2", "Likely causes, most likely first") if row.causes else None,
        element("ol", [element("li", prose(cause)) for cause in row.causes]) if row.causes else None,
        element("h2", "What to do, in this order") if row.actions else None,
        element("ol", [element("li", prose(action)) for action in row.actions]) if row.actions else None,
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

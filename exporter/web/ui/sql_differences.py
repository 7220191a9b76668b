"""Where the configuration differs from SQL Servers, as HTML."""

from __future__ import annotations

from collections.abc import Sequence

from exporter.presentation.sql_differences import difference_text
from exporter.tde.differences import Difference
from exporter.web.ui.html import Child, element
from exporter.web.ui.layout import Urls, link, prose

_MOST_SHOWN = 10  # on the page of a target


def target_differences_list(differences: Sequence[Difference]) -> Child:
    """Return one line for each difference of a target; None without any."""
    if not differences:
        return None
    entries = [element("li", prose(difference_text(each))) for each in differences[:_MOST_SHOWN]]
    rest = len(differences) - _MOST_SHOWN
    more = element("p", f"{rest:,} more differences. The API lists them.", class_="quiet") if rest > 0 else None
    return [element("ul", entries, aria_label="Differences from SQL Server"), more]


def differences_line(urls: Urls, differences: Sequence[Difference]) -> Child:
    """Return the number of differences and the first of them; None without any."""
    if not differences:
        return None
    first, number = differences[0], len(differences)
    count = f"The configuration differs from SQL Server in {number:,} place{'' if number == 1 else 's'}. "
    target = [" ", link(urls.target(first.subject), first.subject)] if first.subject else None
    return element("p", element("strong", count), prose(difference_text(first)), target, class_="notice")

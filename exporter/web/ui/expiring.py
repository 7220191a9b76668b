"""The section "Expiring soon": everything that expires, the earliest first."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from exporter.presentation.expiring import NOUNS, Ending
from exporter.web.ui.html import Child, Html, element
from exporter.web.ui.labels import until
from exporter.web.ui.layout import Urls, cell, link, table

_COLUMNS = ("Name", "Expires", "What", "Source", "Targets")
_SHOWN = 15


def expiring_section(site: Urls, endings: Sequence[Ending], now: float) -> Iterator[Child]:
    """Yield what expires soon or has expired; nothing if there is none."""
    soon = [ending for ending in endings if ending.is_soon(now)]
    if not soon:
        return
    feed = link(site.to("/calendar.ics"), "calendar feed")
    yield element("h2", "Expiring soon", id="expiring")
    rows = [_row(site, ending, now) for ending in soon[:_SHOWN]]
    caption = (
        f"{len(soon)} within 30 days, TLS certificates within 14 days."
        if len(soon) <= _SHOWN
        else (f"The first {_SHOWN} of {len(soon)} within 30 days, TLS certificates within 14 days.")
    )
    yield table(_COLUMNS, rows, caption=caption)
    yield element("p", "All known expiry dates: ", feed, ".", class_="quiet")


def _row(site: Urls, ending: Ending, now: float) -> Html:
    return element(
        "tr",
        element("th", ending.name, scope="row"),
        cell("Expires", until(ending.at, now)),
        cell("What", NOUNS[ending.kind]),
        cell("Source", ending.source),
        cell("Targets", _targets(site, ending)),
        data_key=f"{ending.kind}-{ending.name}",
    )


def _targets(site: Urls, ending: Ending) -> Child:
    if not ending.targets:
        return ""
    first = link(site.target(ending.targets[0]), ending.targets[0])
    return first if len(ending.targets) == 1 else [first, f" and {len(ending.targets) - 1} more"]

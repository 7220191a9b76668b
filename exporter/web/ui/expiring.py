"""The section "Expiring soon": everything that expires, the earliest first."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from exporter.core.credential_expiry import Source
from exporter.presentation.expiries import NOUNS, Ending
from exporter.web.ui.html import Child, Html, element
from exporter.web.ui.labels import brief_name, expires_in
from exporter.web.ui.layout import Urls, link

_SHOWN = 15
# Where the date comes from, if that is not obvious.
_DATES: Mapping[str, str] = {
    Source.DECLARED: ", declared in the configuration",
    Source.GRAPH: ", date of Microsoft Graph",
    Source.KEY_VAULT: ", date of its Key Vault secret",
    Source.ENTRA: ", refused by Entra ID as expired",
}


def expiring_section(urls: Urls, endings: Sequence[Ending], now: float) -> Iterator[Child]:
    """Yield what expires soon or has expired; nothing if there is none."""
    soon = [ending for ending in endings if ending.is_soon(now)]
    if not soon:
        return
    first = f"The first {_SHOWN} of {len(soon):,}" if len(soon) > _SHOWN else f"{len(soon)}"
    feed = link(urls.to("/calendar.ics"), "Calendar of all known expiry dates")
    within = element("p", f"{first} within 30 days, TLS certificates within 14 days. ", feed, class_="quiet")
    yield element("div", element("h2", "Expiring soon", id="expiring"), within, class_="headed")
    yield element("ul", [_item(urls, ending, now) for ending in soon[:_SHOWN]], class_="expiring", aria_labelledby="expiring")


def _item(urls: Urls, ending: Ending, now: float) -> Html:
    wrong = f": {ending.wrong}" if ending.wrong else ""
    return element(
        "li",
        element("strong", brief_name(ending.name), title=ending.name),
        element("span", expires_in(ending, now), class_="bad-ink" if ending.has_expired(now) else None),
        element("p", f"{NOUNS[ending.kind]}{_DATES.get(ending.source, '')}{wrong}", _targets(urls, ending), class_="quiet"),
        data_key=f"{ending.kind}-{ending.name}",
    )


def _targets(urls: Urls, ending: Ending) -> Child:
    if not ending.targets:
        return None
    more = len(ending.targets) - 1
    return [", ", link(urls.target(ending.targets[0]), ending.targets[0]), f" and {more:,} more" if more else None]

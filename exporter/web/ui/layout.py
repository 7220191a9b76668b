"""What every page shares: the frame, the links, and the small pieces that several pages show.

For: one place where addresses of pages are spelled, and the frame in which the live script works: it replaces what is marked
`data-live` by what a fresh copy of the page has there.
Not for: the content of any page.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from urllib.parse import quote, urlencode

from exporter.core.codes import BY_CODE, both_numbers
from exporter.web.ui.html import Child, Html, element, text

_TICKED = re.compile(r"`([^`]+)`")
REFRESH_SECONDS = 10


@dataclass(frozen=True, slots=True)
class Urls:
    """Where the pages stand, as a browser sees it: `prefix` is "" or "/a/b". Every address is spelled here, and quoted."""

    prefix: str
    version: str
    assets: str = ""  # changes when a style sheet or script does, so that no browser keeps an old one

    def to(self, path: str, **query: str | int) -> str:
        """`path` starts with a slash and is a literal of ours."""
        return self.prefix + path + (f"?{urlencode(query)}" if query else "")

    def targets(self, query: Sequence[tuple[str, str | int]] = ()) -> str:
        return self.to("/targets") + (f"?{urlencode(query)}" if query else "")

    def target(self, name: str) -> str:
        return self.to(f"/targets/{quote(name, safe='')}")

    def probe(self, name: str, identity: str) -> str:
        return f"{self.target(name)}/probes/{quote(identity, safe='')}"

    def code(self, code: int) -> str:
        return self.to(f"/explain/{code}")

    def probe_now(self, name: str) -> str:
        return self.to("/probe", target=name, debug="true")

    def support_bundle(self, name: str) -> str:
        return self.to(f"/api/v1/targets/{quote(name, safe='')}/support-bundle")

    def asset(self, name: str) -> str:
        return self.to(f"/static/{name}", v=self.assets)


_FOR_PEOPLE = (("Status", "/"), ("Targets", "/targets"), ("Codes", "/explain"), ("Configuration", "/config"))
_FOR_PROGRAMS = (
    ("Metrics", "/metrics"),
    ("JSON", "/api/v1/targets"),
    ("OpenAPI", "/api/v1/openapi.json"),
    ("Service discovery", "/sd/targets"),
    ("Health", "/-/healthy"),
    ("Readiness", "/-/ready"),
)


def head(site: Urls, title: str, *, at: str = "") -> Html:
    """Everything before a page's own content, so that a long page can be sent in pieces: `head`, content, `foot`.

    `at` is the path of the entry of the navigation on which the page is.
    """
    return Html(
        "<!doctype html>\n"
        '<html lang="en"><head><meta charset="utf-8">'
        + element("meta", name="viewport", content="width=device-width, initial-scale=1")
        + element("title", f"{title} · ekm-exporter")
        + element("link", rel="icon", href=site.asset("icon.svg"), type="image/svg+xml")
        + element("link", rel="stylesheet", href=site.asset("style.css"))
        + element("script", src=site.asset("live.js"), defer=True)
        + "</head><body>"
        + element("a", "Skip to the content", href="#main", class_="skip")
        + element(
            "header",
            element("strong", link(site.to("/"), "ekm-exporter")),
            _navigation(site, _FOR_PEOPLE, "Main", at),
            element("p", id="live", class_="quiet", role="status"),
        )
        + f'<main id="main" tabindex="-1" data-every="{REFRESH_SECONDS}">'
        + element("h1", title)
    )


def foot(site: Urls) -> Html:
    programs = _navigation(site, _FOR_PROGRAMS, "For programs", "")
    return Html("</main>" + element("footer", programs, element("p", f"ekm-exporter {site.version}")) + "</body></html>\n")


def _navigation(site: Urls, entries: Iterable[tuple[str, str]], label: str, at: str) -> Html:
    shown = (
        element("li", element("a", name, href=site.to(path), aria_current="page" if path == at else None))
        for name, path in entries
    )
    return element("nav", element("ul", shown), aria_label=label)


def page(site: Urls, title: str, *content: Child, at: str = "") -> Html:
    return Html(head(site, title, at=at) + text(content) + foot(site))


def live(identity: str, *content: Child) -> Html:
    """A part of the page that changes while somebody looks at it; `identity` is unique in the page."""
    return element("div", *content, id=identity, data_live=True)


def as_of(moment: str) -> Html:
    """The time of the page, and what a reader without the script has to do for a newer one."""
    again = element("noscript", " This page changes when you load it again.")
    return element(
        "div",
        element("span", "As of ", element("time", moment, datetime=moment), id="as-of", data_live=True),
        ".",
        again,
        class_="quiet",
    )


def link(address: str, *children: Child) -> Html:
    return element("a", *children, href=address)


def facts(pairs: Iterable[tuple[str, Child]]) -> Html:
    """A list of names and values; pairs whose value is None are left out."""
    return element("dl", [(element("dt", name), element("dd", value)) for name, value in pairs if value is not None])


def section(heading: str, pairs: Iterable[tuple[str, Child]]) -> Child:
    """Names and values under a heading; nothing where there are none."""
    shown = list(pairs)
    return element("section", element("h2", heading), facts(shown)) if shown else None


def table(columns: Iterable[str], rows: Iterable[Child], *, caption: str) -> Html:
    return Html(table_head(columns, caption=caption) + text(rows) + table_foot())


def table_head(columns: Iterable[str], *, caption: str) -> Html:
    """What stands before the rows. The caption is for screen readers as much as for eyes."""
    heads = element("thead", element("tr", [element("th", name, scope="col") for name in columns]))
    return Html('<table class="stacked">' + element("caption", caption, class_="quiet") + heads + "<tbody>")


def table_foot() -> Html:
    return Html("</tbody></table>")


def cell(label: str, *children: Child, class_: str | None = None) -> Html:
    """A cell that carries its column's name, for widths at which the table becomes a list."""
    return element("td", *children, data_label=label, class_=class_)


def prose(words: str) -> Html:
    """A text of the catalogue, its `code` spans set as code."""
    pieces = _TICKED.split(words)
    return text(element("code", piece) if odd else piece for piece, odd in ((p, n % 2) for n, p in enumerate(pieces)))


def code_link(site: Urls, code: int) -> Html:
    """Both numbers and the symbol, linked to what the catalogue says."""
    entry = BY_CODE.get(code)
    return Html(link(site.code(code), both_numbers(code)) + (text([" ", element("code", entry.symbol)]) if entry else ""))

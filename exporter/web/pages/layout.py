"""What every page shares: the frame, the links, and the small pieces that several pages show.

For: one place where addresses of pages are spelled and where a state gets its words and colour.
Not for: the content of any page.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import quote, urlencode

from exporter.core.catalogue import BY_CODE, both_numbers
from exporter.web.markup import Child, Html, element, text

_TICKED = re.compile(r"`([^`]+)`")


@dataclass(frozen=True, slots=True)
class Site:
    """Where the pages stand, as a browser sees it: `prefix` is "" or "/a/b". Every address is spelled here, and quoted."""

    prefix: str
    version: str
    style: str = ""  # changes when the style sheet does, so that no browser keeps an old one

    def to(self, path: str, **query: str | int) -> str:
        """`path` starts with a slash and is a literal of ours."""
        return self.prefix + path + (f"?{urlencode(query)}" if query else "")

    def target(self, name: str) -> str:
        return self.to(f"/targets/{quote(name, safe='')}")

    def probe(self, name: str, identity: str) -> str:
        return f"{self.target(name)}/probes/{quote(identity, safe='')}"

    def code(self, code: int) -> str:
        return self.to(f"/explain/{code}")

    def probe_now(self, name: str) -> str:
        return self.to("/probe", target=name, debug="true")


_NAVIGATION = (
    ("Status", "/"),
    ("Targets", "/targets"),
    ("Metrics", "/metrics"),
    ("JSON", "/api/v1/targets"),
    ("Service discovery", "/sd/targets"),
    ("Configuration", "/config"),
    ("Health", "/-/healthy"),
    ("Readiness", "/-/ready"),
)


def head(site: Site, title: str) -> Html:
    """Everything before a page's own content, so that a long page can be sent in pieces: `head`, content, `foot`."""
    entries = (element("li", link(site.to(path), name)) for name, path in _NAVIGATION)
    navigation = element("nav", element("ul", entries), aria_label="Main")
    return Html(
        "<!doctype html>\n"
        '<html lang="en"><head><meta charset="utf-8">'
        + element("meta", name="viewport", content="width=device-width, initial-scale=1")
        + element("title", f"{title} · ekm-exporter")
        + element("link", rel="stylesheet", href=site.to("/static/style.css", v=site.style))
        + "</head><body>"
        + element("header", element("strong", link(site.to("/"), "ekm-exporter")), navigation)
        + "<main>"
        + element("h1", title)
    )


def foot(site: Site) -> Html:
    return Html("</main>" + element("footer", f"ekm-exporter {site.version}") + "</body></html>\n")


def page(site: Site, title: str, *content: Child) -> Html:
    return Html(head(site, title) + text(content) + foot(site))


def link(address: str, *children: Child) -> Html:
    return element("a", *children, href=address)


def facts(pairs: Iterable[tuple[str, Child]]) -> Html:
    """A list of names and values; pairs whose value is None are left out."""
    return element("dl", [(element("dt", name), element("dd", value)) for name, value in pairs if value is not None])


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


def code_link(site: Site, code: int) -> Html:
    """Both numbers and the symbol, linked to what the catalogue says."""
    entry = BY_CODE.get(code)
    return Html(link(site.code(code), both_numbers(code)) + (text([" ", element("code", entry.symbol)]) if entry else ""))

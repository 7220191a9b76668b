"""The audit sheet of one key as HTML: a page of the web, and a document to print."""

from __future__ import annotations

from collections.abc import Iterator

from exporter.tde.audit.access import AuditQuery
from exporter.tde.audit.sheet import SheetPart, parts, sheet, title_of
from exporter.tde.audit.words import Facts
from exporter.web.ui.html import Html, element
from exporter.web.ui.layout import Urls, facts, foot, head, link

_LINES = 50  # in a piece
_STYLE = (
    "body{font:10pt/1.4 sans-serif;margin:2em;color:#111}dl{display:grid;grid-template-columns:16em 1fr;gap:.15em 1em}dt{font-weight:bold;overflow-wrap:anywhere}"
    "dd{margin:0;overflow-wrap:anywhere}pre{white-space:pre-wrap;border:1px solid #999;padding:.4em;font-size:8pt}"
    "section{break-inside:avoid-page}@media print{body{margin:0}@page{size:A4;margin:14mm}}"
)


def audit_page(urls: Urls, name: str, found: Facts) -> Iterator[Html]:
    """Yield the page of a target's key in pieces."""
    yield head(urls, title_of(found), at="/targets")
    yield element(
        "p",
        "For a security officer, from what this exporter knows. ",
        link(urls.audit_json(name), "The same as JSON"),
        ". To print it: ",
        element("code", f"ekm-exporter report --audit {name} --format html"),
        class_="quiet",
    )
    for part in parts(found):
        yield from _section(part)
    yield foot(urls)


def audit_document(found: Facts) -> str:
    """Return a document to print, without scripts and without anything from outside. Raises ValueError as `sheet`."""
    title, body = title_of(found), element("main", element("h1", title_of(found)), map(_section, sheet(found)))
    head = Html('<meta charset="utf-8">' + element("title", title) + element("style", Html(_STYLE)))
    return f'<!DOCTYPE html>\n<html lang="en">\n<head>{head}</head>\n<body>\n{body}\n</body>\n</html>\n'


def _section(part: SheetPart) -> Iterator[Html]:
    yield Html("<section>" + element("h2", part.title))
    for at in range(0, len(part.lines), _LINES):
        yield facts(part.lines[at : at + _LINES])
    yield from map(_query, part.queries)
    yield Html("</section>")


def _query(query: AuditQuery) -> Html:
    words = f"{query.about} ({query.language})"
    shown = element("pre", element("code", query.text), tabindex=0, role="region", aria_label=words)
    return element("div", element("p", words, ":"), shown)

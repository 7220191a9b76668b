"""An HTML builder that escapes everything except its own elements, the parts that all pages share, and the audit sheet.

The live script replaces each part marked `data-live` by the same part of a fresh copy of the page.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from html import escape
from itertools import chain
from urllib.parse import quote, urlencode

from exporter.core import counted
from exporter.core.durations import moment
from exporter.knowledge.advice import steps
from exporter.knowledge.codes import BY_CODE, both_numbers
from exporter.sqlserver.audit import Facts, SheetPart, parts, sheet, title_of
from exporter.sqlserver.instance import few

# Control characters are removed: a terminal that shows the source could execute them.
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")
_VOID = frozenset({"br", "hr", "img", "input", "link", "meta"})
_TICKED = re.compile(r"`([^`]+)`")
# A `code` span that one can run, unlike a name, a setting or a path in a portal.
_COMMAND = re.compile(
    r"(?:\(?[A-Z][a-z]+-[A-Z]\w+|az|azcmagent|certutil|chronyc|curl|curl\.exe|ekm-exporter|grep|icacls|ip|ls|net|nslookup|openssl|reg|usermod|w32tm"
    r"|ALTER|BACKUP|CREATE|DBCC|EXEC|SELECT) \S"
)
NAMED = 3  # SQL Servers and targets of a cause that are named
_LINES = 50  # in a piece of an audit sheet


class Html(str):
    """Escaped markup."""

    __slots__ = ()


Child = str | int | float | None | Iterable["Child"]


def markup(child: Child) -> Html:
    """Return a child as markup. "" for None, escaped unless it is markup, an iterable in order."""
    if child is None or isinstance(child, Html):
        return child or Html("")
    if isinstance(child, str | int | float):
        return Html(escape(_CONTROL.sub("\N{REPLACEMENT CHARACTER}", str(child)), quote=True))
    return Html("".join(markup(each) for each in child))


def element(tag: str, *children: Child, **attributes: str | int | bool | None) -> Html:
    """Return one element. `aria_label` becomes aria-label; None and False omit an attribute."""
    written = f"<{tag}"
    for name, value in attributes.items():
        if value is not None and value is not False:
            spelled = name.rstrip("_").replace("_", "-")
            written += f" {spelled}" if value is True else f' {spelled}="{markup(value)}"'
    return Html(f"{written}>" if tag in _VOID else f"{written}>{markup(children)}</{tag}>")


@dataclass(frozen=True, slots=True)
class Urls:
    """URLs of the pages, quoted; `prefix` is "" or "/a/b"."""

    prefix: str
    version: str
    assets: str = ""  # changes with the style sheet and the script, so that browsers load the new ones
    served: frozenset[str] | None = None  # the paths that the listener serves; None: all

    def to(self, path: str, *names: str, query: Sequence[tuple[str, str | int]] = ()) -> str:
        """Return the URL of `path`, a literal that starts with a slash and has {} for each name."""
        quoted = path.format(*(quote(name, safe="") for name in names))
        return self.prefix + quoted + (f"?{urlencode(query)}" if query else "")

    def target(self, name: str) -> str:
        return self.to("/targets/{}", name)

    def code(self, code: int) -> str:
        return self.to(f"/explain/{code}")

    def asset(self, name: str) -> str:
        return self.to(f"/static/{name}", query=[("v", self.assets)])


_PAGE_LINKS = (
    ("Status", "/"),
    ("Targets", "/targets"),
    ("Changes", "/changes"),
    ("Codes", "/explain"),
    ("Documentation", "/docs/"),
    ("Configuration", "/config"),
)
_API_LINKS = (
    ("Metrics", "/metrics"),
    ("JSON", "/api/v1/targets"),
    ("Calendar", "/calendar.ics"),
    ("OpenAPI", "/api/v1/openapi.json"),
    ("Service discovery", "/sd/targets"),
    ("Health", "/-/healthy"),
    ("Readiness", "/-/ready"),
)


def head(
    urls: Urls, title: str, *, at: str = "", now: float | None = None, heading: bool = True, script: str = "live.js"
) -> Html:
    """Render everything before the content.

    A long page is sent as `head`, content, `foot`.

    `at` is the path of the current entry of the navigation, `now` the Unix time of a page that refreshes. Without `heading`
    the content has it, and without `script` the page runs none.
    """
    return Html(
        "<!doctype html>\n"
        '<html lang="en"><head><meta charset="utf-8">'
        + element("meta", name="viewport", content="width=device-width, initial-scale=1")
        + element("title", f"{title} · ekm-exporter")
        + element("link", rel="icon", href=urls.asset("icon.svg"), type="image/svg+xml")
        + element("link", rel="stylesheet", href=urls.asset("style.css"))
        + (element("script", src=urls.asset(script), defer=True) if script else "")
        + "</head><body>"
        + element("a", "Skip to the content", href="#main", class_="skip")
        + element(
            "header",
            element("strong", link(urls.to("/" if urls.served is None else "/docs/"), "ekm-exporter")),
            _navigation(urls, _PAGE_LINKS, "Main", at),
            None if now is None else _clock(now),
        )
        + '<main id="main" tabindex="-1" data-every="10">'  # seconds between two refreshes
        + (element("h1", title) if heading else "")
    )


def foot(urls: Urls) -> Html:
    programs = _navigation(urls, _API_LINKS, "For programs", "")
    return Html("</main>" + element("footer", programs, element("p", f"ekm-exporter {urls.version}")) + "</body></html>\n")


def _navigation(urls: Urls, entries: Iterable[tuple[str, str]], label: str, at: str) -> Html:
    shown = (
        element("li", element("a", name, href=urls.to(path), aria_current="page" if path == at else None))
        for name, path in entries
        if urls.served is None or path in urls.served
    )
    return element("nav", element("ul", shown), aria_label=label)


def page(urls: Urls, title: str, *content: Child, at: str = "", now: float | None = None) -> Html:
    return Html(head(urls, title, at=at, now=now) + markup(content) + foot(urls))


def live(identity: str, *content: Child) -> Html:
    """Return a part that the live script refreshes; `identity` is unique in the page."""
    return element("div", *content, id=identity, data_live=True)


def _clock(now: float) -> Html:
    """Return the time of the page, and how to refresh it without the script."""
    exact = moment(now)
    shown = element("time", f"{exact[11:19]} UTC", datetime=exact, title=exact, class_="exact")
    as_of = element("span", "As of ", shown, id="as-of", data_live=True)
    again = element("noscript", " Reload this page to refresh it.")
    return element("div", as_of, again, element("span", id="live", role="status"), class_="clock quiet")


def link(address: str, *children: Child) -> Html:
    return element("a", *children, href=address)


def facts(pairs: Iterable[tuple[str, Child]]) -> Html:
    """Return a list of names and values, without those whose value is None."""
    return element("dl", [(element("dt", name), element("dd", value)) for name, value in pairs if value is not None])


def section(heading: str, pairs: Sequence[tuple[str, Child]]) -> Child:
    """Return names and values under a heading; nothing without values."""
    return element("section", element("h2", heading), facts(pairs)) if pairs else None


def table(columns: Iterable[str], rows: Iterable[Child], *, caption: str, name: str = "") -> Html:
    return Html(table_head(columns, caption=caption, name=name) + markup(rows) + TABLE_FOOT)


def table_head(columns: Iterable[str], *, caption: str, name: str = "") -> Html:
    """Return the table up to its rows. Screen readers read the caption too; `name` is for the style sheet."""
    heads = element("thead", element("tr", [element("th", name, scope="col") for name in columns]))
    return Html(f'<table class="stacked {name}">' + element("caption", caption, class_="quiet") + heads + "<tbody>")


TABLE_FOOT = Html("</tbody></table>")


def cell(label: str, *children: Child, class_: str | None = None) -> Html:
    """Return a cell with its column's name, which narrow screens show."""
    return element("td", *children, data_label=label, class_=class_)


def prose(words: str) -> Html:
    """Return a text with its `code` spans as code elements."""
    return markup(element("code", piece) if number % 2 else piece for number, piece in enumerate(_TICKED.split(words)))


def is_command(span: str) -> bool:
    return _COMMAND.match(span) is not None


def with_copies(words: str) -> Html:
    """Return a text like `prose`, each command in it with a button that copies it."""
    shown: list[Child] = list(_TICKED.split(words))
    for at in range(1, len(shown), 2):
        span = element("code", shown[at])
        shown[at] = element("span", span, " ", COPY, data_copy=True) if is_command(str(shown[at])) else span
    return markup(shown)


def action_list(actions: Iterable[str]) -> Html:
    """Return actions as numbered steps, the notes about a step below it; each command has a button that copies it."""
    return element("ol", [element("li", [element("div", with_copies(each)) for each in step]) for step in steps(actions)])


def brief_code(urls: Urls, code: int) -> Html:
    """Return both numbers, linked to the page of the code; the tooltip has the symbol. A message of SQL Server itself has neither."""
    entry = BY_CODE.get(code)
    if entry is None:
        return link(urls.to("/explain", query=[("code", f"Msg {code}")]), f"message {code}")
    other = "" if entry.counterpart is None else f" ({entry.counterpart})"
    return element("a", f"{code}{other}", href=urls.code(code), title=f"{both_numbers(code)} {entry.symbol}")


def code_link(urls: Urls, code: int) -> Html:
    """Return both numbers and the symbol, linked to the page of the code."""
    entry = BY_CODE.get(code)
    return Html(link(urls.code(code), both_numbers(code)) + (markup([" ", element("code", entry.symbol)]) if entry else ""))


def copyable(words: str, commands: Sequence[str] = ()) -> Html:
    """Return an action, with further commands in lines; with the script, a button copies them, or the command in it.

    Of several commands in a sentence, or of one beside a longer name, each has a button.
    """
    spans = [] if commands else _TICKED.findall(words)
    alone = list(filter(is_command, spans))
    if len(alone) > 1 or (alone and alone[0] != max(spans, key=len)):
        return element("p", element("strong", "First: "), with_copies(words))
    action = element("p", element("strong", "First: "), element("span", prose(words)))
    lines = scrollable(element("code", "\n".join(commands)), label="Commands") if commands else None
    return element("div", action, COPY, lines, data_copy=True)


COPY = element("button", "Copy", type="button", class_="copy")


def scrollable(words: str, *, label: str) -> Html:
    """Return preformatted text; the tab stop makes it scrollable from the keyboard."""
    return element("pre", words, tabindex=0, role="region", aria_label=label)


def who_acts(who: str) -> Html:
    """Return who repairs a cause, for its card."""
    return element("p", f"Who acts: {who}", class_="who quiet")


def named_servers(names: Collection[str], within: str = "") -> Child:
    """Return how many SQL Servers there are and the first names, after what they are in."""
    return [element("strong", counted(len(names), "SQL Server")), f"{within}: {few(sorted(names), NAMED)}"]


def target_links(urls: Urls, cause: str, names: Collection[str]) -> Child:
    """Return links to the few targets of a cause, or to the list of many; `cause` is its id."""
    if len(names) > NAMED:
        return link(urls.to("/targets", query=[("cause", cause)]), f"Show {counted(len(names), 'target')}")
    links = [(", " if number else " ", link(urls.target(name), name)) for number, name in enumerate(names)]
    return ["Target" if len(links) == 1 else "Targets", links]


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
        link(urls.to("/api/v1/targets/{}/audit", name), "The same as JSON"),
        ". To print it: ",
        element("code", f"ekm-exporter audit {name} --format html"),
        class_="quiet",
    )
    yield from chain.from_iterable(map(_section, parts(found)))
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
    for query in part.queries:
        words = f"{query['about']} ({query['language']})"
        yield element("div", element("p", words, ":"), scrollable(element("code", query["text"]), label=words))
    yield Html("</section>")

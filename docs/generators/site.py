"""The documentation that the exporter serves at `/docs/`, made from the Markdown files when the package is built or installed.

`python -m docs.generators.site` makes it again. Each member of the archive is a page: its title, a line feed, and the HTML of its content.
"""

from __future__ import annotations

import io
import os
import posixpath
import re
import tempfile
import zipfile
from collections.abc import Callable, Sequence
from html import escape
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface
from markdown_it import MarkdownIt
from markdown_it.token import Token

ROOT = Path(__file__).parents[2]
ARCHIVE = Path("exporter") / "web" / "static" / "docs.zip"
# The files that have pages.
SOURCES = (
    *("README.md", "SECURITY.md", "CHANGELOG.md", "docs/*.md", "docs/*.json", "docs/examples/*", "alerts/runbooks/*.md"),
    "exporter/sqlservers/scripts/*",
)
# The address of the other files. OWNER publishes the repository, as in docs/install.md.
REPOSITORY = "https://github.com/OWNER/ekm-exporter/blob/v{version}/"
INDEX, RUNBOOKS = "index", "runbooks"
_BORN = (2020, 2, 2, 0, 0, 0)  # the time that hatchling gives the files of the wheel
_KEPT_MARKUP = re.compile(r'<a id="[\w-]+">|</a>|<br>')
_SCHEME = re.compile(r"[a-z]+:|#")


def name_of(source: str) -> str:
    """Return the name of the page of a file, which is its path below `/docs/`."""
    return source.removeprefix("docs/").removeprefix("alerts/").removeprefix("exporter/sqlservers/").removesuffix(".md")


def anchor(heading: str) -> str:
    """Return the anchor of a heading, as GitHub builds it."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def _alternative_text(_renderer: object, tokens: Sequence[Token], at: int, *_: object) -> str:
    return f"<em>{escape(tokens[at].content)}</em>"


def _markup(_renderer: object, tokens: Sequence[Token], at: int, *_: object) -> str:
    return tokens[at].content if _KEPT_MARKUP.fullmatch(tokens[at].content) else escape(tokens[at].content)


_RULES: dict[str, Callable[..., str]] = {
    "image": _alternative_text,
    "html_block": lambda *_: "",  # comments
    "html_inline": _markup,
    "table_open": lambda *_: '<div class="scroll" tabindex="0" role="region" aria-label="Table"><table>\n',
    "table_close": lambda *_: "</table></div>\n",
}


class MarkdownPages:
    """The pages of one checkout."""

    def __init__(self, root: Path = ROOT) -> None:
        self._root = root
        (version,) = re.findall(r'^__version__ = "(.+)"$', self._text("exporter/__init__.py"), re.MULTILINE)
        self._repository = REPOSITORY.format(version=version)
        self._sources = {path.relative_to(root).as_posix() for pattern in SOURCES for path in root.glob(pattern)}
        self._names = {source: name_of(source) for source in self._sources} | {"alerts/runbooks": RUNBOOKS}
        self._markdown = MarkdownIt("commonmark").enable("table")
        for token, rule in _RULES.items():
            self._markdown.add_render_rule(token, rule)

    def pages(self) -> dict[str, str]:
        """Return each page by its name: title, line feed, HTML."""
        pages = {self._names[source]: self._page(source, self._as_markdown(source)) for source in sorted(self._sources)}
        readme = self._text("README.md").partition("\n## Documentation\n")[2].partition("\n## ")[0]
        runbooks = "".join(f"- [{Path(source).stem}]({source})\n" for source in sorted(self._sources) if "/runbooks/" in source)
        pages[RUNBOOKS] = self._page("README.md", f"# Runbooks\n\n{runbooks}")
        pages[INDEX] = self._page("README.md", f"# Documentation\n\n[Runbooks](alerts/runbooks) of the alerts\n{readme}")
        return pages

    def _text(self, source: str) -> str:
        return (self._root / source).read_text(encoding="utf-8")

    def _as_markdown(self, source: str) -> str:
        text = self._text(source)
        return text if source.endswith(".md") else f"# {source}\n\n````````\n{text}\n````````\n"

    def _page(self, source: str, text: str) -> str:
        tokens = self._markdown.parse(text)
        title = next(_plain(tokens[at + 1]) for at, token in enumerate(tokens) if token.type == "heading_open")
        seen: dict[str, int] = {}
        for at, token in enumerate(tokens):
            if token.type == "heading_open":
                name = anchor(_plain(tokens[at + 1]))
                seen[name] = seen.get(name, -1) + 1
                token.attrSet("id", f"{name}-{seen[name]}" if seen[name] else name)
            for child in token.children or ():
                if child.type == "link_open":
                    child.attrSet("href", self._address(str(child.attrGet("href")), source))
        body = self._markdown.renderer.render(tokens, self._markdown.options, {})
        scrolled = body.replace("<pre>", '<pre tabindex="0">')
        return f"{title}\n{scrolled}"

    def _address(self, link: str, source: str) -> str:
        """Return the address of a link of a file: relative between pages, that of the repository for other files."""
        if _SCHEME.match(link):
            return link
        path, mark, fragment = link.partition("#")
        there = posixpath.normpath(posixpath.join(posixpath.dirname(source), path))
        name = self._names.get(there)
        if name is None:
            return self._repository + there + mark + fragment
        return posixpath.relpath(name, posixpath.dirname(self._names[source]) or ".") + mark + fragment


def _plain(inline: Token) -> str:
    return "".join(child.content for child in inline.children or ())


def archive(root: Path = ROOT) -> bytes:
    """Return the archive of a checkout; the same files give the same bytes."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as pages:
        for name, page in sorted(MarkdownPages(root).pages().items()):
            entry = zipfile.ZipInfo(name, _BORN)
            entry.create_system, entry.external_attr = 3, 0o644 << 16
            pages.writestr(entry, page, zipfile.ZIP_DEFLATED, compresslevel=9)
    return packed.getvalue()


def write(root: Path = ROOT) -> None:
    """Write the archive into the package, in one step: several builds of a checkout can run at once."""
    descriptor, unfinished = tempfile.mkstemp(prefix="docs.", dir=(root / ARCHIVE).parent)
    os.close(descriptor)
    place = Path(unfinished)
    place.write_bytes(archive(root))
    place.chmod(0o644)
    place.replace(root / ARCHIVE)


class DocumentationHook(BuildHookInterface[Any]):
    """Writes the archive before a wheel is built, and before the package is installed from a checkout."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:  # noqa: ARG002 - the signature of the interface
        write(Path(self.root))


if __name__ == "__main__":
    write()

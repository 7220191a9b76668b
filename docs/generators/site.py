"""The archive of the documentation, for `/docs/` and the command `docs`, made from the Markdown files when the package is built or installed.

`python -m docs.generators.site` makes it again. `exporter/presentation/documentation.py` reads it. Its members: `pages.json` with name, source and
title of each page; `moved.json`, the table of `moved.py`; `html/NAME`, the content of a Markdown page; `text/NAME`, the file as it is.
"""

from __future__ import annotations

import io
import json
import os
import posixpath
import re
import runpy
import tempfile
import zipfile
from collections.abc import Callable, Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface
from markdown_it import MarkdownIt
from markdown_it.token import Token

ROOT = Path(__file__).parents[2]
ARCHIVE = Path("exporter") / "web" / "static" / "docs.zip"
# The files that have pages: those that a person on the exporter's host reads or copies.
SOURCES = (
    *("README.md", "SECURITY.md", "CHANGELOG.md", "LICENSE", "docs/*.md", "docs/*.json", "docs/maintainers/*", "docs/examples/*"),
    *(
        "alerts/runbooks/*.md",
        "alerts/alertmanager.yml",
        "alerts/*.rules.yml",
        "alerts/*.yaml",
        "alerts/*.json",
        "dashboards/*.json",
    ),
    *("deploy/azure/*.yml", "deploy/grafana/**/*.yml", "deploy/helm/ekm-exporter/values.yaml", "deploy/prometheus/*.yml"),
    *("deploy/starter/*.yml", "deploy/starter/*.service", "deploy/starter/*.xml", "deploy/starter/*.tmpl"),
    *(
        "deploy/systemd/ekm-exporter*",
        "deploy/windows/install-hosts.ps1",
        "deploy/windows/*.yml",
        "deploy/windows/*.json",
    ),
    *("exporter/core/scripts/*", "exporter/sqlserver/scripts/*"),
)
INDEX, RUNBOOKS = "index", "runbooks"
_BORN = (2020, 2, 2, 0, 0, 0)  # the time that hatchling gives the files of the wheel
_ADDRESSES = {"link_open": "href", "image": "src"}
_KEPT_MARKUP = re.compile(r'<a id="[\w-]+">|</a>|<br>')
_SCHEME = re.compile(r"[a-z]+:|#")


def name_of(source: str) -> str:
    """Return the name of the page of a file, which is its path below `/docs/`."""
    return (
        source.removeprefix("docs/")
        .removeprefix("alerts/")
        .removeprefix("exporter/sqlserver/")
        .removeprefix("exporter/core/")
        .removesuffix(".md")
    )


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
        self.root = root
        found = {path.relative_to(root).as_posix() for pattern in SOURCES for path in root.glob(pattern)}
        self.sources = sorted(source for source in found if ".template." not in source)
        self.names = {source: name_of(source) for source in self.sources} | {"alerts/runbooks": RUNBOOKS}
        self.unlinked: set[tuple[str, str]] = set()  # source and target of the links to files without a page
        self._markdown = MarkdownIt("commonmark").enable("table")
        for token, rule in _RULES.items():
            self._markdown.add_render_rule(token, rule)

    def members(self) -> dict[str, str]:
        """Return the members of the archive by their names."""
        members, rows = {}, []
        for source in self.sources:
            name, text, title = self.names[source], self.text(source), source
            members[f"text/{name}"] = text
            if source.endswith(".md"):
                title, members[f"html/{name}"] = self.page(source, text)
            rows.append((name, source, title))
        for name, text in ((INDEX, self._index()), (RUNBOOKS, self.runbooks())):
            title, members[f"html/{name}"] = self.page("README.md", text)
            rows.append((name, "", title))
        return members | {"pages.json": json.dumps(rows), "moved.json": json.dumps(dict(moved(self.root)))}

    def list_of_documents(self) -> str:
        """Return the part of the README that lists all pages by purpose."""
        return self.text("README.md").partition("\n## Documentation\n")[2].partition("\n## ")[0]

    def _index(self) -> str:
        return f"# Documentation\n\n[Runbooks](alerts/runbooks) of the alerts\n{self.list_of_documents()}"

    def runbooks(self) -> str:
        """Return the list of runbooks, as Markdown next to the README."""
        runbooks = "".join(f"- [{Path(source).stem}]({source})\n" for source in self.sources if "/runbooks/" in source)
        return f"# Runbooks\n\n{runbooks}"

    def text(self, source: str) -> str:
        return (self.root / source).read_text(encoding="utf-8")

    def page(self, source: str, text: str) -> tuple[str, str]:
        """Return title and content of a page; its links are those from the page of `source`."""
        tokens = self._markdown.parse(text)
        title = next(_plain(tokens[at + 1]) for at, token in enumerate(tokens) if token.type == "heading_open")
        seen: dict[str, int] = {}
        for at, token in enumerate(tokens):
            if token.type == "heading_open":
                name = anchor(_plain(tokens[at + 1]))
                seen[name] = seen.get(name, -1) + 1
                token.attrSet("id", f"{name}-{seen[name]}" if seen[name] else name)
            for child in token.children or ():
                if (attribute := _ADDRESSES.get(child.type)) is not None:
                    self._set_address(child, attribute, source)
        body = self._markdown.renderer.render(tokens, self._markdown.options, {})
        return title, body.replace("<pre>", '<pre tabindex="0">')

    def _set_address(self, link: Token, attribute: str, source: str) -> None:
        """Make the link of a file one between pages. A file without a page has no link: a closed network cannot open it."""
        target = str(link.attrs.pop(attribute))
        path, mark, fragment = target.partition("#")
        there = posixpath.normpath(posixpath.join(posixpath.dirname(source), path))
        if _SCHEME.match(target):
            link.attrs[attribute] = target
        elif there in self.names:
            here = posixpath.dirname(self.names[source]) or "."
            link.attrs[attribute] = posixpath.relpath(self.names[there], here) + mark + fragment
        else:
            self.unlinked.add((source, there))


def _plain(inline: Token) -> str:
    return "".join(child.content for child in inline.children or ())


def moved(root: Path = ROOT) -> Mapping[str, str]:
    """Return the table of `moved.py`. A build imports this file alone, so it cannot import that one."""
    table: Mapping[str, str] = runpy.run_path(str(root / "docs" / "generators" / "moved.py"))["MOVED"]
    return table


def archive(root: Path = ROOT) -> bytes:
    """Return the archive of a checkout; the same files give the same bytes."""
    return zipped({name: text.encode() for name, text in MarkdownPages(root).members().items()})


def zipped(files: Mapping[str, bytes]) -> bytes:
    """Return a zip with these files; the same files give the same bytes."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archived:
        for name, content in sorted(files.items()):
            entry = zipfile.ZipInfo(name, _BORN)
            entry.create_system, entry.external_attr = 3, 0o644 << 16
            archived.writestr(entry, content, zipfile.ZIP_DEFLATED, compresslevel=9)
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

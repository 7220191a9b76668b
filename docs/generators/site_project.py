"""The searchable site: a project of mkdocs-material with the same pages as `/docs/`, and its pictures; built, it needs no server.

`python -m docs.generators.site_project TOOLS OUT` builds it into the folder OUT, or into OUT itself if that ends with .zip, with mkdocs of
the environment TOOLS. The same source gives the same bytes. A link to a missing page or part fails the build, and nothing is written.
"""

from __future__ import annotations

import json
import os
import posixpath
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any, Final

from markdown_it.renderer import RendererHTML

from docs.generators.site import ROOT, RUNBOOKS, MarkdownPages, moved, zipped

HERE: Final = Path(__file__).parent
WORKER: Final = ("iframe-worker.js", "iframe-worker-LICENSE.txt")  # lets the search work in a page that is opened as a file
PICTURES: Final = "docs/images/*.png"
SECONDS: Final = 300
# Long pages of generated entries, and those for maintainers: a search shows the pages that lead a reader first.
REFERENCE: Final = re.compile(r"(?:codes|metrics|configuration|simulator-scenarios|CHANGELOG|maintainers/.+)\.html")
# Markdown links of the README's list, without those to a part of a page.
_LISTED = re.compile(r"\[([^\]]+)\]\((docs/[^)#]+\.md)\)")
_ID, _LINK = re.compile(r'\sid="([^"]+)"'), re.compile(r'\s(?:href|src)="(?![a-z]+:)([^"#]*)#?([^"]*)"')
_REDIRECT = """\
<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>{new}</title><meta http-equiv="refresh" content="0; url={new}"></head>
<body><p>The page is now <a href="{new}">{new}</a>.</p></body></html>
"""
_PALETTE = [
    {"media": "(prefers-color-scheme)", "toggle": {"icon": "material/brightness-auto", "name": "Light"}},
    {"media": "(prefers-color-scheme: light)", "scheme": "default", "toggle": {"icon": "material/weather-sunny", "name": "Dark"}},
    {
        "media": "(prefers-color-scheme: dark)",
        "scheme": "slate",
        "toggle": {"icon": "material/weather-night", "name": "As the system"},
    },
]
_FEATURES = ["content.code.copy", "navigation.footer", "navigation.prune", "navigation.top", "search.highlight", "search.suggest"]
_SEPARATOR = r"[\s\u200b\-,:!=\[\]()\"`/]+|\.(?!\d)|&[lg]t;|(?!\b)(?=[A-Z][a-z])"  # also between the words of EkmEgressDown
_SETTINGS: Mapping[str, Any] = {
    "site_name": "ekm-exporter",
    "site_description": "Documentation of ekm-exporter, for a SQL Server whose keys are in Azure Key Vault",
    "docs_dir": "pages",
    "theme": {
        "name": "material",
        "font": False,
        "palette": _PALETTE,
        "features": _FEATURES,
    },  # font: of the system, of no other host
    "extra": {"generator": False, "polyfills": [WORKER[0]]},
    "hooks": [str(HERE / "mkdocs_hook.py")],
    "plugins": [{"search": {"separator": _SEPARATOR, "pipeline": ["stopWordFilter"]}}, "offline"],
}


class SitePages(MarkdownPages):
    """The pages under the names of their files in the site, with pictures. Files other than Markdown are copied."""

    def __init__(self, root: Path = ROOT) -> None:
        super().__init__(root)
        pictures = {path.relative_to(root).as_posix() for path in root.glob(PICTURES)}
        self.names = {source: _file_name(source, name) for source, name in self.names.items()}
        self.names |= {source: source.removeprefix("docs/") for source in pictures}
        self._markdown.add_render_rule("image", RendererHTML.image)

    def rendered(self) -> Iterator[tuple[str, str, str]]:
        """Yield file name, title and content of each page. Raise ValueError for links to missing files, pages or parts."""
        texts = [(source, self.names[source], self.text(source)) for source in self.sources if source.endswith(".md")]
        found = {name: self.page(source, text) for source, name, text in texts}
        found[f"{RUNBOOKS}.html"] = self.page("README.md", self.runbooks())
        missing = [f"{source}: {there}" for source, there in sorted(self.unlinked) if not (self.root / there).exists()]
        missing += _without_part({name: content for name, (_, content) in found.items()})
        if missing:
            raise ValueError("links to nothing:\n" + "\n".join(missing))
        yield from ((name, title, content) for name, (title, content) in found.items())

    def navigation(self) -> list[dict[str, Any]]:
        """Return the groups of the README's list, the runbooks, then all other pages."""
        rest = {self.names[source]: None for source in self.sources if source.endswith(".md")}
        groups: list[dict[str, Any]] = [{"Overview": _source(self.names["README.md"])}]
        del rest[self.names["README.md"]]
        for row in re.findall(r"^\| (?!to \||-)([^|]+) \| (.*) \|$", self.list_of_documents(), re.MULTILINE):
            listed = [(text, self.names[source]) for text, source in _LISTED.findall(row[1]) if self.names[source] in rest]
            if listed:
                groups.append({_capital(row[0]): [{_capital(text): _source(name)} for text, name in listed]})
            for _, name in listed:
                rest.pop(name, None)
        books = [name for name in rest if name.startswith(f"{RUNBOOKS}/")]
        groups.append({"Runbooks": [f"{RUNBOOKS}.md", *map(_source, books)]})
        return [*groups, {"Project": [_source(name) for name in rest if name not in books]}]


def _file_name(source: str, name: str) -> str:
    """Return the name of a file of the site. mkdocs makes index.html of README.md."""
    if source == "README.md":
        return "index.html"
    return f"{name}.html" if source.endswith(".md") or name == RUNBOOKS else name


def _source(name: str) -> str:
    return name.removesuffix(".html") + ".md"


def _capital(text: str) -> str:
    return text[0].upper() + text[1:]


def _without_part(contents: Mapping[str, str]) -> Iterator[str]:
    """Yield the links to a part that its page lacks."""
    parts = {name: set(_ID.findall(content)) for name, content in contents.items()}
    for name, content in contents.items():
        for path, part in _LINK.findall(content):
            there = posixpath.normpath(posixpath.join(posixpath.dirname(name), path)) if path else name
            if part and part not in parts.get(there, ()):
                yield f"{name}: {there}#{part}"


def write_project(place: Path, root: Path = ROOT) -> None:
    """Write the project of mkdocs into a folder. Raise ValueError for links to missing files, pages or parts."""
    pages, texts = SitePages(root), place / "pages"
    rendered = list(pages.rendered())
    tags = {pages.names[source]: [text] for text, source in reversed(_LISTED.findall(pages.list_of_documents()))}
    written = {_source(name): _with_metadata(name, title, text, tags.get(name, [])) for name, title, text in rendered}
    old = {f"{name}.html": new for name, new in moved(root).items() if _source(f"{name}.html") not in written}
    written |= {name: _redirect(name, new) for name, new in old.items()}
    for name, text in written.items():
        (texts / name).parent.mkdir(parents=True, exist_ok=True)
        (texts / name).write_text(text, encoding="utf-8")
    for source, name in pages.names.items():
        if not name.endswith(".html"):
            (texts / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(root / source, texts / name)
    for name in WORKER:
        shutil.copyfile(HERE / name, texts / name)
    (place / "mkdocs.yml").write_text(json.dumps({**_SETTINGS, "nav": pages.navigation()}), encoding="utf-8")  # JSON is YAML


def _with_metadata(name: str, title: str, content: str, tags: Sequence[str]) -> str:
    """Return the source of a page. The search ranks a page first whose tag begins with a word of the reader."""
    metadata = {"title": title, "tags": tags, "search": {"boost": 0.2 if REFERENCE.fullmatch(name) else 1}}
    return f"---\n{json.dumps(metadata)}\n---\n{content}"


def _redirect(name: str, new: str) -> str:
    """Return the page of an old name, whose folder is that of `name`."""
    page, mark, part = new.partition("#")
    return _REDIRECT.format(new=escape(posixpath.relpath(f"{page}.html", posixpath.dirname(name) or ".") + mark + part))


def build(tools: Path, out: Path, root: Path = ROOT) -> None:
    """Build the site with mkdocs of the environment `tools`. Raise ValueError, or CalledProcessError for a warning of mkdocs."""
    with tempfile.TemporaryDirectory() as place:
        project, site = Path(place) / "project", Path(place) / "site"
        project.mkdir()
        write_project(project, root)
        command = [str(tools / "bin" / "mkdocs"), "build", "--quiet", "--strict"]
        command += ["--config-file", str(project / "mkdocs.yml"), "--site-dir", str(site)]
        # The last one turns off a notice of the theme's end of life, which pyproject.toml records.
        environment = {**os.environ, "SOURCE_DATE_EPOCH": "1580601600", "PYTHONHASHSEED": "0", "NO_MKDOCS_2_WARNING": "1"}
        subprocess.run(command, check=True, env=environment, timeout=SECONDS)  # noqa: S603 - no outside input commands
        for unused in ("sitemap.xml", "sitemap.xml.gz", "404.html"):  # for a server with a known address
            (site / unused).unlink(missing_ok=True)
        (site / "mkdocs-material-LICENSE.txt").write_bytes(_licence(tools).read_bytes())
        if out.suffix == ".zip":
            out.write_bytes(_packed(site, out.stem))
        else:
            shutil.rmtree(out, ignore_errors=True)
            shutil.copytree(site, out)


def _licence(tools: Path) -> Path:
    [path] = tools.glob("lib/python3*/site-packages/mkdocs_material-*.dist-info/licenses/LICENSE")
    return path


def _packed(site: Path, folder: str) -> bytes:
    files = {path.relative_to(site).as_posix(): path.read_bytes() for path in site.rglob("*") if path.is_file()}
    return zipped({f"{folder}/{name}": content for name, content in files.items()})


if __name__ == "__main__":
    build(Path(sys.argv[1]).resolve(), Path(sys.argv[2]).resolve())

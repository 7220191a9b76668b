"""The pages of the documentation, from the Markdown files: as an archive for `/docs/` and the command `docs`, and as a searchable site.

`python -m docs.generators.site` makes the archive again, as each build and installation of the package does.
`exporter/presentation/documentation.py` reads it. Its members: `pages.json` with name, source and title of each page; `moved.json`, the table
of `moved.py`; `html/NAME`, the content of a Markdown page; `text/NAME`, the file as it is; `search.json`, the index that the command `docs`
and the script of `/docs/` search by the same rules.

`python -m docs.generators.site TOOLS OUT` builds the site, a project of mkdocs-material with the same pages and its pictures, into the folder
OUT, or into OUT itself if that ends with .zip, with mkdocs of the environment TOOLS. Built, it needs no server. The same source gives the
same bytes. A link to a missing page or part fails the build, and nothing is written.
"""

from __future__ import annotations

import io
import itertools
import json
import os
import posixpath
import re
import runpy
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any, Final

from hatchling.builders.hooks.plugin.interface import BuildHookInterface
from markdown_it import MarkdownIt
from markdown_it.renderer import RendererHTML
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
# What a search ranks by, here and in the site: how much a page counts, by its name; the first match decides, and 1 is one written by hand.
# Long lists of generated entries come after the pages that lead a reader, and licences last.
_WEIGHTS = (
    (r"LICENSE|maintainers/licences", 0.02),
    (r"codes|metrics|configuration", 0.3),
    (r"maintainers/.*|CHANGELOG|README|SECURITY|.*\.[a-z]\w*", 0.2),  # the last one: files other than Markdown
    (r"runbooks/.*", 0.6),
    (r"simulator", 0.4),  # it provokes what others repair
)
_GENERATED = 0.3  # at most, of a part that `./dev docs` writes
_FEW = 2  # sentences
_PART = 0.9  # of a page's weight: the page itself comes first
_STOP = (  # words that say nothing of what is looked for
    "a all an and any are as at be been but by can could did do does for from get had has have how i if in into is it its many me mean means much "
    "must my now of on one or our shall should so some that the their them then there these they this to us was we were what when where which "
    "who whose why will with would you your"
)
_ENDINGS = "ations ation ating ated ates ate ings ing ions ion als al eries ery ers er ies ied ed es e y s"  # of words with the same stem
_WRITTEN, _WRITTEN_END = ": written by ./dev docs -->", "<!-- end of "
_LEAD = re.compile(r"\*\*([^*`\[]{4,70})\*\*")
_SENTENCE = re.compile(r"(?<=[.!?:;]) (?=[^a-z])")
_ADDRESSES = {"link_open": "href", "image": "src"}
# Markdown links of the README's list, without those to a part of a page.
_LISTED = re.compile(r"\[([^\]]+)\]\((docs/[^)#]+\.md)\)")
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


Place = tuple[str, str, str, float, list[str]]


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
        search = json.dumps(self.search_index(), ensure_ascii=False, separators=(",", ":"))
        return members | {"pages.json": json.dumps(rows), "moved.json": json.dumps(dict(moved(self.root))), "search.json": search}

    def search_index(self) -> dict[str, Any]:
        """Return the places of all pages, each a page or a part of one, and what a search needs to know of words.

        A place has its address below `/docs/`, its heading, further words that name it, its weight, and the sentences of its own text.
        """
        listed: dict[str, str] = {}  # what the README calls a page or a part of one
        for text, source, part in re.findall(r"\[([^\]]+)\]\(([^)#]+)(#[^)]+)?\)", self.list_of_documents()):
            listed[name_of(source) + part] = f"{listed.get(name_of(source) + part, '')} {text}"
        places = list[Place]()
        for source in self.sources:
            name, text = self.names[source], self.text(source)
            names = f"{re.sub(r'(?<=[a-z])(?=[A-Z])', ' ', name)}{listed.get(name, '')}"  # also the words of EkmEgressDown
            if source.endswith(".md"):
                places += self._places(name, text, listed | {name: names})
            else:
                comment = itertools.takewhile(lambda line: line.startswith(("#", "--", "//")), text.splitlines())
                places.append((name, source, names, _weight(name), list(comment)))
        for (page, *_, lines), (_, *_, below) in itertools.pairwise(places):
            if not lines and "#" not in page:  # the page begins with its first part
                lines.extend(below[:1])
        for *_, weight, lines in places:
            if weight < _GENERATED * _PART:  # what leads few readers is found by its headings
                del lines[_FEW:]
        return {"stop": _STOP.split(), "endings": _ENDINGS.split(), "places": places}

    def _places(self, name: str, text: str, names: Mapping[str, str]) -> Iterator[Place]:
        """Yield the places of a Markdown page, whose lines grow until the next one; `names` has further words by address."""
        weight, counts, title = _weight(name), 0.0, ""
        tokens, written, mark, lines, row = self._parsed(text), False, "", list[str](), list[str]()
        for at, token in enumerate(tokens):
            match token.type:
                case "html_block":
                    written = (written or _WRITTEN in token.content) and _WRITTEN_END not in token.content
                case "heading_open":
                    heading, lines = _plain(tokens[at + 1]), []
                    title = title or heading
                    here = name if heading == title else f"{name}#{mark or token.attrs['id']}"
                    mark = ""
                    counts = (min(weight, _GENERATED) if written else weight) * (1 if here == name else _PART)
                    yield here, heading, names.get(here, "") + ("" if here == name else f" {title}"), counts, lines
                case "fence" | "code_block":
                    lines += token.content.splitlines()
                case "inline" if tokens[at - 1].type == "td_open":
                    row.append(_plain(token))
                case "tr_close" if row:
                    lines.append(" · ".join(filter(None, row)))
                    row = []
                case "inline" if found := re.findall(r'<a id="([^"]+)">', token.content):
                    mark = found[0]
                case "inline" if tokens[at - 1].type not in ("heading_open", "th_open"):
                    sentences = _SENTENCE.split(_plain(token))
                    lines += sentences
                    if lead := _LEAD.match(token.content):  # a paragraph with a heading of its own
                        yield here, lead[1], title, min(counts, weight * _PART), sentences

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
        tokens = self._parsed(text)
        title = next(_plain(tokens[at + 1]) for at, token in enumerate(tokens) if token.type == "heading_open")
        for token in tokens:
            for child in token.children or ():
                if (attribute := _ADDRESSES.get(child.type)) is not None:
                    self._set_address(child, attribute, source)
        body = self._markdown.renderer.render(tokens, self._markdown.options, {})
        return title, body.replace("<pre>", '<pre tabindex="0">')

    def _parsed(self, text: str) -> Sequence[Token]:
        """Return the tokens of a page, whose headings have their anchors."""
        tokens, seen = self._markdown.parse(text), dict[str, int]()
        for at, token in enumerate(tokens):
            if token.type == "heading_open":
                name = anchor(_plain(tokens[at + 1]))
                seen[name] = seen.get(name, -1) + 1
                token.attrSet("id", f"{name}-{seen[name]}" if seen[name] else name)
        return tokens

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
    shown = (
        " " if child.type == "softbreak" else child.content for child in inline.children or () if child.type != "html_inline"
    )
    return "".join(shown)


def _weight(name: str) -> float:
    return next((weight for pattern, weight in _WEIGHTS if re.fullmatch(pattern, name)), 1.0)


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


# The searchable site.

HERE: Final = Path(__file__).parent
WORKER: Final = ("iframe-worker.js", "iframe-worker-LICENSE.txt")  # lets the search work in a page that is opened as a file
PICTURES: Final = "docs/images/*.png"
SECONDS: Final = 300
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
    metadata = {"title": title, "tags": tags, "search": {"boost": _weight(name.removesuffix(".html"))}}
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
    if sys.argv[1:]:
        build(Path(sys.argv[1]).resolve(), Path(sys.argv[2]).resolve())
    else:
        write()

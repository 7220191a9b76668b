"""Each file and page that an output names can be opened on the host, by the wheel's own archive and without a network."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from docs.generators import site
from docs.generators.moved import MOVED
from exporter.explain.explanation import INTRODUCTION
from exporter.presentation.documentation import Documentation

ROOT = site.ROOT
NAMED = re.compile(
    r"(?P<command>ekm-exporter (?:docs|script) )(?P<argument>[\w./#@-]*\w)"
    r"|(?P<path>(?:docs|alerts|deploy|dashboards|runbooks)/[\w./@-]+\.\w+(?:#[\w-]+)?)"
    r"|(?P<file>\b[A-Za-z][\w-]*\.(?:ps1|sql|kql|md)\b)"
)
# The batches of `run`, which the package reads itself; sources of generated files; a name for an output; a file next to the script that names it.
NOT_FOR_USERS = re.compile(r"proof\.sql|.*\.py|.*\.template\.yml|alter-n2\.sql|install\.ps1")
# Documents of the development, and a folder: files of the checkout that no operator needs.
DEVELOPMENT = re.compile(r"tests/|\.github/|CONTRIBUTING\.md$|dashboards/?$")


@pytest.fixture(scope="module")
def documentation() -> Documentation:
    return Documentation(site.archive())


def literals(path: Path) -> Iterator[str]:
    """Yield the strings of a module that its outputs can contain: all but docstrings."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    silent = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in silent:
            yield node.value


def annotations() -> Iterator[str]:
    for path in ROOT.glob("alerts/*.rules.yml"):
        for group in yaml.safe_load(path.read_text(encoding="utf-8"))["groups"]:
            for rule in group["rules"]:
                yield from rule.get("annotations", {}).values()


def shipped_texts() -> Iterator[str]:
    """Yield the files that reach a host next to the program, with their comments."""
    places = (
        "exporter/sqlserver/**/*.sql",
        "exporter/sqlserver/scripts/*",
        "exporter/core/scripts/*",
        "exporter/web/static/*.js*",
        "deploy/windows/*.cmd",
    )
    places += ("deploy/windows/install-hosts.ps1", "deploy/windows/*.yml", "deploy/systemd/*", "deploy/helm/**/*.yaml")
    for pattern in (*places, "deploy/helm/**/NOTES.txt"):
        for path in ROOT.glob(pattern):
            yield path.read_text(encoding="utf-8")


def outputs() -> list[str]:
    modules = [text for path in ROOT.glob("exporter/**/*.py") for text in literals(path)]
    return [*modules, *annotations(), *shipped_texts()]


def is_found(documentation: Documentation, reference: str) -> bool:
    name, _, anchor = reference.partition("#")
    pages = documentation.look_up(name)
    return len(pages) == 1 and (not anchor or anchor in documentation.parts(pages[0]))


def test_every_file_that_an_output_names_is_a_page(documentation):
    named = {match["argument"] or match["path"] or match["file"] for text in outputs() for match in NAMED.finditer(text)}
    missing = {one for one in named if not NOT_FOR_USERS.fullmatch(one) and not is_found(documentation, one)}
    assert missing == set()
    assert {"prove.sql", "rollover#4-promote-it-in-the-exporter", "install-hosts.ps1", "docs/runbooks/EkmLatencyHigh.md"} <= named


def test_each_old_name_leads_to_a_page_and_its_part(documentation):
    assert {old: new for old, new in MOVED.items() if documentation.find(new.partition("#")[0]) is None} == {}
    assert {old: new for old, new in MOVED.items() if not is_found(documentation, new)} == {}
    assert {old: documentation.moved_to(old) for old in MOVED} == dict(MOVED)


def test_no_old_name_is_a_page(documentation):
    assert [old for old in MOVED if documentation.find(old) is not None] == []
    assert len(MOVED) > 5


def test_outputs_name_a_page_by_the_command_that_prints_it():
    texts = [text for path in ROOT.glob("exporter/**/*.py") for text in literals(path) if text != INTRODUCTION]
    assert [text for text in texts if re.search(r"\bdocs/[\w-]+\.md|README", text)] == ["README.txt"]  # the bundle's own
    assert [text for text in texts if "github.com" in text] == []


def test_pages_link_to_every_file_but_those_of_the_development(documentation):
    pages = site.MarkdownPages()
    linked = re.compile(r"\]\((?![a-z]+:|#)([^)#\s]+)")
    missing = set()
    for source in (page.source for page in documentation.pages() if page.source.endswith(".md")):
        for link in linked.findall((ROOT / source).read_text(encoding="utf-8")):
            there = ((ROOT / source).parent / link).resolve().relative_to(ROOT).as_posix()
            if there not in pages.names and not DEVELOPMENT.match(there) and not there.endswith(".png"):
                missing.add((source, there))
    assert missing == set()


def test_wheel_of_the_image_can_contain_every_page(documentation):
    """The image is built from the files that .dockerignore admits and the Dockerfile copies."""
    admitted = [line.removeprefix("!") for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")]
    copied = re.findall(r"^COPY (?!--from)(.+) \S+$", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
    sources = [Path(page.source) for page in documentation.pages()]

    def matches(source: Path, patterns: list[str]) -> bool:
        return any(path.match(pattern) for path in (source, *source.parents) for pattern in patterns)

    assert [str(source) for source in sources if not matches(source, admitted)] == []
    assert [str(source) for source in sources if not matches(source, " ".join(copied).split())] == []

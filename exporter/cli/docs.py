"""The command `ekm-exporter docs`: the documentation of this version and a search in it, for a host without internet access."""

from __future__ import annotations

import argparse
import re
import sys
import textwrap
from collections.abc import Iterable

from exporter.cli.main import BAD_USAGE, FINE, Command, Flag, Refusal
from exporter.core.names import nearest
from exporter.presentation.documentation import NOT_BUILT, Documentation, DocumentPage

_PAGES, _RUNBOOKS, _SCRIPTS, _FILES = (
    "Pages",
    "Runbooks of the alerts",
    "Scripts (`ekm-exporter script` shows what each of them does)",
    "Other files",
)
_LISTED = "`ekm-exporter docs` lists all pages."
_PATH = re.compile(r"^\S*[/\\#]\S*$|\.(?:md|sql|ps1|kql|yml|yaml|json)$", re.IGNORECASE)
_WIDTH = 110  # of a sentence that a search shows


def run(args: argparse.Namespace) -> int:
    """Print a page, the places that a search finds, or the list; return 0, or 2 if there is nothing."""
    documentation = Documentation.load()
    if documentation is None:
        print(NOT_BUILT, end="", file=sys.stderr)
        return BAD_USAGE
    if not args.words:
        print(_list(documentation.pages()), end="")
        return FINE
    given = " ".join(args.words)
    reference, _, anchor = given.partition("#")
    found = documentation.look_up(reference)
    if not found and (moved_to := documentation.moved_to(reference)) is not None:
        shown = "".join(each if each.isprintable() else "?" for each in reference)
        print(f"ekm-exporter docs: {shown} is now {moved_to}", file=sys.stderr)
        name, _, anchor = moved_to.partition("#")
        found = documentation.look_up(name)
    if not found:
        is_path = _PATH.search(given) is not None  # it means one page: others are no answer
        places = [] if is_path else documentation.search(given)
        if not places:
            near = nearest(reference.rpartition("/")[2].removesuffix(".md"), documentation.vocabulary())
            raise Refusal(f"{'no page' if is_path else 'nothing about'} {reference!r}{near}\n{_LISTED}")
        print("".join(f"{place.address}\n  {place.heading}\n{_shown(line)}" for place, line in places))
        print(f"To print the first: ekm-exporter docs {places[0][0].address}")
        return FINE
    if len(found) > 1:
        raise Refusal(f"{reference!r} can be one of these: {', '.join(page.name for page in found)}\n{_LISTED}")
    text = documentation.text(found[0]) if not anchor else documentation.parts(found[0]).get(anchor)
    if text is None:
        near = nearest(anchor, documentation.parts(found[0]))
        raise Refusal(f"page {found[0].name} has no part {anchor!r}{near}\n{_LISTED}")
    print(text, end="")
    return FINE


def _shown(line: str) -> str:
    return f"    {textwrap.shorten(line, _WIDTH, placeholder=' …')}\n" if line else ""


def _list(pages: Iterable[DocumentPage]) -> str:
    groups = dict.fromkeys((_PAGES, _RUNBOOKS, _SCRIPTS, _FILES), "")
    for page in pages:
        titled = page.title not in (page.source, page.name.rpartition("/")[2])
        groups[_group(page)] += f"  {page.name:24}  {page.title}\n" if titled else f"  {page.name}\n"
    return "\n".join(f"{title}\n{lines}" for title, lines in groups.items())


def _group(page: DocumentPage) -> str:
    if page.name.endswith((".sql", ".ps1", ".kql")):
        return _SCRIPTS
    if page.name.startswith("runbooks/"):
        return _RUNBOOKS
    return _PAGES if page.source.endswith(".md") else _FILES


COMMAND = Command(
    description=(
        "Prints a page of the documentation of this version as Markdown, or another shipped file as it is. It accepts each name that an "
        "output, a page or an alert shows, and the names of pages that moved. With other words, it lists the places about them, the best first. "
        "Without a name, it lists the pages. Exit code: 2 if there is nothing."
    ),
    epilog=(
        'examples: ekm-exporter docs "rotate a key"; '
        "ekm-exporter docs doctor; ekm-exporter docs codes#3303; "
        "ekm-exporter docs docs/runbooks/EkmEgressDown.md"
    ),
    run=run,
    flags=(
        Flag(
            "WORD",
            "words to look for; or name, path or address of a page, also with #HEADING (default: list all)",
            dest="words",
            nargs="*",
        ),
    ),
)

"""The documentation of this version: pages as HTML for the web, files as they are for the command line.

`docs/generators/site.py` makes the archive when the package is built.
"""

from __future__ import annotations

import io
import json
import math
import re
import zipfile
import zlib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from html import escape
from importlib.resources import files
from typing import NamedTuple

NOT_BUILT = (
    "There is no documentation here, or it is damaged. In a checkout, `./dev docs` builds it; else install the exporter again.\n"
)
_SCHEME = re.compile(r"^[a-z]+://[^/]*")
_MOST_PARTS = 8  # of an address that are looked at, from its end
_ID = re.compile(r'<(?:h\d|a) id="([^"]+)"')
_MOST_WORDS, _MOST_FOUND, _MOST_OF_PAGE = 12, 8, 2
_MARK = re.compile(r"(#{1,6}) |<a id=")


@dataclass(frozen=True, slots=True)
class DocumentPage:
    """A page; `source` is its file in the repository, empty for a list of pages."""

    name: str
    source: str
    title: str

    @property
    def paths(self) -> tuple[str, ...]:
        """The paths by which outputs and documents name the page, without .md."""
        return tuple(path.casefold().removesuffix(".md") for path in (self.name, self.source, f"docs/{self.name}"))


class Place(NamedTuple):
    """A page or a part of one: its address below `/docs/`, further words that name it, and the sentences of its text."""

    address: str
    heading: str
    names: str
    weight: float
    lines: list[str]


class Documentation:
    """The pages by name. The archive is in memory: a request opens no file."""

    def __init__(self, archive: bytes) -> None:
        self._archive = zipfile.ZipFile(io.BytesIO(archive))
        self._pages = {row[0]: DocumentPage(*row) for row in json.loads(self._read("pages.json"))}
        self._moved: dict[str, str] = json.loads(self._read("moved.json"))
        self._archive.getinfo("search.json")
        self._rendered = frozenset(self._archive.namelist())

    @classmethod
    def load(cls) -> Documentation | None:
        """Return the documentation of this installation; None if it was never built, or is damaged: probes go on without it."""
        place = files("exporter.web").joinpath("static", "docs.zip")
        try:
            return cls(place.read_bytes())
        except (OSError, zipfile.BadZipFile, zlib.error, KeyError, ValueError):
            return None

    def pages(self) -> tuple[DocumentPage, ...]:
        """Return the pages of files, by name."""
        return tuple(page for page in self._pages.values() if page.source)

    def find(self, name: str) -> DocumentPage | None:
        """Return a page; its name can end with .md, and "" is the index."""
        return self._pages.get(name.removesuffix(".md") or "index")

    def moved_to(self, reference: str) -> str | None:
        """Return the page that has the facts of a page of an older version, with #PART if it is a part; None for any other name."""
        return next((self._moved[name] for end in _ends(reference) if (name := end.removeprefix("docs/")) in self._moved), None)

    def look_up(self, reference: str) -> tuple[DocumentPage, ...]:
        """Return the pages that a path, a link, an address or the end of a path can mean; one if it is exact."""
        ends = _ends(reference)
        exact = tuple(page for end in ends for page in self.pages() if end in page.paths)
        return exact[:1] or tuple(page for page in self.pages() if any(one.endswith(f"/{ends[0]}") for one in page.paths))

    def html(self, page: DocumentPage) -> str:
        """Return the content of a page as HTML; of a file other than Markdown: its text."""
        rendered = f"html/{page.name}"
        if rendered in self._rendered:
            return self._read(rendered)
        return f'<h1>{escape(page.source)}</h1>\n<pre tabindex="0"><code>{escape(self.text(page))}</code></pre>\n'

    def text(self, page: DocumentPage) -> str:
        """Return the file of a page as it is in the repository."""
        return self._read(f"text/{page.name}")

    def parts(self, page: DocumentPage) -> dict[str, str]:
        """Return the part of the file below each anchor: up to the next heading of its level."""
        if not page.source.endswith(".md"):
            return {}
        lines = self.text(page).splitlines(keepends=True)
        marks, anchors = list(_marks(lines)), _ID.findall(self.html(page))
        levels = [level or marks[at + 1][1] for at, (_, level) in enumerate(marks)]  # an anchor is part of the heading below it
        found = {}
        for at, anchor in enumerate(anchors):
            below = range(at + 1 + (not marks[at][1]), len(marks))
            end = next((marks[one][0] for one in below if levels[one] <= levels[at]), len(lines))
            found[anchor] = "".join(lines[marks[at][0] : end])
        return found

    def search(self, text: str) -> list[tuple[Place, str]]:
        """Return the best places for some words, each with a sentence. `search.js` ranks the same index by the same rules.

        A match in a heading counts most, then one in the names of the page, then those in the text; a word counts more if fewer places have
        it, and a place more if it has more of the words, most of all in one sentence.
        """
        index = json.loads(self.search_index())
        places, endings = [Place(*row) for row in index["places"]], "|".join(index["endings"])
        given = re.findall(r"[a-z0-9]{2,}", text.lower())
        words = list(dict.fromkeys([word for word in given if word not in index["stop"]] or given))[:_MOST_WORDS]
        texts = [(place.heading, place.names, *place.lines) for place in places]
        scores, matched = [0.0] * len(places), [0] * len(places)
        together = [[0] * len(each) for each in texts]  # words of each heading, name and sentence
        for word in words:
            stem = re.sub(f"(?<=[a-z]{{3}})(?:{endings})$", "", word)
            has = re.compile(f"(?<![a-z0-9]){stem}(?:{endings})?(?![a-z0-9])", re.ASCII | re.IGNORECASE).search
            found = [[bool(has(text)) for text in each] for each in texts]
            rarity = math.log(1 + len(places) / (1 + sum(map(any, found))))
            for at, (heading, names, *lines) in enumerate(found):
                scores[at] += rarity * places[at].weight * (8 * heading + 4 * names + min(2, sum(lines)))
                matched[at] += any(found[at])
                together[at] = [before + now for before, now in zip(together[at], found[at], strict=True)]
        ranks = [score * (number + max(counts)) for score, number, counts in zip(scores, matched, together, strict=True)]
        best, of_page = dict[str, tuple[Place, str]](), Counter[str]()
        for at in sorted(range(len(places)), key=lambda at: -ranks[at]):
            place = places[at]
            page = place.address.partition("#")[0]
            if not ranks[at] or len(best) == _MOST_FOUND:
                break
            if place.address not in best and of_page[page] < _MOST_OF_PAGE:
                of_page[page] += 1
                in_heading, _, *in_lines = together[at]
                most = max(in_lines, default=0)
                shown = place.lines[in_lines.index(most) if most > in_heading else 0 :]
                best[place.address] = place, shown[0] if shown else ""
        return list(best.values())

    def search_index(self) -> str:
        """Return the index of a search as JSON."""
        return self._read("search.json")

    def vocabulary(self) -> list[str]:
        """Return the names of pages and the words of headings, of which a mistyped word can be meant."""
        places = [Place(*row) for row in json.loads(self.search_index())["places"]]
        names = [name for page in self.pages() for name in (page.name, page.name.rpartition("/")[2])]
        return list(
            dict.fromkeys(
                [*names, *(word.lower() for place in places for word in re.findall(r"\w{4,}", f"{place.heading} {place.names}"))]
            )
        )

    def _read(self, member: str) -> str:
        return self._archive.read(member).decode()


def _ends(reference: str) -> list[str]:
    """Return the path of a reference without .md; of an address, also each end of it."""
    path = reference.replace("\\", "/").casefold().removesuffix(".md")
    if _SCHEME.match(path) is None:
        return [path.lstrip("./")]
    parts = _SCHEME.sub("", path).lstrip("./").split("/")[-_MOST_PARTS:]
    return ["/".join(parts[at:]) for at in range(len(parts))]


def _marks(lines: list[str]) -> Iterator[tuple[int, int]]:
    """Yield number and level of each heading, and 0 as the level of an anchor."""
    inside = False
    for number, line in enumerate(lines):
        inside ^= line.lstrip().startswith("```")
        if not inside and (mark := _MARK.match(line)):
            yield number, len(mark[1] or "")

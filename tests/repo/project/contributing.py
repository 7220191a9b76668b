"""The tables of CONTRIBUTING.md, and the files that their rows name."""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path

ROOT = Path(__file__).parents[3]
TEXT = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")

_FILE = re.compile(r"`([\w./-]+(?:/|\.(?:py|yml|json|css|md|sql)))`")


def section(heading: str) -> str:
    """Return the text from a heading to the next one. Raise IndexError if there is none."""
    return re.split(rf"^#+ {heading}$", TEXT, flags=re.MULTILINE)[1].partition("\n#")[0]


def rows(text: str) -> Mapping[str, str]:
    """Return the rows of the tables of a text: the first cell and the others."""
    lines = re.findall(r"^\| ([^|]+) \|(.*)\|$", text, re.MULTILINE)
    return {first: others for first, others in lines if set(first) != {"-"}}


def named(row: str) -> Iterator[tuple[str, Path | None]]:
    """Yield each file or folder of a row; None if it is missing. A name without a folder lies next to the one before it."""
    folder = ROOT
    for name in _FILE.findall(row.replace("/NAME.md", "/")):
        places = (folder / name, ROOT / name, ROOT / "exporter" / name)
        found = next((place for place in places if place.exists()), None)
        yield name, found
        folder = folder if found is None else found if name.endswith("/") else found.parent


def places(row: str) -> set[Path]:
    """Return the files and folders of a row that exist."""
    return {place for _, place in named(row) if place is not None}

"""The main file and everything it includes, read and put side by side.

For: files, includes, cycles, limits on their number.
Not for: what the sections mean, nor how parts of two files fit together.
"""

from __future__ import annotations

import glob
import os
from dataclasses import dataclass, field
from pathlib import Path

from exporter.config.fields import Section, read_section
from exporter.config.files import FileUnreadableError, read_whole
from exporter.config.problems import Location, ProblemList
from exporter.config.schema import TOP
from exporter.config.yaml_tree import SIZE_LIMIT, DocumentError, Node, read_document

FILE_LIMIT = 10_000
NESTING_LIMIT = 16


@dataclass(slots=True)
class LoadedFiles:
    """The top sections, the main file's first; and every file that was opened or should have been."""

    parts: list[Section] = field(default_factory=list)
    files: list[Path] = field(default_factory=list)
    patterns: list[str] = field(default_factory=list)  # what was looked for by a pattern, as whole paths
    complete: bool = True  # no file had to be left out, so what is not declared does not exist


def read_with_includes(path: Path, problems: ProblemList) -> LoadedFiles:
    """Read `path` and what it includes, however deep. Reports instead of raising."""
    return _Reading(problems).run(path)


class _Reading:
    def __init__(self, problems: ProblemList) -> None:
        self._problems = problems
        self._gathered = LoadedFiles()
        self._seen: set[str] = set()
        self._shown: set[str] = set()

    def run(self, path: Path) -> LoadedFiles:
        location = Location(problems=self._problems, file=str(path), base=Path.cwd() / path.parent)
        self._file(Path.cwd() / path, location, location, above=())
        return self._gathered

    def _file(self, path: Path, asked: Location, location: Location, *, above: tuple[str, ...]) -> None:
        """One file. `asked` is where it was named, `spot` its own beginning, `above` the files that led here."""
        identity = os.path.realpath(path)
        if identity in above:
            asked.error(f"{location.file} includes itself")
            return
        if len(above) > NESTING_LIMIT:
            self._gathered.complete = False
            asked.error(f"included through more than {NESTING_LIMIT} files")
            return
        if identity in self._seen:
            return
        self._seen.add(identity)
        self._gathered.files.append(path)
        if location.file not in self._shown:
            self._shown.add(location.file)
            self._problems.files.append(location.file)
        root = self._root(path, asked, location)
        section = None if root is None else read_section(root, location.at(root.line, root.column), TOP)
        if section is None:
            self._gathered.complete = False
            return
        if above and section.written("global"):
            section.location_of("global").error("belongs into the main file")
        self._gathered.parts.append(section)
        for pattern, asking in section.get("include") or ():
            self._include(pattern, asking, above=(*above, identity))

    def _root(self, path: Path, asked: Location, location: Location) -> Node | None:
        if len(self._gathered.files) > FILE_LIMIT:
            asked.error(f"more than {FILE_LIMIT} files")
            return None
        try:
            return read_document(read_whole(path, limit=SIZE_LIMIT))
        except FileUnreadableError as error:
            asked.error(str(error))
        except DocumentError as error:
            location.at(error.line, error.column).error(error.message)
        return None

    def _include(self, pattern: str, asked: Location, *, above: tuple[str, ...]) -> None:
        if not glob.has_magic(pattern):
            self._included(pattern, asked, above=above)
            return
        self._gathered.patterns.append(str(asked.base / pattern))
        matches = sorted(glob.glob(pattern, root_dir=asked.base))  # noqa: PTH207 - Path.glob refuses whole paths
        if not matches:
            asked.warn("no file has such a name")
        for match in matches:
            self._included(match, asked, above=above)

    def _included(self, name: str, asked: Location, *, above: tuple[str, ...]) -> None:
        path = asked.base / name
        shown = str(Path(asked.file).parent / name)
        location = Location(problems=self._problems, file=shown, base=path.parent)
        self._file(path, asked, location, above=above)

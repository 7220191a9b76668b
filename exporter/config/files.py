"""Read the main file and its includes."""

from __future__ import annotations

import glob
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from exporter.config.fields import Section, read_section
from exporter.config.schema import TOP
from exporter.config.tree import SIZE_LIMIT, DocumentError, Location, Node, ProblemList, read_document
from exporter.core.values import KeyReference
from exporter.runtime.files import FileUnreadableError, read_whole, real_path

FILE_LIMIT = 10_000
NESTING_LIMIT = 16


@dataclass(slots=True)
class LoadedFiles:
    """The top sections, the main file's first, and the paths of all files."""

    parts: list[Section] = field(default_factory=list)
    files: list[Path] = field(default_factory=list)
    patterns: list[str] = field(default_factory=list)  # include patterns, as absolute paths
    complete: bool = True  # every file was read, so an undeclared name does not exist


def read_with_includes(path: Path, problems: ProblemList) -> LoadedFiles:
    """Read `path` and its includes. Problems are reported, never raised."""
    reader = _IncludeReader(problems)
    location = Location(problems=problems, file=str(path), base=Path.cwd() / path.parent)
    reader.read(Path.cwd() / path, location, location, above=())
    return reader.loaded


class _IncludeReader:
    def __init__(self, problems: ProblemList) -> None:
        self._problems = problems
        self.loaded = LoadedFiles()
        self._seen: set[str] = set()
        self._shown: set[str] = set()

    def read(self, path: Path, named: Location, location: Location, *, above: tuple[str, ...]) -> None:
        """Read one file, which the files `above` include."""
        identity = real_path(path)
        if identity in above:
            named.error(f"{location.file} includes itself: remove one of the includes")
            return
        if len(above) > NESTING_LIMIT:
            self.loaded.complete = False
            named.error(f"more than {NESTING_LIMIT} nested includes: include the file from the main file")
            return
        if identity in self._seen:
            return
        self._seen.add(identity)
        self.loaded.files.append(path)
        if location.file not in self._shown:
            self._shown.add(location.file)
            self._problems.files.append(location.file)
        root = self._root(path, named, location)
        section = None if root is None else read_section(root, location.with_position(root.line, root.column), TOP)
        if section is None:
            self.loaded.complete = False
            return
        if above and section.is_set("global"):
            section.location_of("global").error("is only allowed in the main file: move it there")
        self.loaded.parts.append(section)
        for pattern, place in section.get("include") or ():
            self._include(pattern, place, above=(*above, identity))

    def _root(self, path: Path, named: Location, location: Location) -> Node | None:
        if len(self.loaded.files) > FILE_LIMIT:
            named.error(f"more than {FILE_LIMIT} files: merge some of them")
            return None
        try:
            return read_document(read_whole(path, limit=SIZE_LIMIT))
        except FileUnreadableError as error:
            named.error(str(error))
        except DocumentError as error:
            location.with_position(error.line, error.column).error(error.message)
        return None

    def _include(self, pattern: str, named: Location, *, above: tuple[str, ...]) -> None:
        names = [pattern]
        if glob.has_magic(pattern):
            self.loaded.patterns.append(str(named.base / pattern))
            names = sorted(glob.glob(pattern, root_dir=named.base))  # noqa: PTH207 - Path.glob refuses whole paths
        if not names:
            named.warn("no file matches this pattern")
        for name in names:
            path, shown = named.base / name, str(Path(named.file).parent / name)
            self.read(path, named, Location(problems=self._problems, file=shown, base=path.parent), above=above)


# A target or a SQL Server, with the defaults of its file.

# A way to sign in, or to trust a certificate, replaces another way of the defaults.
_REPLACED_BY: Mapping[str, Collection[str]] = {
    "user": ("entra_credential",),
    "password_file": ("entra_credential", "password_env"),
    "password_env": ("entra_credential", "password_file"),
    "entra_credential": ("user",),
    "ca_file": ("certificate_sha256",),
    "certificate_sha256": ("ca_file",),
}


def targets_in(part: Section) -> Iterator[Section]:
    """Yield the targets of a file. Labels of the defaults and own ones are merged."""
    defaults: Section | None = part.get("target_defaults")
    inherited = None if defaults is None else defaults.get("labels")
    for section in part.get("targets") or ():
        target = section.over(defaults, {})
        if inherited:
            target.values["labels"] = {**inherited, **(section.get("labels") or {})}
        yield target


def sql_servers_in(part: Section) -> Iterator[Section]:
    """Yield the SQL Servers of a file."""
    return (section.over(part.get("sql_server_defaults"), _REPLACED_BY) for section in part.get("sql_servers") or ())


def vault_of(section: Section, target: Section | None = None) -> str | None:
    """Return the vault of a key: of its KeyUri, else the value of `vault`, else that of the target that it is of."""
    key: KeyReference | None = section.get("key")
    own: str | None = (None if key is None else key.vault) or section.get("vault")
    return own or (None if target is None else vault_of(target))

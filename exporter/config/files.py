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
    """The top sections, the main file's first, and the paths of all files. Problems are reported, never raised."""

    problems: ProblemList
    parts: list[Section] = field(default_factory=list)
    files: dict[str, Path] = field(default_factory=dict)  # by their real path
    patterns: list[str] = field(default_factory=list)  # include patterns, as absolute paths
    complete: bool = True  # every file was read, so an undeclared name does not exist

    def read(self, path: Path, named: Location, location: Location, *, above: tuple[str, ...] = ()) -> None:
        """Read one file, which `named` names and the files `above` include, and its own includes."""
        identity = real_path(path)
        if identity in above:
            named.error(f"{location.file} includes itself: remove one of the includes")
            return
        if len(above) > NESTING_LIMIT:
            self.complete = False
            named.error(f"more than {NESTING_LIMIT} nested includes: include the file from the main file")
            return
        if identity in self.files:
            return
        self.files[identity] = path
        self.problems.files.setdefault(location.file, len(self.problems.files))
        root = self._root(path, named, location)
        section = None if root is None else read_section(root, location.with_position(root.line, root.column), TOP)
        if section is None:
            self.complete = False
            return
        if above and section.is_set("global"):
            section.location_of("global").error("is only allowed in the main file: move it there")
        self.parts.append(section)
        for pattern, place in section.get("include") or ():
            for name in self._names(pattern, place):
                included, shown = place.base / name, str(Path(place.file).parent / name)
                self.read(included, place, Location(self.problems, shown, included.parent), above=(*above, identity))

    def _root(self, path: Path, named: Location, location: Location) -> Node | None:
        if len(self.files) > FILE_LIMIT:
            named.error(f"more than {FILE_LIMIT} files: merge some of them")
            return None
        try:
            return read_document(read_whole(path, limit=SIZE_LIMIT))
        except FileUnreadableError as error:
            named.error(str(error))
        except DocumentError as error:
            location.with_position(error.line, error.column).error(error.message)
        return None

    def _names(self, pattern: str, named: Location) -> list[str]:
        """The files of an include."""
        if not glob.has_magic(pattern):
            return [pattern]
        self.patterns.append(str(named.base / pattern))
        names = sorted(glob.glob(pattern, root_dir=named.base))  # noqa: PTH207 - Path.glob refuses whole paths
        if not names:
            named.warn("no file matches this pattern")
        return names


def read_with_includes(path: Path, problems: ProblemList) -> LoadedFiles:
    """Read `path` and its includes."""
    loaded = LoadedFiles(problems)
    location = Location(problems=problems, file=str(path), base=Path.cwd() / path.parent)
    loaded.read(Path.cwd() / path, location, location)
    return loaded


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


def retained_in(target: Section) -> Iterator[tuple[Section, KeyReference, str]]:
    """Yield the retained versions of a target with their keys and vaults, without those that lack one."""
    for section in target.get("retained_versions") or ():
        key, vault = section.get("key"), vault_of(section, target)
        if key is not None and vault is not None:
            yield section, key, vault


def vault_of(section: Section, target: Section | None = None) -> str | None:
    """Return the vault of a key: of its KeyUri, else the value of `vault`, else that of the target that it is of."""
    key: KeyReference | None = section.get("key")
    own: str | None = (None if key is None else key.vault) or section.get("vault")
    return own or (None if target is None else vault_of(target))

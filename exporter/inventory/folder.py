"""The folder of generated targets: which files are the inventory's, and what changes.

`inventory.json` has what every instance answered last: an instance that is not read this time keeps its targets.
"""

from __future__ import annotations

import difflib
import hashlib
import json
import os
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from exporter.config.yaml import SIZE_LIMIT
from exporter.core.windows_names import is_device
from exporter.inventory.render import MARK, is_own
from exporter.runtime.files import FileMissingError, FileUnreadableError, plainly, read_whole
from exporter.tde.document import Document, as_json, document_from
from exporter.tde.registry import KeyVersion, RegistryUri, key_version

FACTS = "inventory.json"
FACTS_LIMIT = 256 * 1024 * 1024  # bytes


class FolderError(Exception):
    """Why the folder cannot be used, and what to do."""


@dataclass(slots=True)
class FolderFacts:
    """What is known from all runs: documents by server, key URIs, names of targets, and versions by public key.

    `established` are the versions of the last run by server and thumbprint: a later contradiction of another server does not change them.
    `digest` is that of the file that was read, empty without one.
    """

    documents: dict[str, Document] = field(default_factory=dict)
    loose: dict[RegistryUri, None] = field(default_factory=dict)
    names: dict[str, str] = field(default_factory=dict)
    compared: dict[str, KeyVersion] = field(default_factory=dict)
    established: dict[str, dict[str, KeyVersion]] = field(default_factory=dict)
    digest: bytes = b""


@dataclass(frozen=True, slots=True)
class Folder:
    """The YAML files of the folder before a run; `own` maps names to unchanged texts."""

    path: Path
    own: Mapping[str, str]
    edited: tuple[str, ...]
    others: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class FileChange:
    """The new text of a file; None removes it."""

    path: Path
    before: str | None
    after: str | None

    def diff(self) -> str:
        """Return the unified diff without the line with the checksum."""
        before, after = (_lines(text) for text in (self.before, self.after))
        old = "/dev/null" if self.before is None else str(self.path)
        new = "/dev/null" if self.after is None else str(self.path)
        return "".join(
            line if line.endswith("\n") else f"{line}\n" for line in difflib.unified_diff(before, after, old, new, n=2)
        )


def read_folder(path: Path) -> Folder:
    """Read the YAML files of the folder, which may not exist. Raises FolderError."""
    if path.exists() and not path.is_dir():
        raise FolderError(f"--out: {path}: a file, not a folder: name a folder")
    own: dict[str, str] = {}
    edited: list[str] = []
    others: list[str] = []
    for file in sorted(path.glob("*.yml")) if path.is_dir() else ():
        try:
            text = read_whole(file, limit=SIZE_LIMIT).decode("utf-8", "replace")
        except FileUnreadableError as error:
            raise FolderError(f"{file}: {error}") from None
        if is_own(text):
            own[file.name] = text
        else:
            (edited if text.startswith(MARK) else others).append(file.name)
    return Folder(path, own, tuple(edited), tuple(others))


def read_facts(folder: Folder) -> FolderFacts:
    """Read the facts of earlier runs. Raises FolderError if they are lost or unusable."""
    path = folder.path / FACTS
    try:
        data = read_whole(path, limit=FACTS_LIMIT)
        content = json.loads(data)
        documents = {name: document_from(one) for name, one in content["instances"].items()}
        if not all(one.failure is None and one.sections.get("instance") for one in documents.values()):
            raise ValueError  # noqa: TRY301 - as every other damage
        loose = {RegistryUri(str(one["thumbprint"]), str(one["uri"])): None for one in content["key_uris"]}
        names = {str(one): str(name) for one, name in content["names"].items()}
        compared = _versions((str(one["public_key"]), one["uri"]) for one in content.get("public_keys", ()))
        established = {str(server): _versions(uris.items()) for server, uris in content.get("versions", {}).items()}
        return FolderFacts(documents, loose, names, compared, established, hashlib.sha256(data).digest())
    except FileMissingError:
        if folder.own:
            raise FolderError(
                f"{path} is missing, but {folder.path} has files of earlier runs: restore it, or remove them"
            ) from None
        return FolderFacts()
    except FileUnreadableError as error:
        raise FolderError(f"{path}: {error}") from None
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise FolderError(f"{path}: damaged: restore it, or remove it and the files of earlier runs") from None


def _versions(uris: Iterable[tuple[str, Any]]) -> dict[str, KeyVersion]:
    return {name: version for name, uri in uris if (version := key_version(str(uri))) is not None}


def facts_text(facts: FolderFacts) -> str:
    """Return the content of the file of facts."""
    content: dict[str, Any] = {
        "instances": {name: as_json(facts.documents[name]) for name in sorted(facts.documents)},
        "key_uris": [{"thumbprint": uri.thumbprint, "uri": uri.uri} for uri in facts.loose],
        "names": facts.names,
        "public_keys": [{"public_key": one, "uri": version.uri} for one, version in facts.compared.items()],
        "versions": {
            server: {one: version.uri for one, version in versions.items()} for server, versions in facts.established.items()
        },
    }
    return json.dumps(content, indent=1, sort_keys=True) + "\n"


def save_facts(path: Path, facts: FolderFacts) -> None:
    """Replace the file of facts. Raises FolderError if another run replaced it since it was read."""
    text = facts_text(facts)
    if len(text.encode()) > FACTS_LIMIT:
        raise FolderError(f"{path}: it would exceed {FACTS_LIMIT // 1024**2} MiB: use one folder for each part of the servers")
    try:
        digest = hashlib.sha256(read_whole(path, limit=FACTS_LIMIT)).digest()
    except FileMissingError:
        digest = b""
    except FileUnreadableError as error:
        raise FolderError(f"{path}: {error}") from None
    if digest != facts.digest:
        raise FolderError(f"{path}: another run replaced it meanwhile, so nothing was written: run the command again")
    write(path, text)


def changes(folder: Folder, files: Mapping[str, str]) -> Iterator[FileChange]:
    """Yield the changes that lead to `files`, by stem; only own files change.

    A name that another file has gets `.inventory` before its suffix. A device of Windows, such as the vault `con`, gets `_` before it.
    """
    foreign = {*folder.edited, *folder.others}
    wanted: dict[str, str] = {}
    for given, text in files.items():
        stem = f"_{given}" if is_device(given) else given
        name = f"{stem}.yml"
        wanted[f"{stem}.inventory.yml" if name in foreign else name] = text
    if clash := foreign & wanted.keys():
        raise FolderError(f"{folder.path / min(clash)} was edited: rename it, and the next run writes a new one")
    for name in sorted({*wanted, *folder.own}):
        before, after = folder.own.get(name), wanted.get(name)
        if before is None or after is None or _lines(before) != _lines(after):
            yield FileChange(folder.path / name, before, after)


def write(path: Path, text: str) -> None:
    """Replace the file in one step. Raises FolderError."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=".inventory-")
        try:
            with os.fdopen(descriptor, "w", encoding="utf-8", newline="\n") as stream:
                stream.write(text)
            Path(temporary).chmod(0o640)
            Path(temporary).replace(path)
        except BaseException:
            Path(temporary).unlink(missing_ok=True)
            raise
    except OSError as error:
        raise FolderError(f"{path}: cannot be written: {plainly(error)}") from None


def _lines(text: str | None) -> list[str]:
    return [] if text is None else text.replace("\r\n", "\n").splitlines(keepends=True)[1:]

"""The folder of generated targets: which files are the inventory's, and what changes; and what other files and SQL Servers say.

`inventory.json` has what every instance answered last: an instance that is not read this time keeps its targets.
"""

from __future__ import annotations

import difflib
import hashlib
import json
import os
import re
import tempfile
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import chain
from pathlib import Path
from typing import Any

from exporter.config.build import build_credential, build_module
from exporter.config.fields import Section
from exporter.config.files import read_with_includes, retained_in, targets_in, vault_of
from exporter.config.load import load_config
from exporter.config.settings import DEFAULT_MODULE, Config, Credential, Module, Settings
from exporter.config.tree import SIZE_LIMIT, ProblemList
from exporter.core.names import is_device
from exporter.core.values import KeyReference
from exporter.inventory.claims import DocumentReading
from exporter.inventory.plan import HandWritten
from exporter.inventory.render import MARK, is_own
from exporter.runtime.files import FileMissingError, FileUnreadableError, decoded, expand, plainly, read_whole, real_path
from exporter.sqlserver.document import Document, KeyVersion, RegistryUri, as_json, document_from, key_version, read_documents
from exporter.sqlserver.instance import FILE, Findings, printable
from exporter.sqlserver.keys import HandWrittenTarget

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
        old, new = ("/dev/null" if text is None else str(self.path) for text in (self.before, self.after))
        lines = difflib.unified_diff(_lines(self.before), _lines(self.after), old, new, n=2)
        return "".join(line if line.endswith("\n") else f"{line}\n" for line in lines)


def read_folder(path: Path) -> Folder:
    """Read the YAML files of the folder, which may not exist. Raises FolderError."""
    if path.exists() and not path.is_dir():
        raise FolderError(f"--out: {path}: a file, not a folder: name a folder")
    texts = dict[str, str]()
    for file in sorted(path.glob("*.yml")):
        try:
            texts[file.name] = read_whole(file, limit=SIZE_LIMIT).decode("utf-8", "replace")
        except FileUnreadableError as error:
            raise FolderError(f"{file}: {error}") from None
    own = {name: text for name, text in texts.items() if is_own(text)}
    edited = tuple(name for name, text in texts.items() if name not in own and text.startswith(MARK))
    return Folder(path, own, edited, tuple(name for name in texts if name not in own and name not in edited))


def read_facts(folder: Folder) -> FolderFacts:
    """Read the facts of earlier runs. Raises FolderError if they are lost or unusable."""
    path = folder.path / FACTS
    try:
        data = read_whole(path, limit=FACTS_LIMIT)
        content = json.loads(data)
        documents = {name: document_from(one) for name, one in content["instances"].items()}
        if not all(one.failure is None and one.sections.get("instance") for one in documents.values()):
            raise ValueError  # noqa: TRY301 - as every other damage
        return FolderFacts(
            documents=documents,
            loose={RegistryUri(str(one["thumbprint"]), str(one["uri"])): None for one in content["key_uris"]},
            names={str(one): str(name) for one, name in content["names"].items()},
            compared=_versions({str(one["public_key"]): one["uri"] for one in content.get("public_keys", ())}),
            established={str(server): _versions(uris) for server, uris in content.get("versions", {}).items()},
            digest=hashlib.sha256(data).digest(),
        )
    except FileMissingError:
        if not folder.own:
            return FolderFacts()
        raise FolderError(f"{path} is missing, but {folder.path} has files of earlier runs: restore it, or remove them") from None
    except FileUnreadableError as error:
        raise FolderError(f"{path}: {error}") from None
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise FolderError(f"{path}: damaged: restore it, or remove it and the files of earlier runs") from None


def _versions(uris: Mapping[str, Any]) -> dict[str, KeyVersion]:
    return {name: version for name, uri in uris.items() if (version := key_version(str(uri))) is not None}


def save_facts(path: Path, facts: FolderFacts) -> None:
    """Replace the file of facts. Raises FolderError if another run replaced it since it was read."""
    content: dict[str, Any] = {
        "instances": {name: as_json(document) for name, document in facts.documents.items()},
        "key_uris": [{"thumbprint": uri.thumbprint, "uri": uri.uri} for uri in facts.loose],
        "names": facts.names,
        "public_keys": [{"public_key": one, "uri": version.uri} for one, version in facts.compared.items()],
        "versions": {
            server: {one: version.uri for one, version in versions.items()} for server, versions in facts.established.items()
        },
    }
    text = json.dumps(content, indent=1, sort_keys=True) + "\n"
    if len(text.encode()) > FACTS_LIMIT:
        raise FolderError(f"{path}: it would exceed {FACTS_LIMIT // 1024**2} MiB: use one folder for each part of the servers")
    digest = b""
    try:
        digest = hashlib.sha256(read_whole(path, limit=FACTS_LIMIT)).digest()
    except FileMissingError:
        pass
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
    stems = {f"_{stem}" if is_device(stem) else stem: text for stem, text in files.items()}
    wanted = {f"{stem}.inventory.yml" if f"{stem}.yml" in foreign else f"{stem}.yml": text for stem, text in stems.items()}
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


_MAIN = "main.yaml"


def accepted(todo: Iterable[FileChange], declared: Collection[str], findings: Findings) -> list[FileChange]:
    """Return the changes that `check` accepts: its loader reads each new file. Each other one is a gap, and its old file stays.

    `declared` are the credentials of other files, which the new ones may name.
    """
    changes, refused = list(todo), dict[str, str]()
    texts = {change.path.name: change.after for change in changes if change.after is not None}
    while found := _problems({file: text for file, text in texts.items() if file not in refused}, declared):
        refused |= found  # a file that cannot be parsed hides the problems of others
    for change in changes:
        if change.path.name in refused:
            findings.gap(
                f"{change.path} was not written, because check refuses its new content ({refused[change.path.name]}): "
                "correct the name or value in SQL Server; targets of an earlier run stay"
            )
    return [change for change in changes if change.path.name not in refused]


def _problems(texts: dict[str, str], declared: Collection[str]) -> dict[str, str]:
    """Return the first problem of each file that has one."""
    with tempfile.TemporaryDirectory(prefix="ekm-inventory-") as name:
        folder, files, found = Path(name), sorted(texts), dict[str, str]()
        for file, text in texts.items():
            (folder / file).write_text(text, encoding="utf-8", errors="replace", newline="\n")
        main = {"credentials": {one: {"type": "managed_identity"} for one in declared}, "include": files}
        (folder / _MAIN).write_text(json.dumps(main), encoding="utf-8")
        for problem in load_config(folder / _MAIN).problems:
            included = re.fullmatch(r"include\[([0-9]+)\]", problem.path)  # of a file that cannot be read
            file = Path(problem.file).name if included is None else files[int(included[1])]
            if file in texts and not problem.path.endswith(".secret_file"):  # the secret itself may still be missing
                found.setdefault(file, problem.what if included is None else problem.message)
        return found


def read_parts(files: Iterable[Path], own: Collection[Path], *, whole: bool = False) -> list[Section]:
    """Return the content of these files and their includes, without the files in `own`. Raises SourceError if all must be `whole`, and one is not."""
    mine, found = {real_path(path) for path in own}, list[Section]()
    for path in files:
        problems = ProblemList()
        loaded = read_with_includes(path, problems)
        if whole and not loaded.complete:
            raise SourceError(f"{problems.errors[0]}: correct it, because its targets are unknown")
        found += [part for part in loaded.parts if real_path(part.location.file) not in mine]
    return found


def read_hand_written(files: Iterable[Path], own: Collection[Path]) -> HandWritten:
    """Read these files and their includes, without the files in `own`. What is unusable in them is left out: `check` reports it."""
    parts = read_parts(files, own)
    targets = {target.where: target for part in parts for target in _targets(part)}
    return HandWritten(tuple(targets.values()), frozenset(name for part in parts for name in part.get("credentials") or ()))


def includes_folder(config: Path, folder: Path) -> bool:
    """Whether the configuration includes `*.yml` of the folder."""
    pattern = Path(real_path(folder / "x.yml"))
    return any(pattern.match(real_path(one)) for one in read_with_includes(config, ProblemList()).patterns)


def _targets(part: Section) -> Iterator[HandWrittenTarget]:
    for raw in targets_in(part):
        name, vault = raw.get("name"), vault_of(raw)
        key: KeyReference | None = raw.get("key")
        if name is not None and vault is not None and key is not None:
            yield HandWrittenTarget(
                name=name,
                vault=vault,
                key_name=key.name,
                key_version=key.version,
                thumbprint=raw.get("thumbprint"),
                instances=tuple(raw.get("instances") or ()),
                where=raw.location.where,
                retained=tuple(
                    KeyVersion(vault, key.name, key.version) for _, key, vault in retained_in(raw) if key.version is not None
                ),
            )


FILE_LIMIT = 64 * 1024 * 1024  # bytes


class SourceError(Exception):
    """Why the flags of a source cannot be used, and what to do."""


@dataclass(slots=True)
class Sources:
    """What files, running exporters and SQL Servers answered: readings of instances, loose key URIs, and one line for each failure."""

    readings: list[DocumentReading] = field(default_factory=list)
    loose: dict[RegistryUri, None] = field(default_factory=dict)
    failures: list[str] = field(default_factory=list)

    def add(self, document: Document, where: str, *, direct: bool = False, of_exporter: bool = False) -> None:
        """Add a document; `where` is the file, server or exporter that it is from. The rest is as in DocumentReading."""
        if document.failure is not None:
            address = f"{printable(document.address)}: " if document.address not in (None, where) else ""
            self.failures.append(f"{where}: {address}not read: {printable(document.failure)}")
        if document.failure is not None or document.sections:
            address = document.address or f"{FILE}{Path(where).name}"
            self.readings.append(DocumentReading(replace(document, address=address), where, direct, of_exporter))
        else:
            self.loose |= dict.fromkeys(document.key_uris)

    def read_files(self, patterns: Iterable[str]) -> None:
        for pattern in patterns:
            places = [sorted(filter(Path.is_file, path.iterdir())) if path.is_dir() else [path] for path in expand(pattern)]
            files = list(chain.from_iterable(places))
            if not files:
                self.failures.append(f"{pattern}: no file: copy the output of inventory.ps1 or inventory.sql there")
            for file in files:
                try:
                    documents = read_documents(decoded(read_whole(file, limit=FILE_LIMIT)))
                except FileUnreadableError as error:
                    self.failures.append(f"{file}: {error}")
                    continue
                for document in documents:
                    self.add(document, str(file))


@dataclass(frozen=True, slots=True)
class Declared:
    """What the files declare: credentials and modules by name, and the uses of each vault by targets.

    `check` refuses a configuration whose secrets are missing; the inventory runs before they are supplied.
    """

    credentials: Mapping[str, Credential] = field(default_factory=dict)
    modules: Mapping[str, Module] = field(default_factory=lambda: {DEFAULT_MODULE: Module(name=DEFAULT_MODULE)})
    uses: Mapping[str, tuple[tuple[str, str], ...]] = field(default_factory=dict)  # vault: credential and module
    hosts: Mapping[str, str] = field(default_factory=dict)  # of sql_servers, by address; both in lower case

    def module_of(self, vault: str) -> Module:
        """Return the module of a target for the vault, else the default one."""
        uses = self.uses.get(vault)
        return self.modules.get(uses[0][1] if uses else DEFAULT_MODULE, self.modules[DEFAULT_MODULE])

    @property
    def config(self) -> Config:
        """Return a configuration without targets, for the networks of the modules."""
        return Config(settings=Settings(), credentials=dict(self.credentials), modules=dict(self.modules), targets={})


def read_declared(path: Path | None) -> Declared:
    """Read the file and its includes; what is unusable in them is left out. Blocks."""
    credentials, modules = dict[str, Credential](), {DEFAULT_MODULE: Module(name=DEFAULT_MODULE)}
    uses, hosts = dict[str, dict[tuple[str, str], None]](), dict[str, str]()
    for part in read_parts([] if path is None else [path], ()):
        for name, section in (part.get("credentials") or {}).items():
            if section is not None and (credential := build_credential(name, section)) is not None:
                credentials[name] = credential
        modules |= {name: build_module(name, one) for name, one in (part.get("modules") or {}).items() if one is not None}
        for raw in targets_in(part):
            vault = vault_of(raw)
            if vault is not None and raw.get("credential") is not None:
                uses.setdefault(vault, {})[raw.get("credential"), raw.get("module") or DEFAULT_MODULE] = None
        for server in part.get("sql_servers") or ():
            if server.get("address") is not None and server.get("host") is not None:
                hosts[server.get("address").lower()] = server.get("host").lower().rstrip(".")
    return Declared(credentials, modules, {vault: tuple(those) for vault, those in uses.items()}, hosts)

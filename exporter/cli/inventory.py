"""The command `ekm-exporter inventory`: what SQL Servers use, as targets.

Reads what deploy/sql/inventory.sql and inventory.ps1 wrote, and writes `targets.d`; connects to nothing.
"""

from __future__ import annotations

import argparse
import glob
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from exporter.config.files import FileUnreadableError, read_whole
from exporter.core.inventory.document import Document, read_documents
from exporter.core.inventory.model import Instance, instance_of, printable
from exporter.core.inventory.plan import Plan, make_plan
from exporter.core.inventory.registry import RegistryUri
from exporter.core.inventory.render import files_of, listed, report
from exporter.inventory.folder import (
    FACTS,
    Change,
    Facts,
    Folder,
    FolderError,
    changes,
    facts_text,
    read_facts,
    read_folder,
    write,
)
from exporter.inventory.hand_written import includes_folder, read_hand_written

FINE, GAPS, BAD_USAGE = 0, 1, 2
FILE_LIMIT = 64 * 1024 * 1024  # bytes


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command and its flags."""
    parser = subparsers.add_parser(
        "inventory",
        help="write targets from what SQL Servers use",
        description=(
            "Reads what deploy/sql/inventory.sql or inventory.ps1 printed on each SQL Server, and writes one file of targets for each "
            "vault. A later run prints the differences and changes only the files that it wrote itself; an instance that is not read "
            "again keeps its targets. Exit code: 0 if everything was found out, 1 if the report has a gap or a file is unreadable, "
            "2 for bad arguments."
        ),
        epilog="example: ekm-exporter inventory --from inventory/*.json --out targets.d --config.file ekm.yml",
        allow_abbrev=False,
    )
    parser.add_argument(
        "--from", dest="sources", metavar="FILE", nargs="+", required=True, help="output of the scripts, or of reg query"
    )
    parser.add_argument("--out", metavar="FOLDER", type=Path, required=True, help="the folder of the generated files")
    parser.add_argument(
        "--config.file",
        dest="config_file",
        metavar="FILE",
        type=Path,
        help="the configuration: what it declares is not written again",
    )
    parser.add_argument(
        "--secrets", metavar="FOLDER", default="../secrets", help="folder of the secrets, relative to --out (default: ../secrets)"
    )
    parser.add_argument("--prune", action="store_true", help="forget the instances that these files do not have")
    parser.add_argument("--dry-run", action="store_true", help="print the differences and the report, and write nothing")
    parser.set_defaults(handler=run)


@dataclass(slots=True)
class _Sources:
    """The content of the files: readable instances by name, loose key URIs, failures."""

    instances: dict[str, Document] = field(default_factory=dict)
    loose: dict[RegistryUri, None] = field(default_factory=dict)
    failures: list[str] = field(default_factory=list)


def run(args: argparse.Namespace) -> int:
    """Read, plan, print the differences and write them; the exit code shows whether there is a gap."""
    try:
        return _run(args)
    except (FolderError, OSError) as error:
        print(f"ekm-exporter inventory: {error}", file=sys.stderr)
        return BAD_USAGE


def _run(args: argparse.Namespace) -> int:
    sources = _read(args.sources)
    for failure in sources.failures:
        print(failure, file=sys.stderr)
    if args.config_file is not None and not args.config_file.is_file():
        raise FolderError(f"--config.file: {args.config_file}: no such file: create it with the include of {args.out}/*.yml")
    folder = read_folder(args.out)
    facts = read_facts(folder)
    kept = _merge(facts, sources, prune=args.prune)
    hand_written = read_hand_written(_other_files(args, folder), [args.out / name for name in folder.own])
    plan = make_plan([instance_of(one) for one in facts.documents.values()], facts.loose, hand_written, facts.names)
    if args.config_file is not None and not includes_folder(args.config_file, args.out):
        plan.findings.gap(f"{args.config_file} does not include {args.out}/*.yml: add it to include")
    for name in folder.edited:
        plan.findings.gap(f"{args.out / name} was edited, so it counts as written by hand and was not changed")
    facts.names = plan.names
    todo = list(changes(folder, files_of(plan, hand_written.credentials, args.secrets)))
    _show(todo)
    if not args.dry_run:
        _apply(todo, args.out / FACTS, facts)
    print(_summary(plan, sources, kept, todo, dry_run=args.dry_run))
    print(report(plan, hand_written.credentials, args.secrets), end="")
    return GAPS if sources.failures or plan.findings.gaps else FINE


def _read(patterns: Iterable[str]) -> _Sources:
    sources = _Sources()
    for pattern in patterns:
        files = list(_files(pattern))
        if not files:
            sources.failures.append(f"{pattern}: no file: copy the output of inventory.ps1 or inventory.sql there")
        for file in files:
            _read_file(file, sources)
    return sources


def _read_file(file: Path, sources: _Sources) -> None:
    try:
        data = read_whole(file, limit=FILE_LIMIT)
    except FileUnreadableError as error:
        sources.failures.append(f"{file}: {error}")
        return
    for document in read_documents(_decoded(data)):
        _sort(document, file, sources)


def _files(pattern: str) -> Iterator[Path]:
    """The files in order; PowerShell leaves patterns to the program."""
    matches = sorted(glob.glob(pattern)) if glob.has_magic(pattern) else [pattern]  # noqa: PTH207 - Path.glob refuses whole paths
    for path in map(Path, matches):
        yield from sorted(one for one in path.iterdir() if one.is_file()) if path.is_dir() else [path]


def _sort(document: Document, file: Path, sources: _Sources) -> None:
    if document.failure is not None:
        address = f"{printable(document.address)}: " if document.address else ""
        sources.failures.append(f"{file}: {address}not read: {printable(document.failure)}")
    elif document.sections:
        instance = instance_of(document)
        name = instance.server_name.upper()  # SQL Server ignores the case
        if name in sources.instances:
            sources.failures.append(f"{file}: {instance.server_name} is in another file too: this one was used")
        sources.instances[name] = document
    else:
        sources.loose |= dict.fromkeys(document.key_uris)


def _decoded(data: bytes) -> str:
    """Decode what sqlcmd, PowerShell and reg write. A wrong guess breaks the checksum."""
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        return data.decode("utf-16", "replace")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        return data.decode("cp1252", "replace")


def _merge(facts: Facts, sources: _Sources, *, prune: bool) -> list[Instance]:
    """Take in what was read; returns the instances that were not read this time."""
    kept = [name for name in facts.documents if name not in sources.instances]
    if prune:
        for name in kept:
            del facts.documents[name]
        kept = []
    facts.documents |= sources.instances
    facts.loose |= sources.loose
    return [instance_of(facts.documents[name]) for name in kept]


def _other_files(args: argparse.Namespace, folder: Folder) -> list[Path]:
    """The files with hand-written declarations: the configuration, and the folder's others."""
    there = [args.out / name for name in (*folder.edited, *folder.others)]
    return there if args.config_file is None else [args.config_file, *there]


def _show(todo: Iterable[Change]) -> None:
    for change in todo:
        print(change.diff(), end="")


def _apply(todo: Iterable[Change], facts_file: Path, facts: Facts) -> None:
    write(facts_file, facts_text(facts))
    for change in todo:
        if change.after is None:
            change.path.unlink(missing_ok=True)
        else:
            write(change.path, change.after)


def _summary(plan: Plan, sources: _Sources, kept: list[Instance], todo: list[Change], *, dry_run: bool) -> str:
    read = f"{_count(len(sources.instances), 'instance')} read, {_count(len(sources.failures), 'failure')}"
    changed = f"{_count(len(todo), 'file')} {'would change' if dry_run else 'changed'}" if todo else "no file changed"
    lines = [f"{read}; {_count(len(plan.targets), 'target')}; {changed}"]
    if kept:
        lines.append(f"Not read this time, kept as last read: {listed(f'{one.server_name} ({one.read_at})' for one in kept)}")
    return "\n".join(lines)


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"

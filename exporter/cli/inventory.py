"""The command `ekm-exporter inventory`: what SQL Servers use, as targets.

Reads SQL Servers, what running exporters read of them, or what inventory.sql and inventory.ps1 wrote, and writes `targets.d`.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Iterable, Sequence
from pathlib import Path

from exporter.cli.inventory_azure_flags import add_azure_flags
from exporter.cli.inventory_exporters import add_reading_flags, read_exporters
from exporter.cli.inventory_servers import add_server_flags, listed_names, read_named_servers
from exporter.cli.inventory_vaults import add_vault_flags, compare_with_vaults
from exporter.cli.parser import add_flag
from exporter.inventory.acceptance import accepted
from exporter.inventory.declarations import read_declared
from exporter.inventory.folder import (
    FACTS,
    FileChange,
    Folder,
    FolderError,
    FolderFacts,
    changes,
    read_facts,
    read_folder,
    save_facts,
    write,
)
from exporter.inventory.hand_written import includes_folder, read_hand_written
from exporter.inventory.per_host import HostFiles, host_report, plan_host_files
from exporter.inventory.render import credentials_to_supply, files_of, report
from exporter.inventory.sources import SourceError, Sources
from exporter.tde.claims import Taken, take_in
from exporter.tde.findings import Findings, counted, listed, utc_text
from exporter.tde.host_plan import WrittenHosts
from exporter.tde.identity import instances_of
from exporter.tde.key_uris import KeyUris
from exporter.tde.model import Instance
from exporter.tde.plan import HandWritten, Plan, PlannedTarget, make_plan
from exporter.tde.public_keys import report_search
from exporter.tde.retained import with_retained

FINE, GAPS, BAD_USAGE = 0, 1, 2


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command and its flags."""
    parser = subparsers.add_parser(
        "inventory",
        description=(
            "Reads SQL Servers, what running exporters read of them, or what the scripts inventory.sql or inventory.ps1 printed, and "
            "writes one file of targets for each vault. A later run prints the differences and changes only the files that it wrote itself; an instance that is not read "
            "again keeps its targets. With --azure it lists the vaults and keys in Azure that no target covers. Exit code: 0 if everything was "
            "found out, 1 if the report lists a gap, a file, server or vault is unreadable, or Azure shows no vault, "
            "2 for bad arguments."
        ),
        epilog="example: ekm-exporter inventory --servers servers.txt --sql.user inventory --sql.password.file password "
        "--out targets.d --config.file ekm.yml",
    )
    add_flag(parser, "--from FILE", "output of the scripts, or of reg query", type=str, dest="sources", nargs="+", default=[])
    add_flag(parser, "--out FOLDER", "the folder of the generated files; --azure alone needs none")
    add_flag(parser, "--config.file FILE", "the configuration: what it declares is not written again")
    add_flag(
        parser,
        "--secrets FOLDER",
        "folder of the secrets, relative to --out (default: ../secrets)",
        type=str,
        default="../secrets",
    )
    add_flag(parser, "--per-host FOLDER", "write a folder for each SQL Server's host there, for install-hosts.ps1")
    add_flag(
        parser,
        "--hosts FILE",
        "a file with one host a line: --per-host also takes these if a SQL Server names them, such as the nodes of a cluster",
    )
    add_flag(parser, "--prune", "forget the instances that are not read this time", action="store_true")
    add_flag(parser, "--dry-run", "print the differences and the report, and write nothing", action="store_true")
    add_reading_flags(parser)
    add_server_flags(parser)
    add_vault_flags(parser)
    add_azure_flags(parser)
    parser.set_defaults(handler=run)


def run(args: argparse.Namespace) -> int:
    """Read, plan, print the differences and write them; the exit code shows whether there is a gap."""
    try:
        code, planned = (FINE, []) if args.azure and not _names_servers(args) else _run(args)
        return max(code, _run_azure(args, planned)) if args.azure else code
    except (FolderError, SourceError, OSError) as error:
        print(f"ekm-exporter inventory: {error}", file=sys.stderr)
        return BAD_USAGE


def _run_azure(args: argparse.Namespace, planned: list[PlannedTarget]) -> int:
    from exporter.cli.inventory_azure import run_azure  # noqa: PLC0415 - the Azure SDK takes nearly as long as the rest of the command

    return run_azure(args, planned)


def _names_servers(args: argparse.Namespace) -> bool:
    return bool(args.sources or args.urls_given or args.urls_file or args.servers or args.server_file)


def _run(args: argparse.Namespace) -> tuple[int, list[PlannedTarget]]:
    place = args.out or args.per_host  # of the file of facts
    if place is None:
        raise SourceError("--out is missing: name the folder of the generated files, or give --per-host")
    if args.config_file is not None and not args.config_file.is_file():
        raise FolderError(f"--config.file: {args.config_file}: no such file: create it with the include of {args.out}/*.yml")
    folder = read_folder(place)
    facts = read_facts(folder)
    sources = _read(args)
    taken = take_in(facts.documents, sources.readings, prune=args.prune)
    sources.failures += taken.failures
    for failure in sources.failures:
        print(failure, file=sys.stderr)
    facts.documents = taken.documents
    facts.loose |= sources.loose
    hand_written = read_hand_written(_other_files(args, folder), [place / name for name in folder.own])
    instances = instances_of(facts.documents.values(), time.time())
    searched = compare_with_vaults(args, instances, facts, hand_written)
    plan = make_plan(instances, facts.loose, hand_written, facts.names, facts.compared, established=facts.established)
    uris = KeyUris(instances, facts.loose, Findings(), facts.compared, facts.established)
    plan.targets = with_retained(plan.targets, instances, uris, hand_written, plan.findings)
    for vault, (search, result) in searched.items():
        report_search(vault, search, result, plan.findings, facts.compared)
    _add_findings(args, folder, taken, plan.findings)
    hosts = _plan_hosts(args, plan, instances, facts, uris)
    known = (one.server_name for one in instances)
    facts.established = {name: {**facts.established.get(name, {}), **plan.versions.get(name, {})} for name in known}
    wanted = files_of(plan, hand_written.credentials, args.secrets) if args.out is not None else {}
    todo = accepted(changes(folder, wanted), hand_written.credentials, plan.findings) + hosts.changes
    _show(todo)
    if not args.dry_run:
        _apply(todo, place / FACTS, facts)
    print(_summary(plan, taken, len(sources.failures), todo, dry_run=args.dry_run))
    print(report(plan, hand_written.credentials | _supplied(args, plan), args.secrets), end="")
    if args.per_host is not None:
        print(host_report(args.per_host, hosts, plan), end="")
    return GAPS if sources.failures or plan.findings.gaps else FINE, plan.targets


def _add_findings(args: argparse.Namespace, folder: Folder, taken: Taken, findings: Findings) -> None:
    for late in taken.late:
        findings.note(late)
    if None not in (args.config_file, args.out) and not includes_folder(args.config_file, args.out):
        findings.gap(f"{args.config_file} does not include {args.out}/*.yml: add it to include")
    for name in folder.edited:
        findings.gap(f"{folder.path / name} was edited, so it counts as written by hand and was not changed")


def _plan_hosts(
    args: argparse.Namespace, plan: Plan, instances: Sequence[Instance], facts: FolderFacts, uris: KeyUris
) -> HostFiles:
    """Return the files of the hosts, and keep the names.

    A target that --config.file declares is one of the hosts all the same.
    """
    earlier, facts.names = facts.names | plan.names, plan.names
    if args.per_host is None:
        return HostFiles()
    every = make_plan(instances, facts.loose, HandWritten(), earlier, facts.compared, established=facts.established)
    every.findings, facts.names = plan.findings, every.names | plan.names
    of_any = () if args.hosts is None else [name.lower().rstrip(".") for name in listed_names("--hosts", args.hosts)]
    written = WrittenHosts(read_declared(args.config_file).hosts, of_any)
    return plan_host_files(args.per_host, every, instances, uris, written)


def _read(args: argparse.Namespace) -> Sources:
    """Read every source. Raises SourceError if there is none, or its flags cannot be used."""
    if not _names_servers(args):
        raise SourceError("nothing to read: give --url, --server, --servers, --from or --azure")
    sources = Sources()
    sources.read_files(args.sources)
    read_exporters(args, sources)
    read_named_servers(args, sources)
    return sources


def _other_files(args: argparse.Namespace, folder: Folder) -> list[Path]:
    """The files with hand-written declarations: the configuration, and the folder's others."""
    there = [folder.path / name for name in (*folder.edited, *folder.others)]
    return there if args.config_file is None else [args.config_file, *there]


def _supplied(args: argparse.Namespace, plan: Plan) -> set[str]:
    """The credentials whose files exist; `check` reports an unusable one.

    Without --out, no written file names one.
    """
    if args.out is None:
        return {one.name for one in credentials_to_supply(plan, ())}
    return {one.name for one in credentials_to_supply(plan, ()) if os.access(args.out / args.secrets / one.name, os.F_OK)}


def _show(todo: Iterable[FileChange]) -> None:
    for change in todo:
        print(change.diff(), end="")


def _apply(todo: Iterable[FileChange], facts_file: Path, facts: FolderFacts) -> None:
    save_facts(facts_file, facts)
    for change in todo:
        if change.after is None:
            change.path.unlink(missing_ok=True)
        else:
            write(change.path, change.after)


def _summary(plan: Plan, taken: Taken, failures: int, todo: list[FileChange], *, dry_run: bool) -> str:
    read = f"{counted(len(taken.read), 'instance')} read, {counted(failures, 'failure')}"
    changed = f"{counted(len(todo), 'file')} {'would change' if dry_run else 'changed'}" if todo else "no file changed"
    lines = [f"{read}; {counted(len(plan.targets), 'target')}; {changed}"]
    kept = instances_of(one for key, one in taken.documents.items() if key not in taken.read)
    if kept:
        lines.append(
            f"Not read this time, kept as last read: {listed(f'{one.server_name} ({utc_text(one.read_at)})' for one in kept)}"
        )
    return "\n".join(lines)

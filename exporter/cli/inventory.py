"""The command `ekm-exporter inventory`: what SQL Servers use, as targets.

Reads SQL Servers, what running exporters read of them, or what inventory.sql and inventory.ps1 wrote, and writes `targets.d`.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import ssl
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from exporter.cli.flags import exporter_flags, exporters_of
from exporter.cli.gate import fetch_each, fetch_readings
from exporter.cli.main import BAD_USAGE, FAILED, FINE, Command, Flag, Group, number, refuse_if
from exporter.clients.peers import AccessError
from exporter.config.settings import SecretSource, SecretUnreadableError, read_secret
from exporter.core import counted
from exporter.core.names import MANAGEMENT_HOSTS, SqlAddress, parse_address_list, parse_sql_address
from exporter.inventory.claims import Taken, take_in
from exporter.inventory.folder import (
    FACTS,
    FileChange,
    Folder,
    FolderError,
    FolderFacts,
    SourceError,
    Sources,
    accepted,
    changes,
    includes_folder,
    read_declared,
    read_facts,
    read_folder,
    read_hand_written,
    save_facts,
    write,
)
from exporter.inventory.per_host import HostFiles, host_report, plan_host_files
from exporter.inventory.plan import (
    HandWritten,
    Plan,
    PlannedTarget,
    Search,
    WrittenHosts,
    make_plan,
    plan_searches,
    report_search,
    with_retained,
)
from exporter.inventory.render import credentials_to_supply, files_of, report
from exporter.runtime.files import CERTIFICATE_LIMIT, FileUnreadableError, decoded, read_whole
from exporter.runtime.process import ExtraMissingError, install_command, is_installed, is_windows
from exporter.sqlserver.document import utc_text
from exporter.sqlserver.gate.conditions import GateReason
from exporter.sqlserver.instance import Findings, Instance, instances_of, listed
from exporter.sqlserver.keys import KeyUris
from exporter.sqlserver.read import SqlServerAccess, read_servers
from exporter.sqlserver.reading import SqlServerReading, inventory_document
from exporter.sqlserver.tds import NEEDED, SqlLogin, make_context

# The flags of `inventory` that connect to SQL Servers.

_LIST_LIMIT = 1024 * 1024  # bytes
_VERIFY, _TRUST, _SECRETS = "verify", "trust", "../secrets"
_NO_LOGIN = "no login: give --sql.user with --sql.password.file, or --sql.entra (a Windows account signs in on Windows only)"


_SERVERS = Group(
    "SQL Servers",
    f"read directly over TDS; needs {install_command('sql')}",
    (
        Flag("--server NAME", r"HOST, HOST\INSTANCE or HOST,PORT; repeatable", action="append", default=[]),
        Flag("--servers FILE", "a file with one name a line"),
        Flag("--sql.user NAME", "a SQL login; without it, on Windows, the account of this process"),
        Flag("--sql.password.file FILE", "the login's password"),
        Flag(
            "--sql.entra CREDENTIAL",
            "sign in with Entra ID: a credential of --config.file, or without a name azure-identity's default chain",
            nargs="?",
            const="",
        ),
        Flag("--sql.ca.file FILE", "authorities of the servers' certificates (default: the system's)"),
        Flag(
            "--sql.encrypt",
            "every session is encrypted; trust accepts any certificate (default: verify)",
            choices=(_VERIFY, _TRUST),
            default=_VERIFY,
        ),
        Flag(
            "--sql.timeout SECONDS",
            "for a connection and for each query (default: 15); a server may take 20 times as long",
            type=number(float, 1e-9, 600.0, "a number of seconds: write more than 0 and at most 600"),
            default=15.0,
        ),
        Flag(
            "--sql.parallel N",
            "servers at the same time (default: 16)",
            type=number(int, 1, 256, "a number of servers: write 1 to 256"),
            default=16,
        ),
    ),
)


def read_named_servers(args: argparse.Namespace, sources: Sources) -> None:
    """Read the servers of the flags. Raises SourceError if the flags cannot be used."""
    names = _names(args)
    if not names:
        return
    if not is_installed("sql"):
        raise SourceError(NEEDED)
    access = SqlServerAccess(_login(args), _context(args), args.sql_timeout)
    with _progress(len(names)) as show:
        documents = read_servers(names, access, parallel=args.sql_parallel, progress=show)
    for name, document in zip(names, documents, strict=True):
        sources.add(document, name.text, direct=True)


def _names(args: argparse.Namespace) -> list[SqlAddress]:
    texts = dict.fromkeys(args.server)
    if args.servers is not None:
        texts |= dict.fromkeys(listed_names("--servers", args.servers))
    found = []
    for text in texts:
        try:
            found.append(parse_sql_address(text))
        except ValueError as error:
            raise SourceError(f"--server: {text}: {error}") from None
    return found


def listed_names(flag: str, file: Path) -> list[str]:
    """Return the names of a file with one a line. Raises SourceError."""
    try:
        names, problems = parse_address_list(decoded(read_whole(file, limit=_LIST_LIMIT)))
    except FileUnreadableError as error:
        raise SourceError(f"{flag}: {file}: {error}") from None
    if problems or not names:
        raise SourceError(f"{flag}: {file}: {problems[0] if problems else 'no name in it: write one a line'}")
    return names


def _login(args: argparse.Namespace) -> SqlLogin:
    user, entra = args.sql_user, args.sql_entra
    refuse_if(
        ((user is None) != (args.sql_password_file is None), "--sql.user and --sql.password.file belong together: give both"),
        (entra is not None and user is not None, "--sql.entra and --sql.user exclude each other: keep one"),
        (
            entra is not None and args.sql_encrypt == _TRUST,
            "--sql.entra sends a token, so the certificates must be verified: remove --sql.encrypt trust",
        ),
        (entra is None and user is None and not is_windows(), _NO_LOGIN),
    )
    if entra is not None:
        from exporter.inventory.vault_search import database_token  # noqa: PLC0415 - it imports the Azure SDK

        return SqlLogin(token=database_token(read_declared(args.config_file), entra, args.sql_timeout))
    if user is None:
        return SqlLogin()
    try:
        return SqlLogin(user=user, password=read_secret(SecretSource(file=args.sql_password_file)))
    except SecretUnreadableError as error:
        raise SourceError(f"--sql.password.file: {error}") from None


def _context(args: argparse.Namespace) -> ssl.SSLContext:
    try:
        if args.sql_ca_file is not None:
            read_whole(args.sql_ca_file, limit=CERTIFICATE_LIMIT)
        return make_context(args.sql_ca_file, verify=args.sql_encrypt == _VERIFY)
    except FileUnreadableError as error:
        raise SourceError(f"--sql.ca.file: {args.sql_ca_file}: {error}") from None
    except OSError:
        raise SourceError(f"--sql.ca.file: {args.sql_ca_file}: no certificate in PEM") from None


_EVERY = 5.0  # seconds between lines that stay


@contextlib.contextmanager
def _progress(total: int) -> Iterator[Callable[[int, int], None]]:
    """Yield what shows one line on standard error: it counts on a terminal, and appears now and then elsewhere."""
    is_live, line, shown = sys.stderr.isatty(), "", time.monotonic()

    def show(done: int, failed: int) -> None:
        nonlocal line, shown
        line = f"{done} of {total} read, {failed} failed"
        if is_live:
            print(f"\r{line}", end="", file=sys.stderr, flush=True)
        elif time.monotonic() - shown >= _EVERY and done < total:
            shown = time.monotonic()
            print(line, file=sys.stderr, flush=True)

    yield show
    print("" if is_live else line, file=sys.stderr, flush=True)


# The flags of `inventory` that read running exporters.

_SECONDS = 60.0  # for a response; the exporter cuts a client that is slower
_NO_SERVERS = "the exporter reads no SQL Server: add sql_servers to its configuration (ekm-exporter docs sql-servers)"


def read_exporters(args: argparse.Namespace, sources: Sources) -> None:
    """Add each reading of the exporters; one that only one of several has is no failure.

    Raises AccessError and SecretUnreadableError for unusable flags.
    """
    accesses = exporters_of(args, timeout=_SECONDS)
    answers = asyncio.run(fetch_each(fetch_readings, accesses)) if accesses else []
    found: list[tuple[str, Sequence[SqlServerReading]]] = []
    for access, answer in zip(accesses, answers, strict=True):
        where = access.url.rstrip("/")
        if isinstance(answer, GateReason):
            sources.failures.append(f"{answer.text}. {answer.fix}")
        elif not answer:
            sources.failures.append(f"{where}: {_NO_SERVERS}")
        else:
            found.append((where, answer))
    read = {one.address.lower() for _, readings in found for one in readings if one.document.sections}
    for where, readings in found:
        for reading in readings:
            if reading.document.sections or reading.address.lower() not in read:
                sources.add(inventory_document(reading), where, of_exporter=True)


# What compares public keys with those of vaults.

_VAULT_SECONDS = 30.0  # for each request


def compare_with_vaults(
    args: argparse.Namespace, instances: Sequence[Instance], facts: FolderFacts, hand_written: HandWritten
) -> list[Search]:
    """Search the vaults with unknown key versions and keep in the facts what was found. Raises SourceError."""
    if args.vault_credential is None:
        return []
    if args.config_file is None:
        raise SourceError("--vault.credential needs --config.file, which declares the credential")
    from exporter.inventory.vault_search import search_vaults  # noqa: PLC0415 - it imports the Azure SDK

    uris = KeyUris(instances, facts.loose, Findings(), facts.compared, facts.established)
    searches = list(plan_searches(instances, uris, hand_written.targets).values())
    search_vaults(searches, read_declared(args.config_file), args.vault_credential, _VAULT_SECONDS)
    for search in searches:
        facts.compared |= search.found
    return searches


def run(args: argparse.Namespace) -> int:
    """Read, plan, print the differences and write them; the exit code shows whether there is a gap."""
    code, planned = (FINE, []) if args.azure and not _names_servers(args) else _run(args)
    if not args.azure:
        return code
    from exporter.cli.inventory_azure import run_azure  # noqa: PLC0415 - the Azure SDK takes nearly as long as the rest of the command

    return max(code, run_azure(args, planned))


def _names_servers(args: argparse.Namespace) -> bool:
    return bool(args.sources or args.urls_given or args.urls_file or args.server or args.servers)


def _run(args: argparse.Namespace) -> tuple[int, list[PlannedTarget]]:
    place = args.out or args.per_host  # of the file of facts
    if place is None:
        raise SourceError("--out is missing: name the folder of the generated files, or give --per-host")
    if args.config_file is not None and not args.config_file.is_file():
        raise FolderError(f"--config.file: {args.config_file}: no such file: create it with the include of {args.out}/*.yml")
    folder = read_folder(place)
    facts = read_facts(folder)
    if not _names_servers(args):
        raise SourceError("nothing to read: give --url, --server, --servers, --from or --azure")
    sources = Sources()
    sources.read_files(args.sources)
    read_exporters(args, sources)
    read_named_servers(args, sources)
    taken = take_in(facts.documents, sources.readings, prune=args.prune)
    sources.failures += taken.failures
    for failure in sources.failures:
        print(failure, file=sys.stderr)
    facts.documents = taken.documents
    facts.loose |= sources.loose
    others = [folder.path / name for name in (*folder.edited, *folder.others)]  # written by hand, as the configuration is
    hand_written = read_hand_written([*filter(None, [args.config_file]), *others], [place / name for name in folder.own])
    instances = instances_of(facts.documents.values(), time.time())
    searched = compare_with_vaults(args, instances, facts, hand_written)
    plan = make_plan(instances, facts.loose, hand_written, facts.names, facts.compared, established=facts.established)
    uris = KeyUris(instances, facts.loose, Findings(), facts.compared, facts.established)
    plan.targets = with_retained(plan.targets, instances, uris, hand_written, plan.findings)
    for search in searched:
        report_search(search, plan.findings, facts.compared)
    _add_findings(args, folder, taken, plan.findings)
    hosts = _plan_hosts(args, plan, instances, facts, uris)
    known = (one.server_name for one in instances)
    facts.established = {name: {**facts.established.get(name, {}), **plan.versions.get(name, {})} for name in known}
    wanted = files_of(plan, hand_written.credentials, args.secrets) if args.out is not None else {}
    todo = accepted(changes(folder, wanted), hand_written.credentials, plan.findings) + hosts.changes
    for change in todo:
        print(change.diff(), end="")
    if not args.dry_run:
        save_facts(place / FACTS, facts)
        for change in todo:
            change.path.unlink(missing_ok=True) if change.after is None else write(change.path, change.after)
    print(_summary(plan, taken, len(sources.failures), todo, dry_run=args.dry_run))
    print(report(plan, hand_written.credentials | _supplied(args, plan), args.secrets), end="")
    if args.per_host is not None:
        print(host_report(args.per_host, hosts, plan), end="")
    return FAILED if sources.failures or plan.findings.gaps else FINE, plan.targets


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


def _supplied(args: argparse.Namespace, plan: Plan) -> set[str]:
    """The credentials whose files exist; `check` reports an unusable one. Without --out, no written file names one."""
    names = {one.name for one in credentials_to_supply(plan, ())}
    return names if args.out is None else {name for name in names if os.access(args.out / args.secrets / name, os.F_OK)}


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


COMMAND = Command(
    description=(
        "Reads SQL Servers, what running exporters read of them, or what the scripts inventory.sql or inventory.ps1 printed, and "
        "writes one file of targets for each vault. A later run prints the differences and changes only the files that it wrote itself; an instance that is not read "
        "again keeps its targets. With --azure it lists the vaults and keys in Azure that no target covers. Exit code: 0 if everything was "
        "found out, 1 if the report lists a gap, a file, server or vault is unreadable, or Azure shows no vault, "
        "2 for bad arguments."
    ),
    epilog=(
        "example: ekm-exporter inventory --servers servers.txt --sql.user inventory --sql.password.file password "
        "--out targets.d --config.file ekm.yml"
    ),
    run=run,
    flags=(
        Flag("--from FILE", "output of the scripts, or of reg query", type=str, dest="sources", nargs="+", default=[]),
        Flag("--out FOLDER", "the folder of the generated files; --azure alone needs none"),
        Flag("--config.file FILE", "the configuration: what it declares is not written again"),
        Flag(
            "--secrets FOLDER",
            f"folder of the secrets, relative to --out (default: {_SECRETS})",
            type=str,
            default=_SECRETS,
        ),
        Flag("--per-host FOLDER", "write a folder for each SQL Server's host there, for install-hosts.ps1"),
        Flag(
            "--hosts FILE",
            "a file with one host a line: --per-host also takes these if a SQL Server names them, such as the nodes of a cluster",
        ),
        Flag("--prune", "forget the instances that are not read this time"),
        Flag("--dry-run", "print the differences and the report, and write nothing"),
        Group(
            "exporters",
            "running exporters with sql_servers: their last readings",
            exporter_flags("an exporter, such as http://localhost:10377; repeatable"),
        ),
        _SERVERS,
        Flag(
            "--vault.credential CREDENTIAL",
            "find key versions without KeyUri by their public keys: a credential of --config.file, or without a name the one of a "
            "target for the vault; needs the permissions get and list",
            nargs="?",
            const="",
        ),
        Group(
            "Azure",
            f"reports the vaults and keys that no target covers; needs {install_command('azure')}",
            (
                Flag("--azure", "list vaults and Managed HSMs with Azure Resource Graph, and their keys"),
                Flag(
                    "--azure.subscription ID",
                    "only these subscriptions (default: all that the identity may read)",
                    nargs="+",
                    default=[],
                ),
                Flag("--azure.tenant TENANT", "the tenant of a credential without tenant_id"),
                Flag(
                    "--azure.credential NAME",
                    "a credential of --config.file (default: azure-identity's default chain, such as az login)",
                ),
                Flag(
                    "--azure.cloud",
                    "default: the cloud of the configuration's vaults, else public",
                    choices=tuple(MANAGEMENT_HOSTS),
                ),
                Flag("--azure.out FILE", "write the proposed targets there instead of printing them"),
            ),
        ),
    ),
    refusals=dict.fromkeys((AccessError, ExtraMissingError, FolderError, SecretUnreadableError, SourceError, OSError), BAD_USAGE),
)

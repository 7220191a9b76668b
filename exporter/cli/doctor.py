"""The command `ekm-exporter doctor`: the preflight checks of one target.

Works with a configuration or without one. Each failed check is printed with the code of SQL Server and the fix.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import sys
import time
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import replace
from functools import partial

from exporter.cli.main import BAD_USAGE, FAILED, FINE, INTERNAL, add_flag, refuse
from exporter.cli.probe import add_output_flags, configured, print_ticket, ticket_hint
from exporter.cli.simulate import quoted
from exporter.clients.entra import quiet_sdk_loggers
from exporter.clients.http.network import NetworkError
from exporter.config.settings import Config, SecretSource, SecretUnreadableError, SqlServer, Target, read_secret
from exporter.core.values import Step
from exporter.doctor.collect import ReadSqlServer
from exporter.doctor.evidence import Evidence
from exporter.doctor.host_facts import look_up_host
from exporter.doctor.run import as_data, as_text, bare_config, is_ok, key_in, run_checks
from exporter.knowledge.checks_vault import CheckResult
from exporter.presentation.ticket import TicketSubject
from exporter.probing.tokens import DatabaseTokens
from exporter.runtime import logging
from exporter.runtime.process import is_installed, is_windows
from exporter.runtime.tasks import PoolExhausted
from exporter.sqlserver.last_reading import unread
from exporter.sqlserver.monitor import ServerReader, ServerState
from exporter.sqlserver.reading import SqlServerReading
from exporter.sqlserver.tds import NEEDED

# Readings of SQL Servers of the configuration, for a command.


@contextlib.asynccontextmanager
async def sql_server_reader(config: Config) -> AsyncIterator[ReadSqlServer]:
    """Yield a function that reads a SQL Server once, as `run` does. Without the driver, each reading is a failure."""
    tokens = DatabaseTokens(config, on_request=lambda: None)
    reader = ServerReader(tokens.token_of)

    async def read(server: SqlServer) -> SqlServerReading:
        before, credential = unread(server), config.credentials.get(server.entra_credential or "")
        if not is_installed("sql"):
            return replace(before, failure=NEEDED)
        attempt = await reader.read(ServerState(server=server, credential=credential, reading=before), time.time())
        return before if attempt is None else attempt.reading

    try:
        yield read
    finally:
        reader.close()
        await tokens.aclose()


DESCRIPTION = """\
Runs the preflight checks of one target: names, ports, certificates, sign-in,
permissions, key, and its SQL Servers under sql_servers, which it reads once. Prints
one line for each check; a failed one with the code that SQL Server would show and the
fix. On a Windows host with SQL Server, it also looks up the connector's DLL, the
registry, the proxy of the service account, TLS of Windows and the event log. Secrets
are read from files, never from arguments.

exit code: 0 if no check failed, 1 if a check failed, 2 for bad arguments or a bad
configuration"""
EPILOG = """\
examples:
  ekm-exporter doctor contoso-key0 --config.file ekm.yml
  ekm-exporter doctor --vault contoso-prod --key ContosoRSAKey0/cgacf4f763ar42 \\
    --connector-secret-file ekm-credential
"""


class _UsageError(Exception):
    """A message for the user about wrong arguments."""


def add_flags(parser: argparse.ArgumentParser) -> None:
    flag = partial(add_flag, parser)
    parser.add_argument("target", metavar="TARGET", nargs="?", help="name of a target in the configuration")
    flag("--config.file FILE", "the configuration")
    flag("--credential NAME", "use another credential of the configuration, such as the staged one")
    flag("--key NAME/VERSION", "use another key or version, or its KeyUri; without a configuration: the key to check")
    flag("--vault VAULT", "without a configuration: the vault, as in IDENTITY of the SQL credential; not needed with a KeyUri")
    flag("--connector-secret-file FILE", "without a configuration: file with the SECRET of the SQL credential")
    flag("--tenant TENANT", "without a configuration: the tenant (default: the tenant that the vault names)")
    add_output_flags(parser)


def run(args: argparse.Namespace) -> int:
    """Run the checks, print the results and return the exit code."""
    try:
        request = _configured_target(args) if args.config_file is not None else _adhoc_target(args)
    except (_UsageError, ValueError) as error:
        return refuse(error, "doctor")
    if request is None:
        return BAD_USAGE
    config, target = request
    logging.configure("error", logging.LogFormat.LOGFMT)
    quiet_sdk_loggers()
    collected = list[Evidence]()
    try:
        results = asyncio.run(_results(config, target, _repeat_command(args), collected.append))
    except NetworkError as error:
        return refuse(error)
    except PoolExhausted as error:
        print(f"ekm-exporter: the checks were not made: {error}", file=sys.stderr)
        return INTERNAL
    _print_results(args, target, results, _subject(target, collected[0]))
    return FINE if is_ok(results) else FAILED


async def _results(
    config: Config, target: Target, again: str, on_evidence: Callable[[Evidence], None]
) -> tuple[CheckResult, ...]:
    run = partial(run_checks, config, target, again=again, on_evidence=on_evidence)
    look_up = look_up_host if is_windows() else None
    if not config.sql_servers:
        return await run(look_up_host=look_up)
    async with sql_server_reader(config) as read:
        return await run(read_sql_server=read, look_up_host=look_up)


def _subject(target: Target, evidence: Evidence) -> TicketSubject:
    subject = TicketSubject(target=target, report=evidence.report)
    at_entra = subject.failure is not None and subject.failure.step is Step.TOKEN
    endpoint = evidence.entra if at_entra else evidence.vault
    return replace(subject, addresses=() if endpoint is None else endpoint.addresses)


def _print_results(args: argparse.Namespace, target: Target, results: Sequence[CheckResult], subject: TicketSubject) -> None:
    if args.ticket:
        print_ticket(subject)
    elif args.json:
        print(json.dumps(as_data(target, results), indent=2))
    else:
        print(as_text(target, results) + ticket_hint(subject), end="")


def _configured_target(args: argparse.Namespace) -> tuple[Config, Target] | None:
    """Return None after printing the problem."""
    if args.vault or args.connector_secret_file or args.tenant:
        raise _UsageError(
            "--vault, --connector-secret-file and --tenant are for use without --config.file: remove one or the other"
        )
    if args.target is None:
        raise _UsageError("TARGET is missing: name a TARGET of the configuration")
    found = configured(args, args.credential)
    if found is None:
        return None
    config, target = found
    target = replace(target, credential=args.credential or target.credential)
    if args.key is not None:
        key = key_in(target.vault, args.key, source="the target's vault")
        declared = (key.name, key.version) == (target.key_name, target.key_version)
        target = replace(target, key_name=key.name, key_version=key.version, thumbprint=target.thumbprint if declared else None)
    return config, target


def _adhoc_target(args: argparse.Namespace) -> tuple[Config, Target]:
    if args.target is not None or args.credential is not None:
        raise _UsageError("TARGET and --credential name parts of a configuration: add --config.file")
    if not (args.key and args.connector_secret_file):
        raise _UsageError("too few arguments: give TARGET and --config.file, or --vault, --key and --connector-secret-file")
    config = bare_config(args.vault, args.key, args.connector_secret_file, args.tenant)
    try:
        read_secret(SecretSource(file=args.connector_secret_file))
    except SecretUnreadableError as error:
        raise _UsageError(f"--connector-secret-file: {error.what}") from None
    return config, next(iter(config.targets.values()))


def _repeat_command(args: argparse.Namespace) -> str:
    """Return the command line, to repeat after a fix."""
    flags = (
        ("--config.file", args.config_file),
        ("--credential", args.credential),
        ("--vault", args.vault),
        ("--key", args.key),
        ("--connector-secret-file", args.connector_secret_file),
        ("--tenant", args.tenant),
    )
    given = (f"{flag} {quoted(value)}" for flag, value in flags if value is not None)
    return " ".join(["ekm-exporter doctor", *([quoted(args.target)] if args.target else []), *given])

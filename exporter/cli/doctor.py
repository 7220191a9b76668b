"""The command `ekm-exporter doctor`: the preflight checks of one target.

Works with a configuration or without one. Each failed check is printed with the code of SQL Server and the fix.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import re
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from functools import partial

from exporter.cli.main import BAD_USAGE, FAILED, FINE, INTERNAL, Command, Flag, OneOf, Refusal, refuse_if
from exporter.cli.probe import TICKET, configured, print_ticket, ticket_hint
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
from exporter.presentation.diagnosis import Diagnosis
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
        return before if attempt is None else attempt[0].reading

    try:
        yield read
    finally:
        reader.close()
        await tokens.aclose()


def run(args: argparse.Namespace) -> int:
    """Run the checks, print the results and return the exit code."""
    try:
        config, target = _configured_target(args) if args.config_file is not None else _adhoc_target(args)
    except ValueError as error:
        raise Refusal(str(error)) from None
    quiet_sdk_loggers()
    collected = list[Evidence]()
    try:
        results = asyncio.run(_results(config, target, _repeat_command(args), collected.append))
    except PoolExhausted as error:
        raise Refusal(f"the checks were not made: {error}", INTERNAL) from None
    subject, evidence = Diagnosis(target, collected[0].report), collected[0]
    at_entra = subject.failure is not None and subject.failure.step is Step.TOKEN
    endpoint = evidence.entra if at_entra else evidence.vault
    subject = replace(subject, addresses=() if endpoint is None else endpoint.addresses)
    if args.ticket:
        print_ticket(subject)
    else:
        text = (
            json.dumps(as_data(target, results), indent=2) + "\n"
            if args.json
            else as_text(target, results, verbose=args.verbose) + ticket_hint(subject)
        )
        print(text, end="")
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


def _configured_target(args: argparse.Namespace) -> tuple[Config, Target]:
    bare = args.vault or args.connector_secret_file or args.tenant
    refuse_if(
        (bare, "--vault, --connector-secret-file and --tenant are for use without --config.file: remove one or the other"),
        (args.target is None, "TARGET is missing: name a TARGET of the configuration"),
    )
    config, target = configured(args)
    target = replace(target, credential=args.credential or target.credential)
    if args.key is not None:
        key = key_in(target.vault, args.key, source="the target's vault")
        declared = (key.name, key.version) == (target.key_name, target.key_version)
        target = replace(target, key_name=key.name, key_version=key.version, thumbprint=target.thumbprint if declared else None)
    return config, target


def _adhoc_target(args: argparse.Namespace) -> tuple[Config, Target]:
    is_enough = args.key and args.connector_secret_file
    refuse_if(
        (
            args.target is not None or args.credential is not None,
            "TARGET and --credential name parts of a configuration: add --config.file",
        ),
        (not is_enough, "too few arguments: give TARGET and --config.file, or --vault, --key and --connector-secret-file"),
    )
    config = bare_config(args.vault, args.key, args.connector_secret_file, args.tenant)
    try:
        read_secret(SecretSource(file=args.connector_secret_file))
    except SecretUnreadableError as error:
        raise Refusal(f"--connector-secret-file: {error.what}") from None
    logging.configure("error", logging.LogFormat.LOGFMT)
    return config, next(iter(config.targets.values()))


def _repeat_command(args: argparse.Namespace) -> str:
    """Return the command line, to repeat after a fix."""
    names = ("--config.file", "--credential", "--vault", "--key", "--connector-secret-file", "--tenant")
    values = [(name, getattr(args, re.sub(r"\W", "_", name[2:]))) for name in names]
    given = [f"{name} {quoted(value)}" for name, value in values if value is not None]
    return " ".join(["ekm-exporter doctor", *([quoted(args.target)] if args.target else []), *given])


COMMAND = Command(
    description="""\
Runs the preflight checks of one target: names, ports, certificates, sign-in,
permissions, key, and its SQL Servers under sql_servers, which it reads once. Prints
first what failed, with the code that SQL Server would show and the fix; then what
needs attention; then one line for each check that saw nothing; then how many passed.
On a Windows host with SQL Server, it also looks up the connector's DLL, the
registry, the proxy of the service account, TLS of Windows and the event log. Secrets
are read from files, never from arguments.

exit code: 0 if no check failed, 1 if a check failed, 2 for bad arguments or a bad
configuration""",
    epilog="""\
examples:
  ekm-exporter doctor contoso-key0 --config.file ekm.yml
  ekm-exporter doctor --vault contoso-prod --key ContosoRSAKey0/cgacf4f763ar42 \\
    --connector-secret-file ekm-credential
""",
    run=run,
    flags=(
        Flag("TARGET", "name of a target in the configuration", nargs="?"),
        Flag("--config.file FILE", "the configuration"),
        Flag("--credential NAME", "use another credential of the configuration, such as the staged one"),
        Flag("--key NAME/VERSION", "use another key or version, or its KeyUri; without a configuration: the key to check"),
        Flag(
            "--vault VAULT", "without a configuration: the vault, as in IDENTITY of the SQL credential; not needed with a KeyUri"
        ),
        Flag("--connector-secret-file FILE", "without a configuration: file with the SECRET of the SQL credential"),
        Flag("--tenant TENANT", "without a configuration: the tenant (default: the tenant that the vault names)"),
        Flag("--verbose", "print every check, also those that passed, and how to see what this host cannot show"),
        OneOf((Flag("--json", "print JSON, for scripts"), TICKET)),
    ),
    refusals={NetworkError: BAD_USAGE},
)

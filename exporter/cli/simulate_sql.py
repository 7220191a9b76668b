"""The part of `ekm-exporter simulate` about SQL Servers: flags, password and the text at the start."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from exporter.cli.parser import PORT, add_flag
from exporter.cli.shell_commands import quoted, request
from exporter.config.settings import SecretSource, read_secret
from exporter.simulator import Environment, Simulator
from exporter.simulator.configuration import SQL_PASSWORD, SQL_SERVERS
from exporter.simulator.sql.servers import USER

_SHOWN = 10  # SQL Servers in the text at the start
_INDENT = " " * 21


class NoSqlServersError(Exception):
    """The configuration has no SQL Server to serve."""


def add_sql_flags(parser: argparse.ArgumentParser) -> None:
    """Add the flags."""
    add_flag(parser, "--sql", "also serve the SQL Servers of `instances`, over TDS", action="store_true")
    add_flag(
        parser,
        "--sql.port PORT",
        "port of the first SQL Server; the others follow; 0: any free ports (default 0)",
        type=PORT,
        default=0,
    )
    add_flag(
        parser,
        "--sql.password.file FILE",
        f"the password of the SQL login {USER} (default: an invented one, in the folder of --out)",
    )


def sql_port(args: argparse.Namespace, environment: Environment) -> int | None:
    """Return the first port, None without --sql. Raises NoSqlServersError."""
    if not args.sql:
        return None
    if not environment.sql_servers:
        raise NoSqlServersError("--sql: no target has `instances`: list the SQL Servers of a target there")
    return int(args.sql_port)


def sql_password(args: argparse.Namespace) -> str | None:
    """Return the password of the login, None to invent one. Raises SecretUnreadableError."""
    file = args.sql_password_file if args.sql else None
    return None if file is None else read_secret(SecretSource(file=file))


def sql_banner(simulator: Simulator, out: Path) -> str:
    """Return the lines about SQL Servers; empty if none is served."""
    if simulator.sql is None:
        return ""
    addresses = simulator.sql.addresses
    shown = [f"{_INDENT}{name}: {address}" for name, address in list(addresses.items())[:_SHOWN]]
    more = [f"{_INDENT}and {len(addresses) - _SHOWN} more, in {out / SQL_SERVERS}"] if len(addresses) > _SHOWN else []
    files = {"--servers": SQL_SERVERS, "--sql.password.file": SQL_PASSWORD, "--sql.ca.file": "ca.pem"}
    flags = " ".join(f"{flag} {quoted(out / file)}" for flag, file in files.items())
    restart = request(f"{simulator.management_url}/sim/restart", "POST", json.dumps({"sql": next(iter(addresses))}))
    lines = [
        f"SQL Servers:         {len(addresses)}, login {USER}, password in {out / SQL_PASSWORD}",
        *shown,
        *more,
        f"read them:           ekm-exporter inventory {flags} --sql.user {USER} --out targets.d --config.file FILE",
        f"restart one:         {restart}",
    ]
    return "".join(f"{line}\n" for line in lines)

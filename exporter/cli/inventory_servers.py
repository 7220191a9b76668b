"""The flags of `inventory` that connect to SQL Servers."""

from __future__ import annotations

import argparse
import ssl
import sys
import time
from pathlib import Path

from exporter.cli.parser import add_flag, number
from exporter.config.settings import SecretSource, SecretUnreadableError, read_secret
from exporter.core.sql_addresses import SqlAddress, parse_address_list, parse_sql_address
from exporter.inventory.declarations import read_declared
from exporter.inventory.sources import SourceError, Sources
from exporter.runtime.encodings import decoded
from exporter.runtime.extras import install_command, is_installed
from exporter.runtime.files import CERTIFICATE_LIMIT, FileUnreadableError, read_whole
from exporter.runtime.process import is_windows
from exporter.sqlservers.driver import NEEDED, SqlLogin
from exporter.sqlservers.encryption import make_context
from exporter.sqlservers.fleet import read_servers
from exporter.sqlservers.reading import SqlServerAccess

_LIST_LIMIT = 1024 * 1024  # bytes
_VERIFY, _TRUST = "verify", "trust"
_NO_LOGIN = "no login: give --sql.user with --sql.password.file, or --sql.entra (a Windows account signs in on Windows only)"


def add_server_flags(parser: argparse.ArgumentParser) -> None:
    """Add the flags of the direct way."""
    servers = parser.add_argument_group("SQL Servers", f"read directly over TDS; needs {install_command('sql')}")
    add_flag(
        servers, "--server NAME", r"HOST, HOST\INSTANCE or HOST,PORT; repeatable", dest="servers", action="append", default=[]
    )
    add_flag(servers, "--servers FILE", "a file with one name a line", dest="server_file")
    add_flag(servers, "--sql.user NAME", "a SQL login; without it, on Windows, the account of this process")
    add_flag(servers, "--sql.password.file FILE", "the login's password", dest="sql_password")
    add_flag(
        servers,
        "--sql.entra CREDENTIAL",
        "sign in with Entra ID: a credential of --config.file, or without a name azure-identity's default chain",
        nargs="?",
        const="",
    )
    add_flag(servers, "--sql.ca.file FILE", "authorities of the servers' certificates (default: the system's)", dest="sql_ca")
    add_flag(
        servers,
        "--sql.encrypt",
        "every session is encrypted; trust accepts any certificate (default: verify)",
        choices=(_VERIFY, _TRUST),
        default=_VERIFY,
    )
    add_flag(
        servers,
        "--sql.timeout SECONDS",
        "for a connection and for each query (default: 15); a server may take 20 times as long",
        type=number(float, 1e-9, 600.0, "a number of seconds: write more than 0 and at most 600"),
        default=15.0,
    )
    add_flag(
        servers,
        "--sql.parallel N",
        "servers at the same time (default: 16)",
        type=number(int, 1, 256, "a number of servers: write 1 to 256"),
        default=16,
    )


def read_named_servers(args: argparse.Namespace, sources: Sources) -> None:
    """Read the servers of the flags. Raises SourceError if the flags cannot be used."""
    names = _names(args)
    if not names:
        return
    if not is_installed("sql"):
        raise SourceError(NEEDED)
    access = SqlServerAccess(_login(args), _context(args), args.sql_timeout)
    progress = _Progress(len(names))
    documents = read_servers(names, access, parallel=args.sql_parallel, progress=progress.show)
    progress.end()
    for name, document in zip(names, documents, strict=True):
        sources.add(document, name.text, direct=True)


def _names(args: argparse.Namespace) -> list[SqlAddress]:
    texts = dict.fromkeys(args.servers)
    if args.server_file is not None:
        texts |= dict.fromkeys(listed_names("--servers", args.server_file))
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
    if problems:
        raise SourceError(f"{flag}: {file}: {problems[0]}")
    if not names:
        raise SourceError(f"{flag}: {file}: no name in it: write one a line")
    return names


def _login(args: argparse.Namespace) -> SqlLogin:
    if (args.sql_user is None) != (args.sql_password is None):
        raise SourceError("--sql.user and --sql.password.file belong together: give both")
    if args.sql_entra is not None:
        return SqlLogin(token=_token(args))
    if args.sql_user is None:
        if not is_windows():
            raise SourceError(_NO_LOGIN)
        return SqlLogin()
    try:
        return SqlLogin(user=args.sql_user, password=read_secret(SecretSource(file=args.sql_password)))
    except SecretUnreadableError as error:
        raise SourceError(f"--sql.password.file: {error}") from None


def _token(args: argparse.Namespace) -> str:
    if args.sql_user is not None:
        raise SourceError("--sql.entra and --sql.user exclude each other: keep one")
    if args.sql_encrypt == _TRUST:
        raise SourceError("--sql.entra sends a token, so the certificates must be verified: remove --sql.encrypt trust")
    from exporter.inventory.sign_in import database_token  # noqa: PLC0415 - it imports the Azure SDK

    return database_token(read_declared(args.config_file), args.sql_entra, args.sql_timeout)


def _context(args: argparse.Namespace) -> ssl.SSLContext:
    try:
        if args.sql_ca is not None:
            read_whole(args.sql_ca, limit=CERTIFICATE_LIMIT)
        return make_context(args.sql_ca, verify=args.sql_encrypt == _VERIFY)
    except FileUnreadableError as error:
        raise SourceError(f"--sql.ca.file: {args.sql_ca}: {error}") from None
    except OSError:
        raise SourceError(f"--sql.ca.file: {args.sql_ca}: no certificate in PEM") from None


class _Progress:
    """One line on standard error: it counts on a terminal, and appears now and then elsewhere."""

    _EVERY = 5.0  # seconds between lines that stay

    def __init__(self, total: int) -> None:
        self._total = total
        self._live = sys.stderr.isatty()
        self._line = ""
        self._shown = time.monotonic()

    def show(self, done: int, failed: int) -> None:
        self._line = f"{done} of {self._total} read, {failed} failed"
        if self._live:
            print(f"\r{self._line}", end="", file=sys.stderr, flush=True)
        elif time.monotonic() - self._shown >= self._EVERY and done < self._total:
            self._shown = time.monotonic()
            print(self._line, file=sys.stderr, flush=True)

    def end(self) -> None:
        print("" if self._live else self._line, file=sys.stderr, flush=True)

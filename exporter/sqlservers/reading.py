"""Read one SQL Server: each section by a batch of its own, then the registry."""

from __future__ import annotations

import socket
import ssl
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from exporter.core.known_secrets import hide
from exporter.core.sql_addresses import SqlAddress, browser_port, browser_request
from exporter.sqlservers.driver import Result, SqlConnection, SqlLogin
from exporter.sqlservers.encryption import EncryptedSocket
from exporter.sqlservers.failure import NO_SUCH_NAME, WHOLE, SqlConnectionError, SqlStatementError, timeout_failure
from exporter.sqlservers.registry import read_key_uris
from exporter.sqlservers.script import Batches, batches
from exporter.sqlservers.wording import INVENTORY, Words
from exporter.tde.document import LOST, SECTIONS, Document, completed, read_section
from exporter.tde.fields import Row
from exporter.tde.registry import RegistryUri
from exporter.tde.usage import REGISTRY

BROWSER_PORT = 1434
_MOST_CONNECTIONS = 2  # a section that hangs costs its connection; a second one means that the server hangs


@dataclass(frozen=True, slots=True)
class SqlServerAccess:
    """How to reach and sign in to a server; `seconds` is for the connection and for each batch.

    `words` has the words of failures: `wording.RUN` names settings, `wording.INVENTORY` flags. `stopped` ends the reading.
    """

    login: SqlLogin
    context: ssl.SSLContext
    seconds: float
    words: Words = field(default_factory=lambda: INVENTORY)
    stopped: threading.Event = field(default_factory=threading.Event)

    @property
    def whole_seconds(self) -> float:
        """What the reading of one server may take."""
        return WHOLE * self.seconds


def read_server(server: SqlAddress, access: SqlServerAccess, wanted: Batches | None = None) -> Document:
    """Return what the server answered to the batches, by default the inventory's. Blocks.

    A failure is part of the document. A server that is lost after the inventory's sections keeps what was read.
    """
    reading, refused_login = _Reading(server, access, wanted or batches()), 0
    try:
        reading.read()
    except SqlConnectionError as error:
        refused_login = error.number
        if not reading.has_inventory:
            return Document(address=server.text, failure=str(error), refused_login=refused_login)
        reading.give_up(str(error))
    finally:
        reading.session.close()
    sections = {name: tuple(map(_masked, rows)) for name, rows in reading.sections.items()}
    uris = tuple(RegistryUri(hide(uri.thumbprint), hide(uri.uri)) for uri in reading.uris)
    found = Document(address=server.text, sections=sections, errors=reading.errors, key_uris=uris)
    return completed(replace(found, refused_login=refused_login))


def _masked(row: Row) -> Row:
    """Return the row without secrets of this process: a server may call a database as the password that it got."""
    return {column: hide(cell) if isinstance(cell, str) else cell for column, cell in row.items()}


class _Reading:
    """What was read of one server so far."""

    def __init__(self, server: SqlAddress, access: SqlServerAccess, wanted: Batches) -> None:
        self.session = _Session(server, access)
        self.sections: dict[str, tuple[Row, ...]] = {}
        self.errors: dict[str, str] = {}
        self.uris: tuple[RegistryUri, ...] = ()
        self._wanted = wanted

    @property
    def has_inventory(self) -> bool:
        return {*SECTIONS} <= {*self.sections, *self.errors}

    def read(self) -> None:
        """Read everything. Raises SqlConnectionError if the server is lost."""
        for section, batch in self._wanted:
            try:
                rows = read_section(str(row[0]) for row in self.session.query(batch).rows)
                if rows is None:
                    self.errors[section] = LOST
                else:
                    self.sections[section] = rows
            except (SqlStatementError, _LostError) as error:
                self.errors[section] = str(error)
        if _has_registry(self.sections):
            try:
                self.uris = read_key_uris(self.session.query)
            except (SqlStatementError, _LostError) as error:
                self.errors[REGISTRY] = str(error)

    def give_up(self, reason: str) -> None:
        """Give the reason to each section that was not read."""
        names = [section for section, _ in self._wanted if section not in self.sections]
        self.errors = dict.fromkeys([*names, REGISTRY], reason) | self.errors


def _has_registry(sections: Mapping[str, tuple[Row, ...]]) -> bool:
    """Whether to read it: Linux has none, and without a provider there is no entry."""
    on_linux = any(row.get("platform") == "linux" for row in sections.get("instance", ()))
    return not on_linux and bool(sections.get("providers") or sections.get("keys"))


class _LostError(Exception):
    """A batch broke its connection; another one may be opened."""


class _Session:
    """A connection that is opened again once, if a batch broke it."""

    def __init__(self, server: SqlAddress, access: SqlServerAccess) -> None:
        self._server, self._access = server, access
        self._connection: SqlConnection | None = None
        self._opened = 0
        self._until = time.monotonic() + access.whole_seconds

    def query(self, batch: str) -> Result:
        """Send a batch. Raises SqlStatementError, and SqlConnectionError if the server is lost."""
        if self._opened and self._is_over():
            raise _LostError(str(timeout_failure(self._access.seconds, self._access.words)))
        connection = self._connection or self._open()
        try:
            return connection.query(batch)
        except SqlConnectionError as error:
            self.close()
            if self._opened == _MOST_CONNECTIONS and not self._is_over():
                raise
            raise _LostError(str(error)) from None

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _is_over(self) -> bool:
        """Whether the server has used up its time: then what was read of it counts."""
        return time.monotonic() >= self._until

    def _open(self) -> SqlConnection:
        self._opened += 1
        server, access = self._server, self._access
        port = server.port if server.port is not None else find_port(server.host, server.instance or "", access.seconds)
        encrypted_socket = EncryptedSocket(
            server.host,
            port,
            access.context,
            seconds=access.seconds,
            until=self._until,
            words=access.words,
            stopped=access.stopped,
        )
        self._connection = SqlConnection(encrypted_socket, server.host, port, access.login, access.words)
        return self._connection


def find_port(host: str, instance: str, seconds: float, browser: int = BROWSER_PORT) -> int:
    """Return the port of a named instance, from SQL Server Browser. Raises SqlConnectionError."""
    advice = f"start SQL Server Browser and open UDP {browser}, or write {host},PORT"
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, browser, type=socket.SOCK_DGRAM)[0]
        with socket.socket(family, kind, protocol) as endpoint:
            endpoint.settimeout(seconds)
            endpoint.connect(address)
            endpoint.send(browser_request(instance))
            port = browser_port(endpoint.recv(65536), instance)
    except (socket.gaierror, UnicodeError):
        raise SqlConnectionError(NO_SUCH_NAME) from None
    except OSError:
        raise SqlConnectionError(f"no answer about the port of instance {instance}: {advice}") from None
    if port is None:
        raise SqlConnectionError(f"{host} has no instance {instance} with TCP/IP: correct the name, or write {host},PORT")
    return port

"""Read SQL Servers, each section by a batch of its own, then the registry; many at the same time, each on a thread that ends with the process."""

from __future__ import annotations

import asyncio
import re
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import count

from exporter.core.names import SqlAddress, browser_port, browser_request
from exporter.core.quoting import sql_text
from exporter.core.secrets import hide
from exporter.knowledge.code_row import ENTRIES
from exporter.runtime.tasks import DaemonThreadPool
from exporter.sqlserver.calls import with_calls
from exporter.sqlserver.document import LOST, SECTIONS, Document, RegistryUri, Row, completed, read_section
from exporter.sqlserver.errors import INVENTORY, MISSING_ENTRY, MISSING_FILE, SqlMessage, Words
from exporter.sqlserver.keys import REGISTRY
from exporter.sqlserver.script import Batches, batches, with_log
from exporter.sqlserver.tds import (
    NO_SUCH_NAME,
    WHOLE,
    EncryptedSocket,
    Result,
    SqlConnection,
    SqlConnectionError,
    SqlLogin,
    SqlStatementError,
    timeout_failure,
)

# KeyUri of each thumbprint, from the registry of the SQL Server's host, over SQL.
# Microsoft ships these procedures and documents none of them. They only read. Their variants named `xp_instance_...` replace parts of
# a path by the keys of the instance. The connector's key belongs to the computer, so these leave the path as it is.
SUBKEYS = "EXEC master.dbo.xp_regenumkeys N'HKEY_LOCAL_MACHINE', {path};"  # a row for each subkey: its name
KEY_URI = "EXEC master.dbo.xp_regread N'HKEY_LOCAL_MACHINE', {path}, N'KeyUri';"  # a row: name and data of the value
_NOT_FOUND = "2"  # of Windows, the first number of the message in any language
_LONE = re.compile("[\ud800-\udfff]")  # half of a pair, which no file and no page can have
_DEPTH = 3  # levels below ENTRIES: vault, thumbprint, and one to spare
_MOST = 5000  # queries of one registry; two for each key
_LONGEST = {SUBKEYS: 255, KEY_URI: 2048}  # characters: of a name in Windows' registry, and of a URI
_TOO_LONG = SqlMessage(
    0, 16, "the registry has a name or a KeyUri that is too long below the connector's key: use reg query on the host"
)
_TOO_MANY = SqlMessage(0, 16, "the registry has too many entries below the connector's key: use reg query on the host")

Query = Callable[[str], Result]


def read_key_uris(query: Query) -> tuple[RegistryUri, ...]:
    """Return every KeyUri. Raises SqlStatementError without the right to read or after too many queries, and SqlConnectionError."""
    queries = count(1)

    def limited(batch: str) -> Result:
        if next(queries) > _MOST:
            raise SqlStatementError((_TOO_MANY,))
        return query(batch)

    return tuple(_below(limited, ENTRIES, _DEPTH))


def _below(query: Query, path: str, depth: int) -> Iterator[RegistryUri]:
    for name in _cells(query, SUBKEYS, path):
        child = f"{path}\\{name}"
        if uris := _cells(query, KEY_URI, child):
            yield RegistryUri(name, uris[0])
        elif depth > 1:
            yield from _below(query, child, depth - 1)


def _cells(query: Query, statement: str, path: str) -> list[str]:
    """The last cell of each row; none if the key or the value does not exist."""
    try:
        result = query(statement.format(path=sql_text(path)))
    except SqlStatementError as error:
        if all(_is_missing(message) for message in error.messages):
            return []
        raise
    refused = [message for message in result.messages if message.number == MISSING_ENTRY and not _is_missing(message)]
    if refused:  # an information message: SQL Server itself raises no error
        raise SqlStatementError(tuple(refused))
    cells = [_LONE.sub("\ufffd", str(row[-1])) for row in result.rows if row[-1] is not None]
    if any(len(cell) > _LONGEST[statement] for cell in cells):
        raise SqlStatementError((_TOO_LONG,))
    return cells


def _is_missing(message: SqlMessage) -> bool:
    number = re.search(r"\d+", message.text)
    return message.number == MISSING_ENTRY and number is not None and number[0] == _NOT_FOUND


BROWSER_PORT = 1434
_MOST_CONNECTIONS = 6  # a section that hangs costs its connection; so many mean that the server hangs


@dataclass(frozen=True, slots=True)
class SqlServerAccess:
    """How to reach and sign in to a server; `seconds` is for the connection and for each batch.

    `words` has the words of failures: `errors.RUN` names settings, `errors.INVENTORY` flags. `stopped` ends the reading.
    """

    login: SqlLogin
    context: ssl.SSLContext
    seconds: float
    words: Words = field(default_factory=lambda: INVENTORY)
    stopped: threading.Event = field(default_factory=threading.Event)

    @property
    def whole_seconds(self) -> float:
        return WHOLE * self.seconds


def read_server(server: SqlAddress, access: SqlServerAccess, wanted: Batches | None = None) -> Document:
    """Return what the server answered to the batches, by default the inventory's. Blocks.

    A failure is part of the document. A server that is lost after the inventory's sections keeps what was read.
    """
    wanted, connection, refused_login = wanted or batches(), _Connection(server, access), 0
    sections, errors, uris = dict[str, tuple[Row, ...]](), dict[str, str](), tuple[RegistryUri, ...]()
    try:
        for section, batch in wanted:
            statement = batch if isinstance(batch, str) else batch(sections)
            found = _section(connection.query, statement) if statement else ""
            if not isinstance(found, str):
                sections[section] = sections.get(section, ()) + found
                errors.pop(section, None)
            elif found and section not in sections:  # a failure leaves the rows that are known
                errors[section] = found
        on_linux = any(row.get("platform") == "linux" for row in sections.get("instance", ()))
        if not on_linux and (sections.get("providers") or sections.get("keys")):  # else there is no entry
            try:
                uris = read_key_uris(connection.query)
            except (SqlStatementError, _LostError) as error:
                errors[REGISTRY] = str(error)
    except SqlConnectionError as error:
        refused_login = error.number
        if not {*SECTIONS} <= {*sections, *errors}:
            return Document(address=server.text, failure=str(error), refused_login=refused_login)
        missing = [section for section, _ in wanted if section not in sections]
        errors = dict.fromkeys([*missing, REGISTRY], str(error)) | errors
    finally:
        connection.close()
    # A server may call a database as the password that it got: no secret of this process is part of a document.
    known = {
        name: tuple({column: hide(cell) if isinstance(cell, str) else cell for column, cell in row.items()} for row in rows)
        for name, rows in with_calls(with_log(sections)).items()
    }
    uris = tuple(RegistryUri(hide(uri.thumbprint), hide(uri.uri)) for uri in uris)
    return completed(Document(address=server.text, sections=known, errors=errors, key_uris=uris, refused_login=refused_login))


def _section(query: Query, statement: str) -> tuple[Row, ...] | str:
    """Return the rows of a section, or why there are none. Raises SqlConnectionError if the server is lost."""
    try:
        result = query(statement)
    except (SqlStatementError, _LostError) as error:
        return str(error)
    rows = read_section(str(row[0]) for row in result.rows)
    missing = next((str(message) for message in result.messages if message.number == MISSING_FILE), "")
    return missing or (LOST if rows is None else rows)


class _LostError(Exception):
    """A batch broke its connection; another one may be opened."""


class _Connection:
    """A connection that is opened again if a batch broke it, a few times."""

    def __init__(self, server: SqlAddress, access: SqlServerAccess) -> None:
        self._server, self._access = server, access
        self._session: SqlConnection | None = None
        self._opened, self._until = 0, time.monotonic() + access.whole_seconds

    def close(self) -> None:
        if self._session is not None:
            self._session.close()
            self._session = None

    def query(self, batch: str) -> Result:
        """Send a batch. Raises SqlStatementError, _LostError, and SqlConnectionError if the server is lost.

        A server that has used up its time is not lost: what was read of it counts.
        """
        server, access = self._server, self._access
        if self._opened and time.monotonic() >= self._until:
            raise _LostError(str(timeout_failure(access.seconds, access.words)))
        if self._session is None:
            self._opened += 1
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
            self._session = SqlConnection(encrypted_socket, server.host, port, access.login, access.words)
        try:
            return self._session.query(batch)
        except SqlConnectionError as error:
            self.close()
            if self._opened == _MOST_CONNECTIONS and time.monotonic() < self._until:
                raise
            raise _LostError(str(error)) from None


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


Progress = Callable[[int, int], None]  # read, of them failed


def read_servers(servers: Sequence[SqlAddress], access: SqlServerAccess, *, parallel: int, progress: Progress) -> list[Document]:
    """Return the documents in the order of the servers. Ctrl-C abandons those that are being read."""
    return asyncio.run(_read_servers(servers, access, parallel, progress))


async def _read_servers(
    servers: Sequence[SqlAddress], access: SqlServerAccess, parallel: int, progress: Progress
) -> list[Document]:
    slots, failures = asyncio.Semaphore(parallel), list[bool]()
    pool = DaemonThreadPool(max(1, len(servers)), name="sql")  # abandoned threads take none from the other servers

    async def read(server: SqlAddress) -> Document:
        async with slots:
            try:
                async with asyncio.timeout(access.whole_seconds + 2 * access.seconds):
                    document = await pool.run(read_server, server, access)
            except TimeoutError:  # its thread outlasts the time of a server, in a resolver or in the driver
                document = Document(address=server.text, failure=str(timeout_failure(access.seconds, access.words)))
        failures.append(document.failure is not None)
        progress(len(failures), sum(failures))
        return document

    return await asyncio.gather(*map(read, servers))

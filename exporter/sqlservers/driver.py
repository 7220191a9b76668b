"""The one place that knows python-tds: log in, send a batch, and turn its exceptions into failures of `failure`."""

from __future__ import annotations

import logging
import re
import socket
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from exporter.runtime.extras import ExtraMissingError
from exporter.runtime.process import is_windows
from exporter.sqlservers.encryption import EncryptedSocket
from exporter.sqlservers.failure import SqlConnectionError, SqlStatementError
from exporter.sqlservers.sql_errors import SqlMessage, refusal, refused_login
from exporter.sqlservers.wording import Words

NEEDED = str(ExtraMissingError("sql"))
_SSPI_ERROR = re.compile(r"SSPI Error (\w+)")  # of python-tds, such as SEC_E_NO_CREDENTIALS
_UNREADABLE = "the answer is not that of a SQL Server that this driver knows"
# A reading never waits long for another session, and loses a deadlock with one.
_OPTIONS = "SET NOCOUNT ON; SET LOCK_TIMEOUT 5000; SET DEADLOCK_PRIORITY LOW;"
_OLDEST = 0x72090002  # TDS 7.2: an older version decodes text with a codec that the server names
_MOST_COLUMNS, _MOST_ROWS = 8, 100_000  # of one result; a section has at most so many lines
_ROW_BYTES = 16  # of a row next to its text, at most


@dataclass(frozen=True, slots=True)
class SqlLogin:
    """How to sign in: user and password, an access token, or the Windows account of this process."""

    user: str = ""
    password: str = field(default="", repr=False)
    token: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class Result:
    """The rows of the first result of a batch, and all messages."""

    rows: tuple[Sequence[Any], ...]
    messages: tuple[SqlMessage, ...]


def _silence(logger: logging.Logger) -> None:
    """Keep the warnings of the driver from standard error, also from a handler of this process."""
    if logger.propagate:
        logger.addHandler(logging.NullHandler())
        logger.propagate = False


class SqlConnection:
    """A session with one SQL Server. Blocks, and belongs to one thread."""

    def __init__(self, encrypted_socket: EncryptedSocket, host: str, port: int, login: SqlLogin, words: Words) -> None:
        """Log in over a connected socket, which belongs to the session from now on. Raises SqlConnectionError."""
        import pytds  # type: ignore[import-untyped] # noqa: PLC0415 - an extra

        _silence(logging.getLogger("pytds"))
        self._pytds = pytds
        self._encrypted_socket = encrypted_socket
        windows = not login.user and not login.token
        try:
            self._session = pytds.connect(
                dsn=host,
                port=port,
                database="master",
                user=login.user or None,
                password=login.password or None,
                access_token_callable=(lambda: login.token) if login.token else None,
                auth=_windows_account(host, port, words) if windows else None,
                sock=encrypted_socket,
                appname=words["application"],
                autocommit=True,  # a transaction would stay open on the server
                disable_connect_retry=True,  # the socket refuses a server that the first one names
                login_timeout=0,
            )
        except Exception as error:  # noqa: BLE001 - the driver raises many kinds for a foreign answer
            encrypted_socket.close()
            raise _login_error(error, words) from None
        try:
            self._begin()
        except (SqlConnectionError, SqlStatementError) as error:
            encrypted_socket.close()
            raise SqlConnectionError(str(error)) from None

    def _begin(self) -> None:
        if self._session.tds_version < _OLDEST:
            raise SqlConnectionError("the server speaks a protocol older than TDS 7.2: SQL Server 2016 or later is needed")
        self.query(_OPTIONS)

    def query(self, batch: str) -> Result:
        """Send a batch and read everything. Raises SqlConnectionError and SqlStatementError."""
        self._encrypted_socket.start()
        with self._session.cursor() as cursor:
            try:
                cursor.execute(batch)
                rows = tuple(self._rows(cursor))
                while cursor.nextset():
                    """Read on: a message may follow."""
            except self._pytds.DatabaseError as error:
                raise SqlStatementError(tuple(_messages(cursor)) or (_message(error),)) from None
            except SqlConnectionError:
                raise
            except Exception as error:  # noqa: BLE001 - the driver raises many kinds for a foreign answer
                raise SqlConnectionError(f"{_UNREADABLE} ({type(error).__name__})") from None
            return Result(rows, tuple(_messages(cursor)))

    def _rows(self, cursor: Any) -> Iterator[Sequence[Any]]:
        """Yield the rows of the first result. Raises SqlConnectionError for a result that no batch of the inventory has."""
        columns = len(cursor.description or ())
        if columns > _MOST_COLUMNS:
            raise SqlConnectionError(f"a result has {columns} columns, more than {_MOST_COLUMNS}: is it a SQL Server?")
        for _ in range(_MOST_ROWS if columns else 0):
            row = cursor.fetchone()
            if row is None:
                return
            self._encrypted_socket.took_row(_ROW_BYTES + sum(2 * len(cell) for cell in row if isinstance(cell, str)))
            yield row
        if columns and cursor.fetchone() is not None:
            raise SqlConnectionError(f"a result has more than {_MOST_ROWS} rows: is it a SQL Server?")

    def close(self) -> None:
        """Close the connection."""
        self._encrypted_socket.close()


def _windows_account(host: str, port: int, words: Words) -> Any:
    """Return Windows' own sign-in. Raises SqlConnectionError elsewhere."""
    if not is_windows():
        raise SqlConnectionError(f"Windows sign-in exists on Windows only: {words['sign_in']}")
    from pytds.login import SspiAuth  # type: ignore[import-untyped] # noqa: PLC0415 - an extra

    return SspiAuth(spn=f"MSSQLSvc/{socket.getfqdn(host)}:{port}")


def _login_error(error: Exception, words: Words) -> SqlConnectionError:
    cause = error.__cause__ if isinstance(error, TimeoutError) and isinstance(error.__cause__, Exception) else error
    if isinstance(cause, SqlConnectionError):
        return cause
    if getattr(cause, "number", 0):
        message = _message(cause)
        return SqlConnectionError(refusal(message, words), refused_login(message))
    if windows := _SSPI_ERROR.match(str(cause)):
        return SqlConnectionError(f"Windows does not sign this account in ({windows[1]}): {words['sign_in']}")
    return SqlConnectionError(f"{_UNREADABLE} ({type(cause).__name__})")


def _messages(cursor: Any) -> Iterator[SqlMessage]:
    for _, message in cursor.messages or ():
        yield _message(message)


def _message(error: Any) -> SqlMessage:
    return SqlMessage(int(getattr(error, "number", 0)), int(getattr(error, "severity", 16)), str(getattr(error, "text", "")))

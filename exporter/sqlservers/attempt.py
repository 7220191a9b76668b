"""One attempt to read a SQL Server, on a daemon thread.

It reads the secret of the login, requests a token if the login needs one, and reads the sections.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any, TypeVar, TypeVarTuple

from exporter.config.settings import Credential, SecretUnreadableError, SqlServer, read_secret
from exporter.core.model import TokenResult
from exporter.runtime.files import CERTIFICATE_LIMIT, FileUnreadableError, read_whole
from exporter.runtime.shortage import shortage_of
from exporter.runtime.thread_pool import DaemonThreadPool, PoolExhausted
from exporter.sqlservers.driver import SqlLogin
from exporter.sqlservers.encryption import make_context, make_pinned_context
from exporter.sqlservers.failure import WHOLE
from exporter.sqlservers.last_reading import updated
from exporter.sqlservers.lockout import Lockout, lockout_after
from exporter.sqlservers.persistence import document_of
from exporter.sqlservers.reading import SqlServerAccess, read_server
from exporter.sqlservers.script import SEARCHED_DAYS, batches, proof_batches
from exporter.sqlservers.wording import RUN
from exporter.tde.document import Document
from exporter.tde.model import names_of
from exporter.tde.sql_reading import SqlServerReading
from exporter.tokens.failure import is_refusal, reason
from exporter.tokens.secret_cache import read_material

STATEMENT_SECONDS = 10.0  # for a connection, and for each statement
SECRET_SECONDS = 10.0  # for a secret file, which may be on a dead mount
_THREADS = 8  # and one for each server that a thread works on: abandoned ones take none from the others
_LATE = "not read to its end"
_DAY = 86400.0
_FEW_DAYS = 2  # of backups, which are read at each attempt; all of them once a day

_T = TypeVar("_T")
_Args = TypeVarTuple("_Args")


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerState:
    """What an attempt depends on. `credential` is that of Entra ID."""

    server: SqlServer
    credential: Credential | None
    reading: SqlServerReading
    lockout: Lockout | None = None

    @property
    def account(self) -> str:
        """Who signs in; empty for the Windows account of this process."""
        if self.credential is not None:
            return f"{self.credential.name} {self.credential.tenant_id or ''} {self.credential.client_id or ''}"
        return self.server.user or ""


@dataclass(frozen=True, slots=True)
class Attempt:
    """What is known after an attempt.

    `stored` is the document of the state directory, None if it stays as it is.
    """

    reading: SqlServerReading
    lockout: Lockout | None
    stored: Mapping[str, Any] | None


@dataclass(frozen=True, slots=True)
class _Secret:
    """`material` changes with the secret."""

    password: str = field(default="", repr=False)
    material: bytes = field(default=b"", repr=False)


class _FailedError(Exception):
    """Ends an attempt with this text for the operator."""


class ServerReader:
    """Reads SQL Servers, each on a daemon thread. Use it from one event loop.

    `token_of` requests a token of the credential with this name.
    """

    def __init__(self, token_of: Callable[[str], Awaitable[TokenResult]], *, seconds: float = STATEMENT_SECONDS) -> None:
        self._token_of, self._seconds = token_of, seconds
        self._whole = (WHOLE + 2) * seconds
        self._pool = DaemonThreadPool(_THREADS, name="ekm-sql")
        self._busy: dict[str, asyncio.Event] = {}  # by address: the end of a thread that works on the server
        # By address: when all backups were searched, and the name of the server that had them.
        self._searched: dict[str, tuple[float, str]] = {}

    def is_busy(self, address: str) -> bool:
        """Whether a thread still works on this server, for an attempt that was given up."""
        return address in self._busy

    async def read(self, state: ServerState, at: float) -> Attempt | None:
        """Read a server at a Unix time; None if its lockout holds.

        Raises only CancelledError and internal errors.
        """
        address, tried = state.server.address, False
        try:
            new_secret = partial(_new_secret, state, at)
            secret = await self._run_on_thread(address, SECRET_SECONDS, "the secret was not read", new_secret, threading.Event())
            if secret is None:
                return None
            tried = True
            login = await self._login(state, secret)
            days, stopped = self._days(state, at), threading.Event()

            def attempt() -> Attempt:
                document = login if isinstance(login, Document) else _read(state.server, login, self._seconds, days, stopped)
                return _add(state, document, secret, at)

            return self._noted(await self._run_on_thread(address, self._whole, _LATE, attempt, stopped), days, at)
        except (_FailedError, SecretUnreadableError, FileUnreadableError, PoolExhausted) as error:
            failed = Document(address=address, failure=str(error))
            refused = state.reading.refused and not tried
            return Attempt(updated(state.reading, state.server, failed, at, refused=refused), state.lockout, None)

    def _days(self, state: ServerState, at: float) -> int:
        """Return how many days of backups to read: on a large msdb, many days take long."""
        searched_at, name = self._searched.get(state.server.address, (0.0, ""))
        document = state.reading.document
        is_same = document is not None and names_of(document)[0] == name
        return _FEW_DAYS if is_same and 0 <= at - searched_at < _DAY else SEARCHED_DAYS

    def _noted(self, attempt: Attempt, days: int, at: float) -> Attempt:
        reading = attempt.reading
        if days == SEARCHED_DAYS and reading.document is not None and not reading.failure:
            self._searched[reading.address] = at, names_of(reading.document)[0]
        return attempt

    async def compute(self, function: Callable[[*_Args], _T], *args: *_Args) -> _T:
        """Return what a function returns that only computes, on a thread if there is one.

        Raises what it raises.
        """
        self._pool.allow(_THREADS + len(self._busy))
        try:
            return await self._pool.run(function, *args)
        except PoolExhausted:
            return function(*args)

    def close(self) -> None:
        """Start no further thread, and wait for none.

        A thread ends soon, unless it waits for a connection or a file.
        """
        self._pool.close()
        for ended in tuple(self._busy.values()):
            ended.set()

    async def _login(self, state: ServerState, secret: _Secret) -> SqlLogin | Document:
        """Return how to sign in, or the refusal of Entra ID."""
        if state.credential is None:
            return SqlLogin(user=state.server.user or "", password=secret.password)
        result = await self._token_of(state.credential.name)
        if result.token is not None:
            return SqlLogin(token=result.token)
        text = f"no token from {state.credential.name}: {reason(result.facts)}"
        if is_refusal(result.facts, state.credential):
            return Document(address=state.server.address, failure=text, refused_login=result.facts.status or 0)
        raise _FailedError(text)

    async def _run_on_thread(
        self, address: str, seconds: float, late: str, function: Callable[[], _T], stopped: threading.Event
    ) -> _T:
        """Run the function on a thread, which is abandoned after its time.

        `stopped` is set then. Raises _FailedError then, and what the function raises. A cancelled call ends with its thread, or
        after its time: until then it keeps its slot, so that reloads start no further threads.
        """
        ended, loop, begun = asyncio.Event(), asyncio.get_running_loop(), False

        def run() -> _T:
            nonlocal begun
            begun = True
            try:
                return function()
            finally:
                self._busy.pop(address, None)
                with contextlib.suppress(RuntimeError):  # the loop is closed
                    loop.call_soon_threadsafe(ended.set)

        self._busy[address] = ended
        self._pool.allow(_THREADS + len(self._busy))
        try:
            async with asyncio.timeout(seconds):
                return await self._pool.run(run)
        except TimeoutError as error:
            lacking = shortage_of(error)
            cause = f"{late} within {seconds:g} s" if lacking is None else f"no thread was free within {seconds:g} s"
            raise _FailedError(cause) from None
        except asyncio.CancelledError:
            stopped.set()
            if begun:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(seconds):
                        await ended.wait()
            raise
        finally:
            stopped.set()
            if not begun:
                self._busy.pop(address, None)


def _new_secret(state: ServerState, at: float) -> _Secret | None:
    """Read the secret of the login; None if it was refused, and its lockout holds. Blocks.

    Raises SecretUnreadableError and FileUnreadableError.
    """
    secret = _read_secret(state)
    if state.lockout is not None and state.lockout.holds(state.account, secret.material, at):
        return None
    return secret


def _read_secret(state: ServerState) -> _Secret:
    if state.credential is not None:  # the token is requested with the same content, which others read
        text, certificate = read_material(state.credential)
        return _Secret(material=(text or "").encode() + b"\0" + certificate)
    password = "" if state.server.password is None else read_secret(state.server.password)
    return _Secret(password, password.encode())


def _read(server: SqlServer, login: SqlLogin, seconds: float, days: int, stopped: threading.Event) -> Document:
    """Read every section. Blocks."""
    try:
        access = SqlServerAccess(login, _context(server), seconds, RUN, stopped)
    except FileUnreadableError as error:
        return Document(address=server.address, failure=f"ca_file {server.ca_file}: {error}")
    return read_server(server.parsed, access, batches() + proof_batches(days=days))


def _context(server: SqlServer) -> Any:
    """Return the TLS settings. Raises FileUnreadableError."""
    if server.certificate_sha256 is not None:
        return make_pinned_context(server.certificate_sha256)
    if server.ca_file is None:
        return make_context(None, verify=True)
    read_whole(server.ca_file, limit=CERTIFICATE_LIMIT)
    try:
        return make_context(str(server.ca_file), verify=True)
    except OSError as error:
        if shortage_of(error) is not None:
            raise
        raise FileUnreadableError("no certificate in PEM") from None


def _add(state: ServerState, document: Document, secret: _Secret, at: float) -> Attempt:
    """Add what was read to what is known."""
    lockout = lockout_after(state.account, secret.material, at) if document.refused_login else None
    reading = updated(state.reading, state.server, document, at, refused=lockout is not None)
    return Attempt(reading, lockout, document_of(reading, lockout))

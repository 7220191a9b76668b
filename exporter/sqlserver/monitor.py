"""Read the SQL Servers periodically, each attempt on a daemon thread, and keep the last good reading of each section.

An attempt reads the secret of the login, requests a token if the login needs one, and reads the sections. A server that cannot be read keeps
what is known of it, and delays no other beyond its slot. A failure is logged once.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
import random
import threading
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, TypeVar, TypeVarTuple

from exporter.config.settings import Config, Credential, SecretUnreadableError, SqlServer, read_secret
from exporter.core.limits import JITTER
from exporter.core.values import TokenResult
from exporter.probing.secrets import read_material
from exporter.probing.tokens import failure_line, is_refusal
from exporter.runtime.files import CERTIFICATE_LIMIT, FileUnreadableError, read_whole
from exporter.runtime.logging import fields
from exporter.runtime.loop import loop_time
from exporter.runtime.tasks import DaemonThreadPool, PeriodicRunner, PoolExhausted, reported, shortage_of
from exporter.sqlserver.calls import session_of
from exporter.sqlserver.document import Document, Sections
from exporter.sqlserver.errors import RUN, Lockout, lockout_after
from exporter.sqlserver.instance import names_of
from exporter.sqlserver.last_reading import Ends, document_of, labelled, log_since, restored, unread, updated
from exporter.sqlserver.read import SqlServerAccess, read_server
from exporter.sqlserver.reading import BACKUPS, ERRORS, SqlServerReading, contested_addresses, rows, shown_name
from exporter.sqlserver.script import Batches, batches, proof_batches
from exporter.sqlserver.tds import WHOLE, SqlLogin, make_context, make_pinned_context

_log = logging.getLogger(__name__)

STATEMENT_SECONDS = 10.0  # for a connection, and for each statement
SECRET_SECONDS = 10.0  # for a secret file, which may be on a dead mount
_THREADS = 8  # and one for each server that a thread works on: abandoned ones take none from the others
_DAY = 86400.0
CONCURRENT_READINGS = 8
_CONCURRENT_RETRIES = 4  # of them for servers whose last reading failed: servers that hang leave the others some
LOCKED_SECONDS = 60.0  # between two checks whether the secret of a refused login has changed
BUSY_SECONDS = 10.0  # until the next try if an abandoned thread still works on the server
_SPACING = 1.0  # seconds between two first readings
_CONTESTED = "{}, and so does another address: its series have the address. Remove one if both are the same server, else set another host: for one"

_T = TypeVar("_T")
_Args = TypeVarTuple("_Args")


@dataclass(slots=True, kw_only=True)
class ServerState:
    """What an attempt depends on, and when the next one is `due`: a loop time. `credential` is that of Entra ID."""

    server: SqlServer
    credential: Credential | None
    reading: SqlServerReading
    lockout: Lockout | None = None
    due: float = 0.0
    logged: str = ""  # the failure that was logged last

    @property
    def account(self) -> str:
        """Who signs in; empty for the Windows account of this process."""
        if self.credential is not None:
            return f"{self.credential.name} {self.credential.tenant_id or ''} {self.credential.client_id or ''}"
        return self.server.user or ""


# What is known after an attempt, and the document of the state directory, None if it stays as it is.
Attempt = tuple[ServerState, Mapping[str, Any] | None]


class _FailedError(Exception):
    """Ends an attempt with this text for the operator."""


class _Search:
    """What one attempt at a Unix time asks of a history: backups `after` a number, or all of them once a day, and the error log since it was read."""

    server = ""
    searched_at = -math.inf
    asked = math.inf  # the earliest time for which the log was asked: an archive that is gone stays so
    after: int | None = None
    _log: tuple[float, float] | None = None

    def __init__(self, before: SqlServerReading, server: SqlServer, at: float, last: _Search | None) -> None:
        self._before, self._configured, self._at = before, server, at
        is_same = last is not None and last.server == names_of(before.document)[0]
        if last is not None and is_same and 0 <= at - last.searched_at < _DAY:
            self.after, self.searched_at, self.asked = _newest_id(before), last.searched_at, last.asked

    def since(self, sections: Sections) -> float:
        """Return the time from which the error log is read, by the server's clock. Several files of it need it."""
        self._log = self._log or log_since(self._before, self._configured, sections, self._at, self.asked)
        return self._log[0]

    def end(self, reading: SqlServerReading) -> bool:
        """Add what was read, and return whether anything was. The history of another msdb is searched anew."""
        if not reading.document.sections or reading.failure:
            return False
        self.server = names_of(reading.document)[0]
        if self.after is None and reading.read_at.get(BACKUPS) == self._at:
            self.searched_at = self._at
        if self._log is not None and reading.read_at.get(ERRORS) == self._at:
            self.asked = min(self.asked, self._log[1])
        if (_newest_id(reading) or 0) < (self.after or 0):
            self.searched_at = -math.inf
        return True


def _newest_id(reading: SqlServerReading) -> int | None:
    return next((int(row["newest_id"]) for row in rows(reading, "history") if "newest_id" in row), None)


class ServerReader:
    """Reads SQL Servers, each on a daemon thread. Use it from one event loop.

    `token_of` requests a token of the credential with this name. `ends_of` has the known ends of secrets with which a SQL Server may sign in, by client.
    """

    def __init__(
        self,
        token_of: Callable[[str], Awaitable[TokenResult]],
        ends_of: Callable[[SqlServerReading], Ends] = lambda _reading: {},
        *,
        seconds: float = STATEMENT_SECONDS,
    ) -> None:
        self._token_of, self._ends_of, self._seconds = token_of, ends_of, seconds
        self._whole = (WHOLE + 2) * seconds
        self._pool = DaemonThreadPool(_THREADS, name="ekm-sql")
        self._busy: dict[str, asyncio.Event] = {}  # by address: the end of a thread that works on the server
        self._searches: dict[str, _Search] = {}  # the last one of each address

    def is_busy(self, address: str) -> bool:
        """Whether a thread still works on this server, for an attempt that was given up."""
        return address in self._busy

    async def read(self, state: ServerState, at: float) -> Attempt | None:
        """Read a server at a Unix time; None if its lockout holds. Raises only CancelledError and internal errors."""
        server, before, tried = state.server, state.reading, False
        address = server.address
        try:
            read = partial(_secret, state, at)
            secret = await self._run_on_thread(address, SECRET_SECONDS, "the secret was not read", read, threading.Event())
            if secret is None:
                return None
            tried, (password, material) = True, secret
            account, login = state.account, await self._login(state, password)
            search = _Search(before, server, at, self._searches.get(address))
            stopped, ends = threading.Event(), self._ends_of(before)

            def attempt() -> Attempt:
                wanted = batches() + proof_batches(after=search.after, since=search.since, trace=session_of(before))
                document = login if isinstance(login, Document) else _read(server, login, self._seconds, wanted, stopped)
                lockout = lockout_after(account, material, at) if document.refused_login else None
                whole = search.after is None
                reading = updated(before, server, document, at, refused=lockout is not None, whole=whole, ends=ends)
                return replace(state, reading=reading, lockout=lockout), document_of(reading, lockout)

            after, stored = await self._run_on_thread(address, self._whole, "not read to its end", attempt, stopped)
        except (_FailedError, SecretUnreadableError, FileUnreadableError, PoolExhausted) as error:
            failed = Document(address=address, failure=str(error))
            refused = before.refused and not tried
            return replace(state, reading=updated(before, server, failed, at, refused=refused)), None
        if search.end(after.reading):
            self._searches[address] = search
        return after, stored

    async def compute(self, function: Callable[[*_Args], _T], *args: *_Args) -> _T:
        """Return what a function returns that only computes, on a thread if there is one. Raises what it raises."""
        self._pool.allow(_THREADS + len(self._busy))
        try:
            return await self._pool.run(function, *args)
        except PoolExhausted:
            return function(*args)

    def close(self) -> None:
        """Start no further thread, and wait for none. A thread ends soon, unless it waits for a connection or a file."""
        self._pool.close()
        for ended in tuple(self._busy.values()):
            ended.set()

    async def _login(self, state: ServerState, password: str) -> SqlLogin | Document:
        """Return how to sign in, or the refusal of Entra ID."""
        if state.credential is None:
            return SqlLogin(user=state.server.user or "", password=password)
        result = await self._token_of(state.credential.name)
        if result.token is not None:
            return SqlLogin(token=result.token)
        text = f"no token from {state.credential.name}: {failure_line(result.facts)}"
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
            cause = late if shortage_of(error) is None else "no thread was free"
            raise _FailedError(f"{cause} within {seconds:g} s") from None
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


def _secret(state: ServerState, at: float) -> tuple[str, bytes] | None:
    """Return the password of the login, and what changes with its secret; None if it was refused, and its lockout holds. Blocks.

    Raises SecretUnreadableError and FileUnreadableError.
    """
    password = "" if state.server.password is None else read_secret(state.server.password)
    material = password.encode()
    if state.credential is not None:  # the token is requested with the same content, which others read
        text, certificate = read_material(state.credential)
        material = (text or "").encode() + b"\0" + certificate
    is_locked = state.lockout is not None and state.lockout.holds(state.account, material, at)
    return None if is_locked else (password, material)


def _read(server: SqlServer, login: SqlLogin, seconds: float, wanted: Batches, stopped: threading.Event) -> Document:
    """Read every section. Blocks."""
    try:
        access = SqlServerAccess(login, _context(server), seconds, RUN, stopped)
    except FileUnreadableError as error:
        return Document(address=server.address, failure=f"ca_file {server.ca_file}: {error}")
    return read_server(server.parsed, access, wanted)


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
        raise error if shortage_of(error) is not None else FileUnreadableError("no certificate in PEM") from None


class SqlServerMonitor:
    """Reads SQL Servers periodically. Use it from one event loop."""

    def __init__(
        self,
        config: Config,
        reader: ServerReader,
        *,
        compare: Callable[[SqlServerReading], Callable[[], bool]],
        on_forgotten: Callable[[str], None],
        on_internal_error: Callable[[Exception], None],
        load: Callable[[str], Mapping[str, Any] | None],
        store: Callable[[str, Mapping[str, Any]], None],
        clock: Callable[[], float] = time.time,
        draw: Callable[[], float] = random.random,
    ) -> None:
        """A thread calls `compare` with what is known after each attempt, and with what was known before a restart.

        The event loop then calls what it returned, which shows it; False compares again. `on_forgotten` receives the address of a server that a
        reload removed. `load` and `store` read and write the document of a server. `clock` gives Unix time, `draw` a number in [0, 1].
        """
        self._config, self._reader, self._on_forgotten = config, reader, on_forgotten
        self._compare, self._on_internal_error = compare, on_internal_error
        self._load, self._store = load, store
        self._clock, self._draw = clock, draw
        self._slots, self._retries = asyncio.Semaphore(CONCURRENT_READINGS), asyncio.Semaphore(_CONCURRENT_RETRIES)
        self._entries = {address: _first_state(config, address) for address in config.sql_servers}
        self._runner = PeriodicRunner(
            self._read_due,
            pause=lambda _entry: self._config.settings.sql_interval,
            on_error=lambda _entry, error: on_internal_error(error),
            name="reading of",
        )

    async def start(self) -> None:
        """Use what an earlier process knew, and start the periodic readings, spread over the interval."""
        for entry in self._entries.values():
            await self._restore_entry(entry)
        await self._mark_contested()
        for address in self._entries:
            self._start_reading(address)

    async def reconfigure(self, config: Config) -> None:
        """Apply a configuration after `start`.

        An unchanged server continues. A changed one is read soon, and keeps what is known of it.
        """
        before, self._config = self._config, config
        interval = config.settings.sql_interval
        for address in before.sql_servers.keys() - config.sql_servers.keys():
            self._runner.stop(address)
            del self._entries[address]
            self._on_forgotten(address)
        for address in config.sql_servers:
            state, entry = _first_state(config, address), self._entries.get(address)
            if entry is None:
                self._entries[address] = state
                await self._restore_entry(state)
            elif (state.server, state.credential) == (entry.server, entry.credential):
                if interval < before.settings.sql_interval:
                    self._runner.advance(address, loop_time() + interval * self._draw())
                continue
            else:
                self._runner.stop(address)
                entry.server, entry.credential = state.server, state.credential
                entry.reading = labelled(entry.reading, state.server)
                if entry.reading.document.sections:
                    await self._show(entry)
            self._start_reading(address)
        await self._mark_contested()

    async def aclose(self) -> None:
        """End all readings without waiting for their threads."""
        self._reader.close()
        await self._runner.aclose()

    def readings(self) -> tuple[SqlServerReading, ...]:
        """Return what is known of each server, in the order of the configuration."""
        return tuple(self._entries[address].reading for address in self._config.sql_servers if address in self._entries)

    def _start_reading(self, address: str) -> None:
        entry = self._entries[address]
        spread = min(self._config.settings.sql_interval, _SPACING * len(self._config.sql_servers))
        entry.due = loop_time() + self._draw() * spread
        self._runner.start(address, entry)

    async def _read_due(self, entry: ServerState) -> None:
        if self._reader.is_busy(entry.server.address):
            entry.due = loop_time() + BUSY_SECONDS
            return
        async with self._retries if entry.reading.failure else contextlib.nullcontext(), self._slots:
            attempt = await self._reader.read(entry, self._clock())
            if attempt is None:
                entry.due = loop_time() + LOCKED_SECONDS
                return
            entry.due = loop_time() + self._config.settings.sql_interval * (1 - JITTER + 2 * JITTER * self._draw())
            after, stored = attempt
            reading = entry.reading = after.reading
            entry.lockout = after.lockout
            if reading.failure != entry.logged:
                entry.logged = reading.failure
                if reading.failure:
                    _log.warning("SQL Server not read", extra=fields(server=reading.address, problem=reading.failure))
                else:
                    _log.info("SQL Server read again", extra=fields(server=reading.address))
            if stored is not None:
                self._store(reading.address, stored)
            await self._mark_contested()
            await self._show(entry)

    async def _mark_contested(self) -> None:
        """Mark the servers that answer with the names of another one, and show those that changed: before the one that has the names."""
        found = contested_addresses(entry.reading for entry in self._entries.values())
        changed = [entry for address, entry in self._entries.items() if entry.reading.contested != (address in found)]
        for entry in changed:
            entry.reading = replace(entry.reading, contested=not entry.reading.contested)
        for entry in sorted(changed, key=lambda entry: not entry.reading.contested):
            if entry.reading.contested:
                extra = fields(server=entry.reading.address, problem=_CONTESTED.format(shown_name(entry.reading)))
                _log.warning("SQL Servers have the same names", extra=extra)
            await self._show(entry)

    async def _show(self, entry: ServerState) -> None:
        with reported(self._on_internal_error):
            while True:
                reading = entry.reading
                show = await self._reader.compute(self._compare, reading)
                if reading is entry.reading and show():
                    return

    async def _restore_entry(self, entry: ServerState) -> None:
        server = entry.server
        with reported(self._on_internal_error):
            document = self._load(server.address)
            if document is None:
                return
            try:
                reading, lockout = await self._reader.compute(restored, document, server)
            except ValueError as error:
                _log.warning("state", extra=fields(problem=f"the stored reading of {server.address} {error} and is ignored"))
                return
            entry.reading, entry.lockout = reading, lockout
            await self._show(entry)


def _first_state(config: Config, address: str) -> ServerState:
    server = config.sql_servers[address]
    credential = None if server.entra_credential is None else config.credentials[server.entra_credential]
    return ServerState(server=server, credential=credential, reading=unread(server))

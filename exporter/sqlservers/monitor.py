"""Read the SQL Servers periodically, and keep the last good reading of each section.

A server that cannot be read keeps what is known of it, and delays no other beyond its slot. A failure is logged once.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final, Protocol, TypeVar, TypeVarTuple

from exporter.config.settings import Config
from exporter.core.probe_starts import JITTER
from exporter.runtime.clock import loop_time
from exporter.runtime.internal_errors import reported
from exporter.runtime.logging import fields
from exporter.runtime.periodic import PeriodicRunner
from exporter.sqlservers.attempt import Attempt, ServerState
from exporter.sqlservers.last_reading import labelled, unread
from exporter.sqlservers.lockout import Lockout
from exporter.sqlservers.persistence import restored
from exporter.tde.sql_reading import SqlServerReading, contested_addresses, shown_name

_log = logging.getLogger(__name__)

CONCURRENT_READINGS: Final = 8
_CONCURRENT_RETRIES: Final = 4  # of them for servers whose last reading failed: servers that hang leave the others some
LOCKED_SECONDS: Final = 60.0  # between two checks whether the secret of a refused login has changed
BUSY_SECONDS: Final = 10.0  # until the next try if an abandoned thread still works on the server
_SPACING: Final = 1.0  # seconds between two first readings
_CONTESTED = "{}, and so does another address: its series have the address. Remove one if both are the same server, else set another host: for one"

_T = TypeVar("_T")
_Args = TypeVarTuple("_Args")


class Reader(Protocol):
    """Raises only CancelledError and internal errors."""

    def is_busy(self, address: str) -> bool: ...

    async def read(self, state: ServerState, at: float) -> Attempt | None: ...

    async def compute(self, function: Callable[[*_Args], _T], *args: *_Args) -> _T: ...

    def close(self) -> None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class SqlServerCallbacks:
    """Callbacks of `SqlServerMonitor`.

    A thread calls `prepare` with what is known after each attempt, and with what was known before a restart. The event loop then
    calls what it returned; True prepares again. `on_forgotten` receives the address of a server that a reload removed. `on_internal_error` receives
    internal errors. `load` and `store` read and write the document of a server.
    """

    prepare: Callable[[SqlServerReading], Callable[[], bool]]
    on_forgotten: Callable[[str], None] = lambda _address: None
    on_internal_error: Callable[[Exception], None] = lambda _error: None
    load: Callable[[str], Mapping[str, Any] | None] = lambda _address: None
    store: Callable[[str, Mapping[str, Any]], None] = lambda _address, _document: None


@dataclass(slots=True)
class _ServerEntry:
    """One server. `due` is a loop time."""

    state: ServerState
    due: float = 0.0
    logged: str = ""  # the failure that was logged last


class SqlServerMonitor:
    """Reads SQL Servers periodically. Use it from one event loop."""

    def __init__(
        self,
        config: Config,
        reader: Reader,
        callbacks: SqlServerCallbacks,
        *,
        clock: Callable[[], float] = time.time,
        draw: Callable[[], float] = random.random,
    ) -> None:
        """`clock` gives Unix time, `draw` a number in [0, 1]."""
        self._config, self._reader, self._callbacks = config, reader, callbacks
        self._clock, self._draw = clock, draw
        self._slots, self._retries = asyncio.Semaphore(CONCURRENT_READINGS), asyncio.Semaphore(_CONCURRENT_RETRIES)
        self._entries = {address: _ServerEntry(_first_state(config, address)) for address in config.sql_servers}
        self._runner = PeriodicRunner(
            self._read_due,
            pause=lambda _entry: self._config.settings.sql_interval,
            on_error=lambda _entry, error: callbacks.on_internal_error(error),
            name="reading of",
        )

    async def restore(self) -> None:
        """Use what an earlier process knew. Call it before `start`."""
        for entry in self._entries.values():
            await self._restore_entry(entry)
        await self._mark_contested()

    def start(self) -> None:
        """Start the periodic readings, spread over the interval."""
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
            self._callbacks.on_forgotten(address)
        for address in config.sql_servers:
            state, entry = _first_state(config, address), self._entries.get(address)
            if entry is None:
                self._entries[address] = _ServerEntry(state)
                await self._restore_entry(self._entries[address])
            elif (state.server, state.credential) == (entry.state.server, entry.state.credential):
                if interval < before.settings.sql_interval:
                    self._runner.advance(address, loop_time() + interval * self._draw())
                continue
            else:
                self._runner.stop(address)
                entry.state = _state_with(state, labelled(entry.state.reading, state.server), entry.state.lockout)
                if entry.state.reading.document is not None:
                    await self._show(entry)
            self._start_reading(address)
        await self._mark_contested()

    async def aclose(self) -> None:
        """End all readings without waiting for their threads."""
        self._reader.close()
        await self._runner.aclose()

    def readings(self) -> tuple[SqlServerReading, ...]:
        """Return what is known of each server, in the order of the configuration."""
        return tuple(self._entries[address].state.reading for address in self._config.sql_servers if address in self._entries)

    def _start_reading(self, address: str) -> None:
        entry = self._entries[address]
        spread = min(self._config.settings.sql_interval, _SPACING * len(self._config.sql_servers))
        entry.due = loop_time() + self._draw() * spread
        self._runner.start(address, entry)

    async def _read_due(self, entry: _ServerEntry) -> None:
        if self._reader.is_busy(entry.state.server.address):
            entry.due = loop_time() + BUSY_SECONDS
            return
        async with self._retries if entry.state.reading.failure else contextlib.nullcontext(), self._slots:
            attempt = await self._reader.read(entry.state, self._clock())
            if attempt is None:
                entry.due = loop_time() + LOCKED_SECONDS
                return
            entry.due = loop_time() + self._config.settings.sql_interval * (1 - JITTER + 2 * JITTER * self._draw())
            entry.state = _state_with(entry.state, attempt.reading, attempt.lockout)
            await self._add(entry, attempt)

    async def _add(self, entry: _ServerEntry, attempt: Attempt) -> None:
        reading = attempt.reading
        if reading.failure != entry.logged:
            entry.logged = reading.failure
            _log_change(reading)
        if attempt.stored is not None:
            self._callbacks.store(reading.address, attempt.stored)
        await self._mark_contested()
        await self._show(entry)

    async def _mark_contested(self) -> None:
        """Mark the servers that answer with the names of another one, and show those that changed: before the one that has the names."""
        found = contested_addresses(entry.state.reading for entry in self._entries.values())
        changed = [entry for address, entry in self._entries.items() if entry.state.reading.contested != (address in found)]
        for entry in changed:
            reading = replace(entry.state.reading, contested=not entry.state.reading.contested)
            entry.state = replace(entry.state, reading=reading)
        for entry in sorted(changed, key=lambda entry: not entry.state.reading.contested):
            if entry.state.reading.contested:
                problem = _CONTESTED.format(shown_name(entry.state.reading))
                _log.warning("SQL Servers have the same names", extra=fields(server=entry.state.reading.address, problem=problem))
            await self._show(entry)

    async def _show(self, entry: _ServerEntry) -> None:
        with reported(self._callbacks.on_internal_error):
            while True:
                reading = entry.state.reading
                show = await self._reader.compute(self._callbacks.prepare, reading)
                if reading is entry.state.reading and not show():
                    return

    async def _restore_entry(self, entry: _ServerEntry) -> None:
        server = entry.state.server
        with reported(self._callbacks.on_internal_error):
            document = self._callbacks.load(server.address)
            if document is None:
                return
            try:
                reading, lockout = await self._reader.compute(restored, document, server)
            except ValueError as error:
                _log.warning("state", extra=fields(problem=f"the stored reading of {server.address} {error} and is ignored"))
                return
            entry.state = _state_with(entry.state, reading, lockout)
            await self._show(entry)


def _first_state(config: Config, address: str) -> ServerState:
    server = config.sql_servers[address]
    credential = None if server.entra_credential is None else config.credentials[server.entra_credential]
    return ServerState(server=server, credential=credential, reading=unread(server))


def _state_with(state: ServerState, reading: SqlServerReading, lockout: Lockout | None) -> ServerState:
    return replace(state, reading=reading, lockout=lockout)


def _log_change(reading: SqlServerReading) -> None:
    """Log that a server cannot be read, or that it was read again."""
    if reading.failure:
        _log.warning("SQL Server not read", extra=fields(server=reading.address, problem=reading.failure))
    else:
        _log.info("SQL Server read again", extra=fields(server=reading.address))

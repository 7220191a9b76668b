"""The SQL Servers of the configuration, which the running exporter reads.

This module alone knows `sqlservers`. It imports that package if the configuration names a SQL Server.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from exporter.config.settings import Config
from exporter.core.model import TokenResult
from exporter.metrics.recorder import Recorder
from exporter.runtime.extras import ExtraMissingError
from exporter.state.files import DocumentKind
from exporter.state.store import StateStore
from exporter.tde.sql_reading import SqlServerReading
from exporter.tokens.database import DatabaseTokens

if TYPE_CHECKING:
    from exporter.sqlservers.monitor import SqlServerMonitor


class SqlServerReadings:
    """What is known of the SQL Servers: nothing unless `enabled`.

    Use it from one event loop.
    """

    def __init__(
        self, store: StateStore, recorder: Recorder, *, enabled: bool, on_internal_error: Callable[[Exception], None]
    ) -> None:
        self._store, self._recorder, self._enabled, self._on_internal_error = store, recorder, enabled, on_internal_error
        self._config: Config | None = None
        self._monitor: SqlServerMonitor | None = None
        self._tokens: DatabaseTokens | None = None

    def require_driver(self, config: Config) -> None:
        """Raise ExtraMissingError if the driver is needed and not installed."""
        if not config.sql_servers or not self._enabled:
            return
        from exporter.sqlservers.driver import is_installed  # noqa: PLC0415 - see above

        if not is_installed():
            raise ExtraMissingError("sql")

    async def apply(self, config: Config) -> None:
        """Read the SQL Servers of this configuration from now on."""
        before, self._config = self._config, config
        if not self._enabled or (self._monitor is None and not config.sql_servers):
            return
        tokens = self._tokens
        if tokens is None or before is None or (before.credentials, before.modules) != (config.credentials, config.modules):
            self._tokens = DatabaseTokens(config, on_request=lambda: self._recorder.requested("entra"))
        if self._monitor is None:
            self._monitor = self._make_monitor(config)
            self._monitor.restore()
            self._monitor.start()
        else:
            self._monitor.reconfigure(config)
        if tokens is not None and tokens is not self._tokens:
            await tokens.aclose()

    async def aclose(self) -> None:
        """End all readings without waiting for a server."""
        if self._monitor is not None:
            await self._monitor.aclose()
        if self._tokens is not None:
            await self._tokens.aclose()

    def reading_of(self, address: str) -> SqlServerReading | None:
        """Return what is known of a SQL Server; None if this exporter does not read it."""
        return None if self._monitor is None else self._monitor.reading_of(address)

    def readings(self) -> tuple[SqlServerReading, ...]:
        """Return what is known of each SQL Server."""
        return () if self._monitor is None else self._monitor.readings()

    def _make_monitor(self, config: Config) -> SqlServerMonitor:
        from exporter.sqlservers.attempt import ServerReader  # noqa: PLC0415 - see above
        from exporter.sqlservers.monitor import SqlServerCallbacks, SqlServerMonitor  # noqa: PLC0415

        callbacks = SqlServerCallbacks(
            on_reading=self._recorder.sql_server_read,
            on_forgotten=self._forget,
            on_internal_error=self._on_internal_error,
            load=partial(self._store.recall_document, DocumentKind.SQL_SERVER),
            store=partial(self._store.keep_document, DocumentKind.SQL_SERVER),
        )
        return SqlServerMonitor(config, ServerReader(self._token_of), callbacks)

    async def _token_of(self, credential: str) -> TokenResult:
        while True:
            tokens = self._tokens
            assert tokens is not None  # noqa: S101 - `apply` made it
            result = await tokens.token_of(credential)
            if result.token is not None or tokens is self._tokens:
                return result  # else a reload has ended the request

    def _forget(self, address: str) -> None:
        self._recorder.forget_sql_server(address)
        self._store.forget_document(DocumentKind.SQL_SERVER, address)

"""Readings of SQL Servers of the configuration, for a command."""

from __future__ import annotations

import contextlib
import time
from collections.abc import AsyncIterator
from dataclasses import replace

from exporter.config.settings import Config, SqlServer
from exporter.doctor.collect import ReadSqlServer
from exporter.runtime.extras import is_installed
from exporter.sqlservers.attempt import ServerReader, ServerState
from exporter.sqlservers.driver import NEEDED
from exporter.sqlservers.last_reading import unread
from exporter.tde.sql_reading import SqlServerReading
from exporter.tokens.database import DatabaseTokens


@contextlib.asynccontextmanager
async def sql_server_reader(config: Config) -> AsyncIterator[ReadSqlServer]:
    """Yield a function that reads a SQL Server once, as `run` does.

    Without the driver, each reading is a failure.
    """
    tokens = DatabaseTokens(config, on_request=lambda: None)
    reader = ServerReader(tokens.token_of)

    async def read(server: SqlServer) -> SqlServerReading:
        before, credential = unread(server), config.credentials.get(server.entra_credential or "")
        if not is_installed("sql"):
            return replace(before, failure=NEEDED)
        attempt = await reader.read(ServerState(server=server, credential=credential, reading=before), time.time())
        return before if attempt is None else attempt.reading

    try:
        yield read
    finally:
        reader.close()
        await tokens.aclose()

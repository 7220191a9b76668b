"""Serves the series of simulated SQL Servers, which it reads at each scrape: `run` reads them once a minute at most."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Mapping
from pathlib import Path

from aiohttp import web

from exporter.core.names import parse_sql_address
from exporter.metrics.recorder import Recorder
from exporter.metrics.sql_server import alert_samples
from exporter.sqlserver.alerting import Watch, WatchedServer, watched
from exporter.sqlserver.read import SqlServerAccess, read_server
from exporter.sqlserver.reading import SqlServerReading
from exporter.sqlserver.script import batches, proof_batches
from exporter.sqlserver.tds import SqlLogin, make_context
from tests.support.metric_factories import a_config, show_reading


def _read(address: str, labels: tuple[str, str], access: SqlServerAccess) -> SqlServerReading:
    document = read_server(parse_sql_address(address), access, batches() + proof_batches())
    now = time.time()
    return SqlServerReading(
        address=address,
        sql_instance=labels[0],
        host=labels[1],
        attempted_at=now,
        document=document,
        read_at=dict.fromkeys(document.sections, now),
        failure=document.failure or "",
    )


@contextlib.asynccontextmanager
async def serving(own: str, servers: Mapping[str, tuple[str, str]], password: str, ca_file: Path) -> AsyncIterator[None]:
    """Serve `/metrics` on `own`; `servers` has the instance and host of each address."""
    context = make_context(str(ca_file), verify=True)
    access = SqlServerAccess(SqlLogin(user="ekm", password=password), context, seconds=30.0)
    recorder = Recorder(a_config(), version="1", mode="scheduler")
    watches: dict[str, Watch] = {}

    async def scrape(_request: web.Request) -> web.Response:
        for reading in await asyncio.gather(*(asyncio.to_thread(_read, *server, access) for server in servers.items())):
            show_reading(recorder, reading)
            now, watched_server = time.time(), WatchedServer(reading)
            watches[reading.address] = watch = watched(watches.get(reading.address), watched_server, now)
            samples = alert_samples(watch, watched_server, (), 60.0, now)
            recorder.sql_servers.render(reading, samples)()
        body = b"".join([piece async for piece in recorder.scrape(openmetrics=False)])
        return web.Response(body=body, content_type="text/plain")

    app = web.Application()
    app.router.add_get("/metrics", scrape)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    host, _, port = own.partition(":")
    try:
        await web.TCPSite(runner, host, int(port), reuse_address=True).start()
        yield
    finally:
        await runner.cleanup()

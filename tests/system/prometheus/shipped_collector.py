"""Serves the series of deploy/sql/ekm.collector.yml, with the queries and rules of the file as it is shipped.

The program that the collector is written for is no Debian package. This one follows its documentation: each query runs once for a scrape, a value
that is NULL makes no series, and a server that does not answer makes the scrape fail.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pymssql
from aiohttp import web
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily

from tests.system.prometheus.sql_exporter import collector, queries


class _Scrape:
    """The series of one server at one moment."""

    def __init__(self, rows: dict[str, list[dict[str, Any]]]) -> None:
        self._rows = rows

    def collect(self) -> Iterator[GaugeMetricFamily]:
        for metric in collector()["metrics"]:
            family = GaugeMetricFamily(metric["metric_name"], metric["help"], labels=metric["key_labels"])
            for row in self._rows[metric["metric_name"]]:
                value = row[metric["values"][0]] if "values" in metric else metric["static_value"]
                if value is not None:
                    family.add_metric([row[label] for label in metric["key_labels"]], value)
            yield family


def _rows(port: int, password: str) -> dict[str, list[dict[str, Any]]]:
    connection = pymssql.connect(server="127.0.0.1", port=port, user="ekm", password=password, login_timeout=30, timeout=30)
    try:
        with connection.cursor(as_dict=True) as cursor:
            found: dict[str, list[dict[str, Any]]] = {}
            for name, query in queries().items():
                cursor.execute(query)
                found[name] = cursor.fetchall()
            return found
    finally:
        connection.close()


@contextlib.asynccontextmanager
async def serving(address: str, port: int, password: str) -> AsyncIterator[None]:
    """Serve the series of the SQL Server at `port` on `address`, as `/metrics`."""

    async def scrape(_request: web.Request) -> web.Response:
        registry = CollectorRegistry()
        registry.register(_Scrape(await asyncio.to_thread(_rows, port, password)))
        return web.Response(body=generate_latest(registry), content_type="text/plain")

    app = web.Application()
    app.router.add_get("/metrics", scrape)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    host, _, own = address.partition(":")
    try:
        await web.TCPSite(runner, host, int(own), reuse_address=True).start()
        yield
    finally:
        await runner.cleanup()

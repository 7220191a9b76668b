"""The series of all SQL Servers: those of one are replaced as a whole by each reading."""

from __future__ import annotations

from exporter.metrics.exposition import Exposition
from exporter.metrics.rendering import OwnerValues, render_gauges
from exporter.metrics.spec import SeriesScope
from exporter.metrics.sql_server_samples import labels_of, sql_server_samples
from exporter.metrics.text_format import Labels
from exporter.tde.sql_reading import SqlServerReading


class SqlServerSeries:
    """Each SQL Server has its series once: of two addresses with the same labels, the first one."""

    def __init__(self, exposition: Exposition) -> None:
        self._exposition = exposition
        self._addresses: dict[Labels, str] = {}
        self._labels: dict[str, Labels] = {}

    def show(self, reading: SqlServerReading) -> None:
        """Replace the series of a SQL Server."""
        address, base = reading.address, labels_of(reading)
        if self._labels.get(address, base.labels) != base.labels:
            self.forget(address)
        if self._addresses.setdefault(base.labels, address) != address:
            return
        self._labels[address] = base.labels
        owner = OwnerValues(address, base, sql_server_samples(reading))
        self._exposition.put(render_gauges([owner], self._exposition.names, encodes=self._exposition.encodes))

    def forget(self, address: str) -> None:
        """Remove the series of a SQL Server."""
        labels = self._labels.pop(address, None)
        if labels is not None:
            del self._addresses[labels]
            self._exposition.drop(SeriesScope.SQL_SERVER, address)

"""The series of all SQL Servers: those of one are replaced as a whole by each reading."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, NamedTuple

from exporter.metrics.exposition import Exposition
from exporter.metrics.rendering import OwnerValues, Rendered, render_gauges
from exporter.metrics.spec import SeriesScope
from exporter.metrics.text_format import Labels

if TYPE_CHECKING:
    from exporter.tde.differences import Difference
    from exporter.tde.sql_reading import SqlServerReading


class SqlServerLines(NamedTuple):
    """The rendered series of a SQL Server, and the labels that they share."""

    address: str
    base: Labels
    rendered: list[Rendered]


class SqlServerSeries:
    """The labels of a SQL Server are its own: of servers that answer with one name, `SqlServerReading.contested` has those without it."""

    def __init__(self, exposition: Exposition) -> None:
        self._exposition = exposition
        self._labels: dict[str, Labels] = {}  # by address

    def render(self, reading: SqlServerReading, differences: Iterable[Difference] = ()) -> SqlServerLines:
        """Return the series of a SQL Server.

        They include those of its differences from the configuration. Any thread may call: a large one takes 50 ms.
        """
        from exporter.metrics.sql_server_samples import labels_of, sql_server_samples  # noqa: PLC0415 - with all rules of `tde`

        base = labels_of(reading)
        owner = OwnerValues(reading.address, base, sql_server_samples(reading, differences))
        rendered = render_gauges([owner], self._exposition.names, encodes=self._exposition.encodes)
        return SqlServerLines(reading.address, base.labels, rendered)

    def show(self, server: SqlServerLines) -> None:
        """Replace the series of a SQL Server."""
        if self._labels.get(server.address, server.base) != server.base:
            self.forget(server.address)
        self._labels[server.address] = server.base
        self._exposition.put(server.rendered)

    def forget(self, address: str) -> None:
        """Remove the series of a SQL Server."""
        if self._labels.pop(address, None) is not None:
            self._exposition.drop(SeriesScope.SQL_SERVER, address)

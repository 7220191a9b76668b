"""The series of all SQL Servers: those of one are replaced as a whole by each reading."""

from __future__ import annotations

from collections.abc import Callable, Iterable
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
    """Each SQL Server has its series once: of two addresses with the same labels, the first one.

    `addresses` returns them in the order of the configuration.
    """

    def __init__(self, exposition: Exposition, addresses: Callable[[], Iterable[str]]) -> None:
        self._exposition, self._configured = exposition, addresses
        self._addresses: dict[Labels, str] = {}
        self._labels: dict[str, Labels] = {}

    def render(self, reading: SqlServerReading, differences: Iterable[Difference] = ()) -> SqlServerLines:
        """Return the series of a SQL Server.

        They include those of its differences from the configuration. Any thread may call: a large one takes 50 ms.
        """
        from exporter.metrics.sql_server_samples import labels_of, sql_server_samples  # noqa: PLC0415 - with all rules of `tde`

        base = labels_of(reading)
        owner = OwnerValues(reading.address, base, sql_server_samples(reading, differences))
        rendered = render_gauges([owner], self._exposition.names, encodes=self._exposition.encodes)
        return SqlServerLines(reading.address, base.labels, rendered)

    def show(self, server: SqlServerLines) -> str | None:
        """Replace the series of a SQL Server.

        Return the address that has the same labels, None if there is none. Only the first of the two has series.
        """
        address, base = server.address, server.base
        if self._labels.get(address, base) != base:
            self.forget(address)
        other = self._addresses.get(base, address)
        if other != address:
            if next((each for each in self._configured() if each in (address, other)), other) == other:
                return other
            self.forget(other)
        self._addresses[base], self._labels[address] = address, base
        self._exposition.put(server.rendered)
        return None if other == address else other

    def forget(self, address: str) -> None:
        """Remove the series of a SQL Server."""
        labels = self._labels.pop(address, None)
        if labels is not None:
            del self._addresses[labels]
            self._exposition.drop(SeriesScope.SQL_SERVER, address)

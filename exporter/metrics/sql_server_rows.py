"""The rows of a reading that become series: bounded in number, with label values that are bounded in length."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from exporter.core.durations import known_time
from exporter.metrics.sql_server_definitions import FEW, MOST
from exporter.tde.document import Document
from exporter.tde.fields import Row
from exporter.tde.model import EKM_OPTION, OPEN, printable
from exporter.tde.registry import thumbprint_of

_LONGEST = 256  # characters of a label value: names of SQL Server have 128
_LARGEST = 2**53  # whole numbers up to here are exact as a value
# The column with the name of the database.
_COLUMNS = dict.fromkeys(("encryption", "opened", "backups", "logs"), "database") | {"databases": "name"}
_TEMPDB = "tempdb"  # no vault protects its key


@dataclass(frozen=True, slots=True)
class SqlServerRows:
    """The rows of a reading without those that have no series. `databases` has the label of each name."""

    groups: tuple[str, ...]
    providers: tuple[Row, ...]
    credentials: tuple[Row, ...]
    keys: tuple[Row, ...]
    databases: Mapping[str, str]
    left_out: int
    sections: Mapping[str, tuple[Row, ...]]

    def section(self, name: str) -> tuple[Row, ...]:
        return self.sections.get(name, ())

    def listed_databases(self, name: str) -> Iterable[tuple[str, Row]]:
        """Yield the label and the row of each database in a section."""
        return ((self.databases[_database(name, row)], row) for row in self.section(name))


def rows_of(document: Document) -> SqlServerRows:
    """Return what a SQL Server has series for."""
    sections = document.sections
    groups = sorted({label(row, "ag") for row in sections.get("replicas", ())})
    names = _databases(sections)
    listed = {name: sorted(sections.get(name, ()), key=_name) for name in ("providers", "credentials", "keys")}
    databases = {name: text(name) for name in names[:MOST]}
    limits = ((groups, FEW), (names, MOST), (listed["providers"], FEW), (listed["credentials"], FEW), (listed["keys"], MOST))
    return SqlServerRows(
        groups=tuple(groups[:FEW]) or ("",),
        providers=tuple(listed["providers"][:FEW]),
        credentials=tuple(listed["credentials"][:FEW]),
        keys=tuple(listed["keys"][:MOST]),
        databases=databases,
        left_out=sum(max(0, len(found) - most) for found, most in limits),
        sections={
            name: tuple(row for row in found if _database(name, row) in databases) if name in _COLUMNS else found
            for name, found in sections.items()
        },
    )


def _database(section: str, row: Row) -> str:
    return str(row.get(_COLUMNS[section], ""))


def _databases(sections: Mapping[str, Collection[Row]]) -> list[str]:
    """Return the databases that are encrypted or not online; those that are not online come first."""
    found = {_database("encryption", row): True for row in sections.get("encryption", ())}
    for row in sections.get("databases", ()):
        name, is_open = _database("databases", row), row.get("state", "") in OPEN
        if name in found or row.get("is_encrypted") == 1 or not is_open:
            found[name] = is_open
    return sorted((name for name in found if name.lower() not in ("", _TEMPDB)), key=lambda name: (found[name], name))


def _name(row: Row) -> str:
    return str(row.get("name", ""))


def text(value: str) -> str:
    """Return a text of a server as the value of a label."""
    return printable(value[:_LONGEST])


def label(row: Row, column: str) -> str:
    """Return a cell as the value of a label; empty if it is missing."""
    return text(str(row.get(column, "")))


def thumbprint(row: Row) -> str:
    """Return the thumbprint of a row, as targets have theirs; empty if it is missing."""
    found = label(row, "thumbprint")
    return thumbprint_of(found) if found else ""


def number(row: Row, column: str) -> float | None:
    """Return a cell with a whole number, None if it is none."""
    value = row.get(column)
    return float(value) if isinstance(value, int) and abs(value) <= _LARGEST else None


def time(row: Row, column: str) -> float | None:
    """Return a cell with a time as a Unix time, None if it is none."""
    return known_time(str(row.get(column, "")))


def providers_are_on(rows: SqlServerRows) -> bool:
    """Whether the server option allows EKM providers; an unknown option does."""
    return all(row.get("value_in_use") != 0 for row in rows.section("configurations") if row.get("name") == EKM_OPTION)

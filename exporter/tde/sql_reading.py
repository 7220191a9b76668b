"""What is known of one SQL Server that `run` reads: each section from its last good reading."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar

from exporter.core.sql_servers import server_name
from exporter.tde.document import Document
from exporter.tde.fields import Row
from exporter.tde.identity import asked_host
from exporter.tde.model import Instance, instance_of

TRACE_FLAG: Final = 15025  # with it, a new log file needs no request to the vault
_T = TypeVar("_T")
BACKUP_TYPES: Final = {"D": "full", "I": "differential", "L": "log"}  # by their letter in the section `backups`


@dataclass(frozen=True, slots=True, kw_only=True)
class SqlServerReading:
    """The sections of one SQL Server, with the time of each. Times are Unix times.

    `sql_instance` and `host` are the labels of its series: from the configuration, else as read; empty until the first reading.
    `document` is None until the first reading. A section that was not read again keeps its rows and its time.
    `earlier_logs` are the rows of the section `logs` of the reading before, for rates. `stalled` has each database whose log no longer grows and
    that no log backup followed: since when, and its last rate in bytes per second.
    `configured` is whether the configuration has its host, `contested` whether another server answers with its names, too.
    """

    address: str
    sql_instance: str
    host: str
    attempted_at: float
    document: Document | None = None
    read_at: Mapping[str, float] = field(default_factory=dict)  # of each section
    failure: str = ""  # of the last attempt as a whole; empty if it read the server
    refused: bool = False  # the login was refused: no attempt until its secret changes, or an hour has passed
    earlier_logs: tuple[float, tuple[Mapping[str, str | int], ...]] | None = None  # Unix time, rows
    stalled: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    configured: bool = False
    contested: bool = False
    derived: dict[object, Any] = field(default_factory=dict, init=False, repr=False, compare=False)  # by `once`


def once(rule: Callable[[SqlServerReading], _T]) -> Callable[[SqlServerReading], _T]:
    """Apply a rule to each reading once: metrics, pages and gate need the same values.

    Two threads that need them at the same time may both apply it.
    """

    @functools.wraps(rule)
    def applied(reading: SqlServerReading) -> _T:
        if rule not in reading.derived:
            reading.derived[rule] = rule(reading)
        return reading.derived[rule]  # type: ignore[no-any-return]

    return applied


def shown_name(reading: SqlServerReading) -> str:
    """Return the name of the SQL Server, with its address if another one answers with this name, too."""
    name = server_name({"sql_instance": reading.sql_instance, "host": reading.host})
    return f"{reading.address} (answers as {name})" if reading.contested else name


def contested_addresses(readings: Iterable[SqlServerReading]) -> frozenset[str]:
    """Return the addresses of SQL Servers that answer with the names of another one.

    One of them keeps the names: that of the configuration, else the one that was asked under its host. None hides another.
    """
    all_readings = tuple(readings)
    addresses = {each.address.casefold() for each in all_readings}
    by_name = dict[str, list[SqlServerReading]]()
    found = set[str]()
    for each in all_readings:
        if each.sql_instance:
            name = {"sql_instance": each.sql_instance, "host": each.host}
            by_name.setdefault(server_name(name).casefold(), []).append(each)
            if each.sql_instance.casefold() in addresses - {each.address.casefold()}:  # an address stands for unknown names
                found.add(each.address)
    for same in by_name.values():
        best = max(map(_claim, same))
        owners = [each for each in same if _claim(each) == best]
        if len(same) > 1:
            found |= {each.address for each in same if len(owners) > 1 or each is not owners[0]}
    return frozenset(found)


def _claim(reading: SqlServerReading) -> int:
    """Return how well its names are known to be its own."""
    return 2 if reading.configured else int(bool(asked_host(reading.address, reading.host)))


def rows(reading: SqlServerReading, section: str) -> tuple[Row, ...]:
    """Return the rows of a section; none if it was never read."""
    return () if reading.document is None else reading.document.sections.get(section, ())


def section_age(reading: SqlServerReading, section: str, now: float) -> float:
    """Return the seconds since a section was last read as a whole; infinite if it never was."""
    return now - reading.read_at.get(section, -math.inf)


def known_instance(reading: SqlServerReading) -> Instance | None:
    """Return the instance, None if it was never read."""
    document = reading.document
    return None if document is None or not rows(reading, "instance") else instance_of(document)


def flag_is_on(reading: SqlServerReading, flag: int) -> bool | None:
    """Return whether a trace flag is on, None if unknown."""
    return next((row.get("is_on") == 1 for row in rows(reading, "flags") if row.get("flag") == flag), None)

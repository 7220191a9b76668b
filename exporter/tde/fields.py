"""What SQL Server allows in the fields of a section.

A section with another value is damaged as a whole: it is an error of that section, never a shorter list.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence

from exporter.core.durations import known_time
from exporter.tde.registry import RegistryUri

Row = Mapping[str, str | int]

MOST_ROWS = 5_000  # of a section without databases
_MOST_ROWS = dict.fromkeys(
    ("databases", "encryption", "opened", "backups", "logs"), 40_000
)  # an instance has at most 32,767 databases
LONGEST = 8000  # characters of any value: as hex digits, varbinary(4000)
MESSAGE = 2048  # characters of a message of SQL Server
# Characters of a name: sysname has 128. The replicas of an availability group have 256.
_NAMES: Mapping[str, int] = dict.fromkeys(
    ("name", "machine", "instance_name", "node", "provider", "credential", "login", "database", "ag"), 128
) | {"server_name": 256}
# Characters of other texts: most become values of labels.
_LONGEST = {"code": 20, "type": 1, "reuse_wait": 60, "provider_version": 256, "friendly_name": 2048, "volume": 512}
# Fields of proof.sql whose values are numbers and times: rates and ages follow from them.
_NUMBERS = frozenset(
    {"percent_complete", "vlf_sequence_number", "vlf_count", "vlf_mb", "total_kb", "used_kb", "since_backup_kb"}
    | {"limit_kb", "disk_free_kb", "flag", "is_on", "lines"}
)
_LARGEST = 2**63 - 1  # bigint
_TIME = len("2026-11-24T12:00:00")  # UTC
_TIMES = frozenset(
    {"opened_utc", "set_utc", "started_utc", "finished_utc", "first_utc", "last_utc", "log_backup_utc", "earlier_utc"}
)
_COMPUTERS = frozenset({"server_name", "machine", "instance_name", "node"})
# A database may have any name of 128 characters, blanks included: it becomes part of comments only.
_DATABASES = frozenset(
    {("databases", "name"), *((section, "database") for section in ("encryption", "opened", "backups", "logs"))}
)
_LONGEST_OF_URIS = {"thumbprint": 128, "uri": 2048}
_ACTION = "find out who or what changed this reading"
NO_ROWS = f"the section has no list of whole rows: {_ACTION}"
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff\ufffe\uffff]")


def section_problem(section: str, rows: Sequence[Row]) -> str | None:
    """Return why no SQL Server has these rows, None if one may have them."""
    if len(rows) > (most := _MOST_ROWS.get(section, MOST_ROWS)):
        return f"the section has {len(rows)} rows, more than {most}: {_ACTION}"
    found = (_problem(section, str(field), value) for row in rows for field, value in row.items())
    return next((problem for problem in found if problem is not None), None)


def uris_problem(uris: Iterable[RegistryUri]) -> str | None:
    """Return why no registry has these entries, None if one may have them."""
    for uri in uris:
        for field, longest in _LONGEST_OF_URIS.items():
            if len(text := str(getattr(uri, field))) > longest:
                return _too_long(field, len(text), longest)
    return None


def _problem(section: str, field: str, value: str | int) -> str | None:
    text = str(value)
    longest = _NAMES.get(field) or _LONGEST.get(field, LONGEST)
    if not field.isidentifier() or len(field) > _NAMES["name"]:
        return f"a field has a name that no section has: {_ACTION}"
    if len(text) > longest:
        return _too_long(field, len(text), longest)
    if field in _NUMBERS and not (isinstance(value, int) and 0 <= value <= _LARGEST):
        return f"the field {field} is no number that SQL Server has: {_ACTION}"
    if field in _TIMES and not (isinstance(value, str) and len(value) == _TIME and known_time(value) is not None):
        return f"the field {field} is no time: {_ACTION}"
    if field not in _NAMES or (section, field) in _DATABASES:
        return None
    if not text.strip():
        return f"the field {field} is blank, which no name in SQL Server is: {_ACTION}"
    if field in _COMPUTERS and _CONTROL.search(text):
        return f"the field {field} has a control character or a line break, which no name of a computer has: {_ACTION}"
    return None


def _too_long(field: str, length: int, longest: int) -> str:
    return f"the field {field} has {length} characters, more than the {longest} that SQL Server allows: {_ACTION}"

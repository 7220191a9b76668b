"""The codes of the section `errors`: what the error log shows, by code."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from exporter.core.codes import BY_CODE
from exporter.tde.fields import Row

OTHER = "other"
BACKUP_MESSAGES = ("18204", "3041")  # a backup device failed; a backup failed
OPEN_MESSAGES = ("33027", "33111")  # the DLL was not loaded; a key is missing: neither has a code of the provider
_KNOWN = frozenset({*map(str, BY_CODE), *BACKUP_MESSAGES, *OPEN_MESSAGES})


def known_codes(rows: Iterable[Row]) -> tuple[Row, ...]:
    """Return the rows with known codes; all others are one row, `other`.

    That row exists whenever the log was read.
    """
    groups: dict[str, list[Row]] = {OTHER: []}
    for row in rows:
        code = str(row.get("code"))
        groups.setdefault(code if code in _KNOWN else OTHER, []).append(row)
    return tuple(dict(_joined(code, group)) for code, group in groups.items())


def _joined(code: str, rows: list[Row]) -> Iterator[tuple[str, str | int]]:
    yield "code", code
    yield "lines", sum(int(row.get("lines", 0)) for row in rows)
    for field, choose in (("first_utc", min), ("last_utc", max)):
        if times := [str(row[field]) for row in rows if field in row]:
            yield field, choose(times)

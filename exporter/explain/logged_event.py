"""An event of a Windows event log, and whether it is about a key provider."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum

from exporter.explain.messages import EKM_MESSAGES

OBJECT_NOT_FOUND = 15151  # the object may be a key, which the provider did not return
LONGEST = 4000  # characters of an event that are read
_CONNECTOR = re.compile(r"sql server connector|key ?vault|\bekm\b", re.IGNORECASE)
_SQL_SERVER = re.compile(r"MSSQLSERVER|MSSQL\$\S+", re.IGNORECASE)
_KEY_WORDS = re.compile(r"key|credential|provider|certificate", re.IGNORECASE)
_PROVIDER_CODE = re.compile(r"provider error", re.IGNORECASE)
_FRACTION = re.compile(r"(\.\d{6})\d+")


class Origin(StrEnum):
    """The program that wrote an event; the values are in JSON."""

    CONNECTOR = "connector"
    SQL_SERVER = "sql_server"


@dataclass(frozen=True, slots=True, kw_only=True)
class LoggedEvent:
    """An event. `texts` are its strings, unmasked; `at` is in UTC, None if unreadable."""

    origin: Origin
    at: datetime | None
    provider: str
    number: int | None
    computer: str
    texts: tuple[str, ...]


def moment_of(text: str) -> datetime | None:
    """Return an ISO 8601 time in UTC, which is also the default; None for any other text."""
    try:
        moment = datetime.fromisoformat(_FRACTION.sub(r"\1", text.strip()))
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def origin_of(provider: str, number: int | None, texts: tuple[str, ...]) -> Origin | None:
    """Return the program that wrote the event; None if the event is about no key provider."""
    if _CONNECTOR.search(provider):
        return Origin.CONNECTOR
    if not _SQL_SERVER.fullmatch(provider):
        return None
    whole = " ".join(texts)
    wraps = number in EKM_MESSAGES or _PROVIDER_CODE.search(whole) or (number == OBJECT_NOT_FOUND and _KEY_WORDS.search(whole))
    return Origin.SQL_SERVER if wraps else None

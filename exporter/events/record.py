"""One record of a saved Windows event log, from the JSON of the parser."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from exporter.explain.messages import EKM_MESSAGES

OBJECT_NOT_FOUND = 15151  # the object may be a key, which the provider did not return
LONGEST = 4000  # characters of an event that are read
_HIGHEST_ID = 0xFFFF
_DEEPEST = 16  # elements within elements
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


def read_event(text: str) -> LoggedEvent | None:
    """Return the event of a record's JSON; None if it is about no key provider."""
    try:
        event = json.loads(text)["Event"]
        system = event["System"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return None
    if not isinstance(event, dict) or not isinstance(system, dict):
        return None
    provider, number, texts = _attribute(system.get("Provider"), "Name"), _number(system.get("EventID")), _texts(event)
    origin = _origin_of(provider, number, texts)
    if origin is None:
        return None
    return LoggedEvent(
        origin=origin,
        at=moment_of(_attribute(system.get("TimeCreated"), "SystemTime")),
        provider=provider,
        number=number,
        computer=_word(system.get("Computer")),
        texts=texts,
    )


def moment_of(text: str) -> datetime | None:
    """Return an ISO 8601 time in UTC, which is also the default; None for any other text."""
    try:
        moment = datetime.fromisoformat(_FRACTION.sub(r"\1", text.strip()))
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def _origin_of(provider: str, number: int | None, texts: tuple[str, ...]) -> Origin | None:
    if _CONNECTOR.search(provider):
        return Origin.CONNECTOR
    if not _SQL_SERVER.fullmatch(provider):
        return None
    whole = " ".join(texts)
    wraps = number in EKM_MESSAGES or _PROVIDER_CODE.search(whole) or (number == OBJECT_NOT_FOUND and _KEY_WORDS.search(whole))
    return Origin.SQL_SERVER if wraps else None


def _texts(event: dict[str, Any]) -> tuple[str, ...]:
    """Return the strings of an event; a forwarded event has its whole message too."""
    rendered = event.get("RenderingInfo")
    message = rendered.get("Message") if isinstance(rendered, dict) else None
    found: list[str] = []
    left = LONGEST
    for text in _strings([event.get("EventData"), event.get("UserData"), message]):
        if left <= 0:
            break
        found.append(text[:left])
        left -= len(text)
    return tuple(found)


def _strings(value: object, depth: int = 0) -> Iterator[str]:
    """Yield the strings and numbers of a value, without attributes and binary data."""
    if depth > _DEEPEST:
        return
    if isinstance(value, dict):
        for name, each in value.items():
            if name not in ("#attributes", "Binary"):
                yield from _strings(each, depth + 1)
    elif isinstance(value, list):
        for each in value:
            yield from _strings(each, depth + 1)
    elif isinstance(value, str | int) and not isinstance(value, bool) and (text := str(value).strip()):
        yield text


def _attribute(value: object, name: str) -> str:
    attributes = value.get("#attributes") if isinstance(value, dict) else None
    return _word(attributes.get(name)) if isinstance(attributes, dict) else ""


def _word(value: object) -> str:
    return value[:256] if isinstance(value, str) else ""


def _number(value: object) -> int | None:
    """Return an event id; with qualifiers it is an object."""
    plain = value.get("#text") if isinstance(value, dict) else value
    text = str(plain)
    number = int(text) if text.isascii() and text.isdecimal() and len(text) <= 5 else None
    return number if number is not None and number <= _HIGHEST_ID else None

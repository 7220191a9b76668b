"""One record of a saved Windows event log, from the JSON of the parser."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from exporter.explain.logged_event import LONGEST, LoggedEvent, moment_of, origin_of

_HIGHEST_ID = 0xFFFF
_DEEPEST = 16  # elements within elements


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
    origin = origin_of(provider, number, texts)
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

"""An event of a Windows event log, from the XML that Windows renders."""

from __future__ import annotations

from collections.abc import Iterator
from xml.etree.ElementTree import Element, ParseError, fromstring

from exporter.explain.logged_event import LONGEST, LoggedEvent, moment_of, origin_of

_SYSTEM = "{*}System/{*}"
_STRINGS = ("EventData", "UserData")


def read_event_xml(text: str) -> LoggedEvent | None:
    """Return the event; None if the text is no event, or if the event is about no key provider."""
    try:
        event = fromstring(text)  # noqa: S314 - Windows renders the text: it escapes strings and defines no entities
    except ParseError:
        return None
    provider = _attribute(event, "Provider", "Name")
    number = _number(event.findtext(f"{_SYSTEM}EventID", ""))
    texts = tuple(_texts(event))
    origin = origin_of(provider, number, texts)
    if origin is None:
        return None
    return LoggedEvent(
        origin=origin,
        at=moment_of(_attribute(event, "TimeCreated", "SystemTime")),
        provider=provider,
        number=number,
        computer=event.findtext(f"{_SYSTEM}Computer", ""),
        texts=texts,
    )


def _attribute(event: Element, element: str, name: str) -> str:
    found = event.find(_SYSTEM + element)
    return "" if found is None else found.get(name, "")


def _number(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdecimal() and len(text) <= 5 else None


def _texts(event: Element) -> Iterator[str]:
    left = LONGEST
    for part in _STRINGS:
        for element in event.iterfind(f"{{*}}{part}//*"):
            text = (element.text or "").strip()[:left]
            if text and not element.tag.endswith("}Binary"):
                left -= len(text)
                yield text

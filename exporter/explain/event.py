"""Events of a Windows event log about a key provider: from the XML of Windows or the JSON of a saved log to a count by code."""

from __future__ import annotations

import json
import re
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Literal
from xml.etree.ElementTree import Element, ParseError, fromstring

import msgspec

from exporter.core.secrets import mask
from exporter.explain.explanation import Explanation, wrap
from exporter.explain.messages import EKM_MESSAGES, MESSAGES
from exporter.explain.numbers import NUMBER, SMALLEST, read, row_of, translated_codes, without_names
from exporter.explain.search import explain_log_text, explain_message, names_no_cause
from exporter.knowledge.code_row import SHOW_LEVEL, ConnectorError
from exporter.knowledge.codes import BY_CODE, both_numbers

_OBJECT_NOT_FOUND = 15151  # the object may be a key, which the provider did not return
LONGEST = 4000  # characters of an event that are read
_CONNECTOR = re.compile(r"sql server connector|key ?vault|\bekm\b", re.IGNORECASE)
_SQL_SERVER = re.compile(r"MSSQLSERVER|MSSQL\$\S+", re.IGNORECASE)
_KEY_WORDS = re.compile(r"key|credential|provider|certificate", re.IGNORECASE)


Origin = Literal["connector", "sql_server"]  # the program that wrote an event; the values are in JSON


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
        moment = datetime.fromisoformat(re.sub(r"(\.\d{6})\d+", r"\1", text.strip()))
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def _event(provider: str, number: int | None, texts: Iterable[str], at: str, computer: str) -> LoggedEvent | None:
    """Return the event with at most so many characters of its texts; None if it is about no key provider."""
    kept, left = list[str](), LONGEST
    for text in texts:
        kept.append(text[:left])
        left -= len(kept[-1])
        if not left:
            break
    whole, is_own = " ".join(kept), _CONNECTOR.search(provider) is not None
    if not is_own:
        is_named = "provider error" in whole.casefold() or (number == _OBJECT_NOT_FOUND and _KEY_WORDS.search(whole))
        if not (_SQL_SERVER.fullmatch(provider) and (number in EKM_MESSAGES or is_named)):
            return None
    origin: Origin = "connector" if is_own else "sql_server"
    return LoggedEvent(origin=origin, at=moment_of(at), provider=provider, number=number, computer=computer, texts=tuple(kept))


def _number(text: str) -> int | None:
    number = int(text) if text.isascii() and text.isdecimal() and len(text) <= 5 else -1
    return number if 0 <= number <= 0xFFFF else None


# The connector code in an event, whatever the layout and the language of its text.
#
# The layout is published nowhere. A number counts if the table of codes has it, and it stands alone or next to a known word. The
# name of a key is no code, whatever its digits are.

_ALONE = re.compile(rf"\W*{NUMBER}\W*", re.IGNORECASE)
_ANYWHERE = re.compile(rf"(?<![\w./\\])(?<!\d[:-]){NUMBER}(?![\w/\\]|[.:-]\d)", re.IGNORECASE)
_KNOWN_WORD = re.compile(
    r"\b(?:err|error|code|ekm|akv|scp|provider|connector|fail|failed|failure|hresult|result|returned|returns|exception|status)\b"
    r"|scp_err",
    re.IGNORECASE,
)
_CHARACTERS_BEFORE, _CHARACTERS_AFTER = 40, 24  # in which a known word is near a number


def explain_event(event: LoggedEvent) -> Explanation | None:
    """Explain an event by its code, by another known text, or by its message of SQL Server."""
    row = next(_codes(event), None)
    if row is not None and not names_no_cause(row, (event.number or 0,)):
        return Explanation(rows=(row,))
    whole = " ".join(event.texts)
    found = explain_log_text(whole)
    if found is not None or event.origin == "connector" or event.number is None:
        return found
    return explain_message(event.number, whole)


def _codes(event: LoggedEvent) -> Iterator[ConnectorError]:
    """Yield the codes in the event, the surest first."""
    for text in event.texts:
        yield from read(text).codes
    if event.origin == "connector":
        yield from _connector_text_codes(event)
    elif (message := MESSAGES.get(event.number or 0)) is not None and message.has_code:
        yield from _message_codes(event.texts)


def _codes_alone(texts: tuple[str, ...], *, least: int = 0) -> Iterator[ConnectorError]:
    """Yield the codes of the strings that are nothing but a number, the last one first."""
    found = (row_of(match, least=least) for text in reversed(texts) if (match := _ALONE.fullmatch(text)) is not None)
    return (row for row in found if row is not None)


def _message_codes(texts: tuple[str, ...]) -> Iterator[ConnectorError]:
    """Yield the code of a message that has one: its last string that is a number, since names come before it."""
    yield from _codes_alone(texts)
    for text in texts:
        yield from translated_codes(without_names(text))[-1:]


def _connector_text_codes(event: LoggedEvent) -> Iterator[ConnectorError]:
    for text in map(without_names, event.texts):
        for match in _ANYWHERE.finditer(text):
            start, end = match.span()
            around = text[max(0, start - _CHARACTERS_BEFORE) : start], text[end : end + _CHARACTERS_AFTER]
            if any(map(_KNOWN_WORD.search, around)) and (row := row_of(match, least=SMALLEST)) is not None:
                yield row
    yield from _codes_alone(event.texts, least=SMALLEST)
    if event.number is not None and event.number >= SMALLEST and event.number in BY_CODE:
        yield BY_CODE[event.number]


# The XML that Windows renders, and the JSON of the parser of saved logs.

_SYSTEM = "{*}System/{*}"


def read_event_xml(text: str) -> LoggedEvent | None:
    """Return the event; None if the text is no event, or if the event is about no key provider."""
    try:
        event = fromstring(text)  # noqa: S314 - Windows renders the text: it escapes strings and defines no entities
    except ParseError:
        return None
    return _event(
        _attribute(event, "Provider", "Name"),
        _number(event.findtext(f"{_SYSTEM}EventID", "")),
        _texts(event),
        _attribute(event, "TimeCreated", "SystemTime"),
        event.findtext(f"{_SYSTEM}Computer", ""),
    )


def _attribute(event: Element, element: str, name: str) -> str:
    found = event.find(_SYSTEM + element)
    return "" if found is None else found.get(name, "")


def _texts(event: Element) -> Iterator[str]:
    for part in ("EventData", "UserData"):
        for element in event.iterfind(f"{{*}}{part}//*"):
            text = (element.text or "").strip()
            if text and not element.tag.endswith("}Binary"):
                yield text


def read_event(text: str) -> LoggedEvent | None:
    """Return the event of a record's JSON; None if it is about no key provider. A forwarded event has its whole message too."""
    try:
        event = json.loads(text)["Event"]
        system = event["System"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return None
    if not isinstance(event, dict) or not isinstance(system, dict):
        return None
    number, rendered = system.get("EventID"), event.get("RenderingInfo")
    message = rendered.get("Message") if isinstance(rendered, dict) else None
    return _event(
        _record_attribute(system.get("Provider"), "Name"),
        _number(str(number.get("#text") if isinstance(number, dict) else number)),  # with qualifiers it is an object
        _strings([event.get("EventData"), event.get("UserData"), message]),
        _record_attribute(system.get("TimeCreated"), "SystemTime"),
        _word(system.get("Computer")),
    )


def _strings(value: object, left: int = 16) -> Iterator[str]:
    """Yield the strings and numbers of a value, without attributes and binary data, from at most so many levels."""
    if isinstance(value, str | int) and not isinstance(value, bool) and (text := str(value).strip()):
        yield text
    inner = [each for name, each in value.items() if name not in ("#attributes", "Binary")] if isinstance(value, dict) else value
    if isinstance(inner, list) and left:
        for each in inner:
            yield from _strings(each, left - 1)


def _record_attribute(value: object, name: str) -> str:
    attributes = value.get("#attributes") if isinstance(value, dict) else None
    return _word(attributes.get(name)) if isinstance(attributes, dict) else ""


def _word(value: object) -> str:
    return value[:256] if isinstance(value, str) else ""


# Events counted by code, with bounded memory, as text or as JSON data.

MOST_DETAILS = 10_000
NO_CODE = "no code"
_WORD = 80  # characters of a provider or a computer


class EventGroup(msgspec.Struct, kw_only=True):
    """The events with one code, or of one kind without a code, as in JSON: the names are public."""

    label: str
    code: int | None = None
    count: int = 0
    first: datetime | None = None
    last: datetime | None = None
    origins: set[Origin] = msgspec.field(default_factory=set)
    event_ids: set[int] = msgspec.field(default_factory=set)
    name: str = ""
    summary: str = ""
    first_action: str = ""

    def add(self, event: LoggedEvent) -> None:
        self.count += 1
        self.origins.add(event.origin)
        self.event_ids.update([] if event.number is None else [event.number])
        if event.at is not None:
            at = event.at.replace(microsecond=0)
            self.first, self.last = min(self.first or at, at), max(self.last or at, at)


class EventSummary:
    """Groups of events, and the newest details if they are wanted.

    Events outside of `since` and `until` (both included) do not count; one without a time counts if neither is set.
    """

    def __init__(self, *, since: datetime | None = None, until: datetime | None = None, details: bool = False) -> None:
        self._since, self._until = since, until
        self._groups: dict[str, EventGroup] = {}
        self.details: deque[tuple[str, LoggedEvent]] = deque(maxlen=MOST_DETAILS if details else 0)

    @property
    def groups(self) -> list[EventGroup]:
        """The groups, the most frequent first; those without a code last."""
        return sorted(self._groups.values(), key=lambda group: (group.label.startswith(NO_CODE), -group.count, group.label))

    @property
    def count(self) -> int:
        return sum(group.count for group in self._groups.values())

    def add(self, event: LoggedEvent) -> None:
        """Count an event."""
        at = event.at
        is_late = self._until is not None and (at is None or at > self._until)
        if is_late or (self._since is not None and (at is None or at < self._since)):
            return
        explanation = explain_event(event)
        label = _label(event, explanation)
        if label not in self._groups:
            self._groups[label] = _group(label, event, explanation)
        self._groups[label].add(event)
        if self.details.maxlen:
            computer, provider = (mask(text, limit=_WORD) for text in (event.computer, event.provider))
            texts = (mask(" | ".join(event.texts), limit=LONGEST),)
            self.details.append((label, replace(event, computer=computer, provider=provider, texts=texts)))


def _label(event: LoggedEvent, explanation: Explanation | None) -> str:
    """The number of the code, the title of another text, or the kind of the event."""
    if explanation is None:
        return f"{NO_CODE} ({event.origin.replace('_', ' ')}, event {'-' if event.number is None else event.number})"
    return str(explanation.rows[0].code) if explanation.is_code else explanation.title


def _group(label: str, event: LoggedEvent, explanation: Explanation | None) -> EventGroup:
    if explanation is None:
        name, summary = mask(event.provider, limit=_WORD), "The text contains no code that the exporter knows."
        return EventGroup(label=label, name=name, summary=summary, first_action="Read the text: add --all.")
    row = explanation.rows[0] if explanation.is_code or len(explanation.rows) == 1 else None
    shown = explanation if row is None or not explanation.is_code else row
    return EventGroup(
        label=label,
        code=None if row is None else row.code,
        name=f"{both_numbers(shown.code)} {shown.symbol}" if isinstance(shown, ConnectorError) else "",
        summary=re.split(r"(?<=[.!?])\s", shown.summary, maxsplit=1)[0],
        first_action=str(next(iter(shown.actions), "")),  # msgspec encodes no subclass of str
    )


_INDENT = " " * 8
_SILENT = wrap(
    "No event of the connector proves nothing if it writes none. On the SQL Server host, this must not show 2 "
    f"(0, the default: all events, 1: errors, 2: none): `{SHOW_LEVEL}`."
)


def as_text(summary: EventSummary, *, complete: bool = True) -> str:
    """Return the groups, then the details. It is not `complete` if a part of a file was not read."""
    if not summary.count:
        if not complete:
            return "No such event in the records that were read. Not every record was read.\n"
        return f"No event of the connector, and no message of SQL Server about a key provider.\n{_SILENT}\n"
    lines = [f"{'COUNT':>6}  {'FIRST (UTC)':<19}  {'LAST (UTC)':<19}  CODE"]
    lines += [line for group in summary.groups for line in _group_lines(group)]
    if not any("connector" in group.origins for group in summary.groups):
        lines += ["", _SILENT]
    if summary.details.maxlen:
        lines.append("" if summary.count <= MOST_DETAILS else f"\nThe last {MOST_DETAILS} of {summary.count} events:")
    for label, event in summary.details:
        number = "-" if event.number is None else event.number
        lines.append(
            f"{_shown(event.at)}  {label}  {event.computer}  {event.provider}  event {number}\n{_INDENT}{event.texts[0]}"
        )
    return "\n".join(lines) + "\n"


def as_data(summary: EventSummary) -> dict[str, object]:
    """Return the groups and the details as JSON data. The names are public; fields may be added."""
    data: dict[str, object] = {"events": summary.count, "groups": msgspec.to_builtins(summary.groups, order="deterministic")}
    if summary.details.maxlen:
        data["details"] = [
            {
                "time": None if event.at is None else f"{event.at:%Y-%m-%dT%H:%M:%SZ}",
                "label": label,
                "computer": event.computer,
                "provider": event.provider,
                "event_id": event.number,
                "text": event.texts[0],
            }
            for label, event in summary.details
        ]
    return data


def _group_lines(group: EventGroup) -> Iterator[str]:
    title = group.name if group.label.isdecimal() else group.label
    yield f"{group.count:>6}  {_shown(group.first):<19}  {_shown(group.last):<19}  {title}"
    for text in (group.summary, f"First: {group.first_action}" if group.first_action else ""):
        if text:
            yield wrap(text, first=_INDENT, rest=_INDENT)


def _shown(moment: datetime | None) -> str:
    return "-" if moment is None else f"{moment:%Y-%m-%d %H:%M:%S}"

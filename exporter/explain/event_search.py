"""Find the connector code in an event, whatever the layout and the language of its text.

The layout is published nowhere. A number counts if the table of codes has it, and it stands alone or next to a known word. The
name of a key is no code, whatever its digits are.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from exporter.core.codes import BY_CODE, ConnectorError
from exporter.explain.explanation import Explanation
from exporter.explain.logged_event import LoggedEvent, Origin
from exporter.explain.messages import MESSAGES
from exporter.explain.pasted_numbers import NUMBER, SMALLEST, provider_code, row_of, translated_code, without_names
from exporter.explain.search import explain_log_text, explain_message

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
    if row is not None:
        return Explanation(rows=(row,))
    whole = " ".join(event.texts)
    found = explain_log_text(whole)
    if found is not None or event.origin is Origin.CONNECTOR or event.number is None:
        return found
    return explain_message(event.number, whole)


def _codes(event: LoggedEvent) -> Iterator[ConnectorError]:
    """Yield the codes in the event, the surest first."""
    for text in event.texts:
        if (row := provider_code(text)) is not None:
            yield row
    if event.origin is Origin.CONNECTOR:
        yield from _connector_text_codes(event)
    elif (message := MESSAGES.get(event.number or 0)) is not None and message.has_code:
        yield from _message_codes(event.texts)


def _message_codes(texts: tuple[str, ...]) -> Iterator[ConnectorError]:
    """Yield the code of a message that has one: its last string that is a number, since names come before it."""
    for text in reversed(texts):
        if (match := _ALONE.fullmatch(text)) is not None and (row := row_of(match)) is not None:
            yield row
    for text in texts:
        if (row := translated_code(text)) is not None:
            yield row


def _connector_text_codes(event: LoggedEvent) -> Iterator[ConnectorError]:
    for text in map(without_names, event.texts):
        yield from (
            row
            for match in _ANYWHERE.finditer(text)
            if _is_near_word(text, match) and (row := row_of(match, least=SMALLEST)) is not None
        )
    for text in reversed(event.texts):
        if (match := _ALONE.fullmatch(text)) is not None and (row := row_of(match, least=SMALLEST)) is not None:
            yield row
    if event.number is not None and event.number >= SMALLEST and event.number in BY_CODE:
        yield BY_CODE[event.number]


def _is_near_word(text: str, match: re.Match[str]) -> bool:
    start, end = match.span()
    return any(
        _KNOWN_WORD.search(part)
        for part in (text[max(0, start - _CHARACTERS_BEFORE) : start], text[end : end + _CHARACTERS_AFTER])
    )

"""Find the connector code in an event, whatever the layout of its text.

The layout is published nowhere. A number counts if the table of codes has it, and it stands alone or next to a known word.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from exporter.core.codes import BY_CODE, ConnectorError
from exporter.core.codes.explain import Explanation, explain, explain_log_text
from exporter.core.codes.messages import MESSAGES
from exporter.core.events.record import LoggedEvent, Origin

_NUMBER = r"(?:0x0*(?P<hex>[0-9a-f]{1,8})|(?P<dec>\d{1,5}))"
_PROVIDER_CODE = re.compile(rf"provider error(?: code)?[\s:=#]*{_NUMBER}\b", re.IGNORECASE)
_ALONE = re.compile(rf"\W*{_NUMBER}\W*", re.IGNORECASE)
_ANYWHERE = re.compile(rf"(?<![\w./\\])(?<!\d[:-]){_NUMBER}(?![\w/\\]|[.:-]\d)", re.IGNORECASE)
_KNOWN_WORD = re.compile(
    r"\b(?:err|error|code|ekm|akv|scp|provider|connector|fail|failed|failure|hresult|result|returned|returns|exception|status)\b"
    r"|scp_err",
    re.IGNORECASE,
)
_BEFORE, _AFTER = 40, 24  # characters in which a known word is near a number
_SHORTEST = 1000  # the smaller numbers of the table mean too many other things
_LOW_HALF = 0xFFFF  # of an HRESULT


def explain_event(event: LoggedEvent) -> Explanation | None:
    """Explain an event by its code, by another known text, or by its message of SQL Server."""
    row = next(_codes(event), None)
    if row is not None:
        return Explanation(rows=(row,))
    found = explain_log_text(" ".join(event.texts))
    if found is not None:
        return found
    is_message = event.origin is Origin.SQL_SERVER and event.number in MESSAGES
    return explain(str(event.number)) if is_message else None


def _codes(event: LoggedEvent) -> Iterator[ConnectorError]:
    """Yield the codes in the event, the surest first."""
    from_sql_server = event.origin is Origin.SQL_SERVER
    for text in event.texts:
        yield from _rows(_PROVIDER_CODE.finditer(text), least=0)
    for text in event.texts:
        if (match := _ALONE.fullmatch(text)) is not None:
            yield from _rows(iter((match,)), least=0 if from_sql_server else _SHORTEST)
    for text in event.texts:
        yield from _rows((match for match in _ANYWHERE.finditer(text) if _is_near_word(text, match)), least=_SHORTEST)
    if not from_sql_server and event.number is not None and event.number >= _SHORTEST and event.number in BY_CODE:
        yield BY_CODE[event.number]


def _rows(matches: Iterator[re.Match[str]], *, least: int) -> Iterator[ConnectorError]:
    for match in matches:
        digits = match["hex"]
        number = int(match["dec"]) if digits is None else int(digits, 16)
        if digits is not None and number not in BY_CODE:
            number &= _LOW_HALF
        if number >= least and number in BY_CODE:
            yield BY_CODE[number]


def _is_near_word(text: str, match: re.Match[str]) -> bool:
    start, end = match.span()
    return any(_KNOWN_WORD.search(part) for part in (text[max(0, start - _BEFORE) : start], text[end : end + _AFTER]))

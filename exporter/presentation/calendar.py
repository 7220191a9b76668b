"""Expiry dates as a calendar feed (RFC 5545). UIDs do not change with the date."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from hashlib import sha256

from exporter.presentation.expiries import NOUNS, Ending, EndingKind

_OCTETS = 75  # of one line, without its line break
_TARGETS = 10  # named in a description
_DECLARED = "declared"


def calendar(endings: Iterable[Ending], *, now: float) -> Iterator[str]:
    """Yield the calendar, one event at a time. Every line ends with CRLF."""
    yield _lines(
        "BEGIN:VCALENDAR",
        "VERSION:2.0",
        "PRODID:-//ekm-exporter//expiry//EN",
        "CALSCALE:GREGORIAN",
        "X-WR-CALNAME:ekm-exporter: expiry dates",
        "REFRESH-INTERVAL;VALUE=DURATION:PT6H",
    )
    yield from (_event(ending, now) for ending in endings)
    yield _lines("END:VCALENDAR")


def uid(ending: Ending) -> str:
    """Return the identity of an expiry, which a later date does not change."""
    identity = f"{ending.kind}\n{ending.name}"
    return f"{sha256(identity.encode()).hexdigest()[:32]}@ekm-exporter"


def _event(ending: Ending, now: float) -> str:
    at = datetime.fromtimestamp(ending.at, UTC)
    start = f"DTSTART;VALUE=DATE:{at:%Y%m%d}" if ending.source == _DECLARED else f"DTSTART:{at:%Y%m%dT%H%M%SZ}"
    noun = NOUNS[ending.kind]
    ends = "is 180 days old" if ending.kind is EndingKind.BACKUP else "expires"
    return _lines(
        "BEGIN:VEVENT",
        f"UID:{uid(ending)}",
        f"DTSTAMP:{datetime.fromtimestamp(now, UTC):%Y%m%dT%H%M%SZ}",
        start,
        f"SUMMARY:{_escaped(f'{ending.name}: {noun} {ends}')}",
        f"DESCRIPTION:{_escaped(_description(ending))}",
        f"CATEGORIES:{ending.kind.value.upper().replace('_', '-')}",
        "TRANSP:TRANSPARENT",
        "END:VEVENT",
    )


def _description(ending: Ending) -> str:
    named = ", ".join(ending.targets[:_TARGETS])
    more = f" and {len(ending.targets) - _TARGETS} more" if len(ending.targets) > _TARGETS else ""
    wrong = f" Entra ID contradicts: {ending.wrong}." if ending.wrong else ""
    return f"Source: {ending.source}.{wrong}" + (f"\nTargets: {named}{more}" if named else "")


def _escaped(text: str) -> str:
    """Escape a text value; control characters other than line breaks are removed."""
    shown = text if text.isprintable() else "".join(letter for letter in text if letter == "\n" or letter.isprintable())
    return shown.replace("\\", "\\\\").replace(";", "\\;").replace(",", "\\,").replace("\n", "\\n")


def _lines(*lines: str) -> str:
    return "".join(f"{_folded(line)}\r\n" for line in lines)


def _folded(line: str) -> str:
    """Fold a line after at most 75 octets, never inside a character."""
    if len(line) <= _OCTETS and line.isascii():
        return line
    pieces, piece, size = list[str](), "", 0
    for letter in line:
        width = len(letter.encode())
        if size + width > _OCTETS:
            pieces.append(piece)
            piece, size = "", 1  # the space that begins the next line
        piece, size = piece + letter, size + width
    return "\r\n ".join((*pieces, piece))

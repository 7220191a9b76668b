"""Words of the audit sheet: times, counts, and texts that a terminal may print."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from exporter.core.durations import ago, unix_time
from exporter.tde.model import printable

Facts = Mapping[str, Any]
Line = tuple[str, str]
NO_RIGHT: Final = "not known: the exporter has no right to read it in Azure. The queries below list it"
NO_TEST: Final = "not known: the exporter sees no restore. Record its date where you keep this sheet"


def when(at: str, facts: Facts) -> str:
    """Return a time with its distance from that of the facts."""
    seconds = unix_time(facts["at"]) - unix_time(at)
    distance = ago(seconds) if seconds >= 0 else "in " + ago(-seconds).removesuffix(" ago")
    return f"{clock(at)} ({distance})"


def when_known(at: str | None, facts: Facts) -> str:
    """Return a time as `when`, or that it is not known."""
    return "not known" if at is None else when(at, facts)


def clock(at: str) -> str:
    """Return `2026-11-28 21:40 UTC`. Raises ValueError for another text."""
    unix_time(at)
    return f"{at[:10]} {at[11:16]} UTC"


def counted(number: int, noun: str) -> str:
    """Return a number with its noun."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def word(value: Any) -> str:
    """Return a text without control characters. Raises TypeError for another value."""
    if not isinstance(value, str):
        raise TypeError
    return printable(value)


def known(value: Any) -> str:
    """Return a text, or that it is not known."""
    return "not known" if value is None else word(value)

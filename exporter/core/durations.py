"""Durations in Prometheus' format (`1h30m`) and in words, and times in RFC 3339 and as clocks show them."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Final

# Largest first, each at most once: the grammar of Prometheus' model.ParseDuration.
_UNITS: tuple[tuple[str, int], ...] = (
    ("y", 365 * 24 * 3600 * 1000),
    ("w", 7 * 24 * 3600 * 1000),
    ("d", 24 * 3600 * 1000),
    ("h", 3600 * 1000),
    ("m", 60 * 1000),
    ("s", 1000),
    ("ms", 1),
)
PATTERN = "".join(rf"(?:([0-9]{{1,9}}){unit})?" for unit, _ in _UNITS)
_PATTERN = re.compile(PATTERN)
_YEAR_10000 = 253402300800


def parse(text: str) -> float:
    """Return the seconds of a duration such as `1m30s`; `0` needs no unit. Raises ValueError for any other text."""
    if text == "0":
        return 0.0
    match = _PATTERN.fullmatch(text)
    if not text or match is None:
        raise ValueError("not a duration (write 30s, 5m, 1h30m)")
    amounts = zip(match.groups(), _UNITS, strict=True)
    return sum(int(amount) * milliseconds for amount, (_, milliseconds) in amounts if amount) / 1000


def write(seconds: float) -> str:
    """Return the shortest text of a duration, to the millisecond: inverse of `parse`."""
    rest = round(seconds * 1000)
    if rest == 0:
        return "0s"
    parts = []
    for unit, milliseconds in _UNITS:
        # 90d is easier to read than 12w6d: weeks and years only if the rest is whole.
        if unit in ("y", "w") and rest % milliseconds:
            continue
        amount, rest = divmod(rest, milliseconds)
        if amount:
            parts.append(f"{amount}{unit}")
    return "".join(parts)


def ago(seconds: float) -> str:
    """Return an age in whole seconds, minutes or hours. Minutes are from a minute on, hours from two days on."""
    unit = 1.0 if seconds < 60 else 60.0 if seconds < 2 * 86400 else 3600.0
    return f"{write(max(seconds, 0.0) // unit * unit)} ago"


def moment(unix: float) -> str:
    """Return a Unix time as RFC 3339 in UTC, to the millisecond."""
    return datetime.fromtimestamp(unix, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def second(unix: float) -> str:
    """Return a Unix time as RFC 3339 in UTC, to the second."""
    return datetime.fromtimestamp(unix // 1, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def unix_time(text: str) -> float:
    """Return the Unix time of an RFC 3339 text; without a zone it is UTC. Raises ValueError, also for a time before 1970."""
    time = datetime.fromisoformat(text)
    unix = (time if time.tzinfo is not None else time.replace(tzinfo=UTC)).timestamp()
    if not 0 <= unix < _YEAR_10000:
        raise ValueError("before 1970 or after 9999")
    return unix


def known_time(text: str) -> float | None:
    """Return the Unix time of a text, None if it has none."""
    try:
        return unix_time(text)
    except ValueError:
        return None


_TWO_DAYS: Final = 48  # hours


def clock_text(at: float, now: float) -> str:
    """Return `14:02 UTC`, with the date unless it is today's."""
    then, today = datetime.fromtimestamp(at, UTC), datetime.fromtimestamp(now, UTC).date()
    return f"{then:%H:%M} UTC" if then.date() == today else f"{then:%Y-%m-%d %H:%M} UTC"


def span_text(seconds: float) -> str:
    """Return `12 min`, `3 h 40 min`, or `2 d 5 h` from two days on."""
    hours, minutes = divmod(max(1, round(seconds) // 60), 60)
    parts = [(hours // 24, "d"), (hours % 24, "h")] if hours >= _TWO_DAYS else [(hours, "h"), (minutes, "min")]
    return " ".join(f"{amount} {unit}" for amount, unit in parts if amount)

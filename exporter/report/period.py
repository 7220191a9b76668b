"""The period of a report: a month of a time zone, or two moments.

Times are Unix timestamps of whole minutes.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime, tzinfo

from exporter.report.minutes import MINUTE

LONGEST = 366 * 86400


@dataclass(frozen=True, slots=True, kw_only=True)
class Period:
    """A period from `start` until before `end`. `name` is part of file names."""

    start: int
    end: int
    zone: tzinfo
    zone_name: str
    name: str

    @property
    def minutes(self) -> int:
        """Number of minutes."""
        return (self.end - self.start) // MINUTE

    def moment(self, minute: int) -> str:
        """Return the start of a minute as text, in the period's time zone."""
        at = datetime.fromtimestamp(self.start + minute * MINUTE, self.zone)
        return at.isoformat(timespec="minutes").replace("+00:00", "Z")


def parse_month(text: str, zone: tzinfo, zone_name: str) -> Period:
    """Return the month YYYY-MM. Raises ValueError with a text for the user."""
    found = re.fullmatch(r"([0-9]{4})-(0[1-9]|1[0-2])", text)
    if not found or not 1970 < int(found[1]) < 9999:
        raise ValueError(f"--month {text!r}: write YYYY-MM, as in 2026-11")
    year, number = int(found[1]), int(found[2])
    following = (year + 1, 1) if number == 12 else (year, number + 1)
    start, end = (int(datetime(*first, 1, tzinfo=zone).timestamp()) for first in ((year, number), following))
    return Period(start=start, end=end, zone=zone, zone_name=zone_name, name=text)


def parse_period(start: str, end: str, zone: tzinfo, zone_name: str) -> Period:
    """Return the period between two times. Raises ValueError with a text for the user."""
    first, last = _minute("--from", start), _minute("--to", end)
    if first >= last:
        raise ValueError("--from is not before --to: swap them")
    if last - first > LONGEST:
        raise ValueError("the period is longer than 366 days: report its months one by one")
    name = "_".join(datetime.fromtimestamp(at, zone).strftime("%Y%m%dT%H%M") for at in (first, last))
    return Period(start=first, end=last, zone=zone, zone_name=zone_name, name=name)


def _minute(flag: str, text: str) -> int:
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        at = None
    if at is None or at.tzinfo is None or not 1970 < at.year < 9999:
        raise ValueError(f"{flag} {text!r}: write a time of RFC 3339, as in 2026-11-01T00:00:00Z")
    if at.second or at.microsecond:
        raise ValueError(f"{flag} {text!r}: write a whole minute")
    return int(at.timestamp())

"""What a section still has of an earlier reading."""

from __future__ import annotations

from dataclasses import dataclass

from exporter.core.durations import ago, known_time
from exporter.tde.findings import utc_text


@dataclass(frozen=True, slots=True)
class EarlierRows:
    """When the rows of a section were read, why they were not read again, and their age; empty if unknown."""

    read_at: str
    message: str
    age: str = ""

    @property
    def when(self) -> str:
        return f"{utc_text(self.read_at)} ({self.age})" if self.age else utc_text(self.read_at)


def earlier_rows(time: str, message: str, now: float | None) -> EarlierRows:
    """Return the time and message of a section, with its age at `now`, a Unix time."""
    at = known_time(time)
    return EarlierRows(time, message, "" if now is None or at is None else ago(now - at))

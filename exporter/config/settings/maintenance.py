"""Windows of planned work."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from exporter.config.yaml.types import text


@dataclass(frozen=True, slots=True)
class MaintenanceWindow:
    """Planned work from `start` up to, not including, `end`; both with a time zone."""

    start: datetime
    end: datetime

    def __str__(self) -> str:
        return f"{self.start.isoformat()}/{self.end.isoformat()}"

    def contains(self, at: float) -> bool:
        """Whether the window contains this Unix time."""
        return self.start.timestamp() <= at < self.end.timestamp()


def _window(written: str) -> MaintenanceWindow:
    """The window of `START/END`. Raises ValueError."""
    message = "expected START/END with a time zone, such as 2026-12-05T20:00Z/2026-12-06T02:00Z"
    start, _, end = written.partition("/")
    try:
        window = MaintenanceWindow(datetime.fromisoformat(start), datetime.fromisoformat(end))
    except ValueError:
        raise ValueError(message) from None
    if None in (window.start.tzinfo, window.end.tzinfo):
        raise ValueError(message)
    if window.start >= window.end:
        raise ValueError("the window must end after its start")
    return window


WINDOW = text("START/END", _window, pattern="^[0-9][^/]+/[0-9][^/]+$")

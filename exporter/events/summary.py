"""Count events by code, with bounded memory."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime

from exporter.core.codes import both_numbers
from exporter.core.masking import mask
from exporter.explain.event_search import explain_event
from exporter.explain.explanation import Explanation
from exporter.explain.logged_event import LONGEST, LoggedEvent, Origin

MOST_DETAILS = 10_000
NO_CODE = "no code"
_SENTENCE = re.compile(r"(?<=[.!?])\s")
_WORD = 80  # characters of a provider or a computer


@dataclass(frozen=True, slots=True)
class Detail:
    """One event with its masked text; `label` is that of its group."""

    at: datetime | None
    computer: str
    provider: str
    number: int | None
    label: str
    text: str


@dataclass(slots=True, kw_only=True)
class EventGroup:
    """The events with one code, or of one kind without a code."""

    label: str
    code: int | None = None
    name: str = ""
    summary: str = ""
    action: str = ""
    count: int = 0
    first: datetime | None = None
    last: datetime | None = None
    origins: set[Origin] = field(default_factory=set)
    numbers: set[int] = field(default_factory=set)

    def add(self, event: LoggedEvent) -> None:
        self.count += 1
        self.origins.add(event.origin)
        if event.number is not None:
            self.numbers.add(event.number)
        if event.at is not None:
            self.first = event.at if self.first is None else min(self.first, event.at)
            self.last = event.at if self.last is None else max(self.last, event.at)


class EventSummary:
    """Groups of events, and the newest details if they are wanted.

    Events outside of `since` and `until` (both included) do not count; one without a time counts if neither is set.
    """

    def __init__(self, *, since: datetime | None = None, until: datetime | None = None, details: bool = False) -> None:
        self._since, self._until = since, until
        self._groups: dict[str, EventGroup] = {}
        self.details: deque[Detail] = deque(maxlen=MOST_DETAILS if details else 0)

    @property
    def groups(self) -> list[EventGroup]:
        """The groups, the most frequent first; those without a code last."""
        return sorted(self._groups.values(), key=lambda group: (group.label.startswith(NO_CODE), -group.count, group.label))

    @property
    def count(self) -> int:
        return sum(group.count for group in self._groups.values())

    def add(self, event: LoggedEvent) -> None:
        """Count an event."""
        if not self._is_wanted(event.at):
            return
        explanation = explain_event(event)
        label = _label(event, explanation)
        if label not in self._groups:
            self._groups[label] = _group(label, event, explanation)
        self._groups[label].add(event)
        if self.details.maxlen:
            self.details.append(_detail(event, label))

    def _is_wanted(self, at: datetime | None) -> bool:
        if at is None:
            return self._since is None and self._until is None
        return (self._since is None or at >= self._since) and (self._until is None or at <= self._until)


def _label(event: LoggedEvent, explanation: Explanation | None) -> str:
    """The number of the code, the title of another text, or the kind of the event."""
    if explanation is None:
        return f"{NO_CODE} ({event.origin.replace('_', ' ')}, event {'-' if event.number is None else event.number})"
    return str(explanation.rows[0].code) if explanation.is_code else explanation.title


def _group(label: str, event: LoggedEvent, explanation: Explanation | None) -> EventGroup:
    if explanation is None:
        name = mask(event.provider, limit=_WORD)
        return EventGroup(
            label=label,
            name=name,
            summary="The text contains no code that the exporter knows.",
            action="Read the text: add --all.",
        )
    if not explanation.is_code:
        code = explanation.rows[0].code if len(explanation.rows) == 1 else None
        return EventGroup(label=label, code=code, summary=_first(explanation.summary), action=_first_of(explanation.actions))
    row = explanation.rows[0]
    return EventGroup(
        label=label,
        code=row.code,
        name=f"{both_numbers(row.code)} {row.symbol}",
        summary=_first(row.summary),
        action=_first_of(row.actions),
    )


def _detail(event: LoggedEvent, label: str) -> Detail:
    computer, provider = (mask(text, limit=_WORD) for text in (event.computer, event.provider))
    return Detail(event.at, computer, provider, event.number, label, mask(" | ".join(event.texts), limit=LONGEST))


def _first(text: str) -> str:
    return _SENTENCE.split(text, maxsplit=1)[0]


def _first_of(texts: Iterable[str]) -> str:
    return next(iter(texts), "")

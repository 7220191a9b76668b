"""The sentences of the report on an inventory."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum

from exporter.core.durations import known_time

_LISTED = 12  # names in one sentence


class Kind(StrEnum):
    """Gaps that the gate reports under a condition of their own, by the name of that condition."""

    CREDENTIAL_MISSING = "credential_missing"
    CREDENTIAL_GUESSED = "credential_guessed"
    IDENTITY_UNSUPPORTED = "identity_unsupported"
    SECTION_KEPT = "section_kept"
    INSTANCE_KEPT = "instance_kept"
    KEY_NOT_ON_REPLICA = "key_not_on_replica"


@dataclass(slots=True)
class Findings:
    """Sentences of the report, each with the instances that it is about.

    `gaps` are what could not be found out or stays unprobed, some with a kind; `notes` need no action.
    """

    gaps: dict[str, list[str]] = field(default_factory=dict)
    notes: dict[str, list[str]] = field(default_factory=dict)
    kinds: dict[str, Kind] = field(default_factory=dict)

    def gap(self, text: str, *servers: str, kind: Kind | None = None) -> None:
        _add(self.gaps, text, servers)
        if kind is not None:
            self.kinds[text] = kind

    def note(self, text: str, *servers: str) -> None:
        _add(self.notes, text, servers)


def _add(table: dict[str, list[str]], text: str, servers: Iterable[str]) -> None:
    known = table.setdefault(text, [])
    known.extend(server for server in servers if server not in known)


def listed(names: Iterable[str]) -> str:
    """`a, b and 3 more`."""
    every = list(names)
    rest = len(every) - _LISTED
    return ", ".join(every[:_LISTED]) + (f" and {rest} more" if rest > 0 else "")


def counted(number: int, noun: str) -> str:
    """`1 file` or `2 files`."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def utc_text(time: str) -> str:
    """Return a time of inventory.sql, which is in UTC without its Z, for readers."""
    return f"{time}Z" if len(time) == len("2026-11-26T20:00:00") and known_time(time) is not None else time

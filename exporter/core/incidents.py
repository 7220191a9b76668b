"""Incidents: causes that one team repairs together, as the status page shows them.

Metrics and JSON have the causes themselves: see `core.common_causes`.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Hashable, Iterable
from dataclasses import dataclass
from typing import Final

from exporter.core.causes import SEVERAL, Cause

# Between the beginnings of two causes of one incident, at most: a change reaches vaults one after another.
WITHIN_SECONDS: Final = 3600.0
_DIGITS: Final = 12  # of a Unix time, at most


@dataclass(frozen=True, slots=True)
class Began:
    """When the failures of a cause began, in any order, as Unix times. `interval` is the longest one of its targets in seconds."""

    cause: Cause
    beginnings: Collection[float]
    interval: float


def incidents(causes: Iterable[Began]) -> list[list[Began]]:
    """Return the causes of each incident: one kind of link, one reason, and beginnings that follow each other.

    A probe observes a failure up to an interval after it began. Steady causes come first.
    """
    alike = defaultdict[Hashable, list[Began]](list)
    for each in causes:
        alike[_kind(each.cause)].append(each)
    found = (run for kind in alike.values() for run in _split(kind))
    return [sorted(run, key=lambda each: each.cause.unsteady) for run in found]


def incident_id(cause: Cause, first: float) -> str:
    """Return the text of the query parameter `cause` for several causes; `first` is the Unix time of their beginning."""
    return f"{_family(cause)}{first:.0f}"


def nearest_incident(wanted: str, incidents: Iterable[tuple[Cause, float]]) -> str:
    """Return the id of the incident that a link means: as long as failures remain, even after the first one ended.

    Each incident is a cause and its beginning. The result is empty without one of the same link and reason.
    """
    family, _, first = wanted.rpartition(":")
    alike = [(cause, began) for cause, began in incidents if _family(cause) == f"{family}:"]
    if not first.isdecimal() or len(first) > _DIGITS or not alike:
        return ""
    return incident_id(*min(alike, key=lambda each: abs(each[1] - int(first))))


def _family(cause: Cause) -> str:
    return f"{cause.link}:*:{cause.reason or ''}:"


def _kind(cause: Cause) -> Hashable:
    """Return what the causes of one incident have in common: the name too, unless one change breaks several of these links."""
    spreads = cause.link in SEVERAL and cause.reason is not None and cause.reason.row.one_change
    return cause.link, cause.reason, "" if spreads else cause.name


def _split(alike: list[Began]) -> list[list[Began]]:
    """Divide causes of one kind where nothing began for long.

    The first beginning at a link decides, so that a later one at the same link cannot connect two incidents.
    """
    runs, run_of = list[dict[int, Began]](), dict[str, int]()
    last, interval = float("-inf"), 0.0
    for at, number in sorted((at, number) for number, each in enumerate(alike) for at in each.beginnings):
        each = alike[number]
        is_near = at - last <= WITHIN_SECONDS + max(interval, each.interval)
        if not is_near and each.cause.name not in run_of:
            runs.append({})
            is_near, interval = True, 0.0
        run = run_of.setdefault(each.cause.name, len(runs) - 1)
        runs[run][number] = each
        if is_near and run == len(runs) - 1:
            last, interval = at, max(interval, each.interval)
    return [list(run.values()) for run in runs]

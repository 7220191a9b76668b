"""Incidents: causes that one team repairs together, as the status page shows them.

Metrics and JSON have the causes themselves: see `core.common_causes`.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Iterable
from dataclasses import dataclass
from typing import Final

from exporter.core.causes import Cause, Link

# Between the beginnings of two causes of one incident, at most: a change reaches vaults one after another.
WITHIN_SECONDS: Final = 3600.0
_DIGITS: Final = 12  # of a Unix time, at most
_SHARED: Final = (Link.CREDENTIAL, Link.VAULT, Link.KEY)  # one change breaks several of these; another link breaks alone


@dataclass(frozen=True, slots=True)
class Began:
    """When the failures of a cause began, the first and the last of them, as Unix times.

    `interval` is the longest one of its targets in seconds.
    """

    cause: Cause
    first: float
    last: float
    interval: float


def incidents(causes: Iterable[Began]) -> list[list[Began]]:
    """Return the causes of each incident: one kind of link, one reason, and beginnings that follow each other.

    A probe observes a failure up to an interval after it began. A steady cause comes before unsteady ones, whose beginning is
    unknown: each belongs to the incident of its own link, else to the latest one.
    """
    alike = defaultdict[Hashable, list[Began]](list)
    for each in causes:
        alike[_kind(each.cause)].append(each)
    return [incident for kind in alike.values() for incident in _split(kind)]


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
    """Return what the causes of one incident have in common. Without a reason, nothing shows that two vaults have one."""
    return cause.link, cause.reason, "" if cause.link in _SHARED and cause.reason is not None else cause.name


def _split(alike: list[Began]) -> list[list[Began]]:
    """Divide causes of one kind where nothing began for long."""
    runs = list[list[Began]]()
    last, interval = float("-inf"), 0.0
    for each in sorted((each for each in alike if not each.cause.unsteady), key=lambda each: each.first):
        if each.first - last > WITHIN_SECONDS + max(interval, each.interval):
            runs.append([])
            interval = 0.0
        runs[-1].append(each)
        last, interval = max(last, each.last), max(interval, each.interval)
    unsteady = [each for each in alike if each.cause.unsteady]
    if not runs:
        return [unsteady]
    of_link = {each.cause.name: run for run in runs for each in run}
    for each in unsteady:
        of_link.get(each.cause.name, runs[-1]).append(each)
    return runs

"""The arithmetic of the report: from series to minutes, from minutes to rows.

A slice is a range of whole minutes. Each query has one point at the start of each minute.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from exporter.report.classes import (
    ANSWERED,
    GAPS,
    MAINTENANCE,
    NO_DATA,
    NO_PROBE,
    NOT_CONFIGURED,
    UNEXPLAINED,
    MinuteClass,
    MinuteState,
    failed_minute,
)

MINUTE = 60  # seconds
# Values of `Slice.results`.
FAILED_PROBE, GOOD_PROBE, WITHOUT_PROBE = 0.0, 1.0, 2.0
_RANKS = {kind: rank for rank, kind in enumerate(MinuteClass)}


class Exporter(NamedTuple):
    """The labels that Prometheus gives a scraped exporter."""

    job: str
    instance: str


class ReportedTarget(NamedTuple):
    """A target: a key version in a vault."""

    vault: str
    target: str


Points = Mapping[int, float]  # by number of the minute in the slice


@dataclass(frozen=True, slots=True, kw_only=True)
class Slice:
    """What Prometheus has for consecutive minutes."""

    first: int  # number of its first minute in the period
    minutes: int
    results: Mapping[tuple[Exporter, ReportedTarget], Points]
    failures: Mapping[tuple[Exporter, ReportedTarget], Sequence[tuple[str, str, Points]]]  # step, reason, points
    maintenance: Mapping[tuple[Exporter, ReportedTarget], Points]
    exporters: Mapping[Exporter, Points]


@dataclass(slots=True)
class Row:
    """The minutes of a target or a vault, by state, and its gaps."""

    states: Counter[MinuteState] = field(default_factory=Counter)
    gaps: list[tuple[MinuteClass, int, int]] = field(default_factory=list)  # class, first minute, minute after the last

    def add(self, first: int, states: Sequence[MinuteState]) -> None:
        """Count the states of consecutive minutes."""
        if _all_answered(states):
            self.states[ANSWERED] += len(states)
            return
        self.states.update(states)
        for number, state in enumerate(states, first):
            if state.kind in GAPS:
                self._add_gap(state.kind, number)

    def _add_gap(self, kind: MinuteClass, number: int) -> None:
        if self.gaps and self.gaps[-1][0] is kind and self.gaps[-1][2] == number:
            self.gaps[-1] = (kind, self.gaps[-1][1], number + 1)
        else:
            self.gaps.append((kind, number, number + 1))

    def count(self, *kinds: MinuteClass) -> int:
        """Return the number of minutes of these classes."""
        return sum(count for state, count in self.states.items() if state.kind in kinds)


class Minutes:
    """Sums of all slices, which must be added in their order."""

    def __init__(self, series: Iterable[tuple[Exporter, ReportedTarget]]) -> None:
        """Take the series that Prometheus has for the period; others are ignored."""
        self._exporters: dict[ReportedTarget, list[Exporter]] = {}
        for exporter, target in sorted(set(series)):
            self._exporters.setdefault(target, []).append(exporter)
        self.targets = {target: Row() for target in self._exporters}
        self.vaults = {target.vault: Row() for target in self._exporters}

    def add(self, part: Slice) -> None:
        """Count the minutes of a slice for each target and each vault."""
        vaults: dict[str, list[Sequence[MinuteState]]] = {vault: [] for vault in self.vaults}
        for target, exporters in self._exporters.items():
            states = _target_minutes(part, target, exporters)
            self.targets[target].add(part.first, states)
            vaults[target.vault].append(states)
        for vault, several in vaults.items():
            self.vaults[vault].add(part.first, best_of(several))

    @property
    def gaps(self) -> int:
        """Return the number of gaps of all targets."""
        return sum(len(row.gaps) for row in self.targets.values())

    def drop_absent(self) -> None:
        """Remove targets and vaults that no exporter had within the period."""
        absent = (MinuteClass.NO_DATA, MinuteClass.NOT_CONFIGURED)
        self.targets = {key: row for key, row in self.targets.items() if row.count(*absent) < row.states.total()}
        left = {target.vault for target in self.targets}
        self.vaults = {key: row for key, row in self.vaults.items() if key in left}


def best_of(several: Sequence[Sequence[MinuteState]]) -> Sequence[MinuteState]:
    """Return the best state of each minute: an answer to one proves that the vault answered."""
    if len(several) == 1:
        return several[0]
    if good := next(filter(_all_answered, several), None):
        return good
    return [min(states, key=_rank) for states in zip(*several, strict=True)]


def _all_answered(states: Sequence[MinuteState]) -> bool:
    return states.count(ANSWERED) == len(states)


def _rank(state: MinuteState) -> tuple[int, str, str]:
    return _RANKS[state.kind], state.step, state.reason


def _target_minutes(part: Slice, target: ReportedTarget, exporters: Sequence[Exporter]) -> Sequence[MinuteState]:
    """Return the states of a target: the best of its exporters, except in maintenance."""
    states = best_of([_minutes_of(part, exporter, target) for exporter in exporters])
    planned = {number for exporter in exporters for number in part.maintenance.get((exporter, target), ())}
    return [MAINTENANCE if number in planned else state for number, state in enumerate(states)] if planned else states


def _minutes_of(part: Slice, exporter: Exporter, target: ReportedTarget) -> Sequence[MinuteState]:
    """Return the states of a target as one exporter measured them."""
    results, alive = part.results.get((exporter, target), {}), part.exporters.get(exporter, {})
    if len(results) == part.minutes and set(results.values()) == {GOOD_PROBE}:
        return [ANSWERED] * part.minutes
    failures = part.failures.get((exporter, target), ())
    states = []
    for number in range(part.minutes):
        result = results.get(number)
        if result == GOOD_PROBE:
            states.append(ANSWERED)
        elif result == FAILED_PROBE:
            states.append(_failure(failures, number))
        elif result == WITHOUT_PROBE:
            states.append(NO_PROBE)
        else:
            states.append(NOT_CONFIGURED if number in alive else NO_DATA)
    return states


def _failure(failures: Sequence[tuple[str, str, Points]], number: int) -> MinuteState:
    found = [failed_minute(step, reason) for step, reason, points in failures if number in points]
    return min(found, key=_rank, default=UNEXPLAINED)

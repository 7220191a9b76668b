"""The arithmetic of the report: the period, from the results of queries to minutes with class and party, from minutes to rows.

A slice is a range of whole minutes. Each query has one point at the start of each minute.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, tzinfo
from functools import cache
from typing import Annotated, Any, Literal, NamedTuple

import msgspec

from exporter.core.values import Step
from exporter.knowledge.reason_row import Link, ReasonRow
from exporter.knowledge.reasons import Reason
from exporter.sqlserver.instance import printable

# What a minute counts as. Of several results, the first one in this order counts.
MinuteClass = Literal[
    "answered", "throttled", "refused", "failed", "unreachable", "not_tested", "maintenance", "no_probe", "no_data", "not_configured",
]  # fmt: skip
CLASS_TEXTS: Mapping[MinuteClass, str] = {
    "answered": "every step of the last probe succeeded",
    "throttled": "the service throttled the request (HTTP status 429)",
    "refused": "the service refused the credential, the caller, the key or the request",
    "failed": "the service responded with an error of its own (5xx), or with an unusable response",
    "unreachable": "no response: DNS, connection, TLS, proxy or timeout",
    "not_tested": "the exporter itself failed, or the reason is not known; not measured",
    "maintenance": "a declared maintenance window (ekm_maintenance is 1), whatever the probe got; left out",
    "no_probe": "gap: Prometheus scraped the exporter, but the target had no recent probe",
    "no_data": "gap: Prometheus has no data of an exporter of this target",
    "not_configured": "the exporter ran without this target, before it was added or after it was removed; left out",
}
MEASURED: tuple[MinuteClass, ...] = ("answered", "throttled", "refused", "failed", "unreachable")
GAPS = ("no_probe", "no_data")


# Whose fault a measured minute without an answer is.
Party = Literal["host", "network", "entra", "vault", "settings"]
PARTY_TEXTS: Mapping[Party, str] = {
    "host": "the exporter's host: no network, a wrong clock, its identity endpoint",
    "network": "DNS, connection, TLS or proxy; one exporter cannot show on whose side: compare another host, and other vaults",
    "entra": "Entra ID throttled, failed or did not complete a response",
    "vault": "the vault throttled, failed or did not complete a response; it throttles all its clients together",
    "settings": "a setting of the customer: credential, permission, firewall or key",
}


@dataclass(frozen=True, slots=True)
class MinuteState:
    """The class of a minute; of a failed one the party, the step and the reason too."""

    kind: MinuteClass
    party: Party | None = None
    step: str = ""
    reason: str = ""


_CLASSES: Mapping[str, MinuteClass] = {kind: kind for kind in CLASS_TEXTS}  # of what a service did
_BLAMED_PARTIES: Mapping[MinuteClass, Party] = {"unreachable": "network", "refused": "settings"}


@cache
def failed_minute(step: str, reason: str) -> MinuteState:
    """Return the state of a failed minute from the labels of `ekm_last_failure_info`.

    The row of the reason states what the service did, and which link broke. Labels of a newer exporter, which this table does not know, are not measured.
    """
    try:
        at, why = Step(step), Reason(reason)
    except ValueError:
        return MinuteState("not_tested", None, step, reason)
    kind = _CLASSES[why.row.reply_at(at)]
    return MinuteState(kind, None if kind == "not_tested" else _party(why.row, at, kind), step, reason)


def _party(row: ReasonRow, step: Step, kind: MinuteClass) -> Party:
    """Return whose fault it is: that of a setting or of the network, unless the host or the service itself broke."""
    if row.link_at(step) is Link.HOST:
        return "host"
    if kind in _BLAMED_PARTIES and not (row.is_of_service and row.reply_at(step) is row.reply):  # or of another device
        return _BLAMED_PARTIES[kind]
    return "entra" if step is Step.TOKEN else "vault"


ANSWERED = MinuteState("answered")
UNEXPLAINED = MinuteState("not_tested")
MAINTENANCE = MinuteState("maintenance")
NO_PROBE = MinuteState("no_probe")
NO_DATA = MinuteState("no_data")
NOT_CONFIGURED = MinuteState("not_configured")

MINUTE = 60  # seconds
# Values of `Slice.results`.
FAILED_PROBE, GOOD_PROBE, WITHOUT_PROBE = 0.0, 1.0, 2.0
_RANKS = {kind: rank for rank, kind in enumerate(CLASS_TEXTS)}


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
        if _all_answered(states):
            self.states[ANSWERED] += len(states)
            return
        self.states.update(states)
        for number, state in enumerate(states, first):
            if state.kind in GAPS:
                begun = number
                if self.gaps and (self.gaps[-1][0], self.gaps[-1][2]) == (state.kind, number):  # it goes on
                    begun = self.gaps.pop()[1]
                self.gaps.append((state.kind, begun, number + 1))

    def count(self, *wanted: MinuteClass | Party) -> int:
        """Return the minutes of these classes, or of these parties."""
        return sum(count for state, count in self.states.items() if state.kind in wanted or state.party in wanted)

    @property
    def measured(self) -> int:
        return self.count(*MEASURED)

    @property
    def answered_percent(self) -> str | None:
        """The share of answered minutes in percent, rounded down to a thousandth; None if none was measured."""
        if not self.measured:
            return None
        thousandths = self.count("answered") * 100_000 // self.measured
        return f"{thousandths // 1000}.{thousandths % 1000:03}"

    @property
    def failures(self) -> list[tuple[MinuteState, int]]:
        """The minutes of each failed step and reason, the most frequent first."""
        found = ((state, count) for state, count in self.states.items() if state.reason)
        return sorted(found, key=lambda each: (-each[1], each[0].step, each[0].reason))


class Minutes:
    """The report: sums of all slices of a period, which must be added in their order."""

    def __init__(self, period: Period, series: Iterable[tuple[Exporter, ReportedTarget]]) -> None:
        """Take the series that Prometheus has for the period; others are ignored."""
        self.period = period
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
        return sum(len(row.gaps) for row in self.targets.values())

    def shared_gaps(self) -> list[tuple[tuple[int, int, MinuteClass], list[str]]]:
        """Return each gap once, first minute, minute after the last and class, with the targets that share it."""
        shared: dict[tuple[int, int, MinuteClass], list[str]] = {}
        for target, row in sorted(self.targets.items()):
            for kind, first, end in row.gaps:
                shared.setdefault((first, end, kind), []).append(target.target)
        return sorted(shared.items())

    def drop_absent(self) -> None:
        """Remove targets and vaults that no exporter had within the period."""
        absent: tuple[MinuteClass, ...] = ("no_data", "not_configured")
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

    def state_of(number: int) -> MinuteState:
        result = results.get(number)
        if result == FAILED_PROBE:
            found = [failed_minute(step, reason) for step, reason, points in failures if number in points]
            return min(found, key=_rank, default=UNEXPLAINED)
        if result is None:
            return NOT_CONFIGURED if number in alive else NO_DATA
        return ANSWERED if result == GOOD_PROBE else NO_PROBE

    return [state_of(number) for number in range(part.minutes)]


LONGEST = 366 * 86400


@dataclass(frozen=True, slots=True, kw_only=True)
class Period:
    """A period, a month of a time zone or between two moments, as Unix timestamps of whole minutes: from `start` until before `end`. `name` is part of file names."""

    start: int
    end: int
    zone: tzinfo
    zone_name: str
    name: str

    @property
    def minutes(self) -> int:
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


# The results of queries to Prometheus, checked.

_Label = Annotated[str, msgspec.Meta(max_length=1024)]


class Labels(msgspec.Struct, frozen=True):
    """The labels of a series; one that is absent is empty, as for Prometheus."""

    job: _Label = ""
    instance: _Label = ""
    target: _Label = ""
    vault: _Label = ""
    step: _Label = ""
    reason: _Label = ""

    @property
    def exporter(self) -> Exporter:
        return Exporter(printable(self.job), printable(self.instance))

    @property
    def key(self) -> tuple[Exporter, ReportedTarget]:
        return self.exporter, ReportedTarget(printable(self.vault), printable(self.target))


class _Series(msgspec.Struct):
    metric: Labels
    values: list[tuple[float, str]]


class _Matrix(msgspec.Struct):
    result: list[_Series]


def read_range(data: Any, start: int, minutes: int) -> list[tuple[Labels, Points]]:
    """Return labels and points of each series in `data` of `/api/v1/query_range`, for `minutes` from `start` on.

    Raises ValueError, and OverflowError for a time of infinity.
    """
    found: list[tuple[Labels, Points]] = [
        (one.metric, {round((at - start) / MINUTE): float(text) for at, text in one.values})
        for one in msgspec.convert(data, _Matrix).result
    ]
    if not all(0 <= number < minutes for _, points in found for number in points):
        raise ValueError("a time outside of the query")
    return found

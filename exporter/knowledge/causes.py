"""Causes: the broken link of one failure, the one that many failures share, incidents for one team, and groups of changes.

The row of a reason names the link. Metrics and JSON have the causes themselves; the status page joins them to incidents, what one team repairs
together. Which page of an alert a failure belongs to, with the "common cause" of `ekm_incident`, is another question: `knowledge.incident`.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Hashable, Iterable, Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Final, Generic, NamedTuple, TypeVar

from exporter.core.values import Step
from exporter.knowledge.reason_row import Link, Refused
from exporter.knowledge.reasons import Reason, refusing, spreading_to

TITLES: Mapping[Link, str] = {
    Link.HOST: "Exporter host",
    Link.PROXY: "Proxy",
    Link.ENTRA: "Entra ID",
    Link.REGION: "Region",
    Link.CREDENTIAL: "Credential",
    Link.VAULT: "Vault",
    Link.KEY: "Key",
}
SEVERAL: Final = (Link.CREDENTIAL, Link.VAULT, Link.KEY)  # one cause can break several of these


@dataclass(frozen=True, slots=True, kw_only=True)
class Failed:
    """The deciding failed step of a target, and the names of its links.

    `since` is the Unix time of the first failed probe. With `unsteady`, the target is ready now, and this is its most frequent failure.
    """

    step: Step
    reason: Reason | None
    names: Mapping[Link, str]
    since: float = 0.0
    is_first_seen: bool = False  # it may have begun before `since`
    not_ready: bool = False  # SQL Server could not open its databases
    unsteady: bool = False


@dataclass(frozen=True, slots=True)
class Cause:
    """A broken link, its name, and the reason. With `unsteady`, the link is not broken now, but was several times.

    The name is empty for the host, and for a cause of several vaults, keys or credentials.
    """

    link: Link
    name: str
    reason: Reason | None
    unsteady: bool = False

    @property
    def is_several(self) -> bool:
        """Whether it is one cause of several vaults, keys or credentials."""
        return not self.name and self.link in SEVERAL

    @property
    def id(self) -> str:
        """Text of the query parameter `cause`."""
        return f"{self.link}:{self.name}:{self.reason or ''}{':unsteady' if self.unsteady else ''}"


def cause_of(failed: Failed) -> Cause:
    """Return the cause of one failure, without regard to other targets."""
    unknown = Link.CREDENTIAL if failed.step is Step.TOKEN else Link.VAULT
    link = unknown if failed.reason is None else failed.reason.row.link_at(failed.step)
    return Cause(link, failed.names.get(link, ""), failed.reason, failed.unsteady)


# Many failures with one cause are moved to the link that they share. `SPREADS` moves failures of vaults to an earlier link, or to no vault in particular. Failures that are left and began together
# are one cause.

MANY: Final = 3  # vaults with the same kind of failure, at least
MANY_RATIO: Final = 0.5  # of the vaults that share the earlier link, at least
NEARLY_ALL_RATIO: Final = 0.9  # of the exporter's vaults, at least: one of them may fail otherwise, or not yet
TOGETHER_SECONDS: Final = 600.0  # between the beginnings of two failures that began together, at most


@dataclass(frozen=True, slots=True)
class Spread:
    """Failures of many vaults behind one link that are one cause of the link `cause_link`.

    At least `ratio` of these vaults, and at least `MANY`, fail with `reasons`.
    """

    reasons: Collection[Reason]
    shared_link: Link
    ratio: float
    cause_link: Link


class _Failure(NamedTuple):
    """A failed target in the order of its beginning."""

    since: float
    target: str
    vault: str
    reason: Reason | None


_HOST_REASONS: Final = frozenset(reason for reason in Reason if reason.row.is_of_host)
# The first one that applies to a failure.
SPREADS: Final = (
    Spread(spreading_to(Link.HOST) | _HOST_REASONS, Link.HOST, NEARLY_ALL_RATIO, Link.HOST),
    Spread(_HOST_REASONS, Link.HOST, 0.0, Link.HOST),
    Spread(spreading_to(Link.REGION), Link.REGION, MANY_RATIO, Link.REGION),
    # The vaults refuse the address or the network of the caller, with any credential.
    Spread(refusing(Refused.ADDRESS), Link.CREDENTIAL, MANY_RATIO, Link.VAULT),
    Spread(spreading_to(Link.CREDENTIAL), Link.CREDENTIAL, MANY_RATIO, Link.CREDENTIAL),
)
_SPREADS_OF: Final = {
    reason: [(place, spread) for place, spread in enumerate(SPREADS) if reason in spread.reasons] for reason in (None, *Reason)
}


@dataclass(slots=True)
class CauseFinder:
    """Finds the causes of all failures. Add every target, failed or not: thousands, in slices."""

    _failures: dict[str, tuple[Cause, Failed]] = field(default_factory=dict)
    _vaults: defaultdict[tuple[Link, str], set[str]] = field(default_factory=lambda: defaultdict(set))
    _movable: defaultdict[tuple[int, str], list[_Failure]] = field(default_factory=lambda: defaultdict(list))

    def add(self, target: str, names: Mapping[Link, str], failed: Failed | None) -> None:
        """Add a target with the name of each link; without a region, it is of none."""
        vault = names[Link.VAULT]
        for link in (Link.HOST, Link.REGION, Link.CREDENTIAL):
            if link in names:
                self._vaults[link, names[link]].add(vault)
        if failed is None:
            return
        own = cause_of(failed)
        self._failures[target] = own, failed
        # The host's own failures count among those of vaults.
        if own.link in (Link.VAULT, Link.HOST) and not own.unsteady:
            for place, spread in _SPREADS_OF[failed.reason]:
                if spread.shared_link in names:
                    self._movable[place, names[spread.shared_link]].append(_Failure(failed.since, target, vault, failed.reason))

    def find(self) -> dict[str, Cause]:
        """Return the cause of each failed target."""
        causes, moved = {target: own for target, (own, _) in self._failures.items()}, set[str]()
        for (place, name), failures in sorted(self._movable.items()):
            spread = SPREADS[place]
            alike = [each for each in failures if each.target not in moved]
            vaults = {each.vault for each in alike}
            if len(vaults) >= MANY and len(vaults) >= spread.ratio * len(self._vaults[spread.shared_link, name]):
                counts = Counter(each.reason for each in alike)
                most_frequent = min(counts, key=lambda each: (-counts[each], each or ""))
                cause = Cause(spread.cause_link, name if spread.cause_link is spread.shared_link else "", most_frequent)
                causes |= dict.fromkeys([each.target for each in alike], cause)
                moved |= {each.target for each in alike}
        return self._merged(causes)

    def _merged(self, causes: dict[str, Cause]) -> dict[str, Cause]:
        """Return the causes, with one in place of those with one link, reason and step that began together in `MANY` vaults."""
        alike = defaultdict[tuple[Link, Reason | None, Step], list[_Failure]](list)
        for target, cause in causes.items():
            failed = self._failures[target][1]
            if cause.link in SEVERAL and not cause.unsteady:
                failure = _Failure(failed.since, target, failed.names[Link.VAULT], cause.reason)
                alike[cause.link, cause.reason, failed.step].append(failure)
        for (link, reason, _), failures in alike.items():
            for together in _together(sorted(failures)):
                if len({each.vault for each in together}) >= MANY and len({causes[each.target].name for each in together}) > 1:
                    causes |= dict.fromkeys([each.target for each in together], Cause(link, "", reason))
        return causes


def _together(failures: list[_Failure]) -> Iterable[list[_Failure]]:
    """Yield the failures, in the order of their beginnings, in runs: each one began soon after the one before it."""
    run = failures[:1]
    for before, failure in pairwise(failures):
        if failure.since - before.since > TOGETHER_SECONDS:
            yield run
            run = []
        run.append(failure)
    yield run


# Incidents: causes that one team repairs together, as the status page shows them.

# Between the beginnings of two causes of one incident, at most: a change reaches vaults one after another.
WITHIN_SECONDS: Final = 3600.0


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
    return [sorted(run, key=lambda each: each.cause.unsteady) for kind in alike.values() for run in _split(kind)]


def incident_id(cause: Cause, first: float) -> str:
    """Return the text of the query parameter `cause` for several causes; `first` is the Unix time of their beginning."""
    return f"{_family(cause)}{first:.0f}"


def nearest_incident(wanted: str, incidents: Iterable[tuple[Cause, float]]) -> str:
    """Return the id of the incident that a link means: as long as failures remain, even after the first one ended.

    Each incident is a cause and its beginning. The result is empty without one of the same link and reason.
    """
    family, _, first = wanted.rpartition(":")
    alike = [(cause, began) for cause, began in incidents if _family(cause) == f"{family}:"]
    if not alike or not first.isdecimal() or len(first) > 12:  # digits of a Unix time, at most
        return ""
    return incident_id(*min(alike, key=lambda each: abs(each[1] - int(first))))


def _family(cause: Cause) -> str:
    return f"{cause.link}:*:{cause.reason or ''}:"


def _kind(cause: Cause) -> Hashable:
    """Return what the causes of one incident have in common: the name too, unless one change breaks several of these links."""
    is_spreading = cause.link in SEVERAL and cause.reason is not None and cause.reason.row.one_change
    return cause.link, cause.reason, "" if is_spreading else cause.name


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


# Groups of changes: those of one kind that began together are one, such as 40 vaults behind one changed firewall.

C = TypeVar("C")  # a change


@dataclass(slots=True)
class ChangeGroup(Generic[C]):
    """Changes of one kind. `newest` is the last one, `oldest` the Unix time of the first; `targets` are the newest first."""

    newest: C
    oldest: float
    targets: dict[str, C] = field(default_factory=dict)


class ChangeGroups(Generic[C]):
    """Groups changes that are added with the newest first, at most `most` groups."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._open: dict[Hashable, ChangeGroup[C]] = {}
        self.groups: list[ChangeGroup[C]] = []

    def add(self, kind: Hashable, at: float, target: str, change: C) -> bool:
        """Add a change at a Unix time; return whether an older one could still belong to a group.

        A change belongs to the group of its kind whose last one began at most `TOGETHER_SECONDS` later.
        """
        group = self._open.get(kind)
        if group is None or group.oldest - at > TOGETHER_SECONDS:
            if len(self.groups) == self._most:
                return any(each.oldest - at <= TOGETHER_SECONDS for each in self._open.values())
            group = self._open[kind] = ChangeGroup(change, at)
            self.groups.append(group)
        group.oldest = at
        group.targets.setdefault(target, change)
        return True

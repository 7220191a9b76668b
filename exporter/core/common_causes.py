"""Common causes: many failures with one cause are moved to the link that they share.

`SPREADS` moves failures of vaults to an earlier link, or to no vault in particular. Failures that are left and began together
are one cause.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Final, NamedTuple

from exporter.core.causes import SEVERAL, Cause, Failed, Link, cause_of
from exporter.core.model import Step
from exporter.core.reasons import Reason, refusing, spreading_to
from exporter.core.reasons.row import Refused

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
# The vaults refuse the address or the network of the caller, with any credential.
_ADDRESS_REASONS: Final = refusing(Refused.ADDRESS)
# The first one that applies to a failure.
SPREADS: Final = (
    Spread(spreading_to(Link.HOST) | _HOST_REASONS, Link.HOST, NEARLY_ALL_RATIO, Link.HOST),
    Spread(_HOST_REASONS, Link.HOST, 0.0, Link.HOST),
    Spread(spreading_to(Link.REGION), Link.REGION, MANY_RATIO, Link.REGION),
    Spread(_ADDRESS_REASONS, Link.CREDENTIAL, MANY_RATIO, Link.VAULT),
    Spread(spreading_to(Link.CREDENTIAL), Link.CREDENTIAL, MANY_RATIO, Link.CREDENTIAL),
)
_MOVABLE: Final = (Link.VAULT, Link.HOST)  # the host's own failures count among those of vaults
_SPREADS_OF: Final = {
    reason: [(place, spread) for place, spread in enumerate(SPREADS) if reason in spread.reasons] for reason in (None, *Reason)
}


@dataclass(slots=True)
class CommonCauses:
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
        if own.link in _MOVABLE and not own.unsteady:
            for place, spread in _SPREADS_OF[failed.reason]:
                if spread.shared_link in names:
                    self._movable[place, names[spread.shared_link]].append(_Failure(failed.since, target, vault, failed.reason))

    def find(self) -> dict[str, Cause]:
        """Return the cause of each failed target."""
        moved = dict[str, Cause]()
        for (place, name), failures in sorted(self._movable.items()):
            spread = SPREADS[place]
            alike = [each for each in failures if each.target not in moved]
            vaults = {each.vault for each in alike}
            if len(vaults) >= MANY and len(vaults) >= spread.ratio * len(self._vaults[spread.shared_link, name]):
                cause = Cause(spread.cause_link, name if spread.cause_link is spread.shared_link else "", _most_frequent(alike))
                moved.update(dict.fromkeys([each.target for each in alike], cause))
        return self._merged({target: moved.get(target, own) for target, (own, _) in self._failures.items()})

    def _merged(self, causes: dict[str, Cause]) -> dict[str, Cause]:
        """Return the causes, with one in place of those with one link, reason and step that began together in `MANY` vaults."""
        alike = defaultdict[tuple[Link, Reason | None, Step], list[_Failure]](list)
        for target, cause in causes.items():
            if cause.link in SEVERAL and not cause.unsteady:
                failed = self._failures[target][1]
                alike[cause.link, cause.reason, failed.step].append(
                    _Failure(failed.since, target, failed.names[Link.VAULT], cause.reason)
                )
        for (link, reason, _), failures in alike.items():
            for together in _together(sorted(failures)) if len(failures) >= MANY else ():
                if len({each.vault for each in together}) >= MANY and len({causes[each.target].name for each in together}) > 1:
                    causes.update(dict.fromkeys([each.target for each in together], Cause(link, "", reason)))
        return causes


def _most_frequent(failures: Iterable[_Failure]) -> Reason | None:
    counts = Counter(each.reason for each in failures)
    return min(counts, key=lambda each: (-counts[each], each or ""))


def _together(failures: list[_Failure]) -> Iterable[list[_Failure]]:
    """Yield the failures, in the order of their beginnings, in runs: each one began soon after the one before it."""
    run = failures[:1]
    for before, failure in pairwise(failures):
        if failure.since - before.since > TOGETHER_SECONDS:
            yield run
            run = []
        run.append(failure)
    yield run

"""Common causes: many failures with one cause are moved to the link that they share.

`SPREADS` moves failures of vaults to an earlier link. What is left and began together is one cause without a name.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Final

from exporter.core.causes import MANY, MANY_RATIO, NO_CONNECTION, REFUSED_CALLER, Cause, Failed, Link, cause_of
from exporter.core.faults import Reason

NEARLY_ALL_RATIO: Final = 0.9  # of the exporter's vaults, at least: one of them may fail otherwise, or not yet
TOGETHER_SECONDS: Final = 600.0  # between the beginnings of two failures that began together, at most
# Reasons for which keys are lost, or are lost for good after some time: a deleted key, a vault whose name is gone.
IRREVERSIBLE: Final = frozenset({Reason.KEY_SOFT_DELETED, Reason.KEY_NOT_FOUND, Reason.DNS_NOT_FOUND})


@dataclass(frozen=True, slots=True)
class Spread:
    """If `ratio` of the vaults behind the link `to`, and at least `MANY`, fail with these reasons, that link is broken."""

    reasons: Collection[Reason]
    to: Link
    ratio: float


# No vault causes these.
_OF_THE_HOST = frozenset({Reason.DNS_TEMPORARY, Reason.DNS_TIMEOUT, Reason.NETWORK_DOWN})
# Of an outage in Azure: no answer, or a server error. A certificate or a name is no region's fault.
_OF_A_REGION = frozenset(reason for reason in Reason if reason.value.startswith(("connect_", "connection_", "body_"))) | {
    Reason.READ_TIMEOUT,
    Reason.NOT_HTTP,
    Reason.SERVER_ERROR,
}
# The first one that applies to a failure.
SPREADS: Final = (
    Spread(NO_CONNECTION | _OF_THE_HOST, Link.HOST, NEARLY_ALL_RATIO),
    Spread(_OF_THE_HOST, Link.HOST, 0.0),
    Spread(_OF_A_REGION, Link.REGION, MANY_RATIO),
    Spread(REFUSED_CALLER, Link.CREDENTIAL, MANY_RATIO),
)
_MOVABLE: Final = (Link.VAULT, Link.HOST)  # the host's own failures count among those of vaults
# One cause of many, if they began together.
_MERGED: Final = (Link.CREDENTIAL, Link.VAULT, Link.KEY)


def common_causes(failures: Mapping[str, Failed], names: Iterable[Mapping[Link, str]]) -> dict[str, Cause]:
    """Return the cause of each failed target.

    `names` has the links of every target, failed or not.
    """
    own = {target: cause_of(failed) for target, failed in failures.items()}
    everything, moved = list(names), dict[str, Cause]()
    for spread in SPREADS:
        affected = {
            target: failures[target]
            for target, cause in own.items()
            if cause.reason in spread.reasons and cause.link in _MOVABLE and target not in moved and not cause.unsteady
        }
        if len(affected) >= MANY:
            moved.update(_spread(spread, affected, everything))
    causes = own | moved
    return {**causes, **dict(_merged(causes, failures))}


def _spread(
    spread: Spread, failures: Mapping[str, Failed], everything: Iterable[Mapping[Link, str]]
) -> Iterator[tuple[str, Cause]]:
    """Yield targets with the earlier link as their cause, and its most frequent reason."""
    vaults, affected = defaultdict[str | None, set[str]](set), defaultdict[str, dict[str, Failed]](dict)
    for names in everything:
        vaults[names.get(spread.to)].add(names[Link.VAULT])
    for target, failed in failures.items():
        if (name := failed.names.get(spread.to)) is not None:
            affected[name][target] = failed
    for name, alike in affected.items():
        failed_vaults = {failed.names[Link.VAULT] for failed in alike.values()}
        if len(failed_vaults) >= MANY and len(failed_vaults) >= spread.ratio * len(vaults[name]):
            counts = Counter(failed.reason for failed in alike.values())
            reason = min(counts, key=lambda each: (-counts[each], each or ""))
            yield from ((target, Cause(spread.to, name, reason)) for target in alike)


def _merged(causes: Mapping[str, Cause], failures: Mapping[str, Failed]) -> Iterator[tuple[str, Cause]]:
    """Yield targets of at least `MANY` causes and vaults with one link, reason and step that began together."""
    alike = defaultdict[tuple[object, ...], list[str]](list)
    for target, cause in causes.items():
        if cause.link in _MERGED and not cause.unsteady:
            alike[cause.link, cause.reason, failures[target].step].append(target)
    for targets in alike.values():
        for together in _together(targets, failures) if len(targets) >= MANY else ():
            different = {causes[target].name for target in together}
            vaults = {failures[target].names[Link.VAULT] for target in together}
            if min(len(different), len(vaults)) >= MANY:
                yield from ((target, replace(causes[target], name="")) for target in together)


def _together(targets: Iterable[str], failures: Mapping[str, Failed]) -> Iterator[list[str]]:
    """Yield the targets in runs: each failure began soon after the one before it."""
    ordered = sorted(targets, key=lambda target: failures[target].since)
    run = ordered[:1]
    for before, target in pairwise(ordered):
        if failures[target].since - failures[before].since > TOGETHER_SECONDS:
            yield run
            run = []
        run.append(target)
    yield run

"""Common causes of failures: the broken link between this host and SQL Server.

The row of a reason names the link that it breaks, and the earlier link that many of them break, as in the alerts.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from exporter.core.model import Step

if TYPE_CHECKING:
    from exporter.core.reasons import Reason

MANY = 3  # vaults with the same kind of failure, at least
MANY_RATIO = 0.5  # of the vaults that share the earlier link, at least


class Link(StrEnum):
    """The links from this host to SQL Server, in their order."""

    HOST = "host"
    PROXY = "proxy"
    ENTRA = "entra"
    REGION = "region"
    CREDENTIAL = "credential"
    VAULT = "vault"
    KEY = "key"


TITLES: Mapping[Link, str] = {
    Link.HOST: "Exporter host",
    Link.PROXY: "Proxy",
    Link.ENTRA: "Entra ID",
    Link.REGION: "Region",
    Link.CREDENTIAL: "Credential",
    Link.VAULT: "Vault",
    Link.KEY: "Key",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Failed:
    """The deciding failed step of a target, and the name of each link."""

    step: Step
    reason: Reason | None
    names: Mapping[Link, str]


@dataclass(frozen=True, slots=True)
class Cause:
    """A broken link: which one, its name, and the reason. With `unsteady`, it is not broken now, but was several times."""

    link: Link
    name: str
    reason: Reason | None
    unsteady: bool = False

    @property
    def id(self) -> str:
        """Text of the query parameter `cause`."""
        return f"{self.link}:{self.name}:{self.reason or ''}{':unsteady' if self.unsteady else ''}"


# The earlier links to which failures of vaults spread, in this order.
SPREADS = (Link.HOST, Link.CREDENTIAL)


def cause_of(failed: Failed) -> Cause:
    """Return the cause of one failure, without regard to other targets."""
    unknown = Link.CREDENTIAL if failed.step is Step.TOKEN else Link.VAULT
    link = unknown if failed.reason is None else failed.reason.row.link_at(failed.step)
    return Cause(link, failed.names.get(link, ""), failed.reason)


def common_causes(failures: Mapping[str, Failed], names: Iterable[Mapping[Link, str]]) -> dict[str, Cause]:
    """Return the cause of each failed target.

    `names` has the links of every target, failed or not.
    """
    return spread_causes({target: cause_of(failed) for target, failed in failures.items()}, failures, names)


def spread_causes(
    own: Mapping[str, Cause], failures: Mapping[str, Failed], names: Iterable[Mapping[Link, str]]
) -> dict[str, Cause]:
    """Return the cause of each failed target like `common_causes`; `own` has the cause of each failure alone."""
    found, everything = dict(own), list(names)
    for to in SPREADS:
        affected = {
            target: failures[target]
            for target, cause in found.items()
            if cause.link is Link.VAULT and cause.reason is not None and to in cause.reason.row.spreads_to
        }
        if len(affected) >= MANY:
            found.update(_spread(to, affected, everything))
    return found


def _spread(to: Link, failures: Mapping[str, Failed], everything: Iterable[Mapping[Link, str]]) -> Iterator[tuple[str, Cause]]:
    """Yield targets with the earlier link as their cause, and its most frequent reason."""
    vaults, affected = defaultdict[str, set[str]](set), defaultdict[str, dict[str, Failed]](dict)
    for names in everything:
        vaults[names[to]].add(names[Link.VAULT])
    for target, failed in failures.items():
        affected[failed.names[to]][target] = failed
    for name, alike in affected.items():
        failed_vaults = {failed.names[Link.VAULT] for failed in alike.values()}
        if len(failed_vaults) >= MANY and len(failed_vaults) >= MANY_RATIO * len(vaults[name]):
            counts = Counter(failed.reason for failed in alike.values())
            reason = min(counts, key=lambda each: (-counts[each], each or ""))
            yield from ((target, Cause(to, name, reason)) for target in alike)

"""Common causes of failures: the broken link between this host and SQL Server.

`RULES` assigns a failed step to a link. `SPREADS` moves it to an earlier link if many targets fail alike, as the alerts do.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import cache

from exporter.core.faults import Reason
from exporter.core.model import Step
from exporter.core.readiness import EXPORTER_SIDE

MANY = 3  # vaults with the same kind of failure, at least
MANY_RATIO = 0.5  # of the vaults that share the earlier link, at least


class Link(StrEnum):
    """The links from this host to SQL Server, in their order."""

    HOST = "host"
    PROXY = "proxy"
    ENTRA = "entra"
    CREDENTIAL = "credential"
    VAULT = "vault"
    KEY = "key"


TITLES: Mapping[Link, str] = {
    Link.HOST: "Exporter host",
    Link.PROXY: "Proxy",
    Link.ENTRA: "Entra ID",
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


@dataclass(frozen=True, slots=True)
class Rule:
    """Failures of these steps with these reasons break this link. None is any."""

    steps: Collection[Step] | None
    reasons: Collection[Reason] | None
    link: Link


@dataclass(frozen=True, slots=True)
class Spread:
    """If many vaults behind the link `to` fail with these reasons, that link is broken."""

    reasons: Collection[Reason]
    to: Link


NO_CONNECTION = frozenset(
    reason
    for reason in Reason
    if reason.value.startswith(("dns_", "connect_", "connection_", "tls_"))
    or reason in (Reason.READ_TIMEOUT, Reason.NOT_HTTP, Reason.NO_CHALLENGE, Reason.REDIRECT)
)
REFUSED_CALLER = (
    Reason.FORBIDDEN,
    Reason.FORBIDDEN_POLICY,
    Reason.FORBIDDEN_RBAC,
    Reason.FORBIDDEN_FIREWALL,
    Reason.FORBIDDEN_CONNECTION,
    Reason.FORBIDDEN_NSP,
)
_OF_THE_HOST = (Reason.IDENTITY_UNAVAILABLE, Reason.IDENTITY_KEY_UNREADABLE)
_PROXY = frozenset(reason for reason in Reason if reason.value.startswith("proxy_"))
_ENTRA = NO_CONNECTION | {
    Reason.ENTRA_UNAVAILABLE,
    Reason.OUTDATED_TLS,
    Reason.TENANT_RESTRICTED,
    Reason.THROTTLED,
    Reason.SERVER_ERROR,
    Reason.BODY_TIMEOUT,
    Reason.BODY_TRUNCATED,
    Reason.BODY_TOO_LARGE,
    Reason.ANSWER_EMPTY,
    Reason.ANSWER_NOT_JSON,
    Reason.ANSWER_INCOMPLETE,
    Reason.ANSWER_MALFORMED,
    # Statuses that Entra ID does not send for a sign-in: another device on the route responded.
    Reason.FORBIDDEN,
    Reason.NOT_FOUND,
    Reason.CONFLICT,
    Reason.CLIENT_ERROR,
}
_TOKEN_REFUSED = frozenset(reason for reason in Reason if reason.value.startswith("token_"))
_KEY = frozenset(reason for reason in Reason if reason.value.startswith("key_")) | {Reason.BYTES_DIFFER}

# The first rule that fits.
RULES: tuple[Rule, ...] = (
    Rule(
        None,
        {*EXPORTER_SIDE, Reason.NETWORK_DOWN, Reason.CLOCK_SKEW, *_OF_THE_HOST, Reason.SCRAPE_TIMEOUT},
        Link.HOST,
    ),
    Rule(None, _PROXY, Link.PROXY),
    Rule({Step.TOKEN}, _ENTRA, Link.ENTRA),
    Rule({Step.TOKEN}, None, Link.CREDENTIAL),
    Rule(None, _TOKEN_REFUSED, Link.CREDENTIAL),
    Rule(None, _KEY, Link.KEY),
    Rule(None, None, Link.VAULT),
)
# For failures at vaults.
SPREADS: tuple[Spread, ...] = (Spread(NO_CONNECTION, Link.HOST), Spread(REFUSED_CALLER, Link.CREDENTIAL))


def cause_of(failed: Failed) -> Cause:
    """Return the cause of one failure, without regard to other targets."""
    link = _link_of(failed.step, failed.reason)
    return Cause(link, failed.names.get(link, ""), failed.reason)


@cache
def _link_of(step: Step, reason: Reason | None) -> Link:
    return next(
        rule.link
        for rule in RULES
        if (rule.steps is None or step in rule.steps) and (rule.reasons is None or reason in rule.reasons)
    )


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
    for spread in SPREADS:
        affected = {
            target for target, cause in found.items() if cause.link is Link.VAULT and failures[target].reason in spread.reasons
        }
        if len(affected) >= MANY:
            found.update(_spread(spread, {target: failures[target] for target in affected}, everything))
    return found


def _spread(
    spread: Spread, failures: Mapping[str, Failed], everything: Iterable[Mapping[Link, str]]
) -> Iterator[tuple[str, Cause]]:
    """Yield targets with the earlier link as their cause, and its most frequent reason."""
    vaults, affected = defaultdict[str, set[str]](set), defaultdict[str, dict[str, Failed]](dict)
    for names in everything:
        vaults[names[spread.to]].add(names[Link.VAULT])
    for target, failed in failures.items():
        affected[failed.names[spread.to]][target] = failed
    for name, alike in affected.items():
        failed_vaults = {failed.names[Link.VAULT] for failed in alike.values()}
        if len(failed_vaults) >= MANY and len(failed_vaults) >= MANY_RATIO * len(vaults[name]):
            counts = Counter(failed.reason for failed in alike.values())
            reason = min(counts, key=lambda each: (-counts[each], each or ""))
            yield from ((target, Cause(spread.to, name, reason)) for target in alike)

"""The cause of a failure: the broken link between this host and SQL Server. `RULES` assigns a failed step to a link."""

from __future__ import annotations

from collections.abc import Collection, Mapping
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
    """The deciding failed step of a target, and the name of each link; a link that the target lacks is missing.

    `since` is the Unix time at which its state began. With `unsteady`, it is ready now, and this is its most frequent failure.
    """

    step: Step
    reason: Reason | None
    names: Mapping[Link, str]
    since: float = 0.0
    not_ready: bool = False  # SQL Server could not open its databases
    unsteady: bool = False


@dataclass(frozen=True, slots=True)
class Cause:
    """A broken link: which one, its name, and the reason. With `unsteady`, it is not broken now, but was several times.

    The host has no name, and neither has a cause of several vaults, keys or credentials.
    """

    link: Link
    name: str
    reason: Reason | None
    unsteady: bool = False

    @property
    def is_several(self) -> bool:
        """Whether it is one cause of several vaults, keys or credentials."""
        return not self.name and self.link in (Link.CREDENTIAL, Link.VAULT, Link.KEY)

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


def cause_of(failed: Failed) -> Cause:
    """Return the cause of one failure, without regard to other targets."""
    link = _link_of(failed.step, failed.reason)
    return Cause(link, failed.names.get(link, ""), failed.reason, failed.unsteady)


@cache
def _link_of(step: Step, reason: Reason | None) -> Link:
    return next(
        rule.link
        for rule in RULES
        if (rule.steps is None or step in rule.steps) and (rule.reasons is None or reason in rule.reasons)
    )

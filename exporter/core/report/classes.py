"""The class of a minute, and whose fault a failed minute is.

`RULES` maps the failed step and its reason; the link of `core.causes` decides where no rule names a party.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import cache

from exporter.core.causes import NO_CONNECTION, REFUSED_CALLER, Failed, Link, cause_of
from exporter.core.faults import Reason
from exporter.core.model import Step
from exporter.core.readiness import EXPORTER_SIDE


class MinuteClass(StrEnum):
    """What a minute counts as. Of several results, the first one in this order counts."""

    ANSWERED = "answered"
    THROTTLED = "throttled"
    REFUSED = "refused"
    FAILED = "failed"
    UNREACHABLE = "unreachable"
    NOT_TESTED = "not_tested"
    MAINTENANCE = "maintenance"
    NO_PROBE = "no_probe"
    NO_DATA = "no_data"
    NOT_CONFIGURED = "not_configured"


CLASS_TEXTS: Mapping[MinuteClass, str] = {
    MinuteClass.ANSWERED: "every step of the last probe succeeded",
    MinuteClass.THROTTLED: "the service throttled the request (HTTP status 429)",
    MinuteClass.REFUSED: "the service refused the credential, the caller, the key or the request",
    MinuteClass.FAILED: "the service responded with an error of its own, or with an unusable response",
    MinuteClass.UNREACHABLE: "no response: DNS, connection, TLS, proxy or timeout",
    MinuteClass.NOT_TESTED: "the exporter itself failed, or the reason is not known; not measured",
    MinuteClass.MAINTENANCE: "a declared maintenance window (ekm_maintenance is 1); left out",
    MinuteClass.NO_PROBE: "gap: Prometheus scraped the exporter, but the target had no recent probe",
    MinuteClass.NO_DATA: "gap: Prometheus has no data of an exporter of this target",
    MinuteClass.NOT_CONFIGURED: "the exporter ran without this target; left out",
}
MEASURED = (
    MinuteClass.ANSWERED,
    MinuteClass.THROTTLED,
    MinuteClass.REFUSED,
    MinuteClass.FAILED,
    MinuteClass.UNREACHABLE,
)
GAPS = (MinuteClass.NO_PROBE, MinuteClass.NO_DATA)


class Party(StrEnum):
    """Whose fault a measured minute without an answer is."""

    HOST = "host"
    NETWORK = "network"
    ENTRA = "entra"
    VAULT = "vault"
    SETTINGS = "settings"


PARTY_TEXTS: Mapping[Party, str] = {
    Party.HOST: "the exporter's host: its clock, its network interface or its identity endpoint",
    Party.NETWORK: "DNS, connection, TLS or proxy between host and service; one exporter cannot show on whose side",
    Party.ENTRA: "Entra ID throttled, failed or did not complete a response",
    Party.VAULT: "the vault throttled, failed or did not complete a response",
    Party.SETTINGS: "a setting of the customer: credential, permission, firewall or key",
}


@dataclass(frozen=True, slots=True)
class Rule:
    """Failures of these steps with these reasons have this class and party. None is any."""

    steps: Collection[Step] | None
    reasons: Collection[Reason] | None
    kind: MinuteClass
    party: Party | None  # None: the party of the broken link


@dataclass(frozen=True, slots=True)
class MinuteState:
    """The class of a minute; of a failed one the party, the step and the reason too."""

    kind: MinuteClass
    party: Party | None = None
    step: str = ""
    reason: str = ""


LINK_PARTIES: Mapping[Link, Party] = {
    Link.HOST: Party.HOST,
    Link.PROXY: Party.NETWORK,
    Link.ENTRA: Party.ENTRA,
    Link.CREDENTIAL: Party.SETTINGS,
    Link.VAULT: Party.VAULT,
    Link.KEY: Party.SETTINGS,
}
_BROKEN = frozenset(
    reason for reason in Reason if reason.value.startswith(("body_", "answer_", "challenge_", "authority_", "resource_mismatch"))
) | {
    Reason.ENTRA_UNAVAILABLE,
    Reason.SERVER_ERROR,
    Reason.UNEXPECTED_STATUS,
    Reason.IDENTITY_UNAVAILABLE,
    Reason.IDENTITY_KEY_UNREADABLE,
}
_PROXY = frozenset(reason for reason in Reason if reason.value.startswith("proxy_"))
# Statuses that Entra ID does not send for a sign-in: another device on the route responded.
_OTHER_DEVICE = frozenset({Reason.FORBIDDEN, Reason.NOT_FOUND, Reason.CONFLICT, Reason.CLIENT_ERROR})

# The first rule that fits.
RULES: tuple[Rule, ...] = (
    Rule(None, {*EXPORTER_SIDE, Reason.SCRAPE_TIMEOUT}, MinuteClass.NOT_TESTED, None),
    Rule(None, {Reason.THROTTLED}, MinuteClass.THROTTLED, None),
    Rule(None, {Reason.NETWORK_DOWN}, MinuteClass.UNREACHABLE, Party.HOST),
    # Connected, and then silent: the service, not the network.
    Rule(None, {Reason.READ_TIMEOUT}, MinuteClass.UNREACHABLE, None),
    Rule(None, NO_CONNECTION | _PROXY, MinuteClass.UNREACHABLE, Party.NETWORK),
    Rule({Step.TOKEN}, _OTHER_DEVICE, MinuteClass.UNREACHABLE, Party.NETWORK),
    Rule(None, {Reason.TOKEN_UNVERIFIABLE, Reason.BYTES_DIFFER}, MinuteClass.FAILED, Party.VAULT),
    Rule({Step.TOKEN}, {Reason.UNEXPECTED_STATUS}, MinuteClass.FAILED, Party.ENTRA),
    Rule(None, _BROKEN, MinuteClass.FAILED, None),
    Rule(None, {*REFUSED_CALLER, Reason.NOT_FOUND, Reason.BAD_REQUEST, Reason.CLIENT_ERROR}, MinuteClass.REFUSED, Party.SETTINGS),
    Rule(None, {Reason.CONFLICT, Reason.CLOCK_SKEW}, MinuteClass.REFUSED, None),
    Rule(None, None, MinuteClass.REFUSED, Party.SETTINGS),
)


@cache
def failed_minute(step: str, reason: str) -> MinuteState:
    """Return the state of a failed minute from the labels of `ekm_last_failure_info`.

    Labels of a newer exporter, which this table does not know, are not measured.
    """
    try:
        at, why = Step(step), Reason(reason)
    except ValueError:
        return MinuteState(MinuteClass.NOT_TESTED, None, step, reason)
    rule = next(
        rule for rule in RULES if (rule.steps is None or at in rule.steps) and (rule.reasons is None or why in rule.reasons)
    )
    if rule.kind is MinuteClass.NOT_TESTED:
        return MinuteState(rule.kind, None, step, reason)
    link = cause_of(Failed(step=at, reason=why, names={})).link
    return MinuteState(rule.kind, rule.party or LINK_PARTIES[link], step, reason)


ANSWERED = MinuteState(MinuteClass.ANSWERED)
UNEXPLAINED = MinuteState(MinuteClass.NOT_TESTED)
MAINTENANCE = MinuteState(MinuteClass.MAINTENANCE)
NO_PROBE = MinuteState(MinuteClass.NO_PROBE)
NO_DATA = MinuteState(MinuteClass.NO_DATA)
NOT_CONFIGURED = MinuteState(MinuteClass.NOT_CONFIGURED)

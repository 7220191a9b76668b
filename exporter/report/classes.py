"""The class of a minute, and whose fault a failed minute is.

The row of the reason states what the service did, and which link broke.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import cache

from exporter.core.causes import Link
from exporter.core.model import Step
from exporter.core.reasons import Reason
from exporter.core.reasons.row import ReasonRow


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
    MinuteClass.FAILED: "the service responded with an error of its own (5xx), or with an unusable response",
    MinuteClass.UNREACHABLE: "no response: DNS, connection, TLS, proxy or timeout",
    MinuteClass.NOT_TESTED: "the exporter itself failed, or the reason is not known; not measured",
    MinuteClass.MAINTENANCE: "a declared maintenance window (ekm_maintenance is 1), whatever the probe got; left out",
    MinuteClass.NO_PROBE: "gap: Prometheus scraped the exporter, but the target had no recent probe",
    MinuteClass.NO_DATA: "gap: Prometheus has no data of an exporter of this target",
    MinuteClass.NOT_CONFIGURED: "the exporter ran without this target, before it was added or after it was removed; left out",
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
    Party.HOST: "the exporter's host: no network, a wrong clock, its identity endpoint",
    Party.NETWORK: "DNS, connection, TLS or proxy; one exporter cannot show on whose side: compare another host, and other vaults",
    Party.ENTRA: "Entra ID throttled, failed or did not complete a response",
    Party.VAULT: "the vault throttled, failed or did not complete a response; it throttles all its clients together",
    Party.SETTINGS: "a setting of the customer: credential, permission, firewall or key",
}


@dataclass(frozen=True, slots=True)
class MinuteState:
    """The class of a minute; of a failed one the party, the step and the reason too."""

    kind: MinuteClass
    party: Party | None = None
    step: str = ""
    reason: str = ""


_BLAMED_PARTIES = {MinuteClass.UNREACHABLE: Party.NETWORK, MinuteClass.REFUSED: Party.SETTINGS}


@cache
def failed_minute(step: str, reason: str) -> MinuteState:
    """Return the state of a failed minute from the labels of `ekm_last_failure_info`.

    Labels of a newer exporter, which this table does not know, are not measured.
    """
    try:
        at, why = Step(step), Reason(reason)
    except ValueError:
        return MinuteState(MinuteClass.NOT_TESTED, None, step, reason)
    kind = MinuteClass(why.row.reply_at(at))
    return MinuteState(kind, None if kind is MinuteClass.NOT_TESTED else _party(why.row, at, kind), step, reason)


def _party(row: ReasonRow, step: Step, kind: MinuteClass) -> Party:
    """Return whose fault it is: that of a setting or of the network, unless the host or the service itself broke."""
    if row.link_at(step) is Link.HOST:
        return Party.HOST
    of_service = row.is_of_service and row.reply_at(step) is row.reply  # not of another device
    if kind in _BLAMED_PARTIES and not of_service:
        return _BLAMED_PARTIES[kind]
    return Party.ENTRA if step is Step.TOKEN else Party.VAULT


ANSWERED = MinuteState(MinuteClass.ANSWERED)
UNEXPLAINED = MinuteState(MinuteClass.NOT_TESTED)
MAINTENANCE = MinuteState(MinuteClass.MAINTENANCE)
NO_PROBE = MinuteState(MinuteClass.NO_PROBE)
NO_DATA = MinuteState(MinuteClass.NO_DATA)
NOT_CONFIGURED = MinuteState(MinuteClass.NOT_CONFIGURED)

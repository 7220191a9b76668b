"""The labels that the alerts of ekm.rules.yml carry, and the matchers by which alertmanager.yml chooses among them."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

_EXPORTER = ("job", "instance")
_TARGET = ("target", "vault", *_EXPORTER)
_MAYBE = ("credential", "team", "env", "region")
_CREDENTIAL = ("credential", *_EXPORTER)
_OWNED = ("team", "env")


@dataclass(frozen=True)
class Alert:
    """An alert. `always` are its fixed labels, `maybe` those that depend on the configuration or the scrape."""

    name: str
    severity: str
    always: tuple[str, ...] = ()
    maybe: tuple[str, ...] = ()

    def sample(self, *, maybe: bool = True, **other: str) -> dict[str, str]:
        """Return the labels of such an alert. Each value derives from its name, except in `other`."""
        labels = (*self.always, *(self.maybe if maybe else ()))
        return {"alertname": self.name, "severity": self.severity, **{name: f"a-{name}" for name in labels}, **other}


def _alerts(severity: str, always: tuple[str, ...], maybe: tuple[str, ...], names: str) -> Iterator[Alert]:
    return (Alert(name, severity, always, maybe) for name in names.split())


TARGET_PAGES = """EkmThrottledSpike EkmForbiddenSpike EkmVaultSideNotReady EkmVaultHostNameGone EkmKeySoftDeleted
    EkmKeyDisabledUntested"""
TARGET_TICKETS = """EkmNextCredentialRefused EkmTargetNotProbed EkmWrapFails EkmKeyStateInvalid EkmRecoveryUnusable EkmKeyCareDue
    EkmLatencyHigh EkmPathNotAsExpected EkmPreflightFailed EkmTargetGone"""

ALERTS: Mapping[str, Alert] = {
    alert.name: alert
    for alert in (
        *_alerts("critical", _TARGET, _MAYBE, TARGET_PAGES),
        *_alerts("critical", (*_CREDENTIAL, "scope"), _OWNED, "EkmCredentialRefused EkmCredentialExpired EkmEntraTurnsAway"),
        *_alerts("critical", _CREDENTIAL, _OWNED, "EkmCredentialExpiresIn1Day"),
        *_alerts("critical", (*_CREDENTIAL, "scope"), (), "EkmCredentialForbidden"),
        *_alerts("critical", (*_EXPORTER, "scope"), (), "EkmEntraUnavailable EkmEgressDown EkmEveryProbeStale"),
        *_alerts("critical", ("region", *_EXPORTER, "scope"), (), "EkmRegionDown"),
        *_alerts("critical", ("job", "scope"), ("instance",), "EkmExporterDown"),
        *_alerts("warning", _TARGET, _MAYBE, TARGET_TICKETS),
        *_alerts("warning", (*_CREDENTIAL, "within"), (*_OWNED, "role"), "EkmCredentialExpires"),
        *_alerts("warning", _EXPORTER, _OWNED, "EkmErrorBudgetBurns"),
        *_alerts("warning", (*_CREDENTIAL, "problem"), (), "EkmCredentialExpiryDoubtful"),
        *_alerts("warning", ("endpoint", *_EXPORTER), (), "EkmTlsCertificateExpires"),
        *_alerts(
            "warning",
            _EXPORTER,
            (),
            "EkmExporterOverloaded EkmExporterInternalErrors EkmClockSkew EkmExporterMisconfigured",
        ),
        *_alerts("warning", ("job", "of"), (), "EkmShardMissing"),
        *_alerts("info", (), (), "EkmWatchdog"),
    )
}

_MATCHER = re.compile(r'(\w+)(=~|!~|!=|=)"([^"]*)"')


def matches(matchers: list[str], labels: Mapping[str, str]) -> bool:
    """Match as Alertmanager does: all must match, a missing label is empty, a regular expression covers the whole value."""
    for matcher in matchers:
        parts = _MATCHER.fullmatch(matcher)
        assert parts, matcher
        name, operator, wanted = parts.groups()
        value = labels.get(name, "")
        equal = value == wanted if operator in ("=", "!=") else bool(re.fullmatch(wanted, value))
        if equal == operator.startswith("!"):
            return False
    return True

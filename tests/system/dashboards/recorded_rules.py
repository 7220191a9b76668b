"""The series that Prometheus itself records of its rules in both histories: firing alerts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from alerts.slo import MINUTE

PROD = {"team": "hr", "env": "prod"}


@dataclass(frozen=True)
class Alert:
    """An alert that fires from a minute on, with the labels of its rule."""

    name: str
    severity: str
    since: int
    labels: Mapping[str, str]


HOST, CENTRAL, LOST = ({"instance": f"{name}:10377"} for name in ("sqlhost1", "central", "sqlhost9"))
WATCHDOG = Alert("EkmWatchdog", "info", 0, {})
ALERTS = (
    WATCHDOG,
    Alert("EkmExporterDown", "critical", 8, {**LOST, "scope": "exporter"}),
    Alert("EkmExporterMisconfigured", "warning", 10, HOST),
    Alert("EkmCredentialExpired", "critical", 87, {**HOST, **PROD, "scope": "credential", "credential": "sql-payroll"}),
    Alert("EkmCredentialExpired", "critical", 88, {**CENTRAL, **PROD, "scope": "credential", "credential": "sql-payroll"}),
    Alert("EkmForbiddenSpike", "critical", 108, {**CENTRAL, "target": "billing-invoices", "vault": "contoso-billing.vault.azure.net",
          "credential": "sql-prod", "team": "finance", "env": "prod", "region": "northeurope"}),
    Alert("EkmKeySoftDeleted", "critical", 116, {**HOST, "target": "legal-hold", "vault": "contoso-legal.vault.azure.net",
          "credential": "sql-prod", "team": "legal", "env": "prod", "region": "westeurope"}),
)  # fmt: skip


def alert_samples(minute: int, at: float, job: str, *, healthy: bool) -> Iterator[str]:
    """Yield the two series of each alert that fires in this minute."""
    for alert in (WATCHDOG,) if healthy else ALERTS:
        if minute >= alert.since:
            given = {
                "alertname": alert.name,
                "severity": alert.severity,
                **({"job": job, **alert.labels} if alert.labels else {}),
            }
            labels = ",".join(f'{name}="{value}"' for name, value in given.items())
            yield f'ALERTS{{alertstate="firing",{labels}}} 1 {at:.0f}'
            yield f"ALERTS_FOR_STATE{{{labels}}} {at - (minute - alert.since) * MINUTE:.0f} {at:.0f}"

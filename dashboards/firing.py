"""Firing alerts: a table of them, and marks on the panels over time, from the series that Prometheus keeps of its alert rules."""

from __future__ import annotations

from typing import Final

from grafana_foundation_sdk.builders import dashboard as building
from grafana_foundation_sdk.builders import table
from grafana_foundation_sdk.builders.common import TableSortByFieldState

from dashboards import frame, panels, sheets
from dashboards.promql import REMEMBERED, series
from dashboards.sheets import column, mapped
from dashboards.words import BAD, SEVERITIES

TITLE: Final = "Firing alerts"
# An alert may lack a label: a common cause has no target, a missing scrape job no instance. VictoriaMetrics takes "x|" for "x", so "(x)?".
_CHOSEN: Final = 'alertname=~"Ekm.+", severity!="info", job=~"($job)?", instance=~"($instance)?"'


def _alerts(labels: str) -> str:
    """Alerts that fire, with the seconds since each became active."""
    active = f"time() - ALERTS_FOR_STATE{{{_CHOSEN}, {labels}}}"
    return f'({active} and ignoring (alertstate) ALERTS{{alertstate="firing", {_CHOSEN}, {labels}}})'


def _of_target() -> str:
    """Alerts of the chosen target, and of its exporter, credential and region."""
    target = f"last_over_time({series('ekm_target_info', over=REMEMBERED)})"
    region = f"last_over_time({series('ekm_vault_info', over=REMEMBERED)})"
    exporters = _alerts('target="", credential="", region=""')
    credentials = _alerts('target="", credential!=""')
    regions = _alerts('target="", credential="", region!=""')
    parts = (
        _alerts('target=~"$target"'),
        f"{exporters} and on (job, instance) {target}",
        f"{credentials} and on (job, instance, credential) {target}",
        f"{regions} and on (job, instance, region) {region}",
    )
    return " or ".join(f"({part})" for part in parts)


EVERYWHERE: Final = _alerts('target=~"($target)?", vault=~"($vault)?"')
OF_TARGET: Final = _of_target()


def table_of_alerts(alerts: str, *, rows: int = 8) -> table.Panel:
    """Return the table of these alerts, the critical ones first."""
    panel = sheets.sheet(
        TITLE,
        "Alerts that fire now, including those that Alertmanager silences. Needs the rules of alerts/ekm.rules.yml in the same "
        "Prometheus.",
        panels.rows(f"max by (alertname, severity, target, credential, region, instance) ({alerts})"),
        size=(24, rows),
        empty="No alert fires.",
    )
    names = {
        "severity": "Severity",
        "alertname": "Alert",
        "target": "Target",
        "credential": "Credential",
        "region": "Region",
        "instance": "Exporter",
        "Value": "Active for",
    }
    sheets.columns(panel, names)
    column(panel, "Severity", mapped(SEVERITIES), sheets.FILLED, width=95)
    column(panel, "Alert", frame.to_runbook("Alert"), width=260)
    column(panel, "Target", frame.to_vault("Target"))
    column(panel, "Active for", ("unit", "s"), ("decimals", 0), width=110)
    return panel.sort_by([TableSortByFieldState().display_name("Severity"), TableSortByFieldState().display_name("Alert")])


def marks(alerts: str) -> building.AnnotationQuery:
    """Return a mark on every panel over time for as long as an alert fires."""
    query = building.AnnotationQuery().name(TITLE).datasource(panels.DATASOURCE).enable(True).icon_color(BAD).expr(alerts)
    query.title_format("{{alertname}}").text_format("{{target}} {{credential}} {{region}} {{instance}}")
    return query.tag_keys("severity").step("60s")

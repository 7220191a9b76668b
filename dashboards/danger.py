"""The table that answers the first question: which SQL Servers cannot get their key, and why?

For: one line for each SQL Server whose vault side is not ready.
Not for: targets (see `fleet`).
"""

from __future__ import annotations

from typing import Final

from grafana_foundation_sdk.builders import table
from grafana_foundation_sdk.builders.common import TableSortByFieldState
from grafana_foundation_sdk.models.common import TableCellHeight

from dashboards import frame, panels, promql, sheets
from dashboards.promql import series
from dashboards.sheets import column, mapped
from dashboards.words import BAD, not_known

NOT_CENTRALLY: Final = "A vault firewall that blocks only the central exporter does not endanger SQL Server: an exporter on a SQL Server host still gets through."


_WHY: Final = f"{promql.SERVERS} * on (target) group_left (step, code, reason, action, meaning, vantage) {promql.WHY_NOT_READY}"
_NOT_READY_FOR: Final = (
    f"{series('ekm_consecutive_unready_probes')} * {series('ekm_probe_interval_seconds')}"
    f" and on (job, instance, target) {promql.NOT_READY_VERDICTS}"
)
# How long is not known of every target: no number then, and no line less.
_LASTING: Final = f" * on (target) group_left () (max by (target) ({_NOT_READY_FOR}) or on (target) {promql.IS_NOT_READY} * NaN)"
_NAMES: Final = {
    "sql_instance": "SQL Server",
    "host": "Host",
    "ag": "AG",
    "target": "Target",
    "vantage": "Vantage",
    "Value": "Not ready for",
    "code": "Code",
    "reason": "Reason",
    "meaning": "What happened",
    "action": "First action",
    "runbook": "Runbook",
    "page": "Page",
}


def table_of_servers() -> table.Panel:
    panel = sheets.sheet(
        "These SQL Servers cannot get their key: backups fail, and databases stay closed at a restart",
        "Each SQL Server whose vault side is not ready: vantage, reason, duration and first action. Do not restart it "
        f"before. Watch its log space. {NOT_CENTRALLY}",
        panels.rows(promql.with_runbook(promql.first_sentence(f"{_WHY}{_LASTING}", "meaning"))),
        size=(24, 18),
        empty="No SQL Server is known to be in danger.",
    )
    sheets.columns(panel, _NAMES).cell_height(TableCellHeight.LG)
    return _formatted(panel).sort_by([TableSortByFieldState().display_name("Not ready for").desc(True)])


def _formatted(panel: table.Panel) -> table.Panel:
    column(panel, "SQL Server", sheets.FILLED, ("color", {"mode": "fixed", "fixedColor": BAD}), width=115)
    column(panel, "Host", width=50)
    column(panel, "AG", width=50)
    column(panel, "Target", frame.to_vault("Target"), width=130)
    column(panel, "Vantage", width=78)
    column(panel, "Not ready for", ("unit", "s"), ("decimals", 0), mapped(not_known("not known")), width=125)
    frame.code_column(panel)
    column(panel, "Reason", width=135)
    column(panel, "What happened", *sheets.WRAPPED)
    column(panel, "First action", *sheets.WRAPPED)
    return column(panel, "Runbook", frame.to_runbook("Runbook"), width=172)

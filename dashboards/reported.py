"""The table of the codes of one target: what the probe reports, next to what its SQL Servers report.

For: one line for each source and code, from the last probe and from the error logs of the SQL Servers that the exporter reads.
Not for: errors of probes over time (see `around`).
"""

from __future__ import annotations

from typing import Final

from grafana_foundation_sdk.builders import table
from grafana_foundation_sdk.builders.common import TableSortByFieldState

from dashboards import frame, panels, promql, sheets
from dashboards.promql import label, series
from dashboards.sheets import column
from dashboards.sql_servers import SERVERS

TITLE: Final = "Codes of the probe and of SQL Server"
# Without the messages about failed backups, which are no codes of the provider.
_PROVIDER: Final = '{job=~"$job", instance=~"$instance", code!~"18204|3041"}'
_FAILED: Final = f"group by (target, code) ({promql.FAILURE})"


def _of_probe(metric: str) -> str:
    """Return a time of the probe's target, under the code of its failure."""
    time = f"{_FAILED} * on (target) group_left () max by (target) ({series(metric)})"
    return f"max by (source, code) ({label(time, 'source', 'probe')})"


def _of_sql_servers(metric: str) -> str:
    """Return a series of the target's SQL Servers by code, under their names."""
    found = f"max by (sql_instance, host, code) ({metric}) > 0 and on (sql_instance, host) {SERVERS}"
    return f'max by (source, code) (label_join({found}, "source", " on ", "sql_instance", "host"))'


def _last() -> str:
    times = _of_sql_servers(f"mssql_ekm_error_log_last_timestamp_seconds{_PROVIDER}")
    return f"({_of_probe('ekm_last_probe_timestamp_seconds')} or {times}) * 1000"


def table_of_codes() -> table.Panel:
    """Return the table, the newest code first."""
    panel = sheets.sheet(
        TITLE,
        "The failure of the last probe, and the provider error codes in the error logs of the target's SQL Servers within 24 hours. A code "
        "that only SQL Server reports: the fault is on its host (EkmSqlBackupsFail). A code that only the probe reports: SQL Server "
        "has not needed the vault since. Good until is the last successful probe. No line of a SQL Server: no such line, or its log is not read.",
        panels.rows(promql.with_page(_last()), "A"),
        panels.rows(promql.with_page(f"{_of_probe('ekm_last_success_timestamp_seconds')} * 1000"), "B"),
        panels.rows(promql.with_page(_of_sql_servers(f"mssql_ekm_error_log_lines{_PROVIDER}")), "C"),
        size=(24, 7),
        empty="No code in the last probe or in an error log.",
    )
    panel.with_transformation(sheets.transformation("merge", {}))
    names = {
        "source": "Source",
        "code": "Code",
        "Value #B": "Good until",
        "Value #A": "Last",
        "Value #C": "Lines in 24 h",
        "page": "Page",
    }
    sheets.columns(panel, names)
    column(panel, "Source", width=260)
    frame.code_column(panel)
    for name in ("Good until", "Last"):
        column(panel, name, ("unit", "dateTimeAsIso"), width=190)
    column(panel, "Lines in 24 h", *sheets.COUNT, width=120)
    return panel.sort_by([TableSortByFieldState().display_name("Last").desc(True)])

"""The table that compares SQL Server with the targets: is every key in use probed, in the version in use?

For: one line for each SQL Server and thumbprint, from the series of the SQL Servers that the exporter reads.
Not for: the state of targets (see `fleet`).
"""

from __future__ import annotations

from typing import Final

from grafana_foundation_sdk.builders import table
from grafana_foundation_sdk.builders.common import TableSortByFieldState

from dashboards import frame, panels, sheets
from dashboards.promql import label
from dashboards.sheets import column, mapped
from dashboards.words import COVERAGE, COVERAGE_OF_KINDS

TITLE: Final = "Keys that SQL Servers use"
# All targets, whatever vault and target are chosen: another target may probe the key.
_EXPORTERS: Final = 'job=~"$job", instance=~"$instance"'
_PINNED: Final = f'ekm_target_info{{{_EXPORTERS}, thumbprint!="", pin="config", mode!="canary"}}'
_THUMBPRINTS: Final = (
    f'label_replace(mssql_ekm_database_encryption_state{{{_EXPORTERS}, encryptor_type="ASYMMETRIC KEY", encryptor_thumbprint!=""}} > 1, '
    '"thumbprint", "$1", "encryptor_thumbprint", "(.+)")'
)
# The number of databases of each SQL Server and thumbprint.
_USED: Final = f"count by (sql_instance, host, thumbprint) (group by (sql_instance, host, database, thumbprint) ({_THUMBPRINTS}))"
_DIFFERENCES: Final = "mssql_ekm_difference_databases"
_BY_KEY: Final = "on (sql_instance, host, thumbprint)"
# Keys without a difference from the configuration.
_MATCHED: Final = (
    f'({_USED} unless {_BY_KEY} {_DIFFERENCES}{{{_EXPORTERS}, kind=~"{"|".join(kind for kind in COVERAGE_OF_KINDS)}"}})'
)
_BY_TARGET: Final = f"topk by (thumbprint) (1, group by (target, thumbprint) ({_PINNED}))"


def _expression() -> str:
    rows = {
        "probed": f"{_MATCHED} * on (thumbprint) group_left (target) {_BY_TARGET}",
        "not known": f"{_MATCHED} unless on (thumbprint) {_PINNED}",
    } | {
        coverage: f'max by (sql_instance, host, thumbprint, target) ({_DIFFERENCES}{{{_EXPORTERS}, kind="{kind}"}})'
        for kind, coverage in COVERAGE_OF_KINDS.items()
    }
    return " or ".join(label(expression, "coverage", name) for name, expression in rows.items())


def table_of_keys() -> table.Panel:
    """Return the table, the missing coverage first."""
    panel = sheets.sheet(
        TITLE,
        "Keys that encrypt databases, by SQL Server and thumbprint, and the target that probes each. Another version: the pin of that "
        "target is not in use (EkmSqlConfigurationDiffers). No target, not listed: the same alert. Not known: no target pins the thumbprint, "
        "and the exporter reports no difference. The choice of vault and target does not apply.",
        panels.rows(_expression()),
        size=(24, 8),
        empty="The exporter reads no SQL Server (sql_servers), so it is not known which keys they use.",
    )
    names = {
        "sql_instance": "SQL Server",
        "host": "Host",
        "coverage": "Coverage",
        "target": "Target",
        "Value": "Databases",
        "thumbprint": "Thumbprint",
    }
    sheets.columns(panel, names)
    column(panel, "SQL Server", width=140)
    column(panel, "Host", width=90)
    column(panel, "Coverage", mapped(COVERAGE), sheets.FILLED, width=130)
    column(panel, "Target", frame.to_vault("Target"), width=180)
    column(panel, "Databases", *sheets.COUNT, width=95)
    return panel.sort_by([TableSortByFieldState().display_name("Coverage")])

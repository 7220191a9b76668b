"""The tables of SQL Server itself: what it proved with each key, and what fails there, whatever the vault side is.

For: one line for each SQL Server of the chosen target and each key that its databases use; one for each failure of any SQL Server.
Not for: codes in error logs (see `reported`), keys without a target (see `coverage`).
"""

from __future__ import annotations

from typing import Final

from grafana_foundation_sdk.builders import table
from grafana_foundation_sdk.builders.common import TableSortByFieldState

from dashboards import panels, sheets
from dashboards.promql import series
from dashboards.sheets import column, levels, mapped
from dashboards.words import BAD, NEUTRAL, OFF_ON, PROOFS, WARNING

TITLE: Final = "What SQL Server itself proved"
FAILING: Final = "SQL Server itself: closed databases, failing backups, full logs"
# All SQL Servers, whatever vault and target are chosen: one without a target fails too.
_EXPORTERS: Final = 'job=~"$job", instance=~"$instance"'
_SINCE: Final = f"max by (sql_instance, host) (mssql_ekm_backups_failing_since_timestamp_seconds{{{_EXPORTERS}}})"
BACKUPS_FAIL: Final = f"count({_SINCE} > 0) or 0 * count({_SINCE})"
_ADVISED: Final = (
    f'max by (sql_instance, host, about, database, shows, action) (mssql_ekm_first_action_info{{{_EXPORTERS}, about!="reading"}})'
)
_NO_HOST, _FLAG = 'host=""', 'flag="15025"'
# Those of the target. An instance without a host is each SQL Server of that name.
SERVERS: Final = (
    f"(group by (sql_instance, host) ({series('ekm_instance_info')}) or group by (sql_instance, host) "
    f"({series('mssql_ekm_read_success')} and on (sql_instance) {series('ekm_instance_info', _NO_HOST)}))"
)
# The keys in use; a SQL Server without one, or that was never read, has a line too.
_KEYS: Final = (
    f"(group by (sql_instance, host, key_name) ({series('mssql_ekm_proof_due')}) or on (sql_instance, host) "
    f"group by (sql_instance, host) ({series('mssql_ekm_read_success')}))"
)


def _named(expression: str) -> str:
    """Keep the SQL Servers of the target, under their names."""
    return f'label_join({expression} and on (sql_instance, host) {SERVERS}, "name", " on ", "sql_instance", "host")'


def _of_server(expression: str) -> str:
    """Return a value of each SQL Server in the line of each of its keys."""
    return f"max by (name, key_name) ({_named(f'({expression} * on (sql_instance, host) group_right () {_KEYS})')})"


def _age(section: str) -> str:
    """Return the seconds since a section was read; of two exporters, the later reading."""
    read_at = series("mssql_ekm_section_timestamp_seconds", f'section="{section}"')
    return f"(time() - max by (sql_instance, host) ({read_at}))"


def _queries() -> dict[str, str]:
    proven = f"max by (name, key_name, source, database) ({_named(series('mssql_ekm_proven_timestamp_seconds'))})"
    # 0 proven, 1 due, 2 without a credential.
    missing = f"2 * max by (sql_instance, host, key_name) ({series('mssql_ekm_key_without_credential')})"
    due = f"max by (sql_instance, host, key_name) ({series('mssql_ekm_proof_due')})"
    full = f"min by (sql_instance, host) ({series('mssql_ekm_log_full_seconds')})"
    return {
        "A": f"max by (name, key_name) ({_named(f'({missing} or {due})')})",
        "B": f"time() - topk by (name, key_name) (1, {proven})",
        "C": _of_server(f"clamp_min({full} - on (sql_instance, host) {_age('logs')}, 0)"),
        "D": _of_server(f"max by (sql_instance, host) ({series('mssql_ekm_trace_flag_enabled', _FLAG)})"),
        "E": _of_server(_age("backups")),
    }


def table_of_proofs() -> table.Panel:
    """Return the table, the missing credentials and proofs first."""
    panel = sheets.sheet(
        TITLE,
        "The last backup or start with which each SQL Server of the target proved its key, since its credential was altered. Due: none did. "
        "No credential: SQL Server cannot sign in for the key (EkmSqlKeyWithoutCredential). Log full in: from now, at the rate of the last two "
        "readings. Trace flag 15025 off: each new virtual log file (VLF) needs the vault too. Read: the age of the last reading.",
        *(panels.rows(expression, ref) for ref, expression in _queries().items()),
        size=(24, 7),
        empty="The exporter reads no SQL Server of this target (sql_servers), so it is not known what they proved.",
    )
    panel.with_transformation(sheets.transformation("merge", {}))
    names = {
        "name": "SQL Server",
        "key_name": "Key",
        "Value #A": "Proof",
        "Value #B": "Last proof",
        "source": "By",
        "database": "Database",
        "Value #C": "Log full in",
        "Value #D": "15025",
        "Value #E": "Read",
    }
    sheets.columns(panel, names)
    column(panel, "SQL Server", width=230)
    column(panel, "Proof", mapped(PROOFS), sheets.FILLED, width=130)
    column(panel, "Last proof", ("unit", "s"), ("decimals", 0), width=120)
    column(panel, "By", width=150)
    log_levels = levels((4 * 3600, WARNING), (86400, NEUTRAL), start=BAD)
    column(panel, "Log full in", ("unit", "s"), ("decimals", 0), log_levels, sheets.COLORED, width=110)
    column(panel, "15025", mapped(OFF_ON), width=80)
    column(panel, "Read", ("unit", "s"), ("decimals", 0), width=90)
    return panel.sort_by([TableSortByFieldState().display_name("Proof").desc(True)])


def table_of_failures() -> table.Panel:
    """Return the table, closed databases first."""
    panel = sheets.sheet(
        FAILING,
        "What the exporter reads of SQL Servers (sql_servers): databases that did not open, backups that fail because SQL Server does not get its key, "
        "logs that fill up meanwhile, each with what it shows and the first action. The vault side may be ready all the same. The choice of vault and "
        "target does not apply.",
        panels.rows(_ADVISED),
        size=(24, 7),
        empty="No SQL Server that the exporter reads reports a failure.",
    )
    names = {
        "about": "What",
        "sql_instance": "SQL Server",
        "host": "Host",
        "database": "Database",
        "shows": "What it shows",
        "action": "First action",
    }
    sheets.columns(panel, names)
    column(panel, "What", sheets.FILLED, ("color", {"mode": "fixed", "fixedColor": BAD}), width=80)
    column(panel, "SQL Server", width=140)
    column(panel, "Host", width=90)
    column(panel, "Database", width=130)
    column(panel, "What it shows", *sheets.WRAPPED)
    column(panel, "First action", *sheets.WRAPPED)
    return panel.sort_by([TableSortByFieldState().display_name("What").desc(True)])

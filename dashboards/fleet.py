"""The dashboard for the wall: is the vault side ready, and for which SQL Servers is it not?

For: all targets at a glance, worst first.
Not for: one target in depth (see `vault`).
"""

from __future__ import annotations

from typing import Final

from grafana_foundation_sdk.builders import dashboard as building
from grafana_foundation_sdk.builders import table
from grafana_foundation_sdk.builders.common import TableSortByFieldState

from dashboards import coverage, danger, firing, frame, panels, promql, sheets, sql_servers
from dashboards.panels import Number
from dashboards.promql import increase, series
from dashboards.sheets import column, mapped
from dashboards.words import GOOD, STATES, WARNING

TITLE: Final = "EKM / Fleet"
DESCRIPTION: Final = (
    "Whether SQL Server would get its keys if it restarted now, for every target. Not tested: the secret inside SQL Server, the "
    "service account's proxy, Windows' TLS, registry and DLL."
)
_LAST_HOUR: Final = f"A target that was there in the last {promql.REMEMBERED} and has no series now counts as unknown."


_UP: Final = promql.of_exporters(series("up"))
_SERVERS: Final = f"count by (sql_instance, host) ({promql.DECLARED_SERVERS} and on (target) {promql.IS_NOT_READY})"
_UNNAMED: Final = f"{promql.IS_NOT_READY} unless on (target) {promql.DECLARED_SERVERS}"
_THROTTLED: Final = f"sum by (target) ({increase('ekm_throttled_total', 'target, step', '15m')}) > 0"


def _count(state: int) -> str:
    return f"count(({promql.STATE}) == {state}) or {promql.NONE}"


NUMBERS: Final = (
    Number(
        "Exporters down",
        "Exporters that Prometheus scraped within a day and cannot scrape now: the state of their targets is unknown, so no other number "
        "is complete.",
        f"count({_UP} == 0) or 0 * count({_UP})",
        levels=panels.ANY_IS_BAD,
        start=GOOD,
        size=(3, 4),
    ),
    Number(
        "SQL Servers in danger",
        "Declared SQL Servers that depend on a target that is not ready: backups fail, logs grow, and databases stay closed at a restart. "
        f"{danger.NOT_CENTRALLY}",
        f"count({_SERVERS}) or {promql.NONE_IN_DANGER}",
        levels=panels.ANY_IS_BAD,
        start=GOOD,
        size=(3, 4),
    ),
    Number(
        "Backups fail",
        "SQL Servers whose own backups fail because they do not get their key, as the exporter reads them (sql_servers), whatever the probe shows.",
        sql_servers.BACKUPS_FAIL,
        levels=panels.ANY_IS_BAD,
        start=GOOD,
        missing="not read",
        size=(3, 4),
    ),
    Number(
        "No server declared",
        "Targets that are not ready and have no declared SQL Server: the endangered servers are unknown.",
        f"count({_UNNAMED}) or {promql.NONE_IN_DANGER}",
        levels=panels.ANY_IS_BAD,
        start=GOOD,
        size=(3, 4),
    ),
    Number(
        "Not ready",
        "Targets for which a token, the pinned key version or an unwrap with it failed.",
        f"count({promql.IS_NOT_READY}) or {promql.NONE_IN_DANGER}",
        levels=panels.ANY_IS_BAD,
        start=GOOD,
        size=(3, 4),
    ),
    Number(
        "Unknown",
        f"Targets without a verdict: no pinned version, or no recent probe. {_LAST_HOUR}",
        _count(promql.UNKNOWN),
        levels=panels.ANY_IS_WARNING,
        size=(3, 4),
    ),
    Number(
        "Ready",
        "Targets whose last probe got a token, read the pinned key version and unwrapped with it.",
        _count(promql.READY),
        levels=((1, GOOD),),
        size=(3, 4),
    ),
    Number(
        "Throttled",
        "Targets whose vault or Entra ID responded with 429 within the last 15 minutes.",
        f"count({_THROTTLED}) or {promql.NONE}",
        levels=panels.ANY_IS_WARNING,
        size=(3, 4),
    ),
)


_MEANING: Final = promql.first_sentence(promql.FAILURE, "meaning")


def _every_target() -> table.Panel:
    count = f"count by (target) (max by (target, sql_instance, host) ({series('ekm_instance_info')}))"
    panel = sheets.sheet(
        "Every target, worst first",
        f"One line for each vault and key. Success and throttling cover the chosen time range; "
        f"the next expiry is that of key or credential. A ready target has a code if only wrap fails, or only a central exporter is blocked. {_LAST_HOUR}",
        panels.rows(promql.STATE, "A"),
        panels.rows(promql.with_page(promql.with_affected(_MEANING)), "B"),
        panels.rows(promql.SUCCESS, "C"),
        panels.rows(f"sum by (target) ({increase('ekm_throttled_total', 'target, step', '$__range')})", "D"),
        panels.rows(f"({promql.NEXT_EXPIRY} - time()) / 86400", "E"),
        panels.rows(count, "F"),
        panels.rows(f"topk by (target) (1, max by (target, team) ({series('ekm_target_info')}))", "G"),
        panels.rows(promql.one_of("ekm_vault_info", "region"), "H"),
        panels.over_time(f"max by (target) ({series('ekm_probe_duration_seconds')})", ref="I"),
        size=(24, 17),
        empty="No exporter has any target.",
    )
    panel.with_transformation(sheets.transformation("timeSeriesTable", {"I": {"stat": "lastNotNull"}}, only="I"))
    return _columns_of_targets(panel).sort_by(
        [TableSortByFieldState().display_name("Vault side"), TableSortByFieldState().display_name("Success")]
    )


def _columns_of_targets(panel: table.Panel) -> table.Panel:
    names = {
        "Value #A": "Vault side",
        "target": "Target",
        "Value #F": "Servers",
        "code": "Code",
        "meaning": "What happened",
        "Value #C": "Success",
        "Value #D": "Throttled",
        "Value #E": "Next expiry",
        "Trend #I": "Duration",
        "team": "Team",
        "region": "Region",
        "page": "Page",
    }
    sheets.columns(panel, names, by="target")
    column(panel, "Vault side", mapped(STATES), sheets.FILLED, ("custom.align", "left"), width=95)
    column(panel, "Target", frame.to_vault("Target"), width=140)
    column(panel, "Servers", *sheets.COUNT, width=72)
    frame.code_column(panel)
    column(panel, "What happened", *sheets.WRAPPED)
    column(panel, "Success", ("unit", "percentunit"), ("decimals", 1), width=85)
    column(panel, "Throttled", *sheets.COUNT, sheets.levels((0.5, WARNING)), sheets.COLORED, width=82)
    column(panel, "Next expiry", *sheets.DAYS, sheets.COLORED, width=98)
    column(panel, "Duration", sheets.SPARKLINE, ("unit", "s"), ("color", {"mode": "fixed", "fixedColor": "#56B4E9"}), width=76)
    column(panel, "Team", width=78)
    return column(panel, "Region", width=118)


def _over_time() -> panels.Panel:
    ratio = f"avg by (target) (avg_over_time({series('ekm_vault_side_ready', over='$__range')} @ end()))"
    worst = f"topk(30, 1 - {ratio} or on (target) 0.5 * max by (target) (last_over_time({series('ekm_target_info', over='$__range')} @ end())))"
    return panels.history(
        "Vault side over time",
        "Ready, not ready or unknown at each moment, of the 30 targets that were not ready for longest in the chosen time range.",
        panels.over_time(f"({promql.STATE}) and on (target) {worst}", "{{target}}"),
        STATES,
    )


def _by_code() -> panels.Panel:
    counted = f"sum by (code) ({increase('ekm_errors_total', 'target, step, code', '$__range')}) > 0.5"
    return panels.ranking(
        "Failures by code",
        "Failed steps in the chosen time range by the code that SQL Server would show. Nothing here: nothing failed.",
        f"sort_desc({promql.with_meaning(counted, 'symbol')})",
        "{{code}} {{symbol}}",
        size=(24, 8),
    )


def dashboard() -> building.Dashboard:
    rows: list[frame.Row] = [
        ("", panels.numbers(*NUMBERS)),
        ("", [danger.table_of_servers()]),
        ("", [sql_servers.table_of_failures()]),
        ("", [firing.table_of_alerts(firing.EVERYWHERE)]),
        ("", [_every_target()]),
        ("", [_over_time()]),
        ("", [coverage.table_of_keys()]),
        ("", [_by_code()]),
    ]
    board = frame.framed(frame.FLEET, TITLE, DESCRIPTION, frame.variables(), rows)
    return board.annotation(firing.marks(firing.EVERYWHERE))

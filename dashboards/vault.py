"""The dashboard of one target: what is the matter with it, since when, and where in the round trip.

For: steps, phases, latency, errors, throttling, key facts and the path to the vault, of the target chosen above.
Not for: which targets fail (see `fleet`), dates (see `expiry`).
"""

from __future__ import annotations

from typing import Final

from grafana_foundation_sdk.builders import dashboard as building
from grafana_foundation_sdk.builders import table, timeseries
from grafana_foundation_sdk.builders.common import GraphThresholdsStyleConfig, TableSortByFieldState
from grafana_foundation_sdk.models import common
from grafana_foundation_sdk.models.common import TableCellHeight

from dashboards import around, firing, frame, panels, promql, reported, sheets, sql_servers
from dashboards.panels import Number, over_time, rows
from dashboards.promql import increase, observations, quantile, series
from dashboards.sheets import column
from dashboards.words import BAD, EXPIRED_SECONDS, GOOD, NEUTRAL, STATES, WARNING
from exporter.core.limits import OWN_SHARE

TITLE: Final = "EKM / Vault"
DESCRIPTION: Final = (
    "One target: its verdict, the steps of its round trip, its errors with their meaning, its key and its network path."
)
_STEPS: Final = 'step=~"$step"'


NUMBERS: Final = (
    Number(
        "Vault side",
        "Whether the last probe got a token, read the pinned key version and unwrapped with it. Unknown if that cannot be determined.",
        promql.STATE,
        levels=((promql.UNKNOWN, NEUTRAL), (promql.READY, GOOD)),
        start=BAD,
        mapping=STATES,
    ),
    Number(
        "Success",
        "Share of the probes in the chosen time range in which every step succeeded.",
        promql.SUCCESS,
        unit="percentunit",
        levels=((0.99, WARNING), (0.995, GOOD)),
        start=BAD,
        decimals=1,
    ),
    Number(
        "Last success",
        "How long ago the last successful probe started.",
        f"time() - max by (target) ({series('ekm_last_success_timestamp_seconds')})",
        unit="s",
        levels=((300, WARNING), (900, BAD)),
        start=GOOD,
        missing="never",
        decimals=0,
    ),
    Number(
        "Failures in a row",
        "Failed probes in a row; 0 after a successful one. Four in a row raise a page, or three at an interval of 5 minutes.",
        f"max by (target) ({series('ekm_consecutive_failures')})",
        levels=((1, WARNING), (4, BAD)),
        start=GOOD,
    ),
    Number(
        "Next expiry",
        "Time until the first expiry of key and credential, or until the purge of a deleted key.",
        f"{promql.NEXT_EXPIRY} - time()",
        unit="s",
        levels=((7 * 86400, WARNING), (30 * 86400, GOOD)),
        start=BAD,
        mapping=EXPIRED_SECONDS,
        missing="not known",
        decimals=0,
    ),
    Number(
        "Request budget",
        "The exporter's own requests in the busiest ten seconds of the last minute, as a share of the vault's published limit. Above "
        f"{OWN_SHARE:.0%}, probe less often.",
        around.BUDGET,
        unit="percentunit",
        levels=((OWN_SHARE, WARNING), (10 * OWN_SHARE, BAD)),
        start=GOOD,
        missing="no limit known",
        decimals=2,
    ),
)


def _cause() -> table.Panel:
    panel = sheets.sheet(
        "What is wrong now, and what to do",
        "The first failed step of the last probe, with what happened, its own first action and the runbook. Empty if no failure is known. If the "
        "vault side is unknown too, no exporter has recent data of the target.",
        rows(promql.with_runbook(promql.with_affected(promql.FAILURE))),
        size=(24, 6),
        empty="No failure is known.",
    )
    names = {
        "step": "Step",
        "code": "Code",
        "symbol": "Symbol",
        "reason": "Reason",
        "owner": "Owner",
        "meaning": "What happened",
        "action": "First action",
        "runbook": "Runbook",
        "page": "Page",
    }
    sheets.columns(panel, names).cell_height(TableCellHeight.LG)
    column(panel, "Step", width=100)
    frame.code_column(panel, sheets.FILLED, ("color", {"mode": "fixed", "fixedColor": BAD}))
    column(panel, "Symbol", width=245)
    column(panel, "Reason", width=140)
    column(panel, "Owner", width=80)
    column(panel, "What happened", *sheets.WRAPPED)
    column(panel, "First action", *sheets.WRAPPED)
    return column(panel, "Runbook", frame.to_runbook("Runbook"), width=165)


def _with_limits(panel: timeseries.Panel) -> timeseries.Panel:
    """Dashed lines at 1 s, from where on an answer is slow, and at 5 s, the service's own promise."""
    style = GraphThresholdsStyleConfig().mode(common.GraphThresholdsStyleMode.DASHED)
    return panel.thresholds(panels.steps((1, WARNING), (5, BAD), start="transparent")).thresholds_style(style)


def _round_trip() -> list[panels.Panel]:
    spent = f"rate({series('ekm_step_duration_seconds_sum', _STEPS, '$__rate_interval')})"
    made = f"rate({series('ekm_step_duration_seconds_count', _STEPS, '$__rate_interval')})"
    # ">= 0" below: a step that was not made has no mean, and what is no number would hide the areas upon it.
    phases = f"sum by (phase) (max by (target, step, phase) ({series('ekm_step_phase_duration_seconds', _STEPS)}))"
    return [
        panels.stacked(
            "Steps of the round trip",
            "Mean duration of each step, upon each other: what a whole round trip takes. Failed steps are included.",
            over_time(f"sum by (step) ({spent}) / sum by (step) ({made}) >= 0", "{{step}}"),
        ),
        panels.stacked(
            "Phases of the chosen steps",
            "Where the last probe's time went: name, connection, TLS, waiting for the answer, reading it. One step can be chosen above.",
            over_time(phases, "{{phase}}"),
        ),
        _with_limits(
            panels.lines(
                "Step latency",
                "Percentiles of single steps. Dashed: 1 s, a slow answer, and 5 s, the service's own promise.",
                *(
                    over_time(quantile(share, more=_STEPS), f"p{share * 100:.0f}", ref)
                    for share, ref in ((0.5, "A"), (0.9, "B"), (0.99, "C"))
                ),
            )
        ),
        panels.warmth(
            "Step durations",
            "Steps by duration and time; a bright cell is a duration that many steps had.",
            observations(_STEPS),
        ),
    ]


def _of_each(labels: str, info: str) -> table.Panel:
    """All targets and those not ready, by one label: whether this one is alone."""
    targets = promql.of_every_target(promql.newest(info, labels))
    state = promql.of_every_target(f"on (target) group_left () ({promql.STATE})")
    name = labels.capitalize()
    panel = sheets.sheet(
        f"By {labels}",
        f"Targets by {labels}, not only the chosen one: all, not ready, unknown. Those without a {labels} stand in a line of their own.",
        panels.rows(f"count by ({labels}) {targets}", "A"),
        panels.rows(f"sum by ({labels}) ({targets} * {state} == bool {promql.NOT_READY})", "B"),
        panels.rows(f"sum by ({labels}) ({targets} * {state} == bool {promql.UNKNOWN})", "C"),
        size=(12, 8),
        empty="not known",
    )
    sheets.columns(panel, {labels: name, "Value #A": "Targets", "Value #B": "Not ready", "Value #C": "Unknown"}, by=labels)
    column(panel, "Targets", *sheets.COUNT, width=70)
    column(panel, "Not ready", *sheets.COUNT, sheets.levels((1, BAD)), sheets.COLORED, width=100)
    column(panel, "Unknown", *sheets.COUNT, sheets.levels((1, WARNING)), sheets.COLORED, width=90)
    return panel.sort_by([TableSortByFieldState().display_name("Not ready").desc(True)])


class _Moved(building.AnnotationQuery):
    """A mark on every panel where the vault's answers began to come from another region."""

    def __init__(self) -> None:
        super().__init__()
        self.name("Network path changed").datasource(panels.DATASOURCE).enable(True).icon_color(WARNING)
        moves = increase("ekm_path_changes_total", "target, what", "2m", 'what=~"region|connection"')
        self.expr(f"{moves} > 0")


def dashboard() -> building.Dashboard:
    step = building.CustomVariable("step").label("Step").multi(True).include_all(True).all_value(".+")
    step.values("challenge,token,get_key,wrap_key,unwrap_key").description("For phases, latency and steps")
    whole: list[frame.Row] = [
        ("", panels.numbers(*NUMBERS)),
        ("", [_cause()]),
        ("", [firing.table_of_alerts(firing.OF_TARGET, rows=6)]),
        ("SQL Server itself", [sql_servers.table_of_proofs(), reported.table_of_codes()]),
        ("Over time", around.histories()),
        ("The round trip", _round_trip()),
        ("Errors", around.errors()),
        ("Throttling and budget", around.throttling()),
        ("Key, path, dependants", [*around.path(), *around.facts()]),
        ("Is it alone?", [_of_each("region", "ekm_vault_info"), _of_each("team", "ekm_target_info")]),
    ]
    choices = [*frame.variables(one_target=True), step]
    return (
        frame.framed(frame.VAULT, TITLE, DESCRIPTION, choices, whole)
        .annotation(_Moved())
        .annotation(firing.marks(firing.OF_TARGET))
    )

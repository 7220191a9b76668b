"""The dashboard of the service level: how much of the budget is left, who spends it, and what a restart would have met.

For: the objective of the alert rules over longer times; curves use the windows of the alert, numbers the chosen time range.
Not for: alerting itself (see alerts/), single probes (see `vault`).
"""

from __future__ import annotations

from typing import Final

from grafana_foundation_sdk.builders import dashboard as building
from grafana_foundation_sdk.builders.common import TableSortByFieldState

from alerts.slo import BURNS, OBJECTIVE
from alerts.values import duration
from dashboards import frame, panels, promql, sheets
from dashboards.panels import Number, over_time, rows
from dashboards.promql import increase, series
from dashboards.sheets import column
from dashboards.words import BAD, GOOD, WARNING

TITLE: Final = "EKM / Service level"
DESCRIPTION: Final = (
    f"Of the probes with a verdict, {OBJECTIVE:.1%} should find the vault side ready. A probe in which wrap alone fails is ready, since "
    "databases open by unwrapping."
)
VERDICTS: Final = "ekm_probe_verdicts_total"
NOT_READY: Final = 'verdict="not_ready"'
_OBJECTIVE: Final = "$objective"


def _not_ready(by: str, over: str) -> str:
    """Probes with the verdict not ready; of two exporters that count the same target, the one that counted more."""
    return increase(VERDICTS, by, over, NOT_READY)


def _with_verdict(by: str, over: str) -> str:
    """Probes with a verdict, of the exporter that counted more."""
    return f"max by ({by}) (sum without (verdict) (increase({series(VERDICTS, over=over)})))"


def _bad(by: str, over: str) -> str:
    """The share of bad probes, of the exporter that saw more of them; none without a probe that has a verdict."""
    return f"({_not_ready(by, over)} / ({_with_verdict(by, over)} > 0))"


def _all_bad(over: str) -> str:
    return f"(sum({_not_ready('target', over)}) / sum({_with_verdict('target', over)}))"


def _spent(share: str) -> str:
    return f"{share} / (1 - {_OBJECTIVE})"


def _minutes(by: str) -> str:
    """Minutes in which a restart would have failed, in the chosen time range, for each target."""
    unready = f"max by (target, instance) (increase({series(VERDICTS, NOT_READY, over='$__range')}))"
    every = f"max by (target, instance) ({series('ekm_probe_interval_seconds')})"
    seen = f"max by (target, instance, vantage) ({series('ekm_target_info')})"
    lost = f"{unready} * on (target, instance) {every} / 60"
    return f"max by ({by}) (({lost}) * on (target, instance) group_left (vantage) {seen})"


NUMBERS: Final = (
    Number(
        "Ready",
        "Share of the probes of all chosen targets in the chosen time range that found the vault side ready.",
        f"1 - {_all_bad('$__range')}",
        unit="percentunit",
        levels=((OBJECTIVE, GOOD),),
        start=BAD,
        size=(6, 4),
        decimals=2,
    ),
    Number(
        "Budget left",
        "What is left of the failures that the objective allows in the chosen time range. Below zero: the objective is missed.",
        f"1 - {_spent(_all_bad('$__range'))}",
        unit="percentunit",
        levels=((0, WARNING), (0.5, GOOD)),
        start=BAD,
        size=(6, 4),
        decimals=0,
    ),
    Number(
        "Targets without budget",
        "Targets that missed the objective in the chosen time range.",
        f"count({_spent(_bad('target', '$__range'))} > 1) or {promql.NONE}",
        levels=panels.ANY_IS_BAD,
        start=GOOD,
        size=(6, 4),
    ),
    Number(
        "Time not ready, worst target",
        "Time in the chosen time range in which a restart of SQL Server would have failed, of the target that had most.",
        f"max({_minutes('target')})",
        unit="m",
        levels=((1, WARNING), (30, BAD)),
        start=GOOD,
        size=(6, 4),
        decimals=0,
    ),
)


def _burning() -> list[panels.Panel]:
    windows = sorted({BURNS[0].short} | {burn.long for burn in BURNS})
    queries = [
        over_time(f"avg({_spent(_bad('target', duration(window)))})", duration(window), chr(65 + place))
        for place, window in enumerate(windows)
    ]
    rates = ", ".join(f"{burn.rate:g} over {duration(burn.long)} and {duration(burn.short)}" for burn in BURNS)
    window = BURNS[1].short
    return [
        panels.lines(
            "Burn rate, mean of all targets",
            f"How many times as fast as planned the budget is spent, by window. For a single target, the ticket begins at {rates}.",
            *queries,
            unit="short",
        ),
        panels.lines(
            f"Burn rate over {duration(window)}, worst targets",
            "The five targets that spend their budget fastest at each moment. Empty if no target spends any.",
            over_time(f"topk(5, {_spent(_bad('target', duration(window)))} > 0)", "{{target}}"),
            unit="short",
        ).no_value("No target spends budget."),
    ]


def _offenders() -> list[panels.Panel]:
    panel = sheets.sheet(
        "Targets by budget spent",
        "Share of the budget of the chosen time range that each target spent (empty without a verdict), its failures, and the minutes in which a restart of "
        "SQL Server would have failed.",
        rows(f"{_spent(_bad('target', '$__range'))} >= 0", "A"),
        rows(_not_ready("target", "$__range"), "B"),
        rows(_minutes("target"), "C"),
        size=(24, 10),
        empty="not known",
    )
    names = {
        "target": "Target",
        "Value #A": "Budget spent",
        "Value #B": "Not ready, probes",
        "Value #C": "Restart would have failed",
    }
    sheets.columns(panel, names, by="target")
    column(panel, "Target", frame.to_vault("Target"))
    levels = sheets.levels((0.5, WARNING), (1, BAD), start=GOOD)
    column(panel, "Budget spent", ("unit", "percentunit"), ("decimals", 0), levels, sheets.FILLED, width=160)
    column(panel, "Not ready, probes", *sheets.COUNT, width=160)
    column(panel, "Restart would have failed", ("unit", "m"), ("decimals", 0), width=220)
    return [panel.sort_by([TableSortByFieldState().display_name("Budget spent").desc(True)])]


def _vantages() -> list[panels.Panel]:
    minutes = panels.ranking(
        "Time not ready, by vantage",
        "Time in which a restart would have failed, by the vantage of the exporter, of the ten worst. A target that only a central "
        "exporter reports may be ready on its SQL Server host.",
        f"topk(10, {_minutes('target, vantage')} > 0.5)",
        "{{target}}, {{vantage}}",
        unit="m",
        size=(12, 9),
    )
    seen = f"max by (target, instance, vantage) ({series('ekm_target_info')})"
    share = _bad("target, instance", duration(BURNS[0].short))
    ready = panels.lines(
        "Ready, by vantage",
        f"Mean share over {duration(BURNS[0].short)} of probes that found the vault side ready, by vantage.",
        over_time(f"1 - avg by (vantage) ({share} * on (target, instance) group_left (vantage) {seen})", "{{vantage}}"),
        unit="percentunit",
        size=(12, 9),
    )
    return [minutes, ready]


def dashboard() -> building.Dashboard:
    objective = frame.constant("objective", f"{OBJECTIVE:g}", "Share of probes that should find the vault side ready")
    rows_of_panels: list[frame.Row] = [
        ("", panels.numbers(*NUMBERS)),
        ("", _burning()),
        ("", _offenders()),
        ("By vantage", _vantages()),
    ]
    return frame.framed(frame.SLO, TITLE, DESCRIPTION, [*frame.variables(), objective], rows_of_panels, since="now-7d")

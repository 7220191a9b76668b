"""Panels as these dashboards use them: title, description, unit, queries, size; the rest as Grafana has it.

For: one short function per kind of panel, so that the dashboards read as lists.
Not for: tables (see `sheets`), expressions (see `promql`), what a dashboard holds (one module each), variables and links (see `frame`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Protocol, Self, TypeVar

from grafana_foundation_sdk.builders import bargauge, heatmap, prometheus, stat, statushistory, timeseries
from grafana_foundation_sdk.builders import common as build
from grafana_foundation_sdk.builders import dashboard as building
from grafana_foundation_sdk.cog import builder as cog
from grafana_foundation_sdk.cog import variants
from grafana_foundation_sdk.models import common, dashboard
from grafana_foundation_sdk.models.prometheus import PromQueryFormat

from dashboards.words import BAD, GOOD, NEUTRAL, SERIES, WARNING, codes_by_category, not_known

DATASOURCE: Final = dashboard.DataSourceRef(type_val="prometheus", uid="$datasource")
WIDTH: Final = 24  # columns of Grafana's grid


class Panel(Protocol):
    """What all builders of panels have in common."""

    def build(self) -> dashboard.Panel: ...
    def title(self, title: str) -> Self: ...
    def description(self, description: str) -> Self: ...
    def unit(self, unit: str) -> Self: ...
    def datasource(self, datasource: dashboard.DataSourceRef) -> Self: ...
    def with_target(self, target: cog.Builder[variants.Dataquery]) -> Self: ...
    def span(self, w: int) -> Self: ...
    def height(self, h: int) -> Self: ...
    def thresholds(self, thresholds: cog.Builder[dashboard.ThresholdsConfig]) -> Self: ...
    def color_scheme(self, color: cog.Builder[dashboard.FieldColor]) -> Self: ...
    def no_value(self, no_value: str) -> Self: ...
    def override_by_name(self, name: str, properties: list[dashboard.DynamicConfigValue]) -> Self: ...


P = TypeVar("P", bound=Panel)


def prop(name: str, value: object) -> dashboard.DynamicConfigValue:
    return dashboard.DynamicConfigValue(id_val=name, value=value)


def over_time(expression: str, legend: str = "", ref: str = "A") -> prometheus.Dataquery:
    return _query(expression, ref).range().legend_format(legend)


def now(expression: str, ref: str = "A", legend: str = "") -> prometheus.Dataquery:
    """The value at the end of the time range."""
    return _query(expression, ref).instant().legend_format(legend)


def rows(expression: str, ref: str = "A") -> prometheus.Dataquery:
    """The values at the end of the time range as rows of a table, a column for each label."""
    return _query(expression, ref).instant().format(PromQueryFormat.TABLE)


def _query(expression: str, ref: str) -> prometheus.Dataquery:
    return prometheus.Dataquery().expr(expression).ref_id(ref).datasource(DATASOURCE)


def dressed(
    panel: P, title: str, description: str, *, unit: str, queries: Sequence[prometheus.Dataquery], size: tuple[int, int]
) -> P:
    """What every panel has: a title, a description, a unit, queries, and its size on the grid."""
    panel.title(title).description(description).unit(unit).datasource(DATASOURCE).span(size[0]).height(size[1])
    for query in queries:
        panel.with_target(query)
    return panel


def steps(*at: tuple[float, str], start: str = NEUTRAL) -> building.ThresholdsConfig:
    """Colours from a value on; `start` is the colour below the first."""
    levels = [
        dashboard.Threshold(value=None, color=start),
        *(dashboard.Threshold(value=value, color=color) for value, color in at),
    ]
    return building.ThresholdsConfig().mode(dashboard.ThresholdsMode.ABSOLUTE).steps(levels)


# Days left: gone, a week, a month.
DAYS_LEFT: Final = ((7, WARNING), (30, GOOD))
ANY_IS_BAD: Final = ((1, BAD),)
ANY_IS_WARNING: Final = ((1, WARNING),)


@dataclass(frozen=True, slots=True)
class Number:
    """One large number, coloured by its level; `start` is the colour below the first one."""

    title: str
    description: str
    expression: str
    unit: str = "short"
    levels: Sequence[tuple[float, str]] = ()
    start: str = NEUTRAL
    size: tuple[int, int] = (4, 4)
    decimals: int | None = None
    mapping: dashboard.ValueMapping | None = None
    missing: str = "unknown"

    def panel(self) -> stat.Panel:
        panel = dressed(
            stat.Panel(), self.title, self.description, unit=self.unit, queries=[now(self.expression)], size=self.size
        )
        panel.thresholds(steps(*self.levels, start=self.start)).no_value(self.missing).graph_mode(common.BigValueGraphMode.NONE)
        panel.color_scheme(building.FieldColor().mode(dashboard.FieldColorModeId.THRESHOLDS))
        panel.color_mode(common.BigValueColorMode.BACKGROUND).reduce_options(build.ReduceDataOptions().calcs(["lastNotNull"]))
        panel.mappings([not_known(self.missing), *([] if self.mapping is None else [self.mapping])])
        return panel if self.decimals is None else panel.decimals(self.decimals)


def numbers(*rows_of_numbers: Number) -> list[Panel]:
    return [row.panel() for row in rows_of_numbers]


def lines(
    title: str,
    description: str,
    *queries: prometheus.Dataquery,
    unit: str = "s",
    size: tuple[int, int] = (12, 8),
    floor: float | None = 0,
) -> timeseries.Panel:
    """Curves over time; those that are named after a step, a phase or a percentile keep its colour."""
    panel = dressed(timeseries.Panel(), title, description, unit=unit, queries=queries, size=size)
    panel.line_width(1).fill_opacity(10).show_points(common.VisibilityMode.NEVER)
    if floor is not None:
        panel.min(floor)
    panel.color_scheme(building.FieldColor().mode(dashboard.FieldColorModeId.PALETTE_CLASSIC))
    legend = build.VizLegendOptions().display_mode(common.LegendDisplayMode.LIST).placement(common.LegendPlacement.BOTTOM)
    panel.legend(legend.show_legend(True)).tooltip(build.VizTooltipOptions().mode(common.TooltipDisplayMode.MULTI))
    for name, color in SERIES.items():
        panel.override_by_name(name, [prop("color", {"mode": "fixed", "fixedColor": color})])
    return panel


def stacked(
    title: str, description: str, *queries: prometheus.Dataquery, unit: str = "s", size: tuple[int, int] = (12, 8)
) -> timeseries.Panel:
    """Areas upon each other."""
    panel = lines(title, description, *queries, unit=unit, size=size).fill_opacity(60)
    return panel.stacking(build.StackingConfig().mode(common.StackingMode.NORMAL).group("A"))


def bars(
    title: str, description: str, *queries: prometheus.Dataquery, unit: str = "short", size: tuple[int, int] = (12, 8)
) -> timeseries.Panel:
    """Counts over time, upon each other; those that are named after a code have the colour of its category."""
    panel = stacked(title, description, *queries, unit=unit, size=size).draw_style(common.GraphDrawStyle.BARS).line_width(0)
    for names, color in codes_by_category():
        panel.override_by_regexp(names, [prop("color", {"mode": "fixed", "fixedColor": color})])
    return panel


def ranking(
    title: str,
    description: str,
    expression: str,
    legend: str,
    *,
    unit: str = "short",
    size: tuple[int, int] = (8, 8),
) -> bargauge.Panel:
    """One horizontal bar for each series."""
    panel = dressed(bargauge.Panel(), title, description, unit=unit, queries=[now(expression, legend=legend)], size=size)
    panel.orientation(common.VizOrientation.HORIZONTAL).display_mode(common.BarGaugeDisplayMode.BASIC).no_value("none")
    panel.name_placement(common.BarGaugeNamePlacement.TOP)
    panel.color_scheme(building.FieldColor().mode(dashboard.FieldColorModeId.FIXED).fixed_color(WARNING))
    panel.text(build.VizTextDisplayOptions().title_size(13).value_size(12)).decimals(0)
    return panel.thresholds(steps(start=WARNING)).min(0).reduce_options(build.ReduceDataOptions().calcs(["lastNotNull"]))


def history(
    title: str, description: str, query: prometheus.Dataquery, mapping: dashboard.ValueMap, size: tuple[int, int] = (24, 10)
) -> statushistory.Panel:
    """One line of coloured cells for each series."""
    panel = dressed(statushistory.Panel(), title, description, unit="short", queries=[query], size=size).mappings([mapping])
    panel.color_scheme(building.FieldColor().mode(dashboard.FieldColorModeId.THRESHOLDS)).thresholds(steps())
    panel.show_value(common.VisibilityMode.NEVER).row_height(0.85).max_data_points(120).fill_opacity(90)
    return panel.legend(build.VizLegendOptions().show_legend(True).placement(common.LegendPlacement.BOTTOM))


def warmth(title: str, description: str, expression: str) -> heatmap.Panel:
    """Buckets of a histogram over time."""
    query = over_time(expression, "{{le}}").format(PromQueryFormat.HEATMAP)
    panel = dressed(heatmap.Panel(), title, description, unit="short", queries=[query], size=(12, 8))
    axis = heatmap.YAxisConfig().unit("s").axis_placement(common.AxisPlacement.LEFT)
    return panel.calculate(False).y_axis(axis).cell_gap(1).color(heatmap.HeatmapColorOptions().scheme("Cividis").steps(64))

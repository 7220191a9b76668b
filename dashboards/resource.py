"""A finished dashboard as a V2 resource: the same panels, queries, variables and marks in Grafana's newer schema.

The types of Grafana's builders check the format. No Grafana server has read one.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models import dashboard as classic
from grafana_foundation_sdk.models import dashboardv2 as v2
from grafana_foundation_sdk.models import resource

from dashboards.panels import DATASOURCE

_KIND: Final = "prometheus"
_SOURCE: Final = v2.Dashboardv2DataQueryKindDatasource(name=DATASOURCE.uid)
_HIDE: Final = {
    None: v2.VariableHide.DONT_HIDE,
    classic.VariableHide.DONT_HIDE: v2.VariableHide.DONT_HIDE,
    classic.VariableHide.HIDE_VARIABLE: v2.VariableHide.HIDE_VARIABLE,
}


def plain(model: object) -> Any:
    """Return a model of the builders as JSON values."""
    return json.loads(json.dumps(model, cls=JSONEncoder))


def resource_of(board: classic.Dashboard) -> resource.Manifest:
    """Return the V2 resource. Raise KeyError or TypeError for anything that the dashboards did not have so far."""
    time = board.time or classic.DashboardDashboardTime()
    spec = v2.Dashboard(
        title=board.title or "",
        description=board.description,
        editable=board.editable,
        cursor_sync=v2.DashboardCursorSync.CROSSHAIR,
        tags=board.tags,
        time_settings=v2.TimeSettingsSpec(board.timezone, time.from_val, time.to, board.refresh or ""),
        links=[v2.DashboardLink.from_json(plain(each)) for each in board.links or []],
        variables=[_variable(each) for each in board.templating.list_val or []],
        annotations=[_mark(each) for each in board.annotations.list_val or []],
        elements={_name(panel): _element(panel) for panel in board.panels or [] if isinstance(panel, classic.Panel)},
        layout=_rows(board.panels or []),
    )
    return resource.Manifest(v2.DashboardAPIVersion, "Dashboard", resource.Metadata(name=board.uid or ""), spec)


def _query(spec: Mapping[str, object]) -> v2.DataQueryKind:
    return v2.DataQueryKind(_KIND, datasource=_SOURCE, spec=dict(spec))


def _current(variable: classic.VariableModel) -> v2.VariableOption | None:
    return None if variable.current is None else v2.VariableOption.from_json(plain(variable.current))


def _variable(each: classic.VariableModel) -> v2.VariableKind:
    every: dict[str, Any] = {
        "name": each.name,
        "label": each.label,
        "description": each.description,
        "current": _current(each),
        "hide": _HIDE[each.hide],
    }
    if isinstance(each.query, str):
        every["query"] = each.query
    choice: dict[str, Any] = {"multi": bool(each.multi), "include_all": bool(each.include_all), "all_value": each.all_value}
    match each.type_val:
        case classic.VariableType.DATASOURCE:
            del every["query"]
            return v2.DatasourceVariableKind(v2.DatasourceVariableSpec(**every, plugin_id=_KIND))
        case classic.VariableType.CONSTANT:
            return v2.ConstantVariableKind(v2.ConstantVariableSpec(**every))
        case classic.VariableType.CUSTOM:
            return v2.CustomVariableKind(v2.CustomVariableSpec(**every, **choice))
        case classic.VariableType.QUERY if isinstance(each.query, dict):
            every["query"] = _query(each.query)
            refresh, sort = v2.VariableRefresh.ON_TIME_RANGE_CHANGED, v2.VariableSort.ALPHABETICAL_CASE_INSENSITIVE_ASC
            definition = str(each.query["query"])
            return v2.QueryVariableKind(
                v2.QueryVariableSpec(**every, **choice, refresh=refresh, sort=sort, definition=definition)
            )
    raise TypeError(f"variable {each.name}: {each.type_val}")


def _mark(each: classic.AnnotationQuery) -> v2.AnnotationQueryKind:
    formats = {"titleFormat": each.title_format, "textFormat": each.text_format, "tagKeys": each.tag_keys, "step": each.step}
    return v2.AnnotationQueryKind(
        v2.AnnotationQuerySpec(
            _query({"refId": "Anno", "expr": each.expr}),
            enable=each.enable,
            hide=bool(each.hide),
            icon_color=each.icon_color,
            name=each.name,
            legacy_options={name: value for name, value in formats.items() if value is not None} or None,
        )
    )


def _name(panel: classic.Panel) -> str:
    return f"panel-{panel.id_val}"


def _element(panel: classic.Panel) -> v2.PanelKind:
    queries = []
    for target in plain(panel.targets):
        given = {name: value for name, value in target.items() if name not in ("datasource", "refId", "hide")}
        queries.append(v2.PanelQueryKind(v2.PanelQuerySpec(_query(given), target["refId"])))
    options = v2.QueryOptionsSpec(max_data_points=None if panel.max_data_points is None else int(panel.max_data_points))
    transformations = [_transformation(each) for each in panel.transformations or []]
    visible = v2.VizConfigSpec(plain(panel.options), v2.FieldConfigSource.from_json(plain(panel.field_config)))
    return v2.PanelKind(
        v2.PanelSpec(
            panel.id_val or 0,
            panel.title or "",
            panel.description,
            data=v2.QueryGroupKind(v2.QueryGroupSpec(queries, transformations, options)),
            viz_config=v2.VizConfigKind(panel.type_val, spec=visible),
        )
    )


def _transformation(each: classic.DataTransformerConfig) -> v2.TransformationKind:
    only = None if each.filter_val is None else v2.MatcherConfig.from_json(plain(each.filter_val))
    return v2.TransformationKind(each.id_val, v2.TransformationSpec(filter_val=only, options=each.options))


def _rows(panels: Sequence[classic.Panel | classic.RowPanel]) -> v2.RowsLayoutKind:
    """Return a row of the layout for each heading, and one without a heading for the panels above the first."""
    rows = [v2.RowsLayoutRowSpec("", collapse=False, hide_header=True, layout=v2.GridLayoutKind())]
    top = 0
    for panel in panels:
        place = panel.grid_pos or classic.GridPos()
        if isinstance(panel, classic.RowPanel):
            rows.append(v2.RowsLayoutRowSpec(panel.title, collapse=False, layout=v2.GridLayoutKind()))
            top = place.y + place.h
            continue
        item = v2.GridLayoutItemSpec(place.x, place.y - top, place.w, place.h, v2.ElementReference(_name(panel)))
        layout = rows[-1].layout
        if isinstance(layout, v2.GridLayoutKind):
            layout.spec.items.append(v2.GridLayoutItemKind(item))
    return v2.RowsLayoutKind(v2.RowsLayoutSpec([v2.RowsLayoutRowKind(row) for row in rows]))

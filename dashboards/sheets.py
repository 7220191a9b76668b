"""Tables as these dashboards use them: rows of several queries joined by one label, columns named for people.

`sheet` creates a table; `column` formats one of its columns.
Not for: other panels (see `panels`), addresses (see `frame`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from grafana_foundation_sdk.builders import dashboard as building
from grafana_foundation_sdk.builders import prometheus, table
from grafana_foundation_sdk.models import dashboard

from dashboards.panels import DAYS_LEFT, dressed, prop, steps
from dashboards.words import BAD, EXPIRED_DAYS

Property = tuple[str, object]
TEXT: Final = "string"


def sheet(
    title: str,
    description: str,
    *queries: prometheus.Dataquery,
    size: tuple[int, int] = (12, 8),
    empty: str = "none",
) -> table.Panel:
    """A table; see `columns` for its columns.

    Its unit is text, so that a code or a version made of digits is not taken for a number: a column of numbers gets its own.
    `empty` stands there instead of a table without rows, and not in its empty cells.
    """
    panel = dressed(table.Panel(), title, description, unit=TEXT, queries=queries, size=size).no_value(empty)
    panel.override_by_regexp("/.*/", [prop("noValue", "")])
    return panel.color_scheme(building.FieldColor().mode(dashboard.FieldColorModeId.THRESHOLDS)).thresholds(steps())


def columns(panel: table.Panel, names: Mapping[str, str], by: str = "") -> table.Panel:
    """Joins the queries' rows by one label, keeps the fields in `names` in that order, and renames them.

    Where only the first query has an answer, Grafana calls its value `Value` instead of `Value #A`.
    """
    if "Value #A" in names:
        names = {**names, "Value": names["Value #A"]}
    if by:
        panel.with_transformation(transformation("joinByField", {"byField": by, "mode": "outer"}))
    kept = {"include": {"pattern": "^(" + "|".join(name.replace(" ", "\\s") for name in names) + ")$"}}
    panel.with_transformation(transformation("filterFieldsByName", kept))
    order = {name: place for place, name in enumerate(names)}
    return panel.with_transformation(
        transformation("organize", {"indexByName": order, "renameByName": dict(names), "excludeByName": {}})
    )


def transformation(name: str, options: Mapping[str, Any], only: str = "") -> dashboard.DataTransformerConfig:
    """`only`: the one query whose result it changes."""
    matcher = dashboard.MatcherConfig(id_val="byRefId", options=only) if only else None
    return dashboard.DataTransformerConfig(id_val=name, options=options, filter_val=matcher)


def column(panel: table.Panel, name: str, *properties: Property, width: int = 0) -> table.Panel:
    """Format a column, by its displayed name."""
    given = [prop("custom.width", width)] if width else []
    return panel.override_by_name(name, [*given, *(prop(key, value) for key, value in properties)])


FILLED: Final[Property] = ("custom.cellOptions", {"type": "color-background", "mode": "basic"})
COLORED: Final[Property] = ("custom.cellOptions", {"type": "color-text"})
# Grafana 13 reads the one, older ones the other.
WRAPPED: Final[tuple[Property, Property]] = (
    ("custom.wrapText", True),
    ("custom.cellOptions", {"type": "auto", "wrapText": True}),
)
# As above: the newer and the older name.
HIDDEN: Final[tuple[Property, Property]] = (("custom.hideFrom", {"viz": True}), ("custom.hidden", True))
COUNT: Final[tuple[Property, Property]] = (("unit", "short"), ("decimals", 0))
SPARKLINE: Final[Property] = (
    "custom.cellOptions",
    {"type": "sparkline", "hideValue": True, "lineWidth": 1, "fillOpacity": 20, "drawStyle": "line"},
)


def mapped(mapping: dashboard.ValueMapping) -> Property:
    return ("mappings", [mapping])


def levels(*at: tuple[float, str], start: str = "text") -> Property:
    return ("thresholds", steps(*at, start=start).build())


def link(title: str, url: str) -> Property:
    return ("links", [{"title": title, "url": url, "targetBlank": False}])


# Days left, coloured by number; an expired entry has the text `expired`.
DAYS: Final[tuple[Property, ...]] = (
    ("unit", "suffix: d"),
    ("decimals", 0),
    levels(*DAYS_LEFT, start=BAD),
    mapped(EXPIRED_DAYS),
)

"""Compare resources with Microsoft's types of a Prometheus rule group, in the environment of the tools.

Reads a JSON list of resources from standard input. Writes a JSON list: for each, what does not fit.
"""

from __future__ import annotations

import datetime as dt
import json
import sys
import typing
from collections.abc import Iterator
from typing import Any

from azure.mgmt.prometheusrulegroups import models, types


def problems(value: Any, kind: Any, place: str) -> Iterator[str]:
    """Yield where a value does not fit a type: a TypedDict, a list or dict of a type, or a plain type."""
    if typing.get_origin(kind) is typing.Required or type(kind).__name__ == "_AnnotatedAlias":
        (kind, *_) = typing.get_args(kind)
    if hasattr(kind, "__required_keys__"):
        yield from _of_dictionary(value, kind, place)
    elif typing.get_origin(kind) is list:
        for number, one in enumerate(value if isinstance(value, list) else ()):
            yield from problems(one, typing.get_args(kind)[0], f"{place}/{number}")
        yield from () if isinstance(value, list) else (f"{place} is no list",)
    elif typing.get_origin(kind) is dict:
        for name, one in (value if isinstance(value, dict) else {}).items():
            yield from problems(one, typing.get_args(kind)[1], f"{place}/{name}")
        yield from () if isinstance(value, dict) else (f"{place} is no object",)
    elif not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
        yield f"{place} is no {kind.__name__}"


def _of_dictionary(value: Any, kind: Any, place: str) -> Iterator[str]:
    if not isinstance(value, dict):
        yield f"{place} is no object"
        return
    known = typing.get_type_hints(kind, vars(types))
    yield from (f"{place}/{name} is unknown" for name in value.keys() - known.keys())
    yield from (f"{place}/{name} is missing" for name in kind.__required_keys__ - value.keys())
    for name in value.keys() & known.keys():
        yield from problems(value[name], known[name], f"{place}/{name}")


def durations(resource: dict[str, Any]) -> Iterator[str]:
    """Yield the durations that Microsoft's model does not read."""
    group = models.PrometheusRuleGroupResource(resource).properties
    read = [("interval", group.interval)]
    for number, rule in enumerate(group.rules):
        read += [(f"rules/{number}/for", rule.for_property)]
        read += (
            [(f"rules/{number}/timeToResolve", rule.resolve_configuration.time_to_resolve)] if rule.resolve_configuration else []
        )
    yield from (f"{place} is no duration" for place, value in read if not isinstance(value, dt.timedelta | None))


def found(resource: dict[str, Any]) -> list[str]:
    mistakes = sorted(problems(resource, types.PrometheusRuleGroupResource, ""))
    if mistakes:
        return mistakes
    try:
        return list(durations(resource))
    except (ValueError, TypeError) as wrong:
        return [f"a duration: {wrong}"]


json.dump([found(one) for one in json.load(sys.stdin)], sys.stdout)

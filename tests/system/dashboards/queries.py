"""Queries to a Prometheus with the two recorded histories, as Grafana sends them."""

from __future__ import annotations

import json
import math
import urllib.parse
import urllib.request
from dataclasses import dataclass
from typing import Any

from tests.system.dashboards.boards import Query, Variable, filled
from tests.system.dashboards.recorded_history import HEALTHY_ENDS, MINUTES, TROUBLED_ENDS

STEP = 60
NO_PROXY = urllib.request.build_opener(urllib.request.ProxyHandler({}))


@dataclass(frozen=True)
class History:
    """The query API of a Prometheus. Times are Unix times."""

    url: str

    def _get(self, path: str, **parameters: str | float) -> Any:
        with NO_PROXY.open(f"{self.url}/api/v1/{path}?{urllib.parse.urlencode(parameters)}") as response:
            return json.load(response)["data"]

    def now(self, expression: str, at: float = TROUBLED_ENDS) -> list[tuple[dict[str, str], float]]:
        """Return the series at one time, without those of value NaN."""
        found = self._get("query", query=expression, time=at)["result"]
        return [(each["metric"], value) for each in found if not math.isnan(value := float(each["value"][1]))]

    def rows(self, expression: str, at: float = TROUBLED_ENDS) -> list[dict[str, str]]:
        """Return the labels of the series at one time, including those of value NaN."""
        return [each["metric"] for each in self._get("query", query=expression, time=at)["result"]]

    def curves(self, expression: str, ends: float = TROUBLED_ENDS) -> list[tuple[dict[str, str], dict[float, float]]]:
        """Return each series with its values by time."""
        found = self._get("query_range", query=expression, start=ends - (MINUTES - 1) * 60, end=ends, step=STEP)["result"]
        return [(each["metric"], {float(at): float(value) for at, value in each["values"]}) for each in found]

    def over_time(self, expression: str, ends: float = TROUBLED_ENDS) -> list[tuple[dict[str, str], list[float]]]:
        series = [(labels, list(values.values())) for labels, values in self.curves(expression, ends)]
        return [(labels, values) for labels, values in series if not all(map(math.isnan, values))]

    def answers(self, query: Query, ends: float, **values: str) -> list[Any]:
        expression = query.filled(**values)
        return list(self.over_time(expression, ends) if query.range else self.now(expression, ends))

    def values_of(self, variable: Variable, ends: float) -> list[str]:
        """Return the values of a variable, in Grafana's order."""
        matcher = variable.metric + filled(variable.matchers, {})
        found = self._get("series", start=ends - MINUTES * 60, end=ends, **{"match[]": matcher})
        return sorted({each[variable.label] for each in found}, key=str.casefold)


__all__ = ["HEALTHY_ENDS", "TROUBLED_ENDS", "History"]

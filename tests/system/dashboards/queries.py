"""Questions to a Prometheus that holds the two stories, as Grafana would put them.

For: the tests of the dashboards' queries. Not for: starting that Prometheus (see `conftest`).
"""

from __future__ import annotations

import json
import math
import urllib.parse
import urllib.request
from dataclasses import dataclass
from typing import Any

from tests.system.dashboards.boards import Choice, Query, filled
from tests.system.dashboards.recorded_history import HEALTHY_ENDS, MINUTES, TROUBLED_ENDS

STEP = 60
NO_PROXY = urllib.request.build_opener(urllib.request.ProxyHandler({}))


@dataclass(frozen=True)
class History:
    """The query API of a Prometheus. Times are Unix times."""

    url: str

    def _get(self, path: str, **parameters: str | float) -> Any:
        with NO_PROXY.open(f"{self.url}/api/v1/{path}?{urllib.parse.urlencode(parameters)}") as answer:
            return json.load(answer)["data"]

    def now(self, expression: str, at: float = TROUBLED_ENDS) -> list[tuple[dict[str, str], float]]:
        """The series at one moment, without those that have no number."""
        found = self._get("query", query=expression, time=at)["result"]
        return [(each["metric"], value) for each in found if not math.isnan(value := float(each["value"][1]))]

    def rows(self, expression: str, at: float = TROUBLED_ENDS) -> list[dict[str, str]]:
        """The labels of the series at one moment, whether they have a number or not."""
        return [each["metric"] for each in self._get("query", query=expression, time=at)["result"]]

    def over_time(self, expression: str, ends: float = TROUBLED_ENDS) -> list[tuple[dict[str, str], list[float]]]:
        found = self._get("query_range", query=expression, start=ends - (MINUTES - 1) * 60, end=ends, step=STEP)["result"]
        series = [(each["metric"], [float(value) for _, value in each["values"]]) for each in found]
        return [(labels, values) for labels, values in series if not all(map(math.isnan, values))]

    def answers(self, query: Query, ends: float, **values: str) -> list[Any]:
        expression = query.filled(**values)
        return list(self.over_time(expression, ends) if query.range else self.now(expression, ends))

    def values_of(self, choice: Choice, ends: float) -> list[str]:
        """What a variable offers, in the order in which Grafana sorts it."""
        matcher = choice.metric + filled(choice.matchers, {})
        found = self._get("series", start=ends - MINUTES * 60, end=ends, **{"match[]": matcher})
        return sorted({each[choice.label] for each in found}, key=str.casefold)


__all__ = ["HEALTHY_ENDS", "TROUBLED_ENDS", "History"]

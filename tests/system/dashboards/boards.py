"""The committed dashboards as data, and their queries as Grafana sends them."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

PLACE = Path(__file__).parents[3] / "dashboards"
BOARDS: Mapping[str, dict[str, Any]] = {path.stem: json.loads(path.read_text()) for path in sorted(PLACE.glob("*.json"))}
# Values of Grafana's own variables: a range of two hours, and a scrape each minute.
BUILT_IN = {"__range": "2h", "__rate_interval": "5m"}
ALL = {"job": ".+", "instance": ".+", "vault": ".+", "target": ".+", "credential": ".+", "step": ".+"}


@dataclass(frozen=True)
class Query:
    """One query of one panel. `range`: a range query, not one at the end of the range."""

    board: str
    panel: str
    ref: str
    expression: str
    range: bool
    unique: str = ""  # the label that joins its rows with those of other queries

    def __str__(self) -> str:
        return f"{self.board}: {self.panel}: {self.ref}"

    def filled(self, **values: str) -> str:
        return filled(self.expression, {**constants(self.board), **values})


@dataclass(frozen=True)
class Variable:
    """A variable with values from a label."""

    board: str
    name: str
    metric: str
    label: str
    matchers: str = field(default="")


def constants(board: str) -> dict[str, str]:
    return {each["name"]: each["query"] for each in BOARDS[board]["templating"]["list"] if each["type"] == "constant"}


def filled(text: str, values: Mapping[str, str]) -> str:
    given = {**ALL, **BUILT_IN, **values}
    return re.sub(r"\$\{?([a-z_]+)\}?", lambda found: given[found[1]], text)


def panels(board: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for panel in board["panels"]:
        if panel["type"] != "row":
            yield panel
        yield from panel.get("panels", [])


def queries() -> Iterator[Query]:
    for uid, board in BOARDS.items():
        for panel in panels(board):
            joined = [each["options"]["byField"] for each in panel.get("transformations", []) if each["id"] == "joinByField"]
            for target in panel["targets"]:
                yield Query(uid, panel["title"], target["refId"], target["expr"], target["range"], *joined)
        for annotation in board["annotations"].get("list", []):
            yield Query(uid, annotation["name"], "annotation", annotation["expr"], range=True)


def by_name(text: str) -> Query:
    """Return the query of this board, panel and reference."""
    return next(query for query in queries() if str(query) == text)


def variables() -> Iterator[Variable]:
    for uid, board in BOARDS.items():
        for each in board["templating"]["list"]:
            if each["type"] == "query":
                found = re.fullmatch(r"label_values\((\w+)(\{.*\})?, (\w+)\)", each["query"]["query"])
                assert found is not None, each["query"]
                yield Variable(uid, each["name"], found[1], found[3], found[2] or "")

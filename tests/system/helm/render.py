"""Renders or lints the chart with the library of Helm, in the environment of the tools.

Reads a JSON list of requests from standard input. Writes for each {"files": {name: text}}, {"lint": result} or {"refused": text}
to standard output, as a JSON list.
"""

import json
import sys
from typing import Any

import helm_python


def answer(order: dict[str, Any]) -> dict[str, Any]:
    try:
        if order["do"] == "lint":
            return {"lint": helm_python.lint(order["chart"], order["values"])}
        with helm_python.Chart.load(order["chart"]) as chart:
            return {"files": chart.render(order["values"], name="demo", namespace="monitoring")}
    except helm_python.HelmError as refused:
        return {"refused": str(refused)}


json.dump([answer(order) for order in json.load(sys.stdin)], sys.stdout)

"""Renders or lints the chart with Helm's own library; runs in the environment of the tools, not in the project's.

For: one JSON order on standard input, one JSON answer on standard output: {"files": {name: text}} or {"refused": text}.
`test_chart` checks the output.
"""

import json
import sys

import helm_python

order = json.load(sys.stdin)
try:
    if order["do"] == "lint":
        answer = {"lint": helm_python.lint(order["chart"], order["values"])}
    else:
        with helm_python.Chart.load(order["chart"]) as chart:
            answer = {"files": chart.render(order["values"], name="demo", namespace="monitoring")}
except helm_python.HelmError as refused:
    answer = {"refused": str(refused)}
json.dump(answer, sys.stdout)

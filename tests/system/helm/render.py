"""Renders or lints the chart with the library of Helm, in the environment of the tools.

Reads a JSON request from standard input. Writes {"files": {name: text}}, {"lint": result} or {"refused": text} to standard output.
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

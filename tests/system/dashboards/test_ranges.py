"""The range of each rate or increase: `$__rate_interval`, which Grafana adapts to scrape interval and width.

Panels with another range are listed, each with its reason.
"""

from __future__ import annotations

import re

import pytest

from tests.system.dashboards.boards import queries

QUERIES = list(queries())
USUAL = "$__rate_interval"
GAINED = re.compile(r"\b(?:rate|increase)\([^\[]*\[([^\]]+)\]")
CHOSEN, WINDOW = "a number or a table about the whole chosen time range", "a window of an alert rule, by its name"

# Dashboard, panel, range, and why it is not the usual one.
OTHERS = (
    ("ekm-exporter", "Internal errors", "$__range", CHOSEN),
    ("ekm-fleet", "Every target, worst first", "$__range", CHOSEN),
    ("ekm-fleet", "Failures by code", "$__range", CHOSEN),
    ("ekm-fleet", "Throttled", "15m", "the recent past is the same for any chosen range"),
    ("ekm-service-level", "Budget left", "$__range", CHOSEN),
    ("ekm-service-level", "Burn rate of all targets", "30m", WINDOW),
    ("ekm-service-level", "Burn rate of all targets", "6h", WINDOW),
    ("ekm-service-level", "Burn rate of all targets", "1d", WINDOW),
    ("ekm-service-level", "Burn rate of all targets", "3d", WINDOW),
    ("ekm-service-level", "Burn rate over one hour, worst targets", "1h", WINDOW),
    ("ekm-service-level", "Minutes by vantage", "$__range", CHOSEN),
    ("ekm-service-level", "Minutes, worst target", "$__range", CHOSEN),
    ("ekm-service-level", "Ready", "$__range", CHOSEN),
    ("ekm-service-level", "Ready, by vantage", "30m", "a share needs several probes, and a target may be probed every few minutes only"),
    ("ekm-service-level", "Targets beyond their budget", "$__range", CHOSEN),
    ("ekm-service-level", "Targets by budget spent", "$__range", CHOSEN),
    ("ekm-vault", "Errors in the chosen time range", "$__range", CHOSEN),
    ("ekm-vault", "Path changed", "2m", "a mark shows the time of a change: Grafana queries marks once a minute"),
    ("ekm-vault", "Success", "$__range", CHOSEN),
)  # fmt: skip


def ranges(query):
    return set(GAINED.findall(query.expression))


def test_unusual_ranges_have_a_reason():
    found = {(query.board, query.panel, over) for query in QUERIES for over in ranges(query) if over != USUAL}
    assert found == {(board, panel, over) for board, panel, over, _ in OTHERS}


def test_every_range_is_found():
    for query in QUERIES:
        assert len(GAINED.findall(query.expression)) == len(re.findall(r"\b(?:rate|increase)\(", query.expression)), str(query)
    assert sum(USUAL in ranges(query) for query in QUERIES) >= 10


@pytest.mark.parametrize(("board", "panel", "over", "why"), OTHERS, ids=lambda text: text[:20])
def test_panel_over_the_whole_range_is_no_curve(board, panel, over, why):
    kinds = {query.range for query in QUERIES if (query.board, query.panel) == (board, panel) and over in ranges(query)}
    assert (kinds == {False}) or why is not CHOSEN

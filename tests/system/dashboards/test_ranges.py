"""The range of each rate or increase: `$__rate_interval`, which Grafana adapts to scrape interval and width.

Panels with another range are listed in `dashboards/.lint`, each with its reason.
"""

from __future__ import annotations

import re

import pytest
import yaml

from tests.system.dashboards.boards import BOARDS, PLACE, queries

QUERIES = list(queries())
USUAL = "$__rate_interval"
GAINED = re.compile(r"\b(?:rate|increase)\([^\[]*\[([^\]]+)\]")
EXCLUDED = yaml.safe_load((PLACE / ".lint").read_text())["exclusions"]
ENTRIES = EXCLUDED["target-rate-interval-rule"]["entries"]


def ranges(query):
    return set(GAINED.findall(query.expression))


def place(query):
    return BOARDS[query.board]["title"], query.panel


def places(entries):
    return sorted((entry["dashboard"], entry["panel"]) for entry in entries)


def test_unusual_ranges_have_a_reason():
    assert places(ENTRIES) == sorted({place(query) for query in QUERIES if ranges(query) - {USUAL}})
    assert all(entry["reason"] for entry in ENTRIES)


@pytest.mark.parametrize(
    ("rule", "matcher"), [("target-job-rule", 'job=~"$job"'), ("target-instance-rule", 'instance=~"$instance"')]
)
def test_queries_without_a_matcher_have_a_reason(rule, matcher):
    """A selector is a name and its matchers in braces."""
    bare = [query for query in QUERIES if any(matcher not in found for found in re.findall(r"\w\{([^}]*)\}", query.expression))]
    assert places(EXCLUDED[rule]["entries"]) == sorted({place(query) for query in bare})

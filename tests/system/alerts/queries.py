"""The queries of the rule file, parsed: every expression of a rule, every query in an annotation, and the names in them."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import promql_parser as promql

# In an annotation: query (printf `...` ...) or query (printf "..." ...); %q stands for the value of a label, quotes included.
_QUERY = re.compile(r'query \(printf (?:`([^`]*)`|"([^"]*)")')
_REFERRED = re.compile(r"\$labels\.(\w+)")


@dataclass(frozen=True)
class Matcher:
    """One label of a selector, and its values: the alternatives of a regular expression."""

    metric: str
    label: str
    values: tuple[str, ...]
    exact: bool  # whether it selects these values, not all others


def rule_queries(rule: Mapping[str, Any]) -> Iterator[str]:
    """Yield the queries of a rule, its expression first."""
    yield rule["expr"]
    for text in rule.get("annotations", {}).values():
        for raw, quoted in _QUERY.findall(text):
            yield re.sub(r"%(\[\d\])?q", '"?"', raw or quoted)


def referred(rule: Mapping[str, Any]) -> set[str]:
    """Return the labels of the alert that its annotations use."""
    return {label for text in rule["annotations"].values() for label in _REFERRED.findall(text)}


def selectors(query: str) -> Iterator[Any]:
    found: list[Any] = []

    def visit(node: Any) -> bool:
        if isinstance(node, promql.VectorSelector):
            found.append(node)
        return True

    promql.walk(promql.parse(query), visit)
    yield from found


def calls(query: str) -> list[str]:
    """Return the names of the functions that the query calls."""
    found: list[str] = []

    def visit(node: Any) -> bool:
        if isinstance(node, promql.Call):
            found.append(node.func.name)
        return True

    promql.walk(promql.parse(query), visit)
    return found


def matchers(query: str) -> Iterator[Matcher]:
    for selector in selectors(query):
        for one in selector.matchers.matchers:
            exact = one.op in (promql.MatchOp.Equal, promql.MatchOp.Re)
            many = one.op in (promql.MatchOp.Re, promql.MatchOp.NotRe)
            values = tuple(one.value.split("|")) if many else (one.value,)
            yield Matcher(selector.name, one.name, values, exact)


def grouped(query: str) -> set[str]:
    """Return the labels that the query aggregates by, joins on or copies."""
    found: set[str] = set()

    def visit(node: Any) -> bool:
        modifier = getattr(node, "modifier", None)
        if isinstance(node, promql.AggregateExpr) and modifier is not None:
            found.update(modifier.labels)
        if isinstance(node, promql.BinaryExpr) and modifier is not None:
            found.update(modifier.matching.labels if modifier.matching else ())
            found.update(modifier.group_labels or ())
        return True

    promql.walk(promql.parse(query), visit)
    return found

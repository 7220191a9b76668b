"""The messages of Alertmanager for given firing times, by the routes and groups of alerts/alertmanager.yml.

It computes hours of notifications in milliseconds. Repeats, time intervals and texts are left out.
"""

import re
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

import yaml

from tests.system.alerts.alertmanager.rendering import EXAMPLE, milliseconds
from tests.system.alerts.firing import Spans

TICK = 15


@dataclass(frozen=True)
class Sent:
    """One message to a receiver about an alert; `new` are the labels of what was not in the message before."""

    at: int
    receiver: str
    alertname: str
    new: tuple[Mapping[str, str], ...]


@cache
def _configuration() -> dict[str, Any]:
    return yaml.safe_load(EXAMPLE.read_text())


def sent(spans: Spans) -> list[Sent]:
    """Every message that names an alert for the first time."""
    alerts = [(dict(alert), periods) for alert, periods in spans.items()]
    keys = [_group(labels) for labels, _ in alerts]
    end = max((end for _, periods in alerts for _, end in periods), default=0)
    waiting: dict[tuple[str, ...], int] = {}
    sent_before: dict[tuple[str, ...], set[int]] = defaultdict(set)
    found = []
    for now in range(0, end + 1, TICK):
        groups: dict[tuple[str, ...], set[int]] = defaultdict(set)
        for number, (_, periods) in enumerate(alerts):
            if any(begin <= now < end for begin, end in periods):
                groups[keys[number]].add(number)
        for key, members in groups.items():
            wait, interval = _waits(key[0])
            due = waiting.setdefault(key, now + wait)
            if now < due:
                continue
            waiting[key] = now + interval
            new = members - sent_before[key]
            if new:
                labels = tuple(alerts[number][0] for number in sorted(new))
                found.append(Sent(now, key[0], labels[0]["alertname"], labels))
            sent_before[key] = (sent_before[key] & members) | new
        for key in waiting.keys() - groups.keys():
            del waiting[key]
            sent_before.pop(key, None)
    return found


def _group(labels: Mapping[str, str]) -> tuple[str, ...]:
    """The receiver, and the values of the labels to group by."""
    receiver, by = _route(labels)
    return receiver, *(labels.get(label, "") for label in by)


def _route(labels: Mapping[str, str]) -> tuple[str, list[str]]:
    """The receiver and the labels to group by."""
    node, by = _configuration()["route"], ["alertname"]
    while True:
        by = node.get("group_by", by)
        inner = next((route for route in node.get("routes", ()) if _matches(route["matchers"], labels)), None)
        if inner is None:
            return node["receiver"], by
        node = {"receiver": node["receiver"], **inner}


@cache
def _waits(receiver: str) -> tuple[int, int]:
    [route] = _configuration()["route"]["routes"]
    own = next((one for one in route["routes"] if one["receiver"] == receiver), {})
    return tuple(milliseconds(own.get(name, route[name])) // 1000 for name in ("group_wait", "group_interval"))  # type: ignore[return-value]


_MATCHER = re.compile(r'(\w+)(=~|!~|!=|=)"([^"]*)"')


def _matches(matchers: list[str], labels: Mapping[str, str]) -> bool:
    """Match as Alertmanager does: all must match, a missing label is empty, a regular expression covers the whole value."""
    for matcher in matchers:
        parts = _MATCHER.fullmatch(matcher)
        assert parts, matcher
        name, operator, wanted = parts.groups()
        value = labels.get(name, "")
        equal = value == wanted if operator in ("=", "!=") else bool(re.fullmatch(wanted, value))
        if equal == operator.startswith("!"):
            return False
    return True

"""What a recipient got: the messages of one incident, each with its time and whether it brought anything new."""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from tests.system.alerts.alertmanager.server import Arrived, words

_TITLE = re.compile(r"(?:Resolved: )?(?:(\d+) x )?(Ekm\w+)(?: \(([\w-]+)\))?:")
# About the machine that runs the drill.
_OF_THE_MACHINE = ("EkmWatchdog", "EkmExporterOverloaded", "EkmLatencyHigh")


@dataclass(frozen=True)
class Message:
    """`kind` is page, ticket, mail or resolved. `group` is the recipient's name of its group, `text` the whole message."""

    at: float
    kind: str
    alert: str
    env: str
    to: str
    group: str
    text: str


def received(arrived: Iterable[Arrived]) -> Iterator[Message]:
    """The messages that are new, and those of resolved alerts. An update with no more alerts than before is neither."""
    before: dict[object, int] = {}
    for one in arrived:
        kind, to, key, alert, env, firing = _read(one)
        count, before[to, key] = before.get((to, key), 0), firing
        if alert not in _OF_THE_MACHINE and (firing > count or not firing):
            yield Message(one.at, kind if firing else "resolved", alert, env, to, key, str(_shown(one)))


def _read(one: Arrived) -> tuple[str, str, str, str, str, int]:
    """Kind, recipient, group, alert, env and the number of firing alerts."""
    if one.to.startswith("value-of-page-"):
        title = one.body.get("payload", {}).get("summary", "")
        # A resolved message has no number of firing alerts.
        firing = int(one.body.get("payload", {}).get("custom_details", {}).get("num_firing", 0))
        firing = firing if one.body["event_action"] == "trigger" else 0
        _, alert, env = _parts(title)
        return "page", one.to.removeprefix("value-of-page-"), one.body["dedup_key"], alert, env, firing
    if isinstance(one.body, Mapping):
        labels: Mapping[str, str] = one.body["commonLabels"]
        firing = sum(alert["status"] == "firing" for alert in one.body["alerts"])
        return "ticket", one.to, one.body["groupKey"], labels["alertname"], labels.get("env", ""), firing
    title = str(one.body["Subject"])
    count, alert, env = _parts(title)
    return "mail", one.to, f"{alert} {env}", alert, env, 0 if title.startswith("Resolved") else count


def _parts(title: str) -> tuple[int, str, str]:
    match = _TITLE.match(title)
    return (int(match[1] or 1), match[2], match[3] or "") if match else (1, "", "")


def _shown(one: Arrived) -> Any:
    return one.body if isinstance(one.body, Mapping) else words(one.body)

"""The matrix as a table of docs/maintainers/alert-timing.md: `python -m tests.system.alerts.matrix.summary` writes it from a run.

For each fault, pattern and interval it shows the page, the minutes until it comes, and the minutes from recovery until it ends.
"""

import tempfile
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path

from docs.generators.alerts import TIMING
from docs.generators.pages import GeneratedPart
from tests.system.alerts.firing import Spans, fleet, spans
from tests.system.alerts.matrix.notified import sent
from tests.system.alerts.matrix.table import AFTER, KINDS, LASTS, LEAD, MINUTE, PATTERNS, SCRAPE, Scenario, scenarios

PAGERS = {"page-dba", "page-platform"}


def evaluated(place: Path) -> Mapping[str, Spans]:
    """The firing spans of every scenario, by the instance of its exporters."""
    batches = []
    for interval, lasts in LASTS.items():
        exporters = {each.instance: each for one in scenarios() if one.interval == interval for each in one.exported()}
        batches.append(fleet(f"every{interval}", list(exporters.values()), LEAD + lasts + AFTER, SCRAPE[interval]))
    found: dict[str, Spans] = defaultdict(dict)
    for alert, periods in spans(place, batches).items():
        found[dict(alert).get("instance", "")][alert] = periods
    return found


def of(scenario: Scenario, by_instance: Mapping[str, Spans]) -> Spans:
    return {alert: periods for one in scenario.exported() for alert, periods in by_instance.get(one.instance, {}).items()}


def table(by_instance: Mapping[str, Spans]) -> str:
    """Minutes; a cell covers all modes, with one exporter and with two."""
    head = "| fault | probes that fail | every 15 s | every 60 s | every 5 minutes |\n| --- | --- | --- | --- | --- |"
    rows = [
        f"| {kind.name} | {pattern} | "
        + " | ".join(_cell(_chosen(kind.name, pattern, interval), by_instance) for interval in LASTS)
        + " |"
        for kind in KINDS
        for pattern in PATTERNS
    ]
    return "\n".join([head, *rows])


def _chosen(kind: str, pattern: str, interval: int) -> list[Scenario]:
    return [one for one in scenarios() if (one.kind.name, one.pattern, one.interval) == (kind, pattern, interval)]


def _cell(chosen: Sequence[Scenario], by_instance: Mapping[str, Spans]) -> str:
    first: dict[str, list[int]] = defaultdict(list)
    last: dict[str, list[int]] = defaultdict(list)
    for scenario in chosen:
        found = of(scenario, by_instance)
        for message in sent(found):
            if message.receiver in PAGERS:
                ends = [period[-1][1] for alert, period in found.items() if dict(alert)["alertname"] == message.alertname]
                first[message.alertname].append(round((message.at - scenario.begin) / MINUTE))
                last[message.alertname].append(round((max(ends) - scenario.recovery) / MINUTE))
    pages = [f"`{name}` after {_range(first[name])}, ends {_range(last[name])} after recovery" for name in sorted(first)]
    return "; ".join(pages) or "no page"


def _range(minutes: Sequence[int]) -> str:
    low, high = min(minutes), max(minutes)
    return f"{low}" if low == high else f"{low} to {high}"


def part(by_instance: Mapping[str, Spans]) -> GeneratedPart:
    return GeneratedPart("matrix", lambda: table(by_instance), "python -m tests.system.alerts.matrix.summary")


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        TIMING.write_text(part(evaluated(Path(folder))).refreshed(TIMING.read_text()))

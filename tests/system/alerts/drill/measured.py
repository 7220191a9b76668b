"""The times of the drill: `python -m tests.system.alerts.drill.measured` writes those of the last run into docs/maintainers/alert-timing.md.

No test depends on a time.
"""

import ast
import json
from pathlib import Path

from docs.generators.alerts import TIMING
from docs.generators.pages import GeneratedPart
from tests.system.alerts.drill.harness import INTERVAL, SCALE, SCRAPE_MILLISECONDS

ROOT = Path(__file__).parents[4]
RECORDED = ROOT / ".cache" / "drill.jsonl"  # one line for each incident

PART = """\
All durations of rules and of Alertmanager were divided by {scale}: a probe ran every {probe:g} seconds instead of every 60, and a scrape
every {scrape:g} seconds instead of every 30. The times below are multiplied by {scale}.

| condition | page | to | paged at | fault ends at | page ends at | other messages | silent until |
| --- | --- | --- | --- | --- | --- | --- | --- |
{rows}

All incidents ran at once. The region, the host without name resolution and Entra ID each had an exporter with four targets, and the
killed exporter had one. The other incidents shared one exporter. Eight targets with one randomly failing probe in a hundred caused no page.

The page about a removed permission, as PagerDuty receives it:

```json
{page}
```"""


def add(incident, played):
    """Record an incident in seconds of the drill, from the start of its fault."""
    began = played.began[incident.name]
    messages = played.of(incident)
    silent = played.healed[incident.name] + 3600 / SCALE
    [page] = [one for one in messages if one.kind == "page"]
    fact = {
        "broken": incident.broken,
        "alert": page.alert,
        "to": "platform" if page.to == "platform" else "team",
        "paged": page.at - began,
        "healed": played.healed[incident.name] - began,
        "resolved": max(one.at for one in messages if one.kind == "resolved" and one.alert == page.alert) - began,
        "others": sorted({one.alert for one in messages if one.kind in ("ticket", "mail") and began < one.at < silent}),
    }
    if incident.name == "forbidden":
        fact["page"] = ast.literal_eval(page.text)
    RECORDED.parent.mkdir(exist_ok=True)
    with RECORDED.open("a") as file:
        file.write(json.dumps(fact) + "\n")


def part(facts):
    """The part of the page from the facts of a run; the newest of each condition counts."""
    return GeneratedPart("drill", lambda: _text(facts), "./dev drill")


def _text(facts):
    newest = {fact["broken"]: fact for fact in facts}
    rows = "\n".join(
        f"| {broken} | {one['alert']} | {one['to']} | {_minutes(one['paged'])} | {_minutes(one['healed'])} "
        f"| {_minutes(one['resolved'])} | {', '.join(one['others']) or 'none'} | {_minutes(one['healed'] + 3600 / SCALE)} |"
        for broken, one in newest.items()
    )
    [example] = [one["page"] for one in newest.values() if "page" in one]
    shown = {key: value for key, value in example.items() if key not in ("routing_key", "dedup_key")}
    return PART.format(
        scale=SCALE, probe=INTERVAL, scrape=SCRAPE_MILLISECONDS / 1000, rows=rows, page=json.dumps(shown, indent=2)
    )


def _minutes(seconds):
    whole = round(seconds * SCALE)
    return f"{whole // 60} min {whole % 60:02} s"


if __name__ == "__main__":
    recorded = [json.loads(line) for line in RECORDED.read_text().splitlines()]
    TIMING.write_text(part(recorded).refreshed(TIMING.read_text()))

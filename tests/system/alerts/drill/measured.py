"""The times of the drill, for docs/paging.md: `python -m tests.system.alerts.drill.measured` writes the page from the last run.

No test depends on a time.
"""

import json
from pathlib import Path

from tests.system.alerts.drill.harness import SCALE

ROOT = Path(__file__).parents[4]
RECORDED = ROOT / ".cache" / "drill.jsonl"  # one line for each fact, so that parallel tests can append
PAGE = ROOT / "docs" / "paging.md"

HEAD = """\
# Who is paged, and after how long

These times are measured, not computed. The drill runs a simulator, this exporter, a real Prometheus with the shipped rules, a real
Alertmanager with the shipped example, and a stand-in for PagerDuty that records its messages. All durations of rules and of Alertmanager
were divided by {scale}: a probe ran every two seconds instead of every 60, and a scrape every second instead of every 30. The times
below are multiplied by {scale}, so they apply to an installation with one probe a minute. The duration of each probe, scrape and
evaluation is multiplied too, so the times are rather too long than too short. `./dev drill` measures again.

| condition | page | to | first page after | resolved after |
| --- | --- | --- | --- | --- |
{rows}

- A page ends no sooner than 15 minutes after the fault. It keeps firing through a restart of the exporter and through one good probe.
- Thirty targets with one randomly failing probe in a hundred caused no page within an hour of the same scale.

The page about a removed permission, as PagerDuty receives it:

```json
{page}
```
"""


_OF_THE_EXPORTER = ("EkmEntraUnavailable", "EkmEgressDown", "EkmExporterDown")


def add(broken, alert, paged, resolved):
    """Record a row, in seconds of the drill; `resolved` is None for a fault that was not healed."""
    _record(
        {"row": {broken: {"alert": alert, "paged": paged * SCALE, "resolved": None if resolved is None else resolved * SCALE}}}
    )


def add_page(page):
    _record({"page": page})


def _record(fact):
    RECORDED.parent.mkdir(exist_ok=True)
    with RECORDED.open("a") as file:
        file.write(json.dumps(fact) + "\n")


def _known():
    """Return the rows and the page of the last run; the newest of each counts."""
    facts = [json.loads(line) for line in RECORDED.read_text().splitlines()]
    rows = {broken: row for fact in facts for broken, row in fact.get("row", {}).items()}
    return {"rows": rows, "page": next(fact["page"] for fact in reversed(facts) if "page" in fact)}


def page(known):
    rows = "\n".join(
        f"| {broken} | {row['alert']} | {'platform' if row['alert'] in _OF_THE_EXPORTER else 'team'} "
        f"| {_minutes(row['paged'])} | {_minutes(row['resolved'])} |"
        for broken, row in known["rows"].items()
    )
    shown = {key: value for key, value in known["page"].items() if key not in ("routing_key", "dedup_key")}
    return HEAD.format(scale=SCALE, rows=rows, page=json.dumps(shown, indent=2))


def _minutes(seconds):
    if seconds is None:
        return ""
    return f"{int(seconds // 60)} min {int(seconds % 60):02} s"


if __name__ == "__main__":
    PAGE.write_text(page(_known()))

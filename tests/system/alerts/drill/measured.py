"""What the drill measured, for docs/paging.md: `python -m tests.system.alerts.drill.measured` writes the page from the last run.

Not for: judging. No test depends on a time.
"""

import json
from pathlib import Path

from tests.system.alerts.drill.harness import SCALE

ROOT = Path(__file__).parents[4]
KEPT = ROOT / ".cache" / "drill.jsonl"  # a line for each fact, so that tests side by side can add
PAGE = ROOT / "docs" / "paging.md"

HEAD = """\
# Who is paged, and after how long

Measured, not computed: a simulator, this exporter, a real Prometheus with the shipped rules, a real Alertmanager with the shipped
example, and a stand-in for PagerDuty that writes down what it is told. All durations of rules and of Alertmanager were divided by
{scale}: a probe that is made every 60 seconds was made every other second, a scrape came every second instead of every 30. The times
below are multiplied by {scale} again, so they are those of an installation with one probe a minute; what a probe, a scrape and an
evaluation themselves take is multiplied with them, which makes them too long rather than too short. `./dev drill` measures again.

| condition | page | to | first page after | resolved after |
| --- | --- | --- | --- | --- |
{rows}

- A page ends no sooner than 15 minutes after the fault: it goes on through a restart of the exporter and a moment of health.
- For an hour in the same scale, thirty targets of which one probe in a hundred failed by chance paged nobody.

The page about a permission that was taken away, as PagerDuty gets it:

```json
{page}
```
"""


_OF_THE_EXPORTER = ("EkmEntraUnavailable", "EkmEgressDown", "EkmExporterDown")


def add(broken, alert, paged, resolved):
    """Seconds of the drill; `resolved` is None for what was not healed."""
    _keep({"row": {broken: {"alert": alert, "paged": paged * SCALE, "resolved": None if resolved is None else resolved * SCALE}}})


def keep_page(page):
    _keep({"page": page})


def _keep(fact):
    KEPT.parent.mkdir(exist_ok=True)
    with KEPT.open("a") as file:
        file.write(json.dumps(fact) + "\n")


def _known():
    """The rows and the page of the last run; the newest of each counts."""
    facts = [json.loads(line) for line in KEPT.read_text().splitlines()]
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

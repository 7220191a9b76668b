"""The tables of docs/alerts.md: every alert, and the arithmetic of the least number of failures.

For: reading the rule file's own comments (`# When:`, `# After:`), so that they stand once.
Not for: the prose of the page, which people write above the marker.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from alerts import slo
from alerts.values import duration

MARKER = "<!-- below: written by python -m alerts.build -->"
SEVERITIES = {"critical": "Pages", "warning": "Tickets", "info": "Not routed"}

_ALERT = re.compile(r"((?: +# .*\n)+) +- alert: (\w+)\n(?:.*\n)*?        labels: \{severity: (\w+)")


@dataclass(frozen=True, slots=True)
class Alert:
    """One alert, as its comments tell of it."""

    name: str
    severity: str
    when: str
    after: str


def alerts(text: str) -> list[Alert]:
    """The alerts of a rule file, in its order. Raises ValueError where a comment lacks When or After."""
    return [_alert(comment, name, severity) for comment, name, severity in _ALERT.findall(text)]


def _alert(comment: str, name: str, severity: str) -> Alert:
    said = " ".join(line.strip().removeprefix("# ") for line in comment.splitlines())
    told = re.fullmatch(r"When: (.+) After: (.+)", said)
    if told is None:
        raise ValueError(f"the comment above {name} does not say When and After")
    when, after = told.groups()
    return Alert(name, severity, when, after)


def written(text: str) -> str:
    """Markdown: a table for each severity, then the arithmetic."""
    found = alerts(text)
    parts = [
        "\n".join([f"## {title}: `{severity}`", "", _HEAD, *(_row(alert) for alert in found if alert.severity == severity)])
        for severity, title in SEVERITIES.items()
    ]
    return "\n\n".join([*parts, *_arithmetic()])


_HEAD = "| alert | fires when | after how long |\n| --- | --- | --- |"


def _row(alert: Alert) -> str:
    return f"| [`{alert.name}`](../alerts/runbooks/{alert.name}.md) | {alert.when} | {alert.after} |"


def _arithmetic() -> Iterator[str]:
    yield "## The least number of failures"
    yield "\n".join(
        [
            "| burn rate | windows | interval | least failures | needed | false alarms a year | after, if every probe fails |",
            "| --- | --- | --- | --- | --- | --- | --- |",
            *(
                f"| {burn.rate:g} | {duration(burn.long)}, {duration(burn.short)} | {interval} s | {least} | {needed} | "
                f"{_rate(false)} | {duration(seconds)} |"
                for burn, interval, least, needed, false, seconds in slo.rows()
            ),
        ]
    )
    yield "\n".join(
        [
            "| probes that fail in a row | interval | false alarms a year |",
            "| --- | --- | --- |",
            *(f"| 3 | {interval} s | {slo.in_a_row(interval, 3):.1f} |" for interval in (15, 60, 300)),
        ]
    )


def _rate(value: float) -> str:
    return f"{value:.2g}" if value >= 1e-4 else "under 0.0001"


def refreshed(page: str, text: str) -> str:
    """The page with everything below its marker written anew from the rules. Raises ValueError if it has none."""
    before, marker, _ = page.partition(MARKER)
    if not marker:
        raise ValueError(f"the page needs a line {MARKER}")
    return f"{before}{MARKER}\n\n{written(text)}\n"

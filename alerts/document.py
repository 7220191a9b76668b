"""The tables of every alert, and the arithmetic of the least number of failures, for docs/alerts.md and docs/maintainers/alert-timing.md.

The alerts come from the comments of the rule file (`# When:`, `# After:`, `# Why:`, `# First:`).
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from alerts import slo
from exporter.core import durations

SEVERITIES = {"critical": "Pages", "warning": "Tickets", "info": "Not routed"}

_ALERT = re.compile(
    r"((?: +# .*\n)+) +- alert: (\w+)\n((?:.*\n)*?)        labels: \{severity: (\w+)(?:, scope: (\w+))?\}",
)
_CREDENTIAL = "credential:ekm_credential_left_seconds"  # its series have the team and the environment
_COMMENT = re.compile(r"When: (.+) After: (.+) Why: (.+) First: (.+)")


@dataclass(frozen=True, slots=True)
class Alert:
    """One alert, as its comments describe it."""

    name: str
    severity: str
    when: str
    after: str
    why: str
    first: str
    recipient: str


def alerts(text: str) -> list[Alert]:
    """Return the alerts of a rule file, in file order. Raises ValueError if a comment lacks one of its parts."""
    return [_alert(*parts) for parts in _ALERT.findall(text)]


def _alert(comment: str, name: str, body: str, severity: str, scope: str) -> Alert:
    text = " ".join(line.strip().removeprefix("# ") for line in comment.splitlines())
    parts = _COMMENT.fullmatch(text)
    if parts is None:
        raise ValueError(f"the comment above {name} needs When, After, Why and First")
    return Alert(
        name,
        severity,
        *parts.groups(),
        _recipient(severity, "sql" if name.startswith("EkmSql") else scope, owned="team" in body or _CREDENTIAL in body),
    )


def _recipient(severity: str, scope: str, *, owned: bool) -> str:
    """Return the recipient with the shipped alertmanager.yml."""
    if severity == "info":
        return "not routed"
    if scope == "sql":
        who = "the team of the targets, else the DBAs" if owned else "the DBAs"
    else:
        who = "the team of the target" if owned and scope not in ("exporter", "region") else "the exporter's operators"
    return f"on call: {who}" if severity == "critical" else f"ticket: {who}"


def tables(text: str) -> str:
    """Return Markdown: a table for each severity."""
    found = alerts(text)
    return "\n\n".join(
        "\n".join([f"## {title}: `{severity}`", "", _HEAD, *(_row(alert) for alert in found if alert.severity == severity)])
        for severity, title in SEVERITIES.items()
    )


_HEAD = (
    "| alert | fires when | after how long | why it exists | who gets it | first action |\n| --- | --- | --- | --- | --- | --- |"
)


def _row(alert: Alert) -> str:
    name = f"[`{alert.name}`](../alerts/runbooks/{alert.name}.md)"
    return f"| {name} | {alert.when} | {alert.after} | {alert.why} | {alert.recipient} | {alert.first} |"


def arithmetic() -> str:
    """Return Markdown: the least failures of each burn rate, and the false alarms of failures in a row."""
    burns = [
        "| burn rate | windows | interval | least failures | needed | false alarms a year | after, if every probe fails |",
        "| --- | --- | --- | --- | --- | --- | --- |",
        *(
            f"| {burn.rate:g} | {durations.write(burn.long)}, {durations.write(burn.short)} | {interval} s | {least} | {needed} | "
            f"{_rate(false)} | {durations.write(seconds)} |"
            for burn, interval, least, needed, false, seconds in slo.rows()
        ),
    ]
    runs = [
        "| probes that fail in a row | interval | false alarms a year |",
        "| --- | --- | --- |",
        *(f"| {run} | {interval} s | {slo.in_a_row(interval, run):.2f} |" for run, interval in ((4, 15), (4, 60), (3, 300))),
    ]
    return "\n".join([*burns, "", *runs])


def _rate(value: float) -> str:
    return f"{value:.2g}" if value >= 1e-4 else "under 0.0001"

"""The content of a report: rows, failures and gaps, in a fixed order."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Mapping
from typing import Any, Final

from exporter.report.classes import CLASS_TEXTS, MEASURED, PARTY_TEXTS, MinuteClass, Party
from exporter.report.minutes import Minutes, Row
from exporter.report.period import Period

# What Microsoft counts, as far as the project has read it.
_READ_ONLY: Final = (
    "Microsoft does not count the time in which a vault is read-only after a failover to the paired region. get, wrap and unwrap "
    "work meanwhile, so this report counts these minutes as answered."
)
_OWN_WORDS: Final = (
    "This report is not Microsoft's calculation. It counts minutes as exporters measured them, with one round trip per probe "
    "interval. The percentage, the definition of downtime and the exclusions are in Microsoft's current service level agreement."
)
MICROSOFT: Final = (_READ_ONLY, _OWN_WORDS)


def percentage(answered: int, measured: int) -> str | None:
    """Return the share of answered minutes in percent, rounded down to a thousandth; None if none was measured."""
    if not measured:
        return None
    thousandths = answered * 100_000 // measured
    return f"{thousandths // 1000}.{thousandths % 1000:03}"


def document(period: Period, minutes: Minutes) -> dict[str, Any]:
    """Return the whole report as JSON data. The same minutes give the same data."""
    targets = sorted(minutes.targets.items())
    return {
        "period": {
            "name": period.name,
            "from": period.moment(0),
            "to": period.moment(period.minutes),
            "timezone": period.zone_name,
            "minutes": period.minutes,
        },
        "complete": not any(row.gaps for row in minutes.targets.values()),
        "vaults": [_row({"vault": vault}, row) for vault, row in sorted(minutes.vaults.items())],
        "targets": [_row({"vault": key.vault, "target": key.target}, row) for key, row in targets],
        "gaps": _gaps(period, minutes),
        "classes": {kind.value: text for kind, text in CLASS_TEXTS.items()},
        "faults": {party.value: text for party, text in PARTY_TEXTS.items()},
        "microsoft": list(MICROSOFT),
    }


def _row(names: Mapping[str, str], row: Row) -> dict[str, Any]:
    measured, answered = row.count(*MEASURED), row.count(MinuteClass.ANSWERED)
    return {
        **names,
        "measured_minutes": measured,
        "answered_percent": percentage(answered, measured),
        "minutes": {kind.value: row.count(kind) for kind in MinuteClass},
        "fault_minutes": {party.value: sum(row.states[each] for each in row.states if each.party is party) for party in Party},
        "failures": _failures(row),
    }


def _failures(row: Row) -> list[dict[str, Any]]:
    """Return the minutes of each failed step and reason, the most frequent first."""
    found = [(state, count) for state, count in row.states.items() if state.reason]
    found.sort(key=lambda each: (-each[1], each[0].step, each[0].reason))
    return [
        {
            "class": state.kind.value,
            "fault": state.party.value if state.party else None,
            "step": state.step,
            "reason": state.reason,
            "minutes": count,
        }
        for state, count in found
    ]


def _gaps(period: Period, minutes: Minutes) -> list[dict[str, Any]]:
    """Return each gap once, with the targets that share it."""
    shared: dict[tuple[int, int, str], list[str]] = {}
    for target, row in sorted(minutes.targets.items()):
        for kind, first, end in row.gaps:
            shared.setdefault((first, end, kind.value), []).append(target.target)
    return [
        {"from": period.moment(first), "to": period.moment(end), "class": kind, "minutes": end - first, "targets": targets}
        for (first, end, kind), targets in sorted(shared.items())
    ]


def as_json(data: Mapping[str, Any]) -> str:
    """Return the report as JSON."""
    return json.dumps(data, indent=2, ensure_ascii=False) + "\n"


def as_csv(data: Mapping[str, Any]) -> str:
    """Return one line for each vault and each target, with a header (RFC 4180)."""
    text = io.StringIO()
    writer = csv.writer(text)
    kinds, parties = [kind.value for kind in MinuteClass], [party.value for party in Party]
    head = ["scope", "vault", "target", "from", "to", "measured_minutes", "answered_percent"]
    writer.writerow([*head, *(f"{kind}_minutes" for kind in kinds), *(f"fault_{party}_minutes" for party in parties)])
    for scope, row in _scopes(data):
        writer.writerow(
            [
                *(scope, _cell(row["vault"]), _cell(row.get("target", "")), data["period"]["from"], data["period"]["to"]),
                *(row["measured_minutes"], row["answered_percent"]),
                *(row["minutes"][kind] for kind in kinds),
                *(row["fault_minutes"][party] for party in parties),
            ]
        )
    return text.getvalue()


def _scopes(data: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    yield from (("vault", row) for row in data["vaults"])
    yield from (("target", row) for row in data["targets"])


def _cell(text: str) -> str:
    """Return a text that no spreadsheet evaluates as a formula."""
    return f"'{text}" if text.startswith(("=", "+", "-", "@", "\t", "\r")) else text

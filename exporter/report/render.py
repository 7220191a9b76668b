"""The report: rows, failures and gaps in a fixed order, as JSON, CSV, and one HTML page to print, without a script and anything from outside."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import Any, Final

from exporter.report.minutes import CLASS_TEXTS, MEASURED, PARTY_TEXTS, MinuteClass, Minutes, Party, Period, Row

# What Microsoft counts, as far as the project has read it.
MICROSOFT: Final = (
    (
        "Microsoft does not count the time in which a vault is read-only after a failover to the paired region. get, wrap and unwrap "
        "work meanwhile, so this report counts these minutes as answered."
    ),
    (
        "This report is not Microsoft's calculation. It counts minutes as exporters measured them, with one round trip per probe "
        "interval. The percentage, the definition of downtime and the exclusions are in Microsoft's current service level agreement."
    ),
)


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
    return json.dumps(data, indent=2, ensure_ascii=False) + "\n"


def as_csv(data: Mapping[str, Any]) -> str:
    """Return one line for each vault and each target, with a header (RFC 4180)."""
    text = io.StringIO()
    writer = csv.writer(text)
    kinds, parties = [kind.value for kind in MinuteClass], [party.value for party in Party]
    head = ["scope", "vault", "target", "from", "to", "measured_minutes", "answered_percent"]
    writer.writerow([*head, *(f"{kind}_minutes" for kind in kinds), *(f"fault_{party}_minutes" for party in parties)])
    for scope in ("vault", "target"):
        for row in data[f"{scope}s"]:
            writer.writerow(
                [
                    *(scope, _cell(row["vault"]), _cell(row.get("target", "")), data["period"]["from"], data["period"]["to"]),
                    *(row["measured_minutes"], row["answered_percent"]),
                    *(row["minutes"][kind] for kind in kinds),
                    *(row["fault_minutes"][party] for party in parties),
                ]
            )
    return text.getvalue()


def _cell(text: str) -> str:
    """Return a text that no spreadsheet evaluates as a formula."""
    return f"'{text}" if text.startswith(("=", "+", "-", "@", "\t", "\r")) else text


MOST_NAMES: Final = 10  # targets named for one gap; JSON lists all
_STYLE: Final = (
    "body{font:10pt/1.4 sans-serif;margin:2em;color:#111}table{border-collapse:collapse;width:100%;margin:.5em 0 1.5em}"
    "th,td{border:1px solid #999;padding:.15em .3em;font-size:8.5pt;text-align:left;vertical-align:top}"
    "td:not(.n){overflow-wrap:anywhere;min-width:9em}td.n,th.n{text-align:right}thead{display:table-header-group}tr{break-inside:avoid}"
    "@media print{body{margin:0}@page{size:A4 landscape;margin:12mm}}"
)
_CLASSES: Final = tuple(kind.value for kind in MinuteClass)
_PARTIES: Final = tuple(party.value for party in Party)
_FAILURE: Final = ("class", "fault", "step", "reason")


def as_html(data: Mapping[str, Any]) -> str:
    """Return the page. The same data give the same bytes."""
    period = data["period"]
    title = f"Key Vault service report {period['name']}"
    complete = (
        "The data are complete."
        if data["complete"]
        else "The data have gaps: see below. Gaps do not count, not as up and not as down."
    )
    about = (
        f"From {escape(period['from'])} to {escape(period['to'])} ({escape(period['timezone'])}), {period['minutes']} minutes. "
        f"{complete} All numbers are minutes, as the exporters measured them."
    )
    parts = (
        f"<h1>{escape(title)}</h1>",
        f"<p>{about}</p>",
        "<h2>Vaults</h2>",
        _minutes(("vault",), data["vaults"]),
        "<h2>Vaults: whose fault</h2>",
        _faults(("vault",), data["vaults"]),
        "<h2>Targets</h2>",
        _minutes(("vault", "target"), data["targets"]),
        "<h2>Targets: whose fault</h2>",
        _faults(("vault", "target"), data["targets"]),
        "<h2>Failures of targets</h2>",
        _table(
            ("target", *_FAILURE),
            ("minutes",),
            [
                ((row["target"], *(each[name] or "-" for name in _FAILURE)), (each["minutes"],))
                for row in data["targets"]
                for each in row["failures"]
            ],
        ),
        "<h2>Gaps in the data</h2>",
        _table(
            ("from", "to", "class", "targets"),
            ("minutes",),
            [((gap["from"], gap["to"], gap["class"], _names(gap["targets"])), (gap["minutes"],)) for gap in data["gaps"]],
        ),
        "<h2>What is counted</h2>",
        _definitions(data["classes"]),
        "<h2>The parties</h2>",
        _definitions(data["faults"]),
        "<h2>What Microsoft counts</h2>",
        *(f"<p>{escape(text)}</p>" for text in data["microsoft"]),
    )
    head = f'<meta charset="utf-8"><title>{escape(title)}</title><style>{_STYLE}</style>'
    body = "\n".join(parts)
    return f'<!DOCTYPE html>\n<html lang="en">\n<head>{head}</head>\n<body>\n{body}\n</body>\n</html>\n'


def _minutes(names: Sequence[str], rows: Iterable[Mapping[str, Any]]) -> str:
    """Return the minutes by class; the parties have a table of their own, or the page is too wide for paper."""
    numbers = ("answered %", "measured", *(kind.replace("_", " ") for kind in _CLASSES))
    lines = (
        (
            tuple(row[name] for name in names),
            (row["answered_percent"] or "-", row["measured_minutes"], *(row["minutes"][kind] for kind in _CLASSES)),
        )
        for row in rows
    )
    return _table(names, numbers, lines)


def _faults(names: Sequence[str], rows: Iterable[Mapping[str, Any]]) -> str:
    """Return the minutes by party of the rows that have any."""
    lines = [
        (tuple(row[name] for name in names), tuple(row["fault_minutes"][party] for party in _PARTIES))
        for row in rows
        if any(row["fault_minutes"].values())
    ]
    return _table(names, _PARTIES, lines)


def _names(targets: Sequence[str]) -> str:
    more = len(targets) - MOST_NAMES
    return ", ".join(targets[:MOST_NAMES]) + (f" and {more} more" if more > 0 else "")


def _definitions(texts: Mapping[str, str]) -> str:
    return _table(("word", "meaning"), (), (((word, text), ()) for word, text in texts.items()))


def _table(names: Sequence[str], numbers: Sequence[str], rows: Iterable[tuple[Sequence[str], Sequence[object]]]) -> str:
    lines = [
        "".join(f"<td>{escape(text)}</td>" for text in texts)
        + "".join(f'<td class="n">{escape(str(number))}</td>' for number in values)
        for texts, values in rows
    ]
    if not lines:
        return "<p>None.</p>"
    head = "".join(f"<th>{escape(name)}</th>" for name in names)
    head += "".join(f'<th class="n">{escape(name)}</th>' for name in numbers)
    body = "\n".join(f"<tr>{line}</tr>" for line in lines)
    return f"<table><thead><tr>{head}</tr></thead><tbody>\n{body}\n</tbody></table>"

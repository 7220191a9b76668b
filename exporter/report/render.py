"""The report: rows, failures and gaps in a fixed order, as JSON, CSV, and one HTML page to print, without a script and anything from outside."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import Any, Final

from exporter.report.minutes import CLASS_TEXTS, PARTY_TEXTS, MinuteClass, Minutes, Party, Row

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
_NAMES: Final = ("vault", "target")

_Rows = Sequence[tuple[tuple[str, ...], Row]]  # each with its name: the vault, and the target if it is of one


def _rows(minutes: Minutes) -> tuple[_Rows, _Rows]:
    """Return the rows of vaults and those of targets."""
    return [((vault,), row) for vault, row in sorted(minutes.vaults.items())], sorted(minutes.targets.items())


def as_json(minutes: Minutes) -> str:
    """Return the whole report. The same minutes give the same text."""
    period, (vaults, targets) = minutes.period, _rows(minutes)
    report = {
        "period": {
            "name": period.name,
            "from": period.moment(0),
            "to": period.moment(period.minutes),
            "timezone": period.zone_name,
            "minutes": period.minutes,
        },
        "complete": not minutes.gaps,
        "vaults": [_row(*each) for each in vaults],
        "targets": [_row(*each) for each in targets],
        "gaps": [
            {"from": period.moment(first), "to": period.moment(end), "class": kind, "minutes": end - first, "targets": names}
            for (first, end, kind), names in minutes.shared_gaps()
        ],
        "classes": CLASS_TEXTS,
        "faults": PARTY_TEXTS,
        "microsoft": MICROSOFT,
    }
    return json.dumps(report, indent=2, ensure_ascii=False) + "\n"


def _row(names: tuple[str, ...], row: Row) -> dict[str, Any]:
    return {
        **dict(zip(_NAMES, names, strict=False)),
        "measured_minutes": row.measured,
        "answered_percent": row.answered_percent,
        "minutes": {kind: row.count(kind) for kind in CLASS_TEXTS},
        "fault_minutes": {party: row.count(party) for party in PARTY_TEXTS},
        "failures": [
            {"class": state.kind, "fault": state.party, "step": state.step, "reason": state.reason, "minutes": count}
            for state, count in row.failures
        ],
    }


def as_csv(minutes: Minutes) -> str:
    """Return one line for each vault and each target, with a header (RFC 4180)."""
    text = io.StringIO()
    writer, period = csv.writer(text), minutes.period
    head = ["scope", "vault", "target", "from", "to", "measured_minutes", "answered_percent"]
    writer.writerow([*head, *(f"{kind}_minutes" for kind in CLASS_TEXTS), *(f"fault_{party}_minutes" for party in PARTY_TEXTS)])
    for scope, rows in zip(_NAMES, _rows(minutes), strict=True):
        for names, row in rows:
            vault, target = map(_cell, (*names, "")[:2])
            numbers = row.measured, row.answered_percent, *map(row.count, CLASS_TEXTS), *map(row.count, PARTY_TEXTS)
            writer.writerow([scope, vault, target, period.moment(0), period.moment(period.minutes), *numbers])
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
_PAGE: Final = """\
<!DOCTYPE html>
<html lang="en">
<head><meta charset="utf-8"><title>{title}</title><style>{style}</style></head>
<body>
<h1>{title}</h1>
<p>From {start} to {end} ({zone}), {minutes} minutes. {complete} All numbers are minutes, as the exporters measured them.</p>
<h2>Vaults</h2>
{vaults}
<h2>Vaults: whose fault</h2>
{vault_faults}
<h2>Targets</h2>
{targets}
<h2>Targets: whose fault</h2>
{target_faults}
<h2>Failures of targets</h2>
{failures}
<h2>Gaps in the data</h2>
{gaps}
<h2>What is counted</h2>
{classes}
<h2>The parties</h2>
{parties}
<h2>What Microsoft counts</h2>
{microsoft}
</body>
</html>
"""


def as_html(minutes: Minutes) -> str:
    """Return the page. The same minutes give the same bytes."""
    period, (vaults, targets) = minutes.period, _rows(minutes)
    gaps = "The data have gaps: see below. Gaps do not count, not as up and not as down."
    failures = (
        ((target, state.kind, state.party or "-", state.step or "-", state.reason), (count,))
        for (_, target), row in targets
        for state, count in row.failures
    )
    shared = (
        ((period.moment(first), period.moment(end), kind, _names(names)), (end - first,))
        for (first, end, kind), names in minutes.shared_gaps()
    )
    return _PAGE.format(
        style=_STYLE,
        title=escape(f"Key Vault service report {period.name}"),
        start=escape(period.moment(0)),
        end=escape(period.moment(period.minutes)),
        zone=escape(period.zone_name),
        minutes=period.minutes,
        complete=gaps if minutes.gaps else "The data are complete.",
        vaults=_minutes(_NAMES[:1], vaults),
        vault_faults=_faults(_NAMES[:1], vaults),
        targets=_minutes(_NAMES, targets),
        target_faults=_faults(_NAMES, targets),
        failures=_table(("target", "class", "fault", "step", "reason"), ("minutes",), failures),
        gaps=_table(("from", "to", "class", "targets"), ("minutes",), shared),
        classes=_definitions(CLASS_TEXTS),
        parties=_definitions(PARTY_TEXTS),
        microsoft="\n".join(f"<p>{escape(text)}</p>" for text in MICROSOFT),
    )


def _minutes(names: Sequence[str], rows: _Rows) -> str:
    """Return the minutes by class; the parties have a table of their own, or the page is too wide for paper."""
    numbers = ("answered %", "measured", *(kind.replace("_", " ") for kind in CLASS_TEXTS))
    lines = ((name, (row.answered_percent or "-", row.measured, *map(row.count, CLASS_TEXTS))) for name, row in rows)
    return _table(names, numbers, lines)


def _faults(names: Sequence[str], rows: _Rows) -> str:
    """Return the minutes by party of the rows that have any."""
    lines = ((name, tuple(map(row.count, PARTY_TEXTS))) for name, row in rows)
    return _table(names, tuple(PARTY_TEXTS), (line for line in lines if any(line[1])))


def _names(targets: Sequence[str]) -> str:
    more = len(targets) - MOST_NAMES
    return ", ".join(targets[:MOST_NAMES]) + (f" and {more} more" if more > 0 else "")


def _definitions(texts: Mapping[MinuteClass, str] | Mapping[Party, str]) -> str:
    return _table(("word", "meaning"), (), ((each, ()) for each in texts.items()))


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

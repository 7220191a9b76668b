"""The report as one HTML page to print: no script, and nothing from outside."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import Any, Final

from exporter.report.classes import MinuteClass, Party

MOST_NAMES: Final = 10  # targets named for one gap; JSON lists all
_STYLE: Final = (
    "body{font:10pt/1.4 sans-serif;margin:2em;color:#111}table{border-collapse:collapse;width:100%;margin:.5em 0 1.5em}"
    "th,td{border:1px solid #999;padding:.15em .3em;font-size:8.5pt;text-align:left;vertical-align:top}"
    "td:not(.n){overflow-wrap:anywhere;min-width:9em}td.n,th.n{text-align:right}thead{display:table-header-group}tr{break-inside:avoid}"
    "@media print{body{margin:0}@page{size:A4 landscape;margin:12mm}}"
)
_CLASSES: Final = tuple(kind.value for kind in MinuteClass)
_PARTIES: Final = tuple(party.value for party in Party)


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
        _failures(data["targets"]),
        "<h2>Gaps in the data</h2>",
        _gaps(data["gaps"]),
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
    return _html_table(names, numbers, lines)


def _faults(names: Sequence[str], rows: Iterable[Mapping[str, Any]]) -> str:
    """Return the minutes by party of the rows that have any."""
    lines = [
        (tuple(row[name] for name in names), tuple(row["fault_minutes"][party] for party in _PARTIES))
        for row in rows
        if any(row["fault_minutes"].values())
    ]
    return _html_table(names, _PARTIES, lines) if lines else "<p>None.</p>"


def _failures(rows: Iterable[Mapping[str, Any]]) -> str:
    names = ("class", "fault", "step", "reason")
    lines = [
        ((row["target"], *(each[name] or "-" for name in names)), (each["minutes"],)) for row in rows for each in row["failures"]
    ]
    return _html_table(("target", *names), ("minutes",), lines) if lines else "<p>None.</p>"


def _gaps(gaps: Sequence[Mapping[str, Any]]) -> str:
    lines = [((gap["from"], gap["to"], gap["class"], _names(gap["targets"])), (gap["minutes"],)) for gap in gaps]
    return _html_table(("from", "to", "class", "targets"), ("minutes",), lines) if lines else "<p>None.</p>"


def _names(targets: Sequence[str]) -> str:
    more = len(targets) - MOST_NAMES
    return ", ".join(targets[:MOST_NAMES]) + (f" and {more} more" if more > 0 else "")


def _definitions(texts: Mapping[str, str]) -> str:
    return _html_table(("word", "meaning"), (), (((word, text), ()) for word, text in texts.items()))


def _html_table(names: Sequence[str], numbers: Sequence[str], rows: Iterable[tuple[Sequence[str], Sequence[object]]]) -> str:
    head = "".join(f"<th>{escape(name)}</th>" for name in names) + "".join(
        f'<th class="n">{escape(name)}</th>' for name in numbers
    )
    lines = (
        "".join(f"<td>{escape(text)}</td>" for text in texts)
        + "".join(f'<td class="n">{escape(str(number))}</td>' for number in values)
        for texts, values in rows
    )
    return (
        f"<table><thead><tr>{head}</tr></thead><tbody>\n" + "\n".join(f"<tr>{line}</tr>" for line in lines) + "\n</tbody></table>"
    )

"""Print counted events as text or as JSON data."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from exporter.events.summary import MOST_DETAILS, Detail, EventGroup, EventSummary
from exporter.explain.render import wrap

_INDENT = " " * 8
_NO_TIME = "-"
_NONE = "No event of the connector, and no message of SQL Server about a key provider.\n"
_NONE_READ = "No such event in the records that were read. Not every record was read.\n"


def as_text(summary: EventSummary, *, complete: bool = True) -> str:
    """Return the groups, then the details. It is not `complete` if a part of a file was not read."""
    if not summary.count:
        return _NONE if complete else _NONE_READ
    head = f"{'COUNT':>6}  {'FIRST (UTC)':<19}  {'LAST (UTC)':<19}  CODE"
    lines = [head, *(line for group in summary.groups for line in _group_lines(group))]
    if summary.details.maxlen:
        lines += ["", *_detail_lines(summary)]
    return "\n".join(lines) + "\n"


def as_data(summary: EventSummary) -> dict[str, object]:
    """Return the groups and the details as JSON data. The names are public; fields may be added."""
    data: dict[str, object] = {"events": summary.count, "groups": [_group_data(group) for group in summary.groups]}
    if summary.details.maxlen:
        data["details"] = [_detail_data(detail) for detail in summary.details]
    return data


def _group_lines(group: EventGroup) -> Iterator[str]:
    title = group.name if group.label.isdecimal() else group.label
    yield f"{group.count:>6}  {_shown(group.first):<19}  {_shown(group.last):<19}  {title}"
    for text in (group.summary, f"First: {group.action}" if group.action else ""):
        if text:
            yield wrap(text, first=_INDENT, rest=_INDENT)


def _detail_lines(summary: EventSummary) -> Iterator[str]:
    if summary.count > MOST_DETAILS:
        yield f"The last {MOST_DETAILS} of {summary.count} events:"
    for detail in summary.details:
        number = "-" if detail.number is None else detail.number
        yield f"{_shown(detail.at)}  {detail.label}  {detail.computer}  {detail.provider}  event {number}"
        yield f"{_INDENT}{detail.text}"


def _group_data(group: EventGroup) -> dict[str, object]:
    return {
        "label": group.label,
        "code": group.code,
        "count": group.count,
        "first": _written(group.first),
        "last": _written(group.last),
        "origins": sorted(group.origins),
        "event_ids": sorted(group.numbers),
        "name": group.name,
        "summary": group.summary,
        "first_action": group.action,
    }


def _detail_data(detail: Detail) -> dict[str, object]:
    return {
        "time": _written(detail.at),
        "label": detail.label,
        "computer": detail.computer,
        "provider": detail.provider,
        "event_id": detail.number,
        "text": detail.text,
    }


def _shown(moment: datetime | None) -> str:
    return _NO_TIME if moment is None else f"{moment:%Y-%m-%d %H:%M:%S}"


def _written(moment: datetime | None) -> str | None:
    return None if moment is None else f"{moment:%Y-%m-%dT%H:%M:%SZ}"

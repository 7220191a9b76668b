"""The command `ekm-exporter events`: the connector's events in saved Windows event logs."""

from __future__ import annotations

import argparse
import json
import sys
from datetime import datetime
from functools import partial
from pathlib import Path

from exporter.cli.main import FAILED, FINE, add_flag, refuse
from exporter.explain.event import EventSummary, as_data, as_text, moment_of
from exporter.explain.saved_log import FileReport, read_event_file
from exporter.runtime.files import expand
from exporter.runtime.process import ExtraMissingError, install_command
from exporter.sqlserver.instance import printable

REFUSALS = (ExtraMissingError,)
DESCRIPTION = f"""\
Lists the events of SQL Server's key provider in saved Windows event logs: one line
for each code, with count, first and last time, meaning and first action. It reads the
events of the connector, and SQL Server's messages about a key provider. Texts are
masked. Times are in UTC. Needs an optional library:
{install_command("events")}

exit code: 0 if every file was read as a whole, 1 if a file is damaged or unreadable,
2 for bad arguments or a missing extra"""
EPILOG = """\
examples:
  ekm-exporter events Application.evtx
  ekm-exporter events n1.evtx n2.evtx --since 2026-11-24T10:00 --until 2026-11-24T11:00 --all

To save the log on the SQL Server host: wevtutil epl Application Application.evtx
"""


def add_flags(parser: argparse.ArgumentParser) -> None:
    flag = partial(add_flag, parser)
    parser.add_argument("files", metavar="FILE", nargs="+", help="saved event log (.evtx), or a pattern")
    flag("--all", "print each event too, with the first 4000 characters of its masked text; the last 10000 events")
    flag("--since TIME", "leave out earlier events: 2026-11-24T10:00, in UTC unless it has an offset", type=_moment)
    flag("--until TIME", "leave out later events", type=_moment)
    flag("--json", "print JSON, for scripts")


def run(args: argparse.Namespace) -> int:
    """Read the files, print their events and return the exit code."""
    if args.since is not None and args.until is not None and args.since > args.until:
        return refuse("--since is later than --until: swap them", "events")
    summary = EventSummary(since=args.since, until=args.until, details=args.all)
    files = [path for pattern in args.files for path in expand(pattern) or [Path(pattern)]]
    reports = [read_event_file(path, summary.add) for path in files]
    complete = all(report.is_whole for report in reports)
    for report in reports:
        if not report.is_whole:
            print(f"ekm-exporter events: {_line(report)}", file=sys.stderr)
    if args.json:
        print(json.dumps({"files": [_data(report) for report in reports], **as_data(summary)}, indent=2))
    else:
        for report in reports:
            if report.is_whole:
                print(_line(report))
        print(as_text(summary, complete=complete), end="")
    return FINE if complete else FAILED


def _line(report: FileReport) -> str:
    name = printable(str(report.path))
    read = f"{report.records} {'record' if report.records == 1 else 'records'} read"
    damaged = f", {report.unreadable} unreadable" if report.unreadable else ""
    return f"{name}: {report.note} ({read}{damaged})" if report.note else f"{name}: {read}{damaged}"


def _data(report: FileReport) -> dict[str, object]:
    return {"file": str(report.path), "records": report.records, "unreadable": report.unreadable, "defect": report.note or None}


def _moment(text: str) -> datetime:
    moment = moment_of(text)
    if moment is None:
        raise argparse.ArgumentTypeError("expected a time such as 2026-11-24T10:00 (UTC, or with +01:00)")
    return moment

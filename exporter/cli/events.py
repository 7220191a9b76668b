"""The command `ekm-exporter events`: the connector's events in saved Windows event logs.

Each is read record by record: a log of any size needs little memory.
"""

from __future__ import annotations

import argparse
import json
import os
import struct
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from exporter.cli.main import BAD_USAGE, FAILED, FINE, Command, Flag, Refusal
from exporter.core import first_true
from exporter.explain.event import EventSummary, LoggedEvent, as_data, as_text, moment_of, read_event
from exporter.runtime.files import expand, plainly
from exporter.runtime.process import ExtraMissingError, install_command
from exporter.sqlserver.instance import printable

_MAGIC = b"ElfFile\0"
_HEADER = 4096  # bytes
_CHUNK = 65536  # bytes
_MOST_UNREADABLE = 1000  # records, after which the rest of a file is not read
_LARGEST = 4 * 1024**3  # bytes of a file: Windows' own limit of a log
_SMALLEST_RECORD = 24  # bytes: its fixed part
_LONGEST_RECORD = 1024 * 1024  # characters of its JSON


def run(args: argparse.Namespace) -> int:
    """Read the files, print their events and return the exit code."""
    if args.since is not None and args.until is not None and args.since > args.until:
        raise Refusal("--since is later than --until: swap them")
    summary = EventSummary(since=args.since, until=args.until, details=args.all)
    files = [path for pattern in args.files for path in expand(pattern) or [Path(pattern)]]
    if absent := [printable(str(path)) for path in files if _is_absent(path)]:
        raise Refusal(f"no such file: {', '.join(absent)}")
    reports = [read_event_file(path, summary.add) for path in files]
    complete = all(report.is_whole for report in reports)
    for report in reports:
        if not report.is_whole:
            print(f"ekm-exporter events: {_line(report)}", file=sys.stderr)
    if args.json:
        files_read = [
            {"file": str(each.path), "records": each.records, "unreadable": each.unreadable, "defect": each.note or None}
            for each in reports
        ]
        print(json.dumps({"files": files_read, **as_data(summary)}, indent=2))
    else:
        for report in reports:
            if report.is_whole:
                print(_line(report))
        print(as_text(summary, complete=complete), end="")
    return FINE if complete else FAILED


def _is_absent(path: Path) -> bool:
    """Whether there is no such file. What this user may not see is not absent: to read it says why it fails."""
    try:
        os.lstat(path)
    except OSError as error:
        return not isinstance(error, PermissionError)
    return False


def _line(report: FileReport) -> str:
    name = printable(str(report.path))
    read = f"{report.records} {'record' if report.records == 1 else 'records'} read"
    damaged = f", {report.unreadable} unreadable" if report.unreadable else ""
    return f"{name}: {report.note} ({read}{damaged})" if report.note else f"{name}: {read}{damaged}"


def _moment(text: str) -> datetime:
    moment = moment_of(text)
    if moment is None:
        raise ValueError("expected a time such as 2026-11-24T10:00 (UTC, or with +01:00)")
    return moment


# One saved log.


@dataclass(slots=True)
class FileReport:
    """What was read of one file. `note` names a defect; it is empty for a whole file."""

    path: Path
    records: int = 0
    unreadable: int = 0
    note: str = ""

    @property
    def is_whole(self) -> bool:
        return not (self.note or self.unreadable)


def read_event_file(path: Path, on_event: Callable[[LoggedEvent], None]) -> FileReport:
    """Read a file and pass on each event about a key provider. Raises ExtraMissingError."""
    report = FileReport(path)
    try:
        report.note = _defect(path)
    except OSError as error:
        report.note = f"cannot be read: {plainly(error)}"
        return report
    if report.note and not report.note.startswith("cut off"):
        return report
    for text in _records(report):
        event = read_event(text)
        if event is not None:
            on_event(event)
    return report


def _defect(path: Path) -> str:
    """Return what is wrong with the file as a whole. Raises OSError."""
    if path.exists() and not path.is_file():
        return "is no file: name a saved log"  # opening a pipe would wait for its writer
    with path.open("rb") as stream:
        head = stream.read(_HEADER)
        size = stream.seek(0, 2)
    (chunks,) = struct.unpack_from("<H", head.ljust(_HEADER), 42)
    whole, rest = divmod(size - _HEADER, _CHUNK)
    return first_true(
        (size > _LARGEST, f"is larger than {_LARGEST // 1024**3} GiB: save a part of the log (wevtutil epl with /q)"),
        (not head, "is empty: save the log again (Event Viewer: Save All Events As, type .evtx)"),
        (not head.startswith(_MAGIC), "is no event log of Windows: save it as .evtx, not as XML or text"),
        (len(head) < _HEADER, "cut off: it has only a part of its header: copy it again"),
        (rest or whole < chunks, f"cut off: it has {whole} whole chunks of {max(chunks, whole + 1)}: copy it again"),
        default="",
    )


def _records(report: FileReport) -> Iterator[str]:
    """Yield the JSON of each record; an unreadable one is counted. Raises ExtraMissingError."""
    try:
        from evtx import PyEvtxParser  # noqa: PLC0415 - an extra: `run` must not import it
    except ImportError:
        raise ExtraMissingError("events") from None
    try:
        records = iter(PyEvtxParser(str(report.path), 1).records_json())
        most = report.path.stat().st_size // _SMALLEST_RECORD
    except (OSError, RuntimeError):
        report.note = report.note or "has a damaged header: copy it again"
        return
    while report.unreadable < _MOST_UNREADABLE and report.records <= most:
        try:
            record = next(records)
            text = "" if record is None else str(record["data"])
        except StopIteration:
            return
        except (OSError, RuntimeError, ValueError):
            text = None
        if text is None or len(text) > _LONGEST_RECORD:
            report.unreadable += 1
        else:
            report.records += 1
            yield text
    if report.records > most:
        report.note = "has more records than fit into its size: the rest was not read"
    else:
        report.note = f"has more than {_MOST_UNREADABLE} unreadable records: the rest was not read"


COMMAND = Command(
    description=f"""\
Lists the events of SQL Server's key provider in saved Windows event logs: one line
for each code, with count, first and last time, meaning and first action. It reads the
events of the connector, and SQL Server's messages about a key provider. Texts are
masked. Times are in UTC. Needs an optional library:
{install_command("events")}

exit code: 0 if every file was read as a whole, 1 if a file is damaged or unreadable,
2 for bad arguments, a file that does not exist, or a missing extra""",
    epilog="""\
examples:
  ekm-exporter events Application.evtx
  ekm-exporter events n1.evtx n2.evtx --since 2026-11-24T10:00 --until 2026-11-24T11:00 --all

To save the log on the SQL Server host: wevtutil epl Application Application.evtx
""",
    run=run,
    flags=(
        Flag("FILE", "saved event log (.evtx), or a pattern", dest="files", nargs="+", type=str),
        Flag("--all", "print each event too, with the first 4000 characters of its masked text; the last 10000 events"),
        Flag("--since TIME", "leave out earlier events: 2026-11-24T10:00, in UTC unless it has an offset", type=_moment),
        Flag("--until TIME", "leave out later events", type=_moment),
        Flag("--json", "print JSON, for scripts"),
    ),
    refusals={ExtraMissingError: BAD_USAGE},
)

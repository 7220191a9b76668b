"""Read saved Windows event logs, record by record: a log of any size needs little memory."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from exporter.explain.event import LoggedEvent, read_event
from exporter.runtime.files import plainly
from exporter.runtime.process import ExtraMissingError

_MAGIC = b"ElfFile\0"
_HEADER = 4096  # bytes
_CHUNK = 65536  # bytes
_MOST_UNREADABLE = 1000  # records, after which the rest of a file is not read
_LARGEST = 4 * 1024**3  # bytes of a file: Windows' own limit of a log
_SMALLEST_RECORD = 24  # bytes: its fixed part
_LONGEST_RECORD = 1024 * 1024  # characters of its JSON


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
    if size > _LARGEST:
        return f"is larger than {_LARGEST // 1024**3} GiB: save a part of the log (wevtutil epl with /q)"
    if not head:
        return "is empty: save the log again (Event Viewer: Save All Events As, type .evtx)"
    if not head.startswith(_MAGIC):
        return "is no event log of Windows: save it as .evtx, not as XML or text"
    if len(head) < _HEADER:
        return "cut off: it has only a part of its header: copy it again"
    (chunks,) = struct.unpack_from("<H", head, 42)
    whole, rest = divmod(size - _HEADER, _CHUNK)
    if rest or whole < chunks:
        return f"cut off: it has {whole} whole chunks of {max(chunks, whole + 1)}: copy it again"
    return ""


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
            report.unreadable += 1
            continue
        if len(text) > _LONGEST_RECORD:
            report.unreadable += 1
            continue
        report.records += 1
        yield text
    if report.records > most:
        report.note = "has more records than fit into its size: the rest was not read"
    else:
        report.note = f"has more than {_MOST_UNREADABLE} unreadable records: the rest was not read"

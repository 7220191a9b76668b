"""The scripts for a DBA, which are files of the package, and the batches of inventory.sql and proof.sql."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from exporter.core.connector import LOG_SCRIPTS
from exporter.core.durations import known_time
from exporter.core.quoting import sql_text

if TYPE_CHECKING:
    from exporter.sqlserver.document import Row, Sections

# The name of each section and its batch, in order, or what makes the batch; an empty one is not sent. Rows of batches with one name are joined.
Batches: TypeAlias = "tuple[tuple[str, str | Callable[[Sections], str]], ...]"

FOLDER = Path(__file__).with_name("scripts")
INVENTORY, PROOF = FOLDER / "inventory.sql", FOLDER.with_name("proof.sql")
_BATCH = re.compile(r"^GO\s*$", re.IGNORECASE | re.MULTILINE)
_SECTION = re.compile(r'"section":"(\w+)"')
# The first sentence of a script: a dot within a file's name does not end it.
_SUMMARY = re.compile(r"(?:#Requires[^\n]+\n)?(?:--|//|<#\s+\.SYNOPSIS)\s+(.+?[.?])\s", re.DOTALL)


def script_names() -> tuple[str, ...]:
    return tuple(sorted({*LOG_SCRIPTS, *(path.name for path in FOLDER.iterdir())}))


def script_bytes(name: str) -> bytes:
    return LOG_SCRIPTS[name].encode("ascii") if name in LOG_SCRIPTS else (FOLDER / name).read_bytes()


def summary(script: bytes) -> str:
    """Return the first sentence of a script for a DBA."""
    found = _SUMMARY.match(script.decode("ascii"))
    return "" if found is None else " ".join(found[1].split())


@cache
def batches(path: Path = INVENTORY) -> tuple[tuple[str, str], ...]:
    """Return the section and the text of each batch of a script, as they stand there."""
    named = ((_SECTION.search(batch), batch.strip()) for batch in _BATCH.split(path.read_text(encoding="utf-8")))
    return tuple((section[1], batch) for section, batch in named if section is not None)


# What `run` sends after the inventory. The history of backups is read on from a number, and the error log from a time.

LOG = "log"  # the section that says from when to when the error log was read
READ = "read"  # the code of the row that has that for one file
_NEWEST = "(SELECT MAX(m.backup_set_id) - 500000 FROM msdb.dbo.backupset AS m)"
_OVERLAP = 1000  # numbers that are read again: a backup may get its number before another one, and its row later
_FILE, _MINUTES = "xp_readerrorlog 0,", "-1440"
_DAY, _LONGEST = 1440, 35 * 1440  # minutes
_ON_THE_WAY = 10  # minutes until the batch runs, at most
_ARCHIVES = 6
_ALL_EVENTS, _ANEW = "N'ekm_calls_0_*.xel', NULL, NULL, NULL", "1 AS anew"
_EVENT_FILE = re.compile(r"([^*?]+_0)_\d+\.xel", re.IGNORECASE)
_OFFSETS = 3600.0  # by which the offset of a line's local time may differ from today's


def proof_batches(
    *, after: int | None = None, since: Callable[[Sections], float] | None = None, trace: Row | None = None
) -> Batches:
    """Return the batches of proof.sql, as `run` sends them.

    Backups are searched anew, or read on from this number of the history. `since` gives the Unix time from which the error log is needed, by the
    clock of the server; without it, a day. `trace` has the file and the offset up to which the events of calls are known.
    """
    texts = dict(batches(PROOF))
    if after is not None:
        texts["backups"] = texts["backups"].replace(_NEWEST, str(max(0, after - _OVERLAP)))
    errors = texts["errors"]
    files = [("errors", partial(_error_log, errors, since, number)) for number in range(_ARCHIVES + 1)]
    files.append(("errors", partial(_last_day, errors, since)))
    several = {
        "errors": files,
        "calls": [("calls", partial(_calls, texts["calls"], trace or {})), ("calls", partial(_all_calls, texts["calls"]))],
    }
    return tuple(entry for name, text in texts.items() for entry in several.get(name, [(name, text)]))


def _error_log(text: str, since: Callable[[Sections], float] | None, number: int, sections: Sections) -> str:
    """Return the batch for one file of the error log; empty if the files before it reach back far enough, or could not be read."""
    files = _files(sections)
    if len(files) != number or (files and _reaches_back(files)):
        return ""
    return text.replace(_FILE, f"xp_readerrorlog {number},").replace(_MINUTES, f"-{_minutes(since, sections)}")


def _last_day(text: str, since: Callable[[Sections], float] | None, sections: Sections) -> str:
    """Return the batch for the last day if that for a longer time failed: those lines may be too many, and the next reading reads on."""
    return text if not _files(sections) and _minutes(since, sections) > _DAY + _ON_THE_WAY else ""


def _calls(text: str, known: Row, sections: Sections) -> str:
    """Return the batch for the events after those that are known; empty without a session."""
    pattern = event_files(sections.get("trace", ()))
    if not pattern or pattern != event_files([known]) or "offset" not in known:
        return _all_calls(text, sections)
    place = f"{sql_text(pattern)}, NULL, {sql_text(str(known['file']))}, {known['offset']}"
    return text.replace(_ALL_EVENTS, place).replace(_ANEW, "0 AS anew")


def _all_calls(text: str, sections: Sections) -> str:
    """Return the batch for all events, unless some were read: a file that has rolled away is an error of the batch before."""
    pattern = event_files(sections.get("trace", ()))
    return text.replace(_ALL_EVENTS, f"{sql_text(pattern)}, NULL, NULL, NULL") if pattern and "calls" not in sections else ""


def event_files(trace: Iterable[Row]) -> str:
    """Return the pattern of the files of a session; empty if unknown. SQL Server adds the number of a file to its name."""
    matched = next((_EVENT_FILE.fullmatch(str(row.get("file", ""))) for row in trace), None)
    return "" if matched is None else f"{matched[1]}_*.xel"


def _minutes(since: Callable[[Sections], float] | None, sections: Sections) -> int:
    from exporter.sqlserver.document import server_time  # noqa: PLC0415 - a command that prints a script needs no rules

    now = server_time(sections)
    if since is None or now is None:
        return _DAY
    return math.ceil(min(max(0.0, (now - since(sections)) / 60) + _ON_THE_WAY, _LONGEST))


def with_log(sections: dict[str, tuple[Row, ...]]) -> dict[str, tuple[Row, ...]]:
    """Return the sections with one that says from when to when the error log was read, in place of a row for each file."""
    if not (files := _files(sections)):
        return sections
    since = files[0].get("since_utc", "") if _reaches_back(files) else min(str(row.get("first_utc")) for row in files)
    errors = tuple(row for row in sections["errors"] if row.get("code") != READ)
    log = tuple(
        {"since_utc": since, "until_utc": row["read_at_utc"]} for row in sections.get("instance", ()) if "read_at_utc" in row
    )
    return {**sections, "errors": errors} | ({LOG: log} if log else {})


def _files(sections: Sections) -> list[Row]:
    return [row for row in sections.get("errors", ()) if row.get("code") == READ]


def _reaches_back(files: list[Row]) -> bool:
    """Whether a file has a line from before the time that was asked for, or none since. The offset of its local time may be another than today's."""
    asked = known_time(str(files[0].get("since_utc"))) or 0.0
    lines = [known_time(str(row["first_utc"])) for row in files if "first_utc" in row]
    return len(lines) < len(files) or any(at is not None and at <= asked - _OFFSETS for at in lines)

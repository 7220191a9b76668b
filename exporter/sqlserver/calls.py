"""SQL Server's own calls to its EKM provider, from the extended-events session that trace-ekm.sql makes: how often, which fail, and which proves a key.

An event has function, provider and result, and names no key, no database and no credential. An event that is cut or of another kind is not counted,
and from then on nothing is known to be complete.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import PureWindowsPath
from typing import Final, NamedTuple
from xml.etree.ElementTree import ParseError, fromstring

from exporter.core.durations import ago, clock_text, known_time, span_text
from exporter.knowledge.codes import BY_CODE, both_numbers
from exporter.sqlserver.document import OTHER, Document, Row, cell_time, server_time, utc
from exporter.sqlserver.reading import CREDENTIALS, SqlServerReading, is_good, read_at, rows
from exporter.sqlserver.script import event_files

CALLS: Final = "calls"
TRACE: Final = "trace"
SIGNERS: Final = "signers"  # of a change: which credentials a provider has
OPTIONAL: Final = frozenset({CALLS, TRACE})  # sections without a series of their own: few SQL Servers have a session
SUCCESS: Final = "0"
DECRYPT: Final = "SqlCryptDecrypt"  # unwraps
OPEN_SESSION: Final = "SqlCryptOpenSession"  # signs in with the credential
# The functions of a provider: Microsoft's header sqlcrypt.h.
FUNCTIONS: Final = frozenset(
    f"SqlCrypt{name}"
    for name in (
        "InitializeProvider", "FreeProvider", "GetProviderInfo", "GetNextAlgorithmId", "GetAlgorithmInfo", "OpenSession", "CloseSession", "CreateKey",
        "DropKey", "ExportKey", "ImportKey", "GetNextKeyId", "GetKeyInfoByKeyId", "GetKeyInfoByThumb", "GetKeyInfoByName", "Encrypt", "Decrypt",
    )
)  # fmt: skip
_NEEDED: Final = frozenset({DECRYPT, OPEN_SESSION})
_ROUTINE: Final = frozenset({"2", "3", "4"})  # how other functions say that a buffer is too small, or that nothing is there
_EVENT: Final = "sec_ekm_provider_called"
_DECLARATION: Final = re.compile(r"<!(?!\[CDATA\[)")
_TIME: Final = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.\d+)?Z")
_RESULT: Final = re.compile(r"\d{1,10}", re.ASCII)
_READ_AT_ONCE: Final = 2000  # events, as proof.sql says
_LONGEST: Final = 2000  # characters of an event there
_OBJECTIONS: Final = ("is_filtered", "is_delayed")  # to a session: calls may be missing, or come late
_HOUR: Final = 3600.0
_MEMORY: Final = 35 * 86400.0
_MOST: Final = 500  # rows that are kept


def read_event(text: str, providers: Mapping[str, str]) -> Row | None:
    """Return the call; None if the text is no whole event of one. `providers` has each name by itself and by the path of its DLL, in lower case."""
    if len(text) >= _LONGEST or _DECLARATION.search(text):  # cut, or with entities
        return None
    try:
        event = fromstring(text)  # noqa: S314 - bounded, and without declarations
    except (ParseError, ValueError):
        return None
    values = {data.get("name"): (data.findtext("value") or "").strip() for data in event.findall("data")}
    at, result = _TIME.fullmatch(event.get("timestamp", "")), _RESULT.fullmatch(values.get("cred_prov_result", ""))
    function = values.get("cred_prov_api", "")
    if event.get("name") != _EVENT or at is None or known_time(at[1]) is None or result is None or not function:
        return None
    code, provider = int(result[0]), providers.get(values.get("cred_prov_name", "").lower())
    return {
        "function": function if function in FUNCTIONS else OTHER,
        "code": str(code) if code == 0 or code in BY_CODE else OTHER,
        **({} if provider is None else {"provider": provider}),
        "calls": 1,
        "first_utc": at[1],
        "last_utc": at[1],
    }


def with_calls(sections: dict[str, tuple[Row, ...]]) -> dict[str, tuple[Row, ...]]:
    """Return the sections with counted calls in place of events. The row of the session has up to which offset they are known."""
    if CALLS not in sections or not sections.get(TRACE):
        return sections
    events, now = sections[CALLS], server_time(sections)
    # Events of one buffer have one offset, and SQL Server reads on behind it: a buffer that may be cut is read again.
    is_behind = len(events) >= _READ_AT_ONCE
    whole = [each for each in events if not is_behind or _place(each) != _place(events[-1])]
    known = whole or list(events)
    names: dict[str, set[str]] = {}
    for row in sections.get("providers", ()):
        for column in ("name", "dll_path"):
            names.setdefault(str(row.get(column, "")).lower(), set()).add(str(row.get("name")))
    providers = {text: those.pop() for text, those in names.items() if len(those) == 1}  # two of one DLL are none
    found = [read_event(str(each.get("event", "")), providers) for each in known]
    place = {name: cell for name, cell in known[-1].items() if name in ("file", "offset", "anew")} if known else {}
    is_lost = None in found or (is_behind and not whole) or _fails_before_success(each for each in found if each is not None)
    lost = {"lost_utc": utc(now)} if now is not None and is_lost else {}
    row = {**sections[TRACE][0], **place, "is_behind": int(is_behind or now is None), **lost}
    return {**sections, TRACE: (row,), CALLS: joined_calls((each for each in found if each is not None), now)}


def _place(event: Row) -> tuple[object, object]:
    return event.get("file"), event.get("offset")


def joined_calls(every: Iterable[Row], now: float | None, changed: str = "") -> tuple[Row, ...]:
    """Return a row for each function, result and provider: for each minute of the last hour, and before and since a change for all that is older."""
    hour, oldest = (utc(now - _HOUR), utc(now - _MEMORY)) if now is not None else ("", "")
    found: dict[tuple[object, ...], Row] = {}
    for row in every:
        first, last = str(row.get("first_utc")), str(row.get("last_utc"))
        if last < oldest:
            continue
        about = (row.get("function"), row.get("code"), row.get("provider"))
        key = (*about, last[:16] if first > hour else "", first >= changed)
        same = found.get(key, row)
        calls = int(row.get("calls", 0)) + (int(same.get("calls", 0)) if key in found else 0)
        spans = {"first_utc": min(first, str(same.get("first_utc"))), "last_utc": max(last, str(same.get("last_utc")))}
        found[key] = {**row, "calls": calls, **spans}
    return tuple(sorted(found.values(), key=lambda row: str(row["last_utc"]), reverse=True)[:_MOST])


def joined_trace(later: Row, earlier: Row, now: str) -> Row:
    """Return what is known of a session: up to which event, and when events were lost last: dropped, or in a file that rolled away unread."""
    is_same = event_files([later]) == event_files([earlier]) != ""
    known = {name: cell for name, cell in earlier.items() if is_same and name in ("offset", "file", "lost_utc")}
    rolled = later.get("anew") == 1 and "offset" in known
    is_new = later.get("started_utc") != earlier.get("started_utc")
    dropped = int(later.get("dropped", 0)) > (0 if is_new else int(earlier.get("dropped", 0)))
    joined = {
        **known,
        **{name: cell for name, cell in later.items() if name != "file" or "offset" in later or "offset" not in known},
    }
    return {**joined, "lost_utc": now} if rolled or dropped else joined


class FailedCall(NamedTuple):
    """A call that failed, at a Unix time."""

    at: float
    function: str
    code: str

    def text(self, now: float) -> str:
        number = both_numbers(int(self.code)) if self.code.isdecimal() else "an unknown code"
        return f"{self.function} failed with {number} at {clock_text(self.at, now)}"


def session_of(reading: SqlServerReading) -> Row | None:
    """Return the session that records calls; None without one that runs, and if that is unknown."""
    return next(iter(rows(reading, TRACE)), None)


def with_earlier_calls(document: Document, later: Document, earlier: Document) -> Document:
    """Add what an earlier reading knows of calls. A session that is gone leaves nothing."""
    if not is_good(later, TRACE):
        return document
    sections = dict(document.sections)
    if not sections[TRACE]:
        return replace(
            document,
            sections={name: rows for name, rows in sections.items() if name != CALLS},
            errors={name: text for name, text in document.errors.items() if name != CALLS},
            kept={name: time for name, time in document.kept.items() if name != CALLS},
        )
    altered = max((str(row.get("modified_utc", "")) for row in sections.get(CREDENTIALS, ())), default="")
    if event_files(sections[TRACE]) != event_files(earlier.sections.get(TRACE, ())):  # another session recorded the same calls
        earlier = replace(earlier, sections={name: those for name, those in earlier.sections.items() if name != CALLS})
    known, now = earlier.sections.get(TRACE) or ({},), server_time(sections)
    trace = joined_trace(sections[TRACE][0], known[0], read_at(later))
    if is_good(document, CALLS):
        new, before = later.sections.get(CALLS, ()) if is_good(later, CALLS) else (), earlier.sections.get(CALLS, ())
        past = [row for row in before if str(row.get("last_utc")) <= (read_at(later) or str(row.get("last_utc")))]
        if _is_set_back(past, before, new):
            trace = {**trace, "lost_utc": read_at(later)}
        sections[CALLS] = joined_calls((*new, *past), now, altered)
    return replace(document, sections={**sections, TRACE: (trace,)})


def _is_set_back(past: Iterable[Row], before: Iterable[Row], new: Iterable[Row]) -> bool:
    """Whether the server's clock was set back: a known call is of the future, or one that failed later has an earlier time than a success."""
    last = max((str(row.get("last_utc")) for row in before if row.get("code") == SUCCESS), default="")
    return [*past] != [*before] or any(_has_failed(row) and str(row.get("first_utc")) < last for row in new)


def _fails_before_success(found: Iterable[Row]) -> bool:
    """Whether an event of a failure follows one of a later success: in between, the server's clock was set back."""
    last = ""
    for row in found:
        if _has_failed(row) and str(row["first_utc"]) < last:
            return True
        last = max(last, str(row["last_utc"])) if row["code"] == SUCCESS else last
    return False


def _has_failed(row: Row) -> bool:
    return row.get("code") != SUCCESS and (row.get("function") in _NEEDED or row.get("code") not in _ROUTINE)


def is_own(session: Row) -> bool:
    """Whether the files of a session are in the folder of the instance's error log: another one may have files of several servers."""
    file, log = (PureWindowsPath(str(session.get(name, ""))) for name in ("file", "error_log"))
    return bool(log.root) and file.parent == log.parent


def lacks_session(reading: SqlServerReading) -> bool:
    """Whether no session records calls, as far as that was read."""
    return TRACE in reading.read_at and session_of(reading) is None


def known_since(reading: SqlServerReading) -> float | None:
    """Return since when no call was lost, as a Unix time of the server's clock; None if that is not known."""
    session = session_of(reading)
    if session is None or CALLS not in reading.read_at or not is_own(session):
        return None
    if session.get("is_behind") == 1 or not all(session.get(name) == 0 for name in _OBJECTIONS):
        return None
    times = [cell_time(session, name) for name in ("started_utc", "lost_utc") if name in session]
    known = [at for at in times if at is not None]
    return max(known) if known and len(known) == len(times) else None


def calls_of_an_hour(reading: SqlServerReading) -> dict[tuple[str, str], int] | None:
    """Return the calls of the hour before the reading, by function and code; None if some may be missing."""
    now, since = server_time(reading.document.sections), known_since(reading)
    is_one = len({reading.read_at.get(name) for name in ("instance", TRACE, CALLS)}) == 1
    if now is None or since is None or since > now - _HOUR or not is_one:
        return None
    found: dict[tuple[str, str], int] = {}
    for row in rows(reading, CALLS):
        if str(row.get("first_utc")) > utc(now - _HOUR):
            key = str(row.get("function")), str(row.get("code"))
            found[key] = found.get(key, 0) + int(row.get("calls", 0))
    return found


def proving_call(reading: SqlServerReading, provider: str) -> float | None:
    """Return since when a provider signs in and unwraps a key, as a Unix time: the last success of both; else None.

    No later call of it failed, or may have: a call of an unknown provider counts as its own if it failed. A session that SQL Server opened before a
    change may outlast it, so an unwrap alone shows neither the present credential nor that a failed sign-in is repaired.
    """
    since, is_one = known_since(reading), reading.read_at.get(TRACE) == reading.read_at.get(CALLS)
    good, bad = dict[str, float](), dict[str, float]()
    for row in rows(reading, CALLS) if is_one and since is not None else ():
        at, function, code = cell_time(row, "last_utc"), str(row.get("function")), str(row.get("code"))
        if code == SUCCESS and row.get("provider") == provider and at is not None:
            good[function] = max(at, good.get(function, at))
        elif _has_failed(row) and row.get("provider", provider) == provider:
            name, at = (function if function in _NEEDED else DECRYPT), math.inf if at is None else at
            bad[name] = max(at, bad.get(name, at))
    if since is None or not good.keys() >= _NEEDED or any(bad.get(name, -math.inf) >= good[name] for name in _NEEDED):
        return None
    last = min(good[name] for name in _NEEDED)
    return last if last >= since else None


def failed_call(reading: SqlServerReading, since: float = 0.0, *, first: bool = False) -> FailedCall | None:
    """Return the last needed call that failed since a Unix time, or the first one."""
    column, choose = ("first_utc", min) if first else ("last_utc", max)
    found = [
        FailedCall(at, str(row.get("function")), str(row.get("code")))
        for row in rows(reading, CALLS)
        if row.get("function") in _NEEDED
        and row.get("code") != SUCCESS
        and (at := cell_time(row, column)) is not None
        and at >= since
    ]
    return choose(found, default=None)


def calls_text(reading: SqlServerReading, altered: float | None, now: float) -> str:
    """Return the calls of the last hour, and the first one that failed since a credential was altered; empty without a session."""
    session, counts = session_of(reading), calls_of_an_hour(reading)
    if session is None:
        return ""
    if counts is not None:
        age, unwraps = now - reading.read_at[CALLS], sum(calls for (function, _), calls in counts.items() if function == DECRYPT)
        text = f"this server asked its provider {sum(counts.values()):,} times in the last hour, {unwraps:,} of them {DECRYPT}"
        text += f" (read {ago(age)})" if age > _HOUR else ""
    else:
        text = (
            "how often this server asked its provider is not known: its session has a predicate, may keep events in memory for more than "
            "a minute, writes outside of the error log's folder, lost events, or runs for less than an hour"
        )
    first = None if altered is None else failed_call(reading, altered, first=True)
    if first is None or altered is None:
        return text
    after = span_text(first.at - altered)
    return (
        f"{text}; {first.text(now)}, {after} after the credential was altered (an older token is assumed to serve for two hours)"
    )

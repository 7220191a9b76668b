"""The audit sheet in words: parts with lines and queries, from the facts in the exporter's JSON."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from exporter.core.durations import unix_time
from exporter.tde.audit import details
from exporter.tde.audit.access import AuditQuery
from exporter.tde.audit.words import NO_RIGHT, NO_TEST, Facts, Line, clock, counted, when, when_known, word
from exporter.tde.model import printable

_WIDTH: Final = 110
_LABEL: Final = 28


@dataclass(frozen=True, slots=True)
class SheetPart:
    """A part of the sheet: lines of a name and a text, then queries to run."""

    title: str
    lines: tuple[Line, ...]
    queries: tuple[AuditQuery, ...] = ()


def sheet(facts: Facts) -> tuple[SheetPart, ...]:
    """Return the parts of the sheet. Raises ValueError if the facts are not those of an exporter."""
    try:
        return tuple(parts(facts))
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"the facts are damaged ({type(error).__name__})") from None


def title_of(facts: Facts) -> str:
    """Return the heading of the sheet."""
    return f"Audit of key {word(facts['key'])}"


def parts(facts: Facts) -> Iterator[SheetPart]:
    """Yield the parts of the sheet, from facts of this exporter."""
    yield SheetPart("In short", tuple(_summary(facts)))
    yield SheetPart("What depends on it", tuple(details.dependents(facts)))
    yield SheetPart("Last proven", (*details.probes(facts), *details.proofs(facts)))
    yield SheetPart("Recovery", tuple(details.recovery(facts)))
    yield SheetPart("What expires", tuple(details.expiries(facts)))
    yield SheetPart("Key and versions", tuple(details.versions(facts)))
    yield SheetPart("Who may unwrap", tuple(details.who_may(facts)), _queries(facts["who_may"]))
    yield SheetPart("Who did", tuple(details.who_did(facts)), _queries(facts["who_did"]))


def _summary(facts: Facts) -> Iterator[Line]:
    exporter = facts["exporter"]
    yield "key", f"{word(facts['key'])} in {word(facts['vault'])}"
    yield "as of", f"{clock(facts['at'])}, by ekm-exporter {word(exporter['version'])} on {word(exporter['host'])}"
    yield "depends on it", _dependents(facts["dependents"])
    if facts["targets"] > len(facts["probes"]):
        yield (
            "targets",
            f"{len(facts['probes'])} of {counted(facts['targets'], 'target')} of this key are on this sheet: audit another one by its name",
        )
    yield "who may unwrap", NO_RIGHT
    yield "who did", "not known: the vault's log has it. The query below lists it"
    yield "last proven by probe", _latest(facts["probes"], "last_unwrap", facts, "no unwrap is known") + _failing(facts)
    yield "last proven by SQL Server", _latest([facts["dependents"]], "proven_at", facts, _unproven(facts["dependents"]))
    yield "recovery vault proven", _latest(facts["recovery"], "last_unwrap", facts, _no_recovery(facts["recovery"]))
    yield "test restore", NO_TEST
    yield "next expiry", _next_expiry(facts)


def _latest(rows: Iterable[Facts], field: str, facts: Facts, absent: str) -> str:
    """Return the latest time of a field, or the sentence about its absence."""
    times = [row[field] for row in rows if row[field] is not None]
    return when(max(times, key=unix_time), facts) if times else absent


def _dependents(totals: Facts) -> str:
    """Return how many SQL Servers and databases depend on the key, as far as they are read."""
    servers, read = totals["sql_servers"], totals["read"]
    if not servers:
        return "no SQL Server is declared or read"
    if not read:
        return f"{counted(servers, 'SQL Server')}; databases not known: the exporter reads none of them"
    databases, unread = counted(totals["databases"], "database"), servers - read
    if not unread:
        return f"{counted(servers, 'SQL Server')}, {databases}"
    are = "is" if unread == 1 else "are"
    return f"{counted(servers, 'SQL Server')}, at least {databases}; {unread} of these SQL Servers {are} not read"


def _failing(facts: Facts) -> str:
    """Return since when the key is not ready, with the failure of the target that began; empty if no target fails."""
    rows = [each for each in facts["probes"] if each["ready"] is False]
    if not rows:
        return ""
    first = min(rows, key=lambda each: unix_time(each["not_ready_since"] or facts["at"]))
    several = f" ({len(rows)} of {len(facts['probes'])} targets)" if len(facts["probes"]) > 1 else ""
    failure = f"{first['code']} {word(first['reason'] or '')}".rstrip() if first["code"] is not None else "no code"
    return f"; not ready since {when_known(first['not_ready_since'], facts)}: {failure}{several}"


def _unproven(totals: Facts) -> str:
    return "no start and no backup proves it" if totals["read"] else "not known: the exporter reads none of these SQL Servers"


def _no_recovery(rows: Iterable[Facts]) -> str:
    configured = any(row["recovery_vault"] is not None for row in rows)
    return "never: no unwrap in the recovery vault has succeeded" if configured else "not known: no recovery_vault is configured"


def _next_expiry(facts: Facts) -> str:
    dates = [
        (expiry["expires_at"], f"credential {word(each['credential'])}")
        for each in facts["credentials"]
        for expiry in each["expiries"]
        if expiry["wrong"] is None
    ]
    dates += [(each["expires"], f"key version {word(each['version'] or '')}") for each in facts["versions"]]
    dates += [(each["expires_at"], f"TLS of {word(each['endpoint'])}") for each in facts["tls_certificates"]]
    dated = sorted((unix_time(at), at, what) for at, what in dates if at is not None)
    return f"{dated[0][2]}, {when(dated[0][1], facts)}" if dated else "not known: no date of any kind"


def _queries(rows: Iterable[Facts]) -> tuple[AuditQuery, ...]:
    return tuple(AuditQuery(word(row["about"]), word(row["language"]), _lines(row["text"])) for row in rows)


def _lines(value: str) -> str:
    return "\n".join(printable(each) for each in value.split("\n"))


def as_text(facts: Facts) -> str:
    """Return the sheet as plain text. Raises ValueError as `sheet`."""
    lines = [title_of(facts), ""]
    for part in sheet(facts):
        lines += [part.title, "-" * len(part.title), *(row for line in part.lines for row in _wrapped(*line)), ""]
        for query in part.queries:
            lines += [
                *textwrap.wrap(f"{query.about} ({query.language}):", _WIDTH),
                "",
                *(f"  {row}" for row in query.text.split("\n")),
                "",
            ]
    return "\n".join(lines)


def _wrapped(label: str, words: str) -> list[str]:
    indent = " " * (_LABEL + 2)
    first = f"{label:{_LABEL}}  " if len(label) <= _LABEL else f"{label}:\n{indent}"
    wrapped = textwrap.wrap(words, _WIDTH - len(indent), break_long_words=False, break_on_hyphens=False)
    return f"\n{indent}".join([first + wrapped[0], *wrapped[1:]]).split("\n")

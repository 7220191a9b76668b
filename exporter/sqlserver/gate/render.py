"""The answer of the gate as text and as JSON."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

from exporter.core import counted, grouped
from exporter.core.durations import moment
from exporter.core.secrets import hide
from exporter.knowledge.verdict import NOT_TESTED, vantage_text
from exporter.sqlserver.gate.assess import percent
from exporter.sqlserver.gate.conditions import UNKNOWN_FILE, GateReason
from exporter.sqlserver.gate.exporters import place_of
from exporter.sqlserver.gate.inputs import Answer
from exporter.sqlserver.instance import listed
from exporter.sqlserver.proof import proof_text


def as_text(answer: Answer) -> str:
    """Return the answer for an operator; the first line is the answer itself."""
    return "\n".join([_headline(answer), *_reasons(answer), *_details(answer)]) + "\n"


def as_json(answer: Answer) -> dict[str, Any]:
    """Return the answer for a pipeline. Fields may be added; none will be removed."""
    targets = {id(target): target for one in answer.dependencies for target in one.targets}
    return {
        "answer": answer.verdict,
        "at": moment(answer.at),
        "vantage": None if answer.vantage is None else answer.vantage.value,
        "exporters": [
            {
                "url": one.url,
                "vantage": None if one.state is None else one.state.vantage.value,
                "host": None if one.state is None else one.state.host,
                "at": None if one.state is None else moment(one.state.at),
                "failure": one.failure or None,
                "instances": list(one.servers),
            }
            for one in answer.exporters
        ],
        "instances": list(answer.instances),
        "readings": [
            {
                "instance": one.server,
                "read_at": _moment(one.at),
                "age_seconds": None if one.age is None else round(one.age),
                "source": one.source,
            }
            for one in answer.readings
        ],
        "proofs": [
            {
                "instance": one.server,
                "key_name": one.key_name,
                "thumbprint": one.thumbprint,
                "credential_altered_at": _moment(one.altered_at),
                "proof_due": one.is_due,
                "proven_at": _moment(one.proven_at),
                "proven_by": one.source,
                "database": one.database or None,
                "codes_since": [each.code for each in one.signs],
            }
            for one in answer.proofs
        ],
        "logs": [
            {
                "instance": one.server,
                "database": log.database,
                "read_at": _moment(one.reading.read_at.get("logs")),
                "full_in_seconds": None if log.full_in is None else round(log.full_in),
                "next_file_in_seconds": None if log.next_file_in is None else round(log.next_file_in),
            }
            for one in answer.proofs
            for log in one.logs
        ],
        "keys": [
            {
                "instance": one.server,
                "key": one.key,
                "databases": [database.name for database in one.usage.databases],
                "targets": [hide(target.name) for target in one.targets],
            }
            for one in answer.dependencies
        ],
        "targets": [
            {
                "target": hide(one.name),
                "vault_side_ready": one.ready,
                "last_unwrap": _moment(one.last_unwrap),
                "ready_since": _moment(one.ready_since),
                "credential": hide(one.credential),
                "credential_expires_at": _moment(one.credential_expires_at),
            }
            for one in sorted(targets.values(), key=lambda one: one.name)
        ],
        "forecast": [
            {"vault": one.vault, "unwraps": one.unwraps.total(), "share_of_limit": round(one.share, 4)} for one in answer.forecast
        ],
        "vault_side_only": answer.question.vault_side,
        "readiness": [
            {
                "instance": one.server,
                "key_name": one.key_name,
                "thumbprint": one.thumbprint,
                "answer": one.answer(answer.now),
                "missing": sorted({each.evidence for each in one.missing}),
                "holds_until": moment(one.until) if math.isfinite(one.until) else None,
            }
            for one in answer.readiness
        ],
        "reasons": list(map(missing_row, answer.reasons)),
        "accepted": list(map(missing_row, answer.accepted)),
        "notes": list(answer.notes),
        "not_tested": _not_tested(answer),
    }


def missing_row(one: GateReason) -> dict[str, Any]:
    """Return a reason with the row of the evidence that it is about."""
    return {"condition": one.condition, "evidence": one.evidence, "known": one.known, "text": one.text, "fix": one.fix}


def _moment(at: float | None) -> str | None:
    return None if at is None else moment(at)


def _headline(answer: Answer) -> str:
    known = sum(one.known for one in answer.reasons)
    unknown = len(answer.reasons) - known
    if answer.verdict == "ready":
        keys = counted(len({one.key for one in answer.dependencies}), "key")
        databases = counted(sum(len(one.usage.databases) for one in answer.dependencies), "database")
        narrow = "the vault side of " if answer.question.vault_side else ""
        return f"ready: {narrow}{counted(len(answer.instances), 'instance')}, {keys}, {databases}"
    if answer.verdict == "not_known":
        return f"not known: {counted(unknown, 'reason')}"
    return f"not ready: {counted(known, 'reason')}" + (f", and {unknown} not known" if unknown else "")


def _reasons(answer: Answer) -> Iterator[str]:
    by_fix = grouped(((one.known, one.fix), one.text) for one in sorted(answer.reasons, key=lambda each: not each.known))
    for (known, fix), texts in by_fix.items():
        yield from (f"  - {'' if known else 'not known: '}{text}" for text in texts)
        yield f"    first{f', for these {len(texts)}' if len(texts) > 1 else ''}: {fix}"
    if any(f"--config.file {UNKNOWN_FILE}" in fix for _, fix in by_fix):
        yield f"  {UNKNOWN_FILE} is the configuration of that exporter: its service was started with it"


def _details(answer: Answer) -> Iterator[str]:
    if answer.readings:
        oldest = max(answer.readings, key=lambda one: (one.age is None, one.age or 0.0))
        others = f", the oldest of {counted(len(answer.readings), 'reading')}" if len(answer.readings) > 1 else ""
        source = f", {oldest.source}" if oldest.url else ""
        yield f"inventory: {oldest.server} was read {oldest.text} ({oldest.ago}){source}{others}"
    proofs = {(each.server, each.thumbprint): each for each in answer.proofs}
    for one in answer.dependencies:
        places = (f"{target.name} at {place_of(target)}" if answer.several else target.name for target in one.targets)
        targets = hide((" and " if answer.several else ", ").join(places)) or "no target"
        protected = "columns, if any," if one.usage.is_for_columns else counted(len(one.usage.databases), "database")
        yield f"{one.server}: {protected} under {one.key}, probed by {targets}"
        if (proof := proofs.get(one.place)) is not None:
            yield f"  SQL Server itself: {hide(proof_text(proof, answer.now))}"
    without = [name for name in answer.instances if name not in {one.server for one in answer.dependencies}]
    for name in without if answer.verdict == "ready" else ():
        yield f"{name}: no database depends on a key of a vault; column encryption is not read"
    for vault in answer.forecast:
        yield f"restart: {counted(vault.unwraps.total(), 'unwrap')} in {vault.vault}, {percent(vault.share)} of its request limit in 10 seconds"
    for each in answer.accepted:
        yield f"accepted ({each.evidence}@{each.server}): {each.text}"
    yield from (f"note: {one}" for one in answer.notes)
    last = [] if answer.vantage is None else [f"Reported as {vantage_text(answer.vantage)}."]
    if (untested := _not_tested(answer)) and (last or answer.several):
        last.append(f"Not tested: {untested}.")
    yield from [" ".join(last)] if last else ()


def _not_tested(answer: Answer) -> str:
    """Return what is still untested, of those that did not show themselves what no probe can."""
    missing = {
        *(answer.instances if answer.question.vault_side else ()),
        *(one.server for one in answer.readiness if one.missing),
    }
    servers = dict.fromkeys(one.server for one in answer.dependencies)
    untested = [server for server in servers if server in missing]
    if len(untested) == len(servers):
        return NOT_TESTED
    return f"{NOT_TESTED}, for {listed(untested)}" if untested else ""

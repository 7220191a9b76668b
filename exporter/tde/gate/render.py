"""The answer of the gate as text and as JSON."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from exporter.core.durations import moment
from exporter.core.known_secrets import hide
from exporter.core.readiness import NOT_TESTED, vantage_text
from exporter.tde.findings import counted
from exporter.tde.gate.forecast import percent
from exporter.tde.gate.model import Answer, Dependency, InstanceReading, TargetState


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
        "instances": list(answer.instances),
        "readings": [_reading(one) for one in answer.readings],
        "keys": [_key(one) for one in answer.dependencies],
        "targets": [_target(one) for one in sorted(targets.values(), key=lambda one: one.name)],
        "forecast": [
            {"vault": one.vault, "unwraps": one.total, "share_of_limit": round(one.share, 4)} for one in answer.forecast
        ],
        "reasons": [
            {"condition": one.condition.value, "known": one.known, "text": one.text, "fix": one.fix} for one in answer.reasons
        ],
        "notes": list(answer.notes),
        "not_tested": NOT_TESTED,
    }


def _headline(answer: Answer) -> str:
    known = sum(one.known for one in answer.reasons)
    unknown = len(answer.reasons) - known
    if answer.verdict == "ready":
        keys = {one.key for one in answer.dependencies}
        databases = sum(len(one.usage.databases) for one in answer.dependencies)
        counts = (counted(len(answer.instances), "instance"), counted(len(keys), "key"), counted(databases, "database"))
        return f"ready: {', '.join(counts)}"
    if answer.verdict == "not_known":
        return f"not known: {counted(unknown, 'reason')}"
    return f"not ready: {counted(known, 'reason')}" + (f", and {unknown} not known" if unknown else "")


def _reasons(answer: Answer) -> Iterator[str]:
    for one in sorted(answer.reasons, key=lambda each: not each.known):
        yield f"  - {'' if one.known else 'not known: '}{one.text}"
        yield f"    first: {one.fix}"


def _details(answer: Answer) -> Iterator[str]:
    if answer.readings:
        oldest = max(answer.readings, key=lambda one: (one.age is None, one.age or 0.0))
        others = f", the oldest of {counted(len(answer.readings), 'reading')}" if len(answer.readings) > 1 else ""
        yield f"inventory: {oldest.server} was read {oldest.text} ({oldest.ago}){others}"
    for one in answer.dependencies:
        targets = ", ".join(hide(target.name) for target in one.targets) or "no target"
        yield f"{one.server}: {counted(len(one.usage.databases), 'database')} under {one.key}, probed by {targets}"
    without = [name for name in answer.instances if name not in {one.server for one in answer.dependencies}]
    for name in without if answer.verdict == "ready" else ():
        yield f"{name}: no database depends on a key of a vault"
    for vault in answer.forecast:
        yield f"restart: {counted(vault.total, 'unwrap')} in {vault.vault}, {percent(vault.share)} of its request limit in 10 seconds"
    yield from (f"note: {one}" for one in answer.notes)
    if answer.vantage is not None:
        yield f"Reported as {vantage_text(answer.vantage)}. Not tested: {NOT_TESTED}."


def _reading(one: InstanceReading) -> dict[str, Any]:
    return {
        "instance": one.server,
        "read_at": None if one.at is None else moment(one.at),
        "age_seconds": None if one.age is None else round(one.age),
    }


def _key(one: Dependency) -> dict[str, Any]:
    return {
        "instance": one.server,
        "key": one.key,
        "databases": [database.name for database in one.usage.databases],
        "targets": [hide(target.name) for target in one.targets],
    }


def _target(one: TargetState) -> dict[str, Any]:
    return {
        "target": hide(one.name),
        "vault_side_ready": one.ready,
        "last_unwrap": None if one.last_unwrap is None else moment(one.last_unwrap),
        "ready_since": None if one.ready_since is None else moment(one.ready_since),
        "credential": hide(one.credential),
        "credential_expires_at": None if one.credential_expires_at is None else moment(one.credential_expires_at),
    }

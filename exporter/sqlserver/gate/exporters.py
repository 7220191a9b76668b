"""Which exporter answers for a SQL Server, what the others report differently, and how their lists are read.

A response of another program or version is a reason, never a shorter list.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

from exporter.core import json
from exporter.core.durations import moment, unix_time
from exporter.core.names import is_same_host
from exporter.core.values import Vantage
from exporter.knowledge.verdict import WHY, vantage_text
from exporter.sqlserver.document import KeyVersion
from exporter.sqlserver.gate.conditions import Condition, ExporterState, GateReason, TargetState, reason, shown
from exporter.sqlserver.gate.dependencies import lists
from exporter.sqlserver.gate.inputs import CLOCK_TOLERANCE, Dependency
from exporter.sqlserver.instance import Instance, listed, printable
from exporter.sqlserver.reading import SqlServerReading, reading_from

Requested = Mapping[str, ExporterState | GateReason]  # by URL
TargetsByKey = Mapping[KeyVersion, Sequence[TargetState]]


def answering(instance: Instance, states: Sequence[ExporterState]) -> tuple[ExporterState, ...]:
    """Return the exporters that answer for an instance.

    Those on its host, else those on another SQL Server's host with a target of it, as for the virtual name of a failover cluster instance.
    Without such an exporter, the central ones answer.
    """
    local = [one for one in states if one.vantage is Vantage.SQL_HOST]
    return tuple(
        [one for one in local if stands_at(one, instance)]
        or [one for one in local if _lists(one, instance)]
        or [one for one in states if one.vantage is Vantage.CENTRAL]
        or states
    )


def stands_at(state: ExporterState, instance: Instance) -> bool:
    """Whether the exporter runs on the instance's host. Of two domains with that name, its targets show which one."""
    host = instance.host.lower()
    if state.vantage is not Vantage.SQL_HOST or state.host is None or not is_same_host(state.host, host):
        return False
    return "." not in host or "." in state.host or _lists(state, instance)


def _lists(state: ExporterState, instance: Instance) -> bool:
    return any(lists(target, instance) for target in state.targets)


def place_of(target: TargetState) -> str:
    """Return which exporter reports a target, and from where it probes."""
    return f"{target.url}, {vantage_text(target.vantage)}"


def failures(requested: Requested, chosen: Sequence[Instance], now: float) -> Iterator[tuple[str, GateReason, bool]]:
    """Yield the URL of each exporter whose state is unknown, in whole or in part, why, and whether it matters.

    It does not matter if each chosen server has an exporter on its host, and the silent one is on no chosen host.
    """
    states = [one for one in requested.values() if isinstance(one, ExporterState)]
    answered = bool(chosen) and all(any(stands_at(one, instance) for one in states) for instance in chosen)
    for url, found in requested.items():
        host = (urlsplit(url).hostname or "").lower()
        if isinstance(found, GateReason):
            yield url, found, not answered or any(is_same_host(host, instance.host.lower()) for instance in chosen)
            continue
        matters = not answered or any(stands_at(found, instance) for instance in chosen)
        if found.unread is not None:
            yield url, found.unread, matters
        if abs(found.at - now) > CLOCK_TOLERANCE:
            yield url, reason(Condition.CLOCKS_DIFFER, url=url, at=moment(found.at), now=moment(now)), matters


def targets_by_key(states: Iterable[ExporterState]) -> TargetsByKey:
    """Return the targets of each key version; an empty version is unknown."""
    found: dict[KeyVersion, list[TargetState]] = {}
    for state in states:
        for target in state.targets:
            found.setdefault(KeyVersion(target.vault, target.key_name, target.key_version or ""), []).append(target)
    return found


def compared(dependencies: Iterable[Dependency], targets: TargetsByKey) -> tuple[list[GateReason], list[str]]:
    """Return a reason for each exporter that reports a key not ready although the answering one reports it ready.

    The second list are notes on the reverse.
    """
    against: dict[tuple[str, str, str], list[str]] = {}
    despite: dict[tuple[str, str, str], list[str]] = {}
    for one in dependencies:
        own = {target.url for target in one.targets}
        others = [target for target in targets.get(one.usage.version, ()) if target.url not in own]
        refused = [target for target in one.targets if target.ready is False]
        ready = bool(one.targets) and all(target.ready for target in one.targets)
        failing = [target for target in others if ready and target.ready is False and lists(target, one.usage.instance)]
        for target in failing:
            against.setdefault((one.key, _verdict(one.targets[0]), _verdict(target)), []).append(one.server)
        working = next((target for target in others if refused and target.ready and lists(target, one.usage.instance)), None)
        if working is not None:
            despite.setdefault((one.key, _verdict(refused[0]), _verdict(working)), []).append(one.server)
    return [
        reason(Condition.EXPORTERS_DISAGREE, key=key, own=own, other=other, servers=listed(servers))
        for (key, own, other), servers in against.items()
    ], [
        shown(f"exporters disagree on {key} for {listed(servers)}: {own}, which counts; {other}")
        for (key, own, other), servers in despite.items()
    ]


def _verdict(target: TargetState) -> str:
    return f"{target.name} is {'ready' if target.ready else f'not ready ({target.failure})'} at {place_of(target)}"


# The values of the configuration's `type`.
CREDENTIAL_TYPES = (
    "client_secret", "connector_secret", "client_certificate", "managed_identity", "workload_identity", "default"
)  # fmt: skip
MOST_OF_READINGS = 12_000_000  # values of a response; the client's limit of bytes allows a fleet half of them


class _FieldError(Exception):
    """A field has a value of another kind; the text is its name."""


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError
    return printable(value)


def _time(value: Any) -> float:
    return unix_time(_text(value))


def _optional(read: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Return the reader of a value that may be unknown."""
    return lambda value: None if value is None else read(value)


def _exactly(kind: type) -> Callable[[Any], Any]:
    """Return the reader of a value of one type; a bool is no int."""

    def read(value: Any) -> Any:
        if type(value) is not kind:
            raise TypeError
        return value

    return _optional(read)


def _credential_type(value: Any) -> str:
    if value not in CREDENTIAL_TYPES:  # of another version, with an expiry that this program may misjudge
        raise ValueError
    return _text(value)


def _instances(value: Any) -> tuple[Mapping[str, str], ...]:
    if not isinstance(value, list):
        raise TypeError
    return tuple({_text(name): _text(label) for name, label in one.items()} for one in value)


# Field of the JSON, attribute of TargetState, and the reader of its value.
_FIELDS: tuple[tuple[str, str, Callable[[Any], Any]], ...] = (
    ("target", "name", _text),
    ("vault", "vault", _text),
    ("key", "key_name", _text),
    ("key_version", "key_version", _optional(_text)),
    ("vault_side_ready", "ready", _exactly(bool)),
    ("why", "why", _text),
    ("ready_since", "ready_since", _optional(_time)),
    ("last_not_ready", "last_not_ready", _optional(_time)),
    ("last_success", "last_success", _optional(_time)),
    ("last_unwrap", "last_unwrap", _optional(_time)),
    ("success", "success", _exactly(bool)),
    ("key_type", "key_type", _optional(_text)),
    ("key_size_bits", "key_size_bits", _exactly(int)),
    ("credential", "credential", _text),
    ("credential_type", "credential_type", _credential_type),
    ("client_id", "client_id", _optional(_text)),
    ("credential_expires_at", "credential_expires_at", _optional(_time)),
    ("next_credential_usable", "next_credential_usable", _exactly(bool)),
    ("instances", "instances", _instances),
)
_HEAD = ("at", "vantage", "host")


def read_state(data: bytes, url: str) -> ExporterState | GateReason:
    """Return the state in the response of the exporter at `url`, or why it is none."""
    content = _content(data, url, "targets", "targets", json.MOST_OF_RESPONSE)
    return content if isinstance(content, GateReason) else state_of(content, url)


def state_of(content: Mapping[str, Any], url: str) -> ExporterState | GateReason:
    """Return the state in parsed JSON, as `read_state`. An exporter asks so about itself."""
    if missing := _missing(content):
        return reason(Condition.EXPORTER_OLD, url=url, field=missing)
    try:
        at, vantage = _read("at", _time, content), _read("vantage", Vantage, content)
        host = _read("host", _optional(_text), content)
        targets = tuple(_target(row, url=url, vantage=vantage, at=at) for row in content["targets"])
        return ExporterState(at, vantage, targets, url, None if host is None else host.lower())
    except _FieldError as error:
        return reason(Condition.EXPORTER_FOREIGN, url=url, cause=f"its field {error} has a value of another kind")


def read_readings(data: bytes, url: str) -> tuple[SqlServerReading, ...] | GateReason:
    """Return the readings in a response body, or why there are none; `url` is for the text."""
    content = _content(data, url, "sql_servers", "SQL Servers", MOST_OF_READINGS)
    if isinstance(content, GateReason):
        return content
    readings = []
    for number, values in enumerate(content["sql_servers"], 1):
        try:
            readings.append(reading_from(values))
        except ValueError as error:
            return reason(Condition.EXPORTER_FOREIGN, url=url, cause=f"SQL Server {number} of its list {error}")
    return tuple(readings)


def _content(data: bytes, url: str, name: str, words: str, most: int) -> Any | GateReason:
    """Return a response with a list of this name and at most so many values; `words` are for the text."""
    try:
        # JSON's own guess of the encoding would take UTF-16, which no exporter sends.
        content = json.parse(data.decode("utf-8"), most)
    except json.TooManyValuesError as error:
        return reason(Condition.EXPORTER_FOREIGN, url=url, cause=f"it has {error}")
    except ValueError:
        return reason(Condition.EXPORTER_FOREIGN, url=url, cause="it is not JSON in UTF-8")
    if not isinstance(content, dict) or not isinstance(content.get(name), list):
        return reason(Condition.EXPORTER_FOREIGN, url=url, cause=f"it has no list of {words}")
    return content


def _read(name: str, read: Callable[[Any], Any], row: Any) -> Any:
    """Return the value of a field. Raises _FieldError if it is of another kind."""
    try:
        return read(row[name])
    except (TypeError, ValueError, AttributeError):
        raise _FieldError(name) from None


def _missing(content: Mapping[str, Any]) -> str | None:
    of_all = (name for name in _HEAD if name not in content)
    rows = (row for row in content["targets"] if isinstance(row, dict))
    return next(of_all, None) or next((name for row in rows for name, _, _ in _FIELDS if name not in row), None)


def _target(row: Any, **about: Any) -> TargetState:
    values = {attribute: _read(name, read, row) for name, attribute, read in _FIELDS}
    if values["ready"] and values["why"] != "ready":
        raise _FieldError("why")  # the row contradicts itself
    step = row.get("step")
    return TargetState(failure=_failure(row), step=step if isinstance(step, str) else "", **about, **values)


def _failure(row: Mapping[str, Any]) -> str:
    parts = [str(row[name]) for name in ("code", "symbol") if isinstance(row.get(name), str | int)]
    parts += [f"at {row['step']}"] if isinstance(row.get("step"), str) else []
    return " ".join([*parts, *([f"({row['reason']})"] if isinstance(row.get("reason"), str) else [])]) or WHY["not_ready"]

"""Which exporter answers for a SQL Server, what the others report differently, and how their lists are read.

A response of another program or version is a reason, never a shorter list.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

import msgspec

from exporter.core import grouped, json
from exporter.core.durations import moment, unix_time
from exporter.core.names import is_same_host
from exporter.core.values import Vantage
from exporter.knowledge.verdict import vantage_text
from exporter.sqlserver.document import KeyVersion
from exporter.sqlserver.gate.conditions import ExporterState, GateReason, Moment, Shown, TargetState, reason, shown
from exporter.sqlserver.gate.dependencies import lists
from exporter.sqlserver.gate.inputs import CLOCK_TOLERANCE, Dependency
from exporter.sqlserver.instance import Instance, listed, printable
from exporter.sqlserver.reading import SqlServerReading, reading_from

Requested = Mapping[str, ExporterState | GateReason]  # by URL
TargetsByKey = Mapping[KeyVersion, Sequence[TargetState]]
_Disagreement = tuple[tuple[str, str, str], str]  # key and the two verdicts; server


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
            yield url, reason("clocks_differ", url=url, at=moment(found.at), now=moment(now)), matters


def targets_by_key(states: Iterable[ExporterState]) -> TargetsByKey:
    """Return the targets of each key version; an empty version is unknown."""
    return grouped(
        (KeyVersion(each.vault, each.key_name, each.key_version or ""), each) for one in states for each in one.targets
    )


def compared(dependencies: Iterable[Dependency], targets: TargetsByKey) -> tuple[list[GateReason], list[str]]:
    """Return a reason for each exporter that reports a key not ready although the answering one reports it ready.

    The second list are notes on the reverse.
    """
    against, despite = list[_Disagreement](), list[_Disagreement]()
    for one in dependencies:
        own = {target.url for target in one.targets}
        same_key = targets.get(one.usage.version, ()) if one.targets else ()
        others = [target for target in same_key if target.url not in own and lists(target, one.usage.instance)]
        if all(target.ready for target in one.targets):
            against += [
                ((one.key, _verdict(one.targets[0]), _verdict(each)), one.server) for each in others if each.ready is False
            ]
        refused = [target for target in one.targets if target.ready is False]
        working = [each for each in others if each.ready and refused][:1]
        despite += [((one.key, _verdict(refused[0]), _verdict(each)), one.server) for each in working]
    return [
        reason("exporters_disagree", key=key, own=own, other=other, servers=listed(servers))
        for (key, own, other), servers in grouped(against).items()
    ], [
        shown(f"exporters disagree on {key} for {listed(servers)}: {own}, which counts; {other}")
        for (key, own, other), servers in grouped(despite).items()
    ]


def _verdict(target: TargetState) -> str:
    return f"{target.name} is {'ready' if target.ready else f'not ready ({target.failure})'} at {place_of(target)}"


MOST_OF_READINGS = 12_000_000  # values of a response; the client's limit of bytes allows a fleet half of them
_MISSING = re.compile(r"missing required field `(\w+)`")
_FIELD = re.compile(r"`\$\.(\w+)")


class _Response(msgspec.Struct):
    at: Moment
    vantage: Vantage
    host: Shown | None
    targets: list[dict[str, Any]]


def _read(kind: type, value: Any) -> Any:
    """Return a text of others as what its field has."""
    if not isinstance(value, str):
        raise TypeError("no text")
    return Moment(unix_time(value)) if kind is Moment else Shown(printable(value))


def read_state(data: bytes, url: str) -> ExporterState | GateReason:
    """Return the state in the response of the exporter at `url`, or why it is none."""
    content = _content(data, url, "targets", "targets", json.MOST_OF_RESPONSE)
    return content if isinstance(content, GateReason) else state_of(content, url)


def state_of(content: Mapping[str, Any], url: str) -> ExporterState | GateReason:
    """Return the state in parsed JSON, as `read_state`. An exporter asks so about itself."""
    try:
        head = msgspec.convert(content, _Response, dec_hook=_read)
        about = {"url": url, "vantage": head.vantage, "at": float(head.at)}
        targets = tuple(msgspec.convert({**row, **about}, TargetState, dec_hook=_read) for row in head.targets)
    except msgspec.ValidationError as error:
        if missing := _MISSING.search(str(error)):
            return reason("exporter_old", url=url, field=missing[1])
        found = _FIELD.search(str(error))
        return _foreign(url, "targets" if found is None else found[1])
    if any(each.ready and each.why != "ready" for each in targets):
        return _foreign(url, "why")  # the row contradicts itself
    return ExporterState(float(head.at), head.vantage, targets, url, None if head.host is None else head.host.lower())


def _foreign(url: str, field: str) -> GateReason:
    return reason("exporter_foreign", url=url, cause=f"its field {field} has a value of another kind")


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
            return reason("exporter_foreign", url=url, cause=f"SQL Server {number} of its list {error}")
    return tuple(readings)


def _content(data: bytes, url: str, name: str, words: str, most: int) -> Any | GateReason:
    """Return a response with a list of this name and at most so many values; `words` are for the text."""
    try:
        # JSON's own guess of the encoding would take UTF-16, which no exporter sends.
        content = json.parse(data.decode("utf-8"), most)
    except json.TooManyValuesError as error:
        return reason("exporter_foreign", url=url, cause=f"it has {error}")
    except ValueError:
        return reason("exporter_foreign", url=url, cause="it is not JSON in UTF-8")
    if not isinstance(content, dict) or not isinstance(content.get(name), list):
        return reason("exporter_foreign", url=url, cause=f"it has no list of {words}")
    return content

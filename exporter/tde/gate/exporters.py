"""Which exporter answers for a SQL Server, and what the others report differently."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from urllib.parse import urlsplit

from exporter.core.durations import moment
from exporter.core.model import Vantage
from exporter.core.readiness import vantage_text
from exporter.tde.exporter_state import ExporterState, GateReason, TargetState
from exporter.tde.findings import listed
from exporter.tde.gate.conditions import Condition, reason, shown
from exporter.tde.gate.dependencies import lists
from exporter.tde.gate.model import CLOCK_TOLERANCE, Dependency
from exporter.tde.identity import is_same_host
from exporter.tde.model import Instance
from exporter.tde.registry import KeyVersion

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

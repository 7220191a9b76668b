"""Whatever is removed, aged or damaged of what a ready answer rests on, the answer is no longer ready."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import pytest

from exporter.core.durations import known_time
from tests.support.gate_factories import DAY, HOUR, NOW, time_of
from tests.support.ready_fleets import COLUMNS, RECORDED, Fleet, ready_fleets, utc

# What no row of the evidence rests on, and why: a section, its column or its rows, or a field of a target or an exporter.
_PAGES = "for pages alone"
_ARRIVAL = "used when the reading arrives, and its result is in another section"
_NAMED = "another name is another server, which nobody asked for and no target lists"
_USED = "a use of the key proves that SQL Server, its connector and its operating system can"
_OBJECTION = "a failure speaks against a use; what proves that there is none is how far the log was read"
_ROOM = "the room in a log counts while something fails, which is not ready itself"
_WORDS = "names a failure, or is not read while the target is ready"
IRRELEVANT = {
    **dict.fromkeys(("flags", "loaded"), _PAGES),
    **dict.fromkeys(("service", "history", "backups.offset_minutes", "backups.longest_seconds"), _ARRIVAL),
    **dict.fromkeys(("opened.encryption_state", "opened.percent_complete"), _PAGES),
    **dict.fromkeys(("instance.server_name", "instance.machine"), _NAMED),
    **dict.fromkeys(("instance.platform", "instance.product_version", "providers.version", "modules.file_version"), _USED),
    "modules rows": "the exporter keeps which DLL was loaded",
    "keys.login": "the credential of the login is shown",
    "keys.public_key": "finds the version of a key without KeyUri",
    **dict.fromkeys(("errors rows", "errors.code", "errors.lines"), _OBJECTION),
    "logs rows": _ROOM,
    "changes read_at": "the exporter itself keeps it, as the sections that it is made of are read",
    "changes failed": "as before",
    "changes[start]": "the start on this node is in another section; that on another counts where the instance may move",
    "changes[option].name": "there is one option",
    "changes[signers]": "no start and no backup rests on another credential of the provider",
    **dict.fromkeys(("trace.dropped", "calls.calls", "calls.first_utc"), _ARRIVAL),
    "replicas rows": "each replica names all of them",
    "nodes rows": "a part of a section arrives with no checksum",
    **dict.fromkeys(
        ("target.target", "target.success", "target.last_success", "target.step", "target.code", "target.symbol", "target.reason"), _WORDS
    ),
    "target.credential": "the client id, or all targets of this name, show who has the same secret",
    "exporter.host": "a central exporter is on no SQL Server's host",
}  # fmt: skip


class Damage(NamedTuple):
    """What goes wrong: with which input, in words, and the change."""

    place: str
    text: str
    change: Callable[[Fleet], object]


def damages(value: Any) -> Iterator[tuple[str, Any]]:
    """Yield what a damaged value may be."""
    yield "of no known type", [value]
    yield "empty", ""
    yield "of another type", len(value) + 4711 if isinstance(value, str) else str(value)
    if isinstance(value, str) and len(value) == len("2026-11-26T20:00:00") and known_time(value) is not None:
        yield "cut", value[:-1]
        yield "from the future", utc(NOW + 3 * DAY)


def damages_of(fleet: Fleet, *, brief: bool) -> Iterator[Damage]:
    for url, (targets, servers) in fleet.exporters.items():
        for number, server in enumerate(servers["sql_servers"]):
            yield from _of_server(url, number, server, brief=brief or number != len(servers["sql_servers"]) // 2)
        for number, target in enumerate(targets["targets"]):
            yield from _of_target(url, number, target)
        yield from _of_exporter(url, targets)


def _of_server(url: str, number: int, server: dict[str, Any], *, brief: bool) -> Iterator[Damage]:
    """Yield what may go wrong with a SQL Server: if `brief`, of each column that it is missing."""

    def reading(fleet: Fleet) -> dict[str, Any]:
        found: dict[str, Any] = fleet.exporters[url][1]["sql_servers"][number]
        return found

    about = server["document"]["address"]
    yield Damage("server", f"{about} is not listed", lambda fleet: fleet.exporters[url][1]["sql_servers"].pop(number))
    for behind in (None, 301.0, -301.0, "0", True):
        change = _setting(reading, "clock_behind", behind)
        yield Damage("clock_behind", f"{about}: clock_behind is {behind!r}", change)
    for section in server["read_at"]:
        times = _within(reading, "read_at")
        for value in (time_of(NOW - HOUR - 1), time_of(NOW + 301), "yesterday", 7):
            yield Damage(f"{section} read_at", f"{about}: {section} was read {value}", _setting(times, section, value))
        yield Damage(f"{section} read_at", f"{about}: {section} was read at no time", _removing(times, section))
    for place, each in enumerate(server["document"]["sections"]):
        yield from _of_section(_within(reading, "document"), place, each, about, brief=brief)


def _of_section(
    document: Callable[[Fleet], Any], place: int, each: dict[str, Any], about: str, *, brief: bool
) -> Iterator[Damage]:
    def entry(fleet: Fleet) -> dict[str, Any]:
        found: dict[str, Any] = document(fleet)["sections"][place]
        return found

    name, rows = each["section"], _within(entry, "rows")
    failed = {"section": name, "message": "message 1222: lock request time out"}
    yield Damage(name, f"{about}: no {name}", lambda fleet: document(fleet)["sections"].pop(place))
    yield Damage(f"{name} failed", f"{about}: {name} failed", lambda fleet: document(fleet)["errors"].append(failed))
    yield Damage(name, f"{about}: {name} without rows", _removing(entry, "rows"))
    for value in ("", {}, 0, [7], [[]]):
        yield Damage(name, f"{about}: rows of {name} are {value!r}", _setting(entry, "rows", value))
    if each["rows"]:
        yield Damage(f"{name} rows", f"{about}: {name} has no row", _setting(entry, "rows", []))
    for number, row in enumerate(each["rows"]):
        kind = f"{name}[{row['what']}]" if "what" in row else name
        yield Damage(f"{kind} rows", f"{about}: row {number} of {name} is gone, {row}", _removing(rows, number))
        for column, value in row.items():
            cells, text = _within(rows, number), f"{about}: {column} of {name}, {row},"
            yield Damage(f"{kind}.{column}", f"{text} is gone", _removing(cells, column))
            for damage, other in () if brief else damages(value):
                yield Damage(f"{kind}.{column}", f"{text} is {damage}: {other!r}", _setting(cells, column, other))


_AGED = (
    ("last_unwrap", NOW - 901),
    ("last_unwrap", NOW + 301),
    ("ready_since", NOW - HOUR + 1),
    ("ready_since", NOW + DAY),
    ("last_not_ready", NOW - HOUR + 1),
    ("credential_expires_at", NOW + DAY),
)


def _of_target(url: str, number: int, target: dict[str, Any]) -> Iterator[Damage]:
    def own(fleet: Fleet) -> dict[str, Any]:
        found: dict[str, Any] = fleet.exporters[url][0]["targets"][number]
        return found

    yield Damage("target", f"target {number} is not listed", lambda fleet: fleet.exporters[url][0]["targets"].pop(number))
    for field, value in target.items():
        place = f"target.{field}"
        yield Damage(place, f"{field} is gone", _removing(own, field))
        for damage, other in () if value is None else (("unknown", None), *damages(value)):
            yield Damage(place, f"{field} is {damage}: {other!r}", _setting(own, field, other))
    for field, at in _AGED:
        yield Damage(f"target.{field}", f"{field} is {utc(at)}", _setting(own, field, time_of(at)))


def _of_exporter(url: str, targets: dict[str, Any]) -> Iterator[Damage]:
    def about(fleet: Fleet) -> dict[str, Any]:
        return fleet.exporters[url][0]

    def servers(fleet: Fleet) -> dict[str, Any]:
        return fleet.exporters[url][1]

    yield Damage("exporter", "no list of targets", _removing(about, "targets"))
    yield Damage("exporter", "no list of SQL Servers", _removing(servers, "sql_servers"))
    yield Damage("exporter", "no SQL Server", _setting(servers, "sql_servers", []))
    for field in ("at", "vantage", "host"):
        yield Damage(f"exporter.{field}", f"{field} of the exporter is gone", _removing(about, field))
        for damage, other in damages(targets[field]):
            yield Damage(f"exporter.{field}", f"{field} of the exporter is {damage}", _setting(about, field, other))
    for at in (NOW - 301, NOW + 301):
        yield Damage("exporter.at", f"the exporter's clock shows {utc(at)}", _setting(about, "at", time_of(at)))


def _within(place: Callable[[Fleet], Any], key: Any) -> Callable[[Fleet], Any]:
    return lambda fleet: place(fleet)[key]


def _setting(place: Callable[[Fleet], Any], key: Any, value: object) -> Callable[[Fleet], object]:
    return lambda fleet: place(fleet).update({key: value})


def _removing(place: Callable[[Fleet], Any], key: Any) -> Callable[[Fleet], object]:
    return lambda fleet: place(fleet).pop(key)


def _is_irrelevant(name: str, damage: Damage) -> bool:
    section = damage.place.partition(" ")[0].partition(".")[0]
    if section == "changes[start]" and name == "a cluster instance of two nodes" and "'node': 'n2'" in damage.text:
        return damage.place.endswith(".value")  # where it may move
    if section == "changes[signers]" and name in (RECORDED, COLUMNS):
        return False
    if name == COLUMNS and damage.place in ("keys.credential", "target.key_type", "target.key_size_bits"):
        return True  # the caller's login signs in, and a restart unwraps nothing
    is_host = name == "a managed identity" and damage.place == "exporter.host"  # which has the identity
    return not is_host and bool({damage.place, section} & IRRELEVANT.keys() or (section == "logs" and "." in damage.place))


@pytest.mark.parametrize("name", ready_fleets())
def test_nothing_that_is_missing_old_or_damaged_stays_ready(name):
    fleet = ready_fleets()[name]
    assert fleet.answer().reasons == ()
    still_ready = []
    brief = name not in ("one server, log backups", "a group, backups on one secondary of three")
    for damage in damages_of(fleet, brief=brief):
        if not _is_irrelevant(name, damage):
            damaged = fleet.copied()
            damage.change(damaged)
            if damaged.answer().verdict == "ready":
                still_ready.append(damage[:2])
    assert still_ready == []


@pytest.mark.parametrize("name", ready_fleets())
def test_silence_ages(name):
    """Nothing new is read for an hour, while the exporters answer and their targets stay ready."""
    later = ready_fleets()[name]
    for about, _ in later.exporters.values():
        about["at"] = time_of(NOW + HOUR + 1)
        for target in about["targets"]:
            target["last_unwrap"] = time_of(NOW + HOUR)
    found = later.answer(now=NOW + HOUR + 1)
    assert found.verdict == "not_known"
    assert "reading_old" in {each.condition for each in found.reasons}

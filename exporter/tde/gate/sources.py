"""The instances of the inventory's file and of the exporters' readings: each section from the newer one."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from exporter.core.durations import known_time
from exporter.tde.document import Document
from exporter.tde.document_merge import merged, read_at, time_of
from exporter.tde.exporter_state import ExporterState
from exporter.tde.gate.model import Inventory, KnownInstance, Question, is_within
from exporter.tde.identity import identity_of, instances_of, is_same_server
from exporter.tde.reading_document import LOGS, inventory_document
from exporter.tde.sql_reading import SqlServerReading, known_instance


@dataclass(frozen=True, slots=True)
class _Source:
    """A document of one server; `url` is of the exporter that made its newest reading, empty for the file.

    `file` is what the inventory's file has of the server, None if it has nothing.
    """

    key: str
    document: Document
    at: float | None
    url: str = ""
    reading: SqlServerReading | None = None
    file: Document | None = None


def known_instances(
    inventory: Inventory, states: Iterable[ExporterState], question: Question, *, now: float
) -> tuple[KnownInstance, ...]:
    """Return what is known of each instance at `now`, a Unix time.

    A section of an exporter's reading counts for a shorter time than one of the inventory's file.
    """
    found = [_Source(identity_of(each).key, each, known_time(read_at(each)), file=each) for each in inventory.documents]
    for state in states:
        for reading in state.readings:
            if known_instance(reading) is not None:
                document, at = inventory_document(reading), reading.read_at.get("instance")
                _add(found, _Source(identity_of(document).key, document, at, state.url, reading))
    instances = [
        replace(instance, server_name=f"{instance.server_name} ({instance.address})") if contested else instance
        for instance, contested in zip(instances_of((each.document for each in found), now), _contested(found), strict=True)
    ]
    return tuple(
        KnownInstance(instance=instance, at=each.at, url=each.url)
        if each.reading is None
        # Its sections count by their own times.
        else KnownInstance(
            instance=replace(instance, kept={}),
            at=each.at,
            url=each.url,
            reading=each.reading,
            old=dict(_old(each, each.reading, question, now)),
        )
        for each, instance in zip(found, instances, strict=True)
    )


def _old(
    source: _Source, reading: SqlServerReading, question: Question, now: float
) -> Iterator[tuple[str, tuple[float | None, float]]]:
    """Yield the sections that were read too long ago, or at an unknown time, with that time and their limit."""
    for name in source.document.sections:
        time, file = time_of(source.document, name), source.file
        is_of_file = file is not None and name in file.sections and time == time_of(file, name)
        limit = question.inventory_age if is_of_file else question.reading_age
        at = known_time(time) if is_of_file or name in source.document.kept else reading.read_at.get(name)
        if at is None or not is_within(now - at, limit):
            yield name, (at, limit)


def _add(found: list[_Source], new: _Source) -> None:
    """Add a source, or join it with the only one that may be of the same server. Of two that claim one name, each counts."""
    places = [place for place, each in enumerate(found) if is_same_server(each.key, new.key) and not _contradict(each, new)]
    if len(places) == 1:
        found[places[0]] = _joined([found[places[0]], new])
    else:
        found.append(new)


def _contested(found: Sequence[_Source]) -> Iterator[bool]:
    """Yield of each source whether another one may be of the server whose name it answers."""
    by_name = dict[str, list[_Source]]()
    for each in found:
        by_name.setdefault(identity_of(each.document).name, []).append(each)
    for each in found:
        same = by_name[identity_of(each.document).name]
        yield any(_contradict(each, other) and is_same_server(each.key, other.key) for other in same)


def _contradict(one: _Source, other: _Source) -> bool:
    """Whether two readings may be of two servers: they have two addresses, and one of these does not prove the name."""
    readings = [each.reading for each in (one, other) if each.reading is not None]
    if len({each.address.casefold() for each in readings}) < 2:
        return False
    return not all(identity_of(inventory_document(each)).proven for each in readings)


def _joined(sources: Sequence[_Source]) -> _Source:
    """Return two sources of one server as one: each section from the newer one that has it."""
    earlier, later = sorted(sources, key=lambda each: each.at or 0.0)
    named = max(later, earlier, key=lambda each: len(each.key))  # with its domain, if one of them has it
    document = replace(merged(later.document, earlier.document), address=named.document.address)
    reading = _joined_readings(later.reading, earlier.reading)
    return replace(later, key=named.key, document=document, reading=reading, file=earlier.file or later.file)


def _joined_readings(later: SqlServerReading | None, earlier: SqlServerReading | None) -> SqlServerReading | None:
    """Return the readings of two exporters as one.

    One of them may lack a right that the other has.
    """
    if later is None or earlier is None or later.document is None or earlier.document is None:
        return later or earlier
    older = {name: at for name, at in earlier.read_at.items() if at > later.read_at.get(name, 0.0)}
    return replace(
        later,
        document=merged(later.document, earlier.document),
        read_at={**later.read_at, **older},
        earlier_logs=(earlier if LOGS in older else later).earlier_logs,
    )

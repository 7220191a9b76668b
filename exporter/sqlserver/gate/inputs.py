"""The values of the gate: question, inventory and answer; and the instances of file and readings, each section from the newer one."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import reduce

from exporter.core import grouped
from exporter.core.durations import ago, known_time, moment
from exporter.core.names import is_same_server
from exporter.core.values import Vantage
from exporter.sqlserver.document import Document, KeyVersion, RegistryUri
from exporter.sqlserver.gate.conditions import UNKNOWN_FILE, ExporterState, GateReason, TargetState
from exporter.sqlserver.instance import Instance, identity_of, instance_of, instances_of
from exporter.sqlserver.keys import Established, Usage
from exporter.sqlserver.proof import ServerProof
from exporter.sqlserver.reading import (
    SqlServerReading,
    inventory_document,
    known_instance,
    may_be_two,
    merged,
    read_at,
    time_of,
    united,
)

DAY = 86400.0
CLOCK_TOLERANCE = 300.0  # seconds between this host and the exporter


def is_within(age: float, limit: float) -> bool:
    """Return whether an age is within its limit, and no more negative than clocks differ."""
    return -CLOCK_TOLERANCE <= age <= limit


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """Which instances restart, and the limits of the evidence in seconds. For texts, `folder` is that of the inventory, `file` the exporter's configuration.

    `vault_side` asks whether the vault gives the keys, and no more. `accepted` has what a person vouches for: row of the evidence and node.
    """

    ready_for: float = 3600.0
    window: float = DAY
    inventory_age: float = 35 * DAY
    unwrap_age: float = 900.0
    reading_age: float = 3600.0
    proof_age: float = 35 * DAY
    folder: str = "targets.d"
    file: str = UNKNOWN_FILE
    instances: tuple[str, ...] = ()
    group: str | None = None
    every: bool = False
    vault_side: bool = False
    accepted: tuple[tuple[str, str], ...] = ()

    @property
    def paths(self) -> dict[str, str]:
        """What commands in first actions name."""
        return {"folder": self.folder, "file": self.file}


@dataclass(frozen=True, slots=True)
class Inventory:
    """The inventory's file: what each instance answered last, key URIs that belong to no instance, and versions.

    `compared` are the versions by public key, `established` those of the last run.
    """

    documents: tuple[Document, ...] = ()
    loose: tuple[RegistryUri, ...] = ()
    compared: Mapping[str, KeyVersion] = field(default_factory=dict)
    established: Established = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownInstance:
    """An instance by its newest reading, with the last one that an exporter made.

    `key` is its name with its domain, `file` what the inventory's file has of it, None if that has nothing. `age` is that of the newest reading
    in seconds, `url` of the exporter that made it, empty for the inventory's file. `old` are sections of an older reading than allowed, each with
    its Unix time, None if unknown, and the limit. `contested` are the addresses that answer its name, if they may be of several servers.
    """

    instance: Instance
    key: str
    document: Document
    at: float | None  # Unix time of the newest reading
    file: Document | None = None
    age: float | None = None
    url: str = ""
    reading: SqlServerReading | None = None
    old: Mapping[str, tuple[float | None, float]] = field(default_factory=dict)
    contested: tuple[str, ...] = ()

    @property
    def server(self) -> str:
        return self.instance.server_name

    @property
    def source(self) -> str:
        return f"read by the exporter at {self.url}" if self.url else "inventory file"

    @property
    def text(self) -> str:
        return "at an unknown time" if self.at is None else moment(self.at)

    @property
    def ago(self) -> str:
        return self.text if self.age is None else ago(self.age)


@dataclass(frozen=True, slots=True)
class ExporterAnswer:
    """What the exporter at `url` answered: its state or why it is unknown, and the chosen servers that it answers for."""

    url: str
    state: ExporterState | None
    failure: str
    servers: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Dependency:
    """A key that an instance needs, with the targets that probe it for this instance."""

    usage: Usage
    targets: tuple[TargetState, ...]

    @property
    def server(self) -> str:
        return self.usage.instance.server_name

    @property
    def key(self) -> str:
        return self.usage.version.uri

    @property
    def place(self) -> tuple[str, str]:
        """The server and the thumbprint of the key."""
        return self.server, self.usage.key.thumbprint

    @property
    def groups(self) -> set[str]:
        """The availability groups of its databases."""
        return {database.ag.casefold() for database in self.usage.databases if database.ag}

    @property
    def clients(self) -> Iterable[str]:
        """The clients of its targets, each once: the client id, else the credential's name."""
        return dict.fromkeys((each.client_id or each.credential).casefold() for each in self.targets)


@dataclass(frozen=True, slots=True)
class RestartReadiness:
    """What is missing for a node and key, and until when what is there holds: a Unix time.

    `address` is that under which an exporter reads the node, empty if none does.
    """

    server: str
    address: str
    thumbprint: str
    key_name: str
    missing: tuple[GateReason, ...]
    until: float

    @property
    def first_missing(self) -> GateReason | None:
        """What is wrong comes before what is not known."""
        return min(self.missing, key=lambda each: not each.known, default=None)

    def answer(self, now: float) -> str:
        """Return `ready`, `not_ready` or `not_known`."""
        if any(each.known for each in self.missing):
            return "not_ready"
        return "ready" if not self.missing and now < self.until else "not_known"


@dataclass(frozen=True, slots=True)
class VaultForecast:
    """The unwraps of a restart in one vault; `shares` of its limit in 10 seconds, by server."""

    vault: str
    unwraps: Counter[str] = field(default_factory=Counter)
    shares: defaultdict[str, float] = field(default_factory=lambda: defaultdict(float))

    @property
    def share(self) -> float:
        return sum(self.shares.values())


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """The answer for the chosen instances at `at`, a Unix time."""

    question: Question
    at: float
    exporters: tuple[ExporterAnswer, ...]
    instances: tuple[str, ...]
    readings: tuple[KnownInstance, ...]
    proofs: tuple[ServerProof, ...]
    now: float
    dependencies: tuple[Dependency, ...]
    forecast: tuple[VaultForecast, ...]
    readiness: tuple[RestartReadiness, ...]
    reasons: tuple[GateReason, ...]
    accepted: tuple[GateReason, ...]  # what would be a reason without the word of a person
    notes: tuple[str, ...]  # what the answer does not cover

    @property
    def vantage(self) -> Vantage | None:
        """The vantage of all exporters that answer, None if there is none or if they differ."""
        vantages = {one.state.vantage for one in self.exporters if one.state is not None and (one.servers or not self.several)}
        return vantages.pop() if len(vantages) == 1 else None

    @property
    def several(self) -> bool:
        return len(self.exporters) > 1

    @property
    def verdict(self) -> str:
        """Return `ready`, `not_ready`, or `not_known` if nothing worse is known."""
        if not self.reasons:
            return "ready"
        return "not_ready" if any(reason.known for reason in self.reasons) else "not_known"


def known_instances(
    inventory: Inventory, states: Iterable[ExporterState], question: Question, *, now: float
) -> tuple[KnownInstance, ...]:
    """Return what is known of each instance at `now`, a Unix time.

    A section of an exporter's reading counts for a shorter time than one of the inventory's file.
    """
    found = [
        KnownInstance(
            instance=instance_of(each), key=identity_of(each).key, document=each, at=known_time(read_at(each)), file=each
        )
        for each in inventory.documents
    ]
    for state in states:
        for reading in state.readings:
            if (own := known_instance(reading)) is not None:
                document, at = inventory_document(reading), reading.read_at.get("instance")
                key = identity_of(document).key
                _add(found, KnownInstance(instance=own, key=key, document=document, at=at, url=state.url, reading=reading))
    contested = tuple(_contested(found))
    instances = [
        replace(
            instance,
            server_name=f"{instance.server_name} ({instance.address})",
            names=instance.names._replace(contested=True),
        )
        if addresses
        else instance
        for instance, addresses in zip(instances_of((each.document for each in found), now), contested, strict=True)
    ]
    return tuple(
        replace(
            each,
            # The sections of an exporter's reading count by their own times.
            instance=instance if each.reading is None else replace(instance, kept={}),
            age=None if each.at is None else now - each.at,
            old={} if each.reading is None else dict(_old(each, each.reading, question, now)),
            contested=addresses,
        )
        for each, instance, addresses in zip(found, instances, contested, strict=True)
    )


def _old(
    source: KnownInstance, reading: SqlServerReading, question: Question, now: float
) -> Iterator[tuple[str, tuple[float | None, float]]]:
    """Yield the sections that were read too long ago, or at an unknown time, with that time and their limit."""
    for name in source.document.sections:
        time, file = time_of(source.document, name), source.file
        is_of_file = file is not None and name in file.sections and time == time_of(file, name)
        limit = question.inventory_age if is_of_file else question.reading_age
        at = known_time(time) if is_of_file or name in source.document.kept else reading.read_at.get(name)
        if at is None or not is_within(now - at, limit):
            yield name, (at, limit)


def _add(found: list[KnownInstance], new: KnownInstance) -> None:
    """Add an instance, or join it with the only one that may be of the same server. Of two that claim one name, each counts."""
    places = [place for place, each in enumerate(found) if is_same_server(each.key, new.key) and not _contradict(each, new)]
    if len(places) == 1:
        found[places[0]] = _joined([found[places[0]], new])
    else:
        found.append(new)


def _contested(found: Sequence[KnownInstance]) -> Iterator[tuple[str, ...]]:
    """Yield of each instance the addresses that answer its name, if another one may be of another server; else none."""
    by_name = grouped((identity_of(each.document).name, each) for each in found)
    for each in found:
        same = by_name[identity_of(each.document).name]
        others = [other for other in same if _contradict(each, other) and is_same_server(each.key, other.key)]
        yield tuple(sorted({one.document.address or "" for one in (each, *others)})) if others else ()


def _contradict(one: KnownInstance, other: KnownInstance) -> bool:
    return (
        one.reading is not None
        and other.reading is not None
        and may_be_two(one.reading, other.reading, of_one_exporter=one.url == other.url)
    )


def _joined(sources: Sequence[KnownInstance]) -> KnownInstance:
    """Return two readings of one server as one: each section from the newer one that has it."""
    earlier, later = sorted(sources, key=lambda each: each.at or 0.0)
    named = max(later, earlier, key=lambda each: len(each.key))  # with its domain, if one of them has it
    readings = [each.reading for each in (later, earlier) if each.reading is not None]
    return replace(
        later,
        key=named.key,
        document=replace(merged(later.document, earlier.document), address=named.document.address),
        reading=reduce(united, readings) if readings else None,
        file=earlier.file or later.file,
    )

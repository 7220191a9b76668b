"""The values of the gate: question, inventory and answer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from exporter.core.durations import ago, moment
from exporter.core.model import Vantage
from exporter.tde.document import Document
from exporter.tde.exporter_state import ExporterState, GateReason, TargetState
from exporter.tde.key_uris import Established
from exporter.tde.model import Instance
from exporter.tde.registry import KeyVersion, RegistryUri
from exporter.tde.server_proof import ServerProof
from exporter.tde.sql_reading import SqlServerReading
from exporter.tde.usage import Usage

DAY = 86400.0
CLOCK_TOLERANCE = 300.0  # seconds between this host and the exporter


def is_within(age: float, limit: float) -> bool:
    """Return whether an age is within its limit, and no more negative than clocks differ."""
    return -CLOCK_TOLERANCE <= age <= limit


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """Which instances restart, and the limits of the answer in seconds.

    `folder` is that of the inventory, for texts.
    """

    instances: tuple[str, ...] = ()
    group: str | None = None
    every: bool = False
    ready_for: float = 3600.0
    window: float = DAY
    inventory_age: float = 35 * DAY
    unwrap_age: float = 900.0
    reading_age: float = 3600.0
    proof_age: float = 35 * DAY
    folder: str = "targets.d"


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

    `url` is of the exporter that made the newest one, empty for the inventory's file. `old` are sections of an older reading than allowed, each with
    its Unix time, None if unknown, and the limit.
    """

    instance: Instance
    at: float | None  # Unix time of the newest reading
    url: str = ""
    reading: SqlServerReading | None = None
    old: Mapping[str, tuple[float | None, float]] = field(default_factory=dict)

    @property
    def server(self) -> str:
        return self.instance.server_name


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


@dataclass(frozen=True, slots=True)
class InstanceReading:
    """When an instance was read: a Unix time, and the seconds since then; None if unknown. `url` is as in KnownInstance."""

    server: str
    at: float | None
    age: float | None
    url: str = ""

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
class VaultForecast:
    """The unwraps of a restart in one vault; `shares` of its limit in 10 seconds, by server."""

    vault: str
    unwraps: Mapping[str, int]
    shares: Mapping[str, float]

    @property
    def total(self) -> int:
        return sum(self.unwraps.values())

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
    readings: tuple[InstanceReading, ...]
    proofs: tuple[ServerProof, ...]
    now: float
    dependencies: tuple[Dependency, ...]
    forecast: tuple[VaultForecast, ...]
    reasons: tuple[GateReason, ...]
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

"""What a metric family is: its type, scope, retention and level, and the group of families that are made from one value."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, Generic, TypeVar

from exporter.metrics.text import Sample


class MetricType(StrEnum):
    GAUGE = "gauge"
    COUNTER = "counter"
    HISTOGRAM = "histogram"
    INFO = "info"  # exposed as a gauge that is always 1


_KINDS: Final = {"info": MetricType.INFO, "total": MetricType.COUNTER}  # by the last word of the name


class SeriesScope(StrEnum):
    """Owner of a series: sets the shared labels, and when the series is removed."""

    TARGET = "target"
    CREDENTIAL = "credential"
    VAULT = "vault"
    ENDPOINT = "endpoint"
    CODE = "code"
    CAUSE = "cause"
    SQL_SERVER = "sql_server"
    EXPORTER = "exporter"


BASE_LABELS: Final[Mapping[SeriesScope, tuple[str, ...]]] = {
    SeriesScope.TARGET: ("target", "vault"),
    SeriesScope.CREDENTIAL: ("credential",),
    SeriesScope.VAULT: ("vault",),
    SeriesScope.ENDPOINT: ("endpoint",),
    SeriesScope.CODE: ("code",),
    SeriesScope.CAUSE: ("link", "name", "reason"),
    SeriesScope.SQL_SERVER: ("sql_instance", "host"),
    SeriesScope.EXPORTER: (),
}


class Retention(StrEnum):
    """How long a value is kept. The text ends the HELP of the family."""

    PROBE = "Of the last probe."
    LAST_KNOWN = "Last known: kept while probes fail."
    AUXILIARY = "Updated by each auxiliary probe."
    CHECKS = "Updated by each preflight run."
    COUNTED = "Counted since the exporter started."
    DECLARED = "From the configuration."
    READ = "Last known: from the last good reading of SQL Server."
    NOW = "Current value."
    STATIC = "Never changes while the exporter runs."


class Level(StrEnum):
    """How much an exporter exposes: a level includes all levels before it."""

    MINIMAL = "minimal"  # what alerts and recording rules use
    DEFAULT = "default"  # and what dashboards use
    FULL = "full"

    def includes(self, other: Level) -> bool:
        return _LEVELS.index(other) <= _LEVELS.index(self)


_LEVELS: Final = tuple(Level)


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricSpec:
    """One metric family. `name` is the name in queries.

    `own` are the labels in addition to those of the scope. `level` is the lowest level with the family, and `bucket_levels` the
    same for each bucket; none means every level.
    """

    name: str
    scope: SeriesScope
    retention: Retention
    help: str
    own: tuple[str, ...] = ()
    level: Level = Level.MINIMAL
    buckets: tuple[float, ...] = ()
    bucket_levels: tuple[Level, ...] = ()

    @property
    def kind(self) -> MetricType:
        return MetricType.HISTOGRAM if self.buckets else _KINDS.get(self.name.rpartition("_")[2], MetricType.GAUGE)

    @property
    def help_text(self) -> str:
        return f"{self.help} {self.retention}"

    def bounds(self, level: Level) -> tuple[float, ...]:
        """Return the upper bounds of the classic buckets at a level."""
        levels = self.bucket_levels or (Level.MINIMAL,) * len(self.buckets)
        return tuple(bound for bound, lowest in zip(self.buckets, levels, strict=True) if level.includes(lowest))

    @property
    def labels(self) -> tuple[str, ...]:
        return BASE_LABELS[self.scope] + self.own

    @property
    def is_counted(self) -> bool:
        return self.kind in (MetricType.COUNTER, MetricType.HISTOGRAM)

    @property
    def type(self) -> str:
        """Return the type for the TYPE line."""
        return MetricType.GAUGE if self.kind is MetricType.INFO else self.kind


Samples = Collection[Sample]
Values = dict[str, Samples]  # by family name; no samples: no series
_T = TypeVar("_T")


class Group(Generic[_T]):
    """Families that are made from one value, so that they are rendered again only if it is another one."""

    def __init__(self, scope: SeriesScope = SeriesScope.TARGET) -> None:
        self.scope = scope
        self.families: dict[str, Callable[[_T], Samples]] = {}

    def family(
        self,
        name: str,
        samples: Callable[[_T], Samples],
        retention: Retention,
        text: str,
        own: str = "",
        *,
        level: Level = Level.MINIMAL,
        scope: SeriesScope | None = None,
    ) -> MetricSpec:
        """Define a family with its value. `own` are its labels in addition to those of the scope, with spaces between them."""
        self.families[name] = samples
        return MetricSpec(
            name=name,
            scope=scope or self.scope,
            retention=retention,
            help=text,
            own=tuple(own.split()),
            level=level,
        )

    def of(self, value: _T | None) -> Values:
        """Return the samples of a value; without one, no series of any family."""
        return {name: () if value is None else samples(value) for name, samples in self.families.items()}


def one(value: float | None) -> list[Sample]:
    """Return one sample without own labels; none for an unknown value."""
    return [] if value is None else [((), value)]

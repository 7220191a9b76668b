"""The shape of a metric: its kind, whose it is, how long its values last, and so its labels and HELP text.

For: `MetricSpec` and the closed lists of its fields.
Not for: the metrics themselves (see `definitions`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final


class MetricType(StrEnum):
    GAUGE = "gauge"
    COUNTER = "counter"
    HISTOGRAM = "histogram"
    INFO = "info"  # exposed as a gauge that is always 1


class Scope(StrEnum):
    """Whose a series is: the labels that all series of one owner share, and what makes them go away."""

    TARGET = "target"
    CREDENTIAL = "credential"
    VAULT = "vault"
    ENDPOINT = "endpoint"
    CODE = "code"
    EXPORTER = "exporter"


BASE_LABELS: Final[Mapping[Scope, tuple[str, ...]]] = {
    Scope.TARGET: ("target", "vault"),
    Scope.CREDENTIAL: ("credential",),
    Scope.VAULT: ("vault",),
    Scope.ENDPOINT: ("endpoint",),
    Scope.CODE: ("code",),
    Scope.EXPORTER: (),
}


class Retention(StrEnum):
    """How long a value lasts; the words end every HELP text."""

    PROBE = "Of the last probe."
    KNOWN = "Last known: kept while probes fail."
    LOOK = "Updated by each auxiliary probe."
    CHECKS = "Updated by each preflight run."
    COUNTED = "Counted since the exporter started."
    DECLARED = "From the configuration."
    NOW = "Current value."
    STATIC = "Never changes while the exporter runs."


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricSpec:
    """One family. `name` is the name in queries; `own` are the labels beyond those its scope shares."""

    name: str
    kind: MetricType
    scope: Scope
    memory: Retention
    help: str
    own: tuple[str, ...] = ()
    buckets: tuple[float, ...] = ()

    @property
    def help_text(self) -> str:
        return f"{self.help} {self.memory}"

    @property
    def labels(self) -> tuple[str, ...]:
        return BASE_LABELS[self.scope] + self.own

    @property
    def type(self) -> str:
        """As the TYPE line names it."""
        return MetricType.GAUGE if self.kind is MetricType.INFO else self.kind

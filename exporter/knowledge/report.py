"""The results of a probe: its steps, each with code and reason, and the report of the whole."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING

from exporter.core.frozen import dataclass
from exporter.core.values import Facts, KeyFacts, Outcome, Phase, Readiness, Step

if TYPE_CHECKING:
    from exporter.knowledge.reasons import Reason


@dataclass(frozen=True, slots=True, kw_only=True)
class StepResult:
    """One step of one probe. `code` is in the target's generation. It is None unless the step failed."""

    step: Step
    outcome: Outcome
    duration: float = 0.0
    code: int | None = None
    reason: Reason | None = None
    facts: Facts | None = None
    shared: bool = False  # another probe fetched the token: not a measurement of this one
    disturbed: bool = False  # this host was slow meanwhile: the duration is not a measurement of the other side

    @property
    def sent(self) -> bool:
        """Whether its request left this host."""
        return self.facts is not None and self.facts.phase_reached in (Phase.WAIT, Phase.TRANSFER)


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbeReport:
    """One whole probe. `started_at` is a Unix time, `duration` seconds."""

    target: str
    started_at: float
    duration: float
    steps: tuple[StepResult, ...]
    readiness: Readiness
    key: KeyFacts | None = None
    tenant: str | None = None
    purge_at: float | None = None  # Unix time at which a soft-deleted key is purged
    purged: bool = False  # the key is not among the deleted ones either

    @property
    def success(self) -> bool:
        outcomes = [result.outcome for result in self.steps]
        return Outcome.OK in outcomes and Outcome.FAILED not in outcomes

    @property
    def discarded(self) -> bool:
        """Whether the probe says nothing, because this host was too slow."""
        return self.readiness.stolen is not None

    @property
    def cut_by_scrape(self) -> bool:
        """Whether the scrape timeout ended a step before the target's timeout."""
        return any(result.facts is not None and result.facts.cut_by_scrape for result in self.steps)

    def purge_after(self, known: float | None) -> float | None:
        """Return when the key is purged; None if it exists or was purged. `known` is the last value."""
        return None if self.key is not None or self.purged else self.purge_at or known

    @property
    def first_failure(self) -> StepResult | None:
        return next((result for result in self.steps if result.outcome is Outcome.FAILED), None)

    @property
    def throttled_facts(self) -> list[Facts]:
        """The facts of every step that failed with HTTP 429."""
        failed = (result.facts for result in self.steps if result.outcome is Outcome.FAILED)
        return [facts for facts in failed if facts is not None and facts.status == HTTPStatus.TOO_MANY_REQUESTS]

    def step(self, step: Step) -> StepResult | None:
        return next((result for result in self.steps if result.step is step), None)

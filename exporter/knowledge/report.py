"""The results of a probe: its steps, each with code and reason, the report of the whole, and both without the secrets of this process."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from http import HTTPStatus
from operator import attrgetter
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from exporter.core.secrets import hide, mask, reveals, stands_in_bytes
from exporter.core.values import Facts, KeyFacts, Outcome, Phase, Readiness, Step, marked
from exporter.knowledge.reasons import Reason


class StepResult(Struct, frozen=True, kw_only=True, gc=False, array_like=True):
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


class ProbeReport(Struct, frozen=True, kw_only=True, gc=False, array_like=True):
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


# The report of a probe without the secrets of this process: what a report keeps of what the servers sent passes here once.


def redacted(report: ProbeReport) -> ProbeReport:
    """Return the report with each text that holds a known secret masked or removed; the same object if there is none."""
    cleaned = [(result, result.facts and redacted_facts(result.facts)) for result in report.steps]
    steps = tuple([result if facts is result.facts else replace(result, facts=facts) for result, facts in cleaned])
    key = None if report.key is None else redacted_key(report.key)
    tenant = None if report.tenant is None else hide(report.tenant)
    if (steps, key, tenant) == (report.steps, report.key, report.tenant):
        return report
    return replace(report, steps=steps, key=key, tenant=tenant)


def redacted_facts(facts: Facts) -> Facts:
    """Return the facts without a known secret in codes and detail; the same object if there is none."""
    sent = _all_sent(facts)
    if not any(sent):  # as in each good response
        return facts
    cleaned = ((name, value, clean(value)) for (name, clean), value in zip(_CLEANERS.items(), sent, strict=True) if value)
    changes: dict[str, Any] = {name: after for name, before, after in cleaned if after != before}
    return replace(facts, **changes) if changes else facts


def redacted_key(key: KeyFacts) -> KeyFacts:
    """Return the key without a known secret; the same object if there is none."""
    if not any(map(reveals, (key.kid, key.kty, *key.key_ops))) and not any(map(stands_in_bytes, (key.modulus, key.exponent))):
        return key
    return replace(
        key,
        name=hide(key.name),
        version=hide(key.version),
        kid=hide(key.kid),
        kty=hide(key.kty),
        modulus=b"" if stands_in_bytes(key.modulus) else key.modulus,
        exponent=b"" if stands_in_bytes(key.exponent) else key.exponent,
        key_ops=tuple(each for each in key.key_ops if not reveals(each)),
    )


def _code(code: str) -> str | None:
    """Return a code that logs may show; None for a secret, an id or an address in its place."""
    return None if reveals(code) or mask(code) != code else code


def _without_secret(value: object) -> object:
    return None if reveals(str(value)) else value


# What is left of a value with a secret, by what the server sent, and the fields of facts with such values.
_CLEAN: Mapping[object, Callable[[Any], object]] = {"code": _code, "value": _without_secret, "sentence": hide}
_CLEANERS = {name: _CLEAN[sent] for name, sent in marked(Facts, "sent").items()}
_all_sent: Callable[[Facts], tuple[Any, ...]] = attrgetter(*_CLEANERS)

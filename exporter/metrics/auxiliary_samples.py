"""Samples of auxiliary probes: staged credential, old versions, recovery, rotation."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from functools import lru_cache
from typing import NamedTuple

from exporter.config.consequences.usage import configured_auxiliary
from exporter.config.settings import Target
from exporter.core.auxiliary import CREDENTIAL_REFUSED, AuxiliaryKind
from exporter.core.model import Outcome, ProbeReport, Step
from exporter.metrics.samples import Values, one
from exporter.metrics.text_format import Sample
from exporter.state.records import TargetRecord


class AuxiliaryUse(NamedTuple):
    """A configured result that is usable or not usable."""

    kind: AuxiliaryKind
    name: str
    credential: str
    usable: bool


class AuxiliaryFacts(NamedTuple):
    """Everything that `auxiliary_samples` shows."""

    credential: str
    accepted: bool | None  # whether Entra ID accepted the credential that SQL Server uses
    results: tuple[AuxiliaryUse, ...]
    rotation_pending: bool | None
    proof_at: float | None


def auxiliary_facts(target: Target, record: TargetRecord, report: ProbeReport | None = None) -> AuxiliaryFacts:
    """Return the facts that the configuration names; equal ones are one object.

    `report` replaces the last one of the record.
    """
    last = report or record.last
    is_current = report is not None or record.credential == target.credential
    accepted = None if last is None or not is_current else _accepted(last)
    proof_at = record.proof_at if target.recovery_vault is not None else None
    results = tuple(_conclusive(target, record, last)) if record.auxiliary else ()
    return _one_object(AuxiliaryFacts(target.credential, accepted, results, record.rotation_pending, proof_at))


@lru_cache(maxsize=256)
def _one_object(facts: AuxiliaryFacts) -> AuxiliaryFacts:
    """Return the first of equal values: those of the targets of a credential are often equal, and each target holds one."""
    return facts


def auxiliary_samples(facts: AuxiliaryFacts) -> Values:
    """Return the samples of all auxiliary probes of a target, and whether its own credential was accepted."""
    own = (("credential", facts.credential), ("role", "current"))
    current: list[Sample] = [] if facts.accepted is None else [(own, float(facts.accepted))]
    return {
        "ekm_credential_usable": [*current, *_staged(facts.results)],
        "ekm_key_rotation_pending": one(facts.rotation_pending),
        "ekm_retained_version_usable": _retained(facts.results),
        "ekm_recovery_usable": [((), float(each.usable)) for each in facts.results if each.kind is AuxiliaryKind.RECOVERY],
        "ekm_recovery_last_success_timestamp_seconds": one(facts.proof_at),
    }


def _accepted(report: ProbeReport) -> bool | None:
    """Return whether the credential was accepted; None if that is unknown."""
    token = report.step(Step.TOKEN)
    if token is None or token.outcome is Outcome.SKIPPED:
        return None
    if token.outcome is Outcome.FAILED and token.reason not in CREDENTIAL_REFUSED:
        return None
    return token.outcome is Outcome.OK


def _conclusive(target: Target, record: TargetRecord, report: ProbeReport | None) -> Iterator[AuxiliaryUse]:
    for result in record.auxiliary.values():
        now = result.at if report is None else max(result.at, report.started_at)
        if result.usable is not None and result.identity in configured_auxiliary(target, datetime.fromtimestamp(now, UTC).date()):
            yield AuxiliaryUse(result.kind, result.name, result.credential, result.usable)


def _staged(results: Iterable[AuxiliaryUse]) -> list[Sample]:
    return [
        ((("credential", each.credential), ("role", "next")), float(each.usable))
        for each in results
        if each.kind is AuxiliaryKind.NEXT
    ]


def _retained(results: Iterable[AuxiliaryUse]) -> list[Sample]:
    """Return one sample for each key version.

    A version in two vaults must be usable in both.
    """
    found: dict[str, bool] = {}
    for each in results:
        if each.kind is AuxiliaryKind.RETAINED:
            found[each.name] = found.get(each.name, True) and each.usable
    parts = {name: name.rpartition("/") for name in found}
    return [((("key", parts[name][0]), ("version", parts[name][2])), float(usable)) for name, usable in found.items()]

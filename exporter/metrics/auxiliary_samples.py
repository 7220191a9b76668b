"""Samples of auxiliary probes: staged credential, old versions, recovery, rotation."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime

from exporter.config.consequences.usage import configured_auxiliary
from exporter.config.settings import Target
from exporter.core.auxiliary import CREDENTIAL_REFUSED, AuxiliaryKind, AuxiliaryResult
from exporter.core.model import Outcome, ProbeReport, Step
from exporter.metrics.samples import Values, one
from exporter.metrics.text_format import Sample
from exporter.state.records import TargetRecord


def auxiliary_samples(target: Target, record: TargetRecord, report: ProbeReport | None = None) -> Values:
    """Return the samples of what the configuration names.

    `report` replaces the last one of the record.
    """
    last = report or record.last
    is_current = report is not None or record.credential == target.credential
    current = [] if last is None or not is_current else _current(target, last)
    results = list(_conclusive(target, record, last))
    return {
        "ekm_credential_usable": [*current, *_staged(results)],
        "ekm_key_rotation_pending": one(record.rotation_pending),
        "ekm_retained_version_usable": _retained(results),
        "ekm_recovery_usable": [((), float(usable)) for result, usable in results if result.kind is AuxiliaryKind.RECOVERY],
        "ekm_recovery_last_success_timestamp_seconds": one(record.proof_at if target.recovery_vault is not None else None),
    }


def _current(target: Target, report: ProbeReport) -> list[Sample]:
    """Return whether the credential that SQL Server uses was accepted."""
    token = report.step(Step.TOKEN)
    if token is None or token.outcome is Outcome.SKIPPED:
        return []
    if token.outcome is Outcome.FAILED and token.reason not in CREDENTIAL_REFUSED:
        return []
    return [((("credential", target.credential), ("role", "current")), float(token.outcome is Outcome.OK))]


def _conclusive(target: Target, record: TargetRecord, report: ProbeReport | None) -> Iterator[tuple[AuxiliaryResult, bool]]:
    """Yield the configured results that are usable or not usable."""
    for result in record.auxiliary.values():
        now = result.at if report is None else max(result.at, report.started_at)
        if result.usable is not None and result.identity in configured_auxiliary(target, datetime.fromtimestamp(now, UTC).date()):
            yield result, result.usable


def _staged(results: Iterable[tuple[AuxiliaryResult, bool]]) -> list[Sample]:
    return [
        ((("credential", result.credential), ("role", "next")), float(usable))
        for result, usable in results
        if result.kind is AuxiliaryKind.NEXT
    ]


def _retained(results: Iterable[tuple[AuxiliaryResult, bool]]) -> list[Sample]:
    """Return one sample for each key version.

    A version in two vaults must be usable in both.
    """
    found: dict[str, bool] = {}
    for result, usable in results:
        if result.kind is AuxiliaryKind.RETAINED:
            found[result.name] = found.get(result.name, True) and usable
    parts = {name: name.rpartition("/") for name in found}
    return [((("key", parts[name][0]), ("version", parts[name][2])), float(usable)) for name, usable in found.items()]

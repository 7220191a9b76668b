"""The JSON of probes, targets and preflight checks, as plain dictionaries.

Fields may be added; none will be removed. Unknown is None; times are RFC 3339 in UTC.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from exporter.config.settings import Credential, ExpectPath, Target
from exporter.core.durations import moment
from exporter.core.values import Facts, KeyFacts, Outcome, Readiness, Vantage, VaultHeaders, marked
from exporter.knowledge.checks import BY_NAME
from exporter.knowledge.checks_vault import CheckRun
from exporter.knowledge.codes import BY_CODE
from exporter.knowledge.expiry import CredentialExpiry
from exporter.knowledge.report import ProbeReport, StepResult
from exporter.knowledge.verdict import NOT_TESTED, deciding_failure, readiness_text
from exporter.presentation.expiries import DAY, Ending, credential_ending
from exporter.presentation.text import auxiliary_results
from exporter.state.history import HistoryEntry
from exporter.state.record import FailureSummary, TargetRecord, readiness_at, unsteady_at

Payload = dict[str, Any]
_FACTS = marked(Facts, "json")


def probe_payload(target: Target, report: ProbeReport) -> Payload:
    """Return one probe, for `probe --json` and for a target's history."""
    return {
        "target": target.name,
        "vault": target.vault,
        "key": target.key_name,
        "key_version": target.key_version if report.key is None else report.key.version,
        "started_at": moment(report.started_at),
        "duration_seconds": _seconds(report.duration),
        "success": None if report.discarded else report.success,
        "vault_side_ready": report.readiness.ready,
        "why": report.readiness.why,
        **_failures(report),
        "tainted": report.discarded,
        "steps": [step_payload(result) for result in report.steps],
    }


def target_row(target: Target, record: TargetRecord | None, *, now: float) -> Payload:
    """Return one target of the list, with its verdict at `now` (Unix time)."""
    report = None if record is None else record.last
    readiness, unsteady = readiness_at(target, record, now), unsteady_at(record, now)
    return {
        "target": target.name,
        "vault": target.vault,
        "key": target.key_name,
        "key_version": target.key_version,
        "success": None if report is None else report.success,
        "vault_side_ready": readiness.ready,
        "why": readiness.why,
        "ready_since": moment_or_none(None if record is None or not readiness.ready else record.ready_since),
        "last_not_ready": moment_or_none(None if record is None else record.not_ready_at),
        "unsteady": None if unsteady is None else {"failed": unsteady.failed, "of": unsteady.probes, "code": unsteady.most.code},
        "last_unwrap": moment_or_none(None if record is None else record.unwrapped_at),
        **_failures(report),
        "rotation_pending": None if record is None else record.rotation_pending,
        "last_probe": moment_or_none(None if record is None else record.last_probe_at),
        "last_success": moment_or_none(None if record is None else record.last_success_at),
        "key_type": None if record is None or record.key is None else record.key.kty,
        "key_size_bits": None if record is None or record.key is None else record.key.size_bits,
        "next_credential_usable": None if record is None else record.staged_usable,
        "labels": dict(target.labels),
        "instances": [dict(instance) for instance in target.instances],
    }


def gate_row(
    target: Target, record: TargetRecord | None, credential: Credential, expiries: Iterable[CredentialExpiry], *, now: float
) -> Payload:
    """Return what the gate needs of a target: the credential and its expiry too, which is None if unknown."""
    ending = credential_ending(expiries)
    return {
        **target_row(target, record, now=now),
        "credential": credential.name,
        "credential_type": credential.kind.value,
        "client_id": credential.client_id,
        "credential_expires_at": moment_or_none(None if ending is None else ending.at),
    }


def ending_payload(ending: Ending, *, now: float) -> Payload:
    """Return one expiry date, with the alert about it at `now` (Unix time)."""
    return {
        "kind": ending.kind.value,
        "name": ending.name,
        "source": ending.source,
        "expires_at": moment(ending.at),
        "days_left": round((ending.at - now) / DAY, 1),
        "alert": ending.alert(now),
        "wrong": ending.wrong or None,
        "targets": len(ending.targets),
    }


def schedule_payload(record: TargetRecord | None) -> Payload:
    """Return how often in succession the probes of a target failed, and when the next one is due."""
    return {
        "consecutive_failures": 0 if record is None else record.consecutive_failures,
        "next_probe": moment_or_none(None if record is None else record.next_probe_at),
    }


def earlier(record: TargetRecord | None, history: Sequence[HistoryEntry]) -> list[FailureSummary]:
    """Return the summaries of failures before a restart, newest first. `history` is newest first too."""
    if record is None:
        return []
    oldest = history[-1].report.started_at if history else float("inf")
    return [each for each in reversed(record.last_failures) if each.at < oldest]


def earlier_payload(summary: FailureSummary) -> Payload:
    """Return one failure before a restart."""
    return {
        "started_at": moment(summary.at),
        "step": summary.step or None,
        "code": summary.code,
        "symbol": _symbol(summary.code),
        "reason": summary.reason,
        "http_status": summary.http_status,
        "request_id": summary.request_id,
    }


def entry_payload(target: Target, entry: HistoryEntry) -> Payload:
    """Return one entry of a history, with the target as it was when the probe started."""
    return {"id": entry.id, **probe_payload(target if entry.context is None else entry.context.target, entry.report)}


def step_payload(result: StepResult) -> Payload:
    """Return one step of a probe or an auxiliary probe."""
    facts = result.facts or Facts()
    return {
        "step": result.step.value,
        "outcome": result.outcome.value,
        "code": result.code,
        "symbol": _symbol(result.code),
        "reason": None if result.reason is None else result.reason.value,
        "duration_seconds": None if result.outcome is Outcome.SKIPPED else _seconds(result.duration),
        "phases": {phase.value: _seconds(spent) for phase, spent in facts.phases.items()},
        "phase_reached": None if facts.phase_reached is None else facts.phase_reached.value,
        **{shown: None if (value := getattr(facts, name)) == "" else value for name, shown in _FACTS.items()},
        "shared": result.shared,
    }


def failure_payload(failure: StepResult | None) -> Payload:
    """Return step, code and reason of the first failure; all None without a failure."""
    step, code, reason = (None, None, None) if failure is None else (failure.step, failure.code, failure.reason)
    return {"step": step, "code": code, "symbol": _symbol(code), "reason": reason}


def _failures(report: ProbeReport | None) -> Payload:
    """Return the first failure, and the failed step that pages, log and metrics name.

    That is a failed unwrap rather than a failed wrap, because it keeps databases closed.
    """
    first, deciding = (None, None) if report is None else (report.first_failure, deciding_failure(report))
    return {**failure_payload(first), "deciding_step": None if deciding is None else deciding.step}


def _symbol(code: int | None) -> str | None:
    error = None if code is None else BY_CODE.get(code)
    return None if error is None else error.symbol


def moment_or_none(unix: float | None) -> str | None:
    """Return a Unix time in RFC 3339, in UTC; None if unknown."""
    return None if unix is None else moment(unix)


def _seconds(value: float) -> float:
    return round(value, 6)  # the resolution of the clock


def verdict_payload(readiness: Readiness, vantage: Vantage, not_tested: str = NOT_TESTED) -> Payload:
    """Return the verdict in words, and what nothing tested."""
    return {"vantage": vantage.value, "verdict": readiness_text(readiness, vantage), "not_tested": not_tested}


def target_details_payload(
    target: Target, record: TargetRecord | None, expiries: Iterable[CredentialExpiry], expected: ExpectPath, *, now: float
) -> Payload:
    """Return auxiliary probes, key facts, network path and expiries of a target. `now` is a Unix time."""
    auxiliary = () if record is None else auxiliary_results(target, record, now=now)
    vault = VaultHeaders() if record is None else record.vault
    return {
        "auxiliary_probes": [
            {
                "what": result.kind.value,
                "name": result.name,
                "vault": result.vault,
                "credential": result.credential,
                "at": moment_or_none(result.at),
                "usable": result.usable,
                **failure_payload(result.failure),
                "key_version": None if result.key is None else result.key.version,
                "steps": [step_payload(step) for step in result.steps],
            }
            for _, result in auxiliary
            if result is not None
        ],
        "key_facts": None if record is None or record.key is None else _key(record.key),
        "rotation_pending": None if record is None else record.rotation_pending,
        "newest_version": None if record is None else record.newest_version,
        "scheduled_purge": moment_or_none(None if record is None else record.purge_at),
        "recovery_last_success": moment_or_none(None if record is None else record.proof_at),
        "path": {
            "region": vault.region,
            "service_version": vault.service_version,
            "connection": vault.connection,
            "expected": None if expected is ExpectPath.ANY else expected.value,
            "as_expected": expected.met_by(vault.connection),
        },
        "credential_expiries": [{"credential": each.credential, **expiry_payload(each)} for each in expiries],
    }


def checks_payload(run: CheckRun | None) -> Payload | None:
    """Return time and failures of the last preflight run. `fix` is a multi-line text, as in `doctor --json`."""
    if run is None:
        return None
    failed = [
        {
            "check": result.check,
            "title": BY_NAME[result.check].title,
            "code": result.code,
            "detail": result.detail,
            "fix": "\n".join(result.fix) or None,
        }
        for result in run.failed
    ]
    return {"at": moment_or_none(run.at), "failed": failed}


def _key(key: KeyFacts) -> Payload:
    return {
        "name": key.name,
        "version": key.version,
        "kty": key.kty,
        "size_bits": key.size_bits,
        "enabled": key.enabled,
        "not_before": moment_or_none(key.not_before),
        "expires": moment_or_none(key.expires),
        "key_ops": list(key.key_ops),
        "supported": key.supported,
    }


def expiry_payload(expiry: CredentialExpiry) -> Payload:
    """Return the expiry of a credential by one source."""
    return {
        "source": expiry.source.value,
        "expires_at": moment_or_none(expiry.expires_at),
        "looked_up_at": moment_or_none(expiry.looked_up_at),
        "failure": expiry.failure or None,
        "wrong": expiry.wrong or None,
    }

"""Gauge and info samples as pure functions of record and report.

An unknown value is an empty list, which is no series; it is never 0.
"""

from __future__ import annotations

from collections.abc import Collection
from functools import lru_cache

from exporter.config.model import ExpectPath, Target
from exporter.core.auxiliary import CREDENTIAL_REFUSED
from exporter.core.codes import BY_CODE
from exporter.core.model import KeyFacts, Outcome, PeerCertificate, Phase, ProbeReport, Step, StepResult, VaultHeaders
from exporter.core.readiness import deciding_failure
from exporter.metrics.text_format import Sample
from exporter.state.records import TargetRecord

# By family name.
Values = dict[str, list[Sample]]

_KEY_FAMILIES = (
    "ekm_key_info",
    "ekm_key_enabled",
    "ekm_key_supported",
    "ekm_key_expiry_timestamp_seconds",
    "ekm_key_not_before_timestamp_seconds",
)


def report_samples(report: ProbeReport, phases: Collection[Phase] = tuple(Phase)) -> Values:
    """Return the results of one probe, with the durations of `phases`."""
    return timing_samples(report, phases) | outcome_samples(report)


def timing_samples(report: ProbeReport, phases: Collection[Phase]) -> Values:
    """Return the results that differ in each probe."""
    return {
        "ekm_probe_duration_seconds": one(report.duration),
        "ekm_last_probe_timestamp_seconds": one(report.started_at),
        "ekm_step_phase_duration_seconds": [
            sample
            for result in report.steps
            if result.outcome is not Outcome.SKIPPED and not result.shared
            for sample in _phases(result, phases)
        ],
    }


def outcome_samples(report: ProbeReport) -> Values:
    """Return the results that are the same in most probes: a pure function of `outcome_of`."""
    made = [result for result in report.steps if result.outcome is not Outcome.SKIPPED]
    return {
        "ekm_probe_success": one(report.success),
        "ekm_step_success": [(_step(result), float(result.outcome is Outcome.OK)) for result in made],
        "ekm_last_error_code": _last_error_code(report),
        "ekm_last_failure_info": _failure(deciding_failure(report)),
        "ekm_retry_after_seconds": [(_step(result), retry) for result in made if (retry := _retry_after(result)) is not None],
        "ekm_vault_side_ready": one(report.readiness.ready),
    }


def outcome_of(report: ProbeReport) -> object:
    """Return everything in a report that `outcome_samples` depends on; equal ones are one object."""
    steps = [(result.step, result.outcome, result.code, result.reason, _retry_after(result)) for result in report.steps]
    return _one_object((report.readiness.ready, *steps))


@lru_cache(maxsize=256)
def _one_object(outcome: object) -> object:
    """Return the first of equal values: those of most targets are equal, and each target holds one."""
    return outcome


def record_samples(record: TargetRecord, expected: ExpectPath) -> Values:
    """Return the last known values of a target apart from its last report."""
    return time_samples(record) | fact_samples(record, expected)


def time_samples(record: TargetRecord) -> Values:
    """Return the last known times that change with each probe."""
    return {
        "ekm_last_success_timestamp_seconds": one(record.last_success_at),
        "ekm_next_probe_timestamp_seconds": one(record.next_probe_at),
    }


def fact_samples(record: TargetRecord, expected: ExpectPath) -> Values:
    """Return the last known values that most probes do not change: a pure function of `facts_of` and `expected`."""
    return {
        **run_samples(record),
        **key_samples(record.key),
        **vault_samples(record.vault, expected),
        "ekm_key_scheduled_purge_timestamp_seconds": one(record.purge_at),
    }


def facts_of(record: TargetRecord) -> object:
    """Return everything in a record that `fact_samples` depends on."""
    runs = (record.consecutive_failures, record.consecutive_blocking, record.consecutive_unready)
    return record.last is None, runs, record.key, record.vault, record.purge_at


def run_samples(record: TargetRecord) -> Values:
    """Return the numbers of failed probes in a row.

    None before the first probe of this process.
    """
    if record.last is None:
        return {}
    return {
        "ekm_consecutive_failures": one(record.consecutive_failures),
        "ekm_consecutive_blocking_failures": one(record.consecutive_blocking),
        "ekm_consecutive_unready_probes": one(record.consecutive_unready),
    }


def key_samples(key: KeyFacts | None) -> Values:
    """Return the facts about the key version; no series if it was never read."""
    if key is None:
        return {family: [] for family in _KEY_FAMILIES}
    info = (("key", key.name), ("version", key.version), ("kty", key.kty), ("size_bits", str(key.size_bits)))
    return {
        "ekm_key_info": [(info, 1.0)],
        "ekm_key_enabled": one(key.enabled),
        "ekm_key_supported": one(key.supported),
        "ekm_key_expiry_timestamp_seconds": one(key.expires),
        "ekm_key_not_before_timestamp_seconds": one(key.not_before),
    }


def vault_samples(vault: VaultHeaders, expected: ExpectPath) -> Values:
    """Return the last known vault headers; an unknown header has an empty label."""
    if not (vault.region or vault.service_version or vault.connection):
        return {}
    info = (
        ("region", vault.region or ""),
        ("service_version", vault.service_version or ""),
        ("connection", vault.connection or ""),
    )
    return {"ekm_vault_info": [(info, 1.0)], "ekm_path_as_expected": one(expected.met_by(vault.connection))}


def endpoint_samples(report: ProbeReport) -> dict[str, Values]:
    """Return certificate expiry and clock skew by endpoint (host:port)."""
    shown: dict[str, Values] = {}
    now = report.started_at
    for result in report.steps:
        facts = result.facts
        if facts is None or result.shared:
            continue
        now = min(now + result.duration, report.started_at + report.duration)
        if facts.endpoint is None:
            continue
        values = shown.setdefault(facts.endpoint, {})
        if facts.certificate is not None:
            values.update(certificate_samples(facts.certificate))
        if facts.server_time is not None and not report.tainted:
            # The Date header has whole seconds: add the average of the missing fraction.
            values["ekm_clock_skew_seconds"] = one(facts.server_time + 0.5 - now)
    return shown


def certificate_samples(shown: PeerCertificate) -> Values:
    """Return the expiry of the certificate of an endpoint."""
    return {"ekm_tls_certificate_expiry_timestamp_seconds": one(shown.not_after)}


def on_demand_samples(report: ProbeReport, record: TargetRecord) -> Values:
    """Return the values of /probe that no scrape has."""
    made = [result for result in report.steps if result.outcome is not Outcome.SKIPPED]
    return {
        "ekm_last_success_timestamp_seconds": one(report.started_at if report.success else record.last_success_at),
        "ekm_key_scheduled_purge_timestamp_seconds": one(report.purge_after(record.purge_at)),
        "ekm_probe_step_duration_seconds": [(_step(result), result.duration) for result in made],
        "probe_success": one(report.success),
        "probe_duration_seconds": one(report.duration),
    }


def one(value: float | None) -> list[Sample]:
    """Return one sample without own labels; none for an unknown value."""
    return [] if value is None else [((), value)]


def _step(result: StepResult) -> tuple[tuple[str, str], ...]:
    return (("step", result.step),)


def _retry_after(result: StepResult) -> float | None:
    return None if result.facts is None else result.facts.retry_after_seconds


def _phases(result: StepResult, shown: Collection[Phase]) -> list[Sample]:
    if result.facts is None:
        return []
    return [
        ((("phase", phase), ("step", result.step)), seconds) for phase, seconds in result.facts.phases.items() if phase in shown
    ]


def _last_error_code(report: ProbeReport) -> list[Sample]:
    failure = deciding_failure(report)
    if failure is None:
        return one(0 if report.success else None)
    return one(failure.code)


def _failure(failure: StepResult | None) -> list[Sample]:
    if failure is None or failure.code is None:
        return []
    entry = BY_CODE.get(failure.code)
    labels = (
        ("code", str(failure.code)),
        ("reason", failure.reason or ""),
        ("step", failure.step),
        ("symbol", entry.symbol if entry else ""),
    )
    return [(labels, 1.0)]


def current_credential(target: Target, report: ProbeReport) -> list[Sample]:
    """Return whether the credential that SQL Server uses was accepted."""
    token = report.step(Step.TOKEN)
    if token is None or token.outcome is Outcome.SKIPPED:
        return []
    if token.outcome is Outcome.FAILED and token.reason not in CREDENTIAL_REFUSED:
        return []
    return [((("credential", target.credential), ("role", "current")), float(token.outcome is Outcome.OK))]

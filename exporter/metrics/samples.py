"""Gauge and info samples as pure functions of configuration, record and report.

An unknown value is an empty list, which is no series; it is never 0.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

from exporter.config.model import Config, Credential, ExpectPath, Module, Target
from exporter.core.auxiliary import CREDENTIAL_REFUSED
from exporter.core.checks import CheckOutcome, CheckResult
from exporter.core.codes import BY_CODE, ConnectorError
from exporter.core.codes.actions import first_action
from exporter.core.credential_expiry import Source, start_of
from exporter.core.endpoints import cloud_of
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


def config_samples(config: Config, target: Target, module: Module, tenant: str | None) -> Values:
    """Return what the configuration declares.

    `tenant` from a challenge replaces the configured one.
    """
    credential = config.credentials[target.credential]
    cloud = cloud_of(target.vault)
    info = {
        **target.labels,
        "key": target.key,
        "credential": credential.name,
        "module": module.name,
        "mode": module.mode,
        "cloud": cloud.name if cloud else "",
        "tenant": tenant or credential.tenant_id or "",
        "generation": target.generation,
        "pin": "none" if target.key_version is None else "config",
        "vantage": config.settings.vantage,
        "thumbprint": target.thumbprint or "",
    }
    return {
        "ekm_probe_interval_seconds": _one(target.interval),
        "ekm_key_backup_timestamp_seconds": _one(None if target.backup_on is None else start_of(target.backup_on)),
        "ekm_target_info": [(tuple(info.items()), 1.0)],
        "ekm_instance_info": [(instance, 1.0) for instance in dict.fromkeys(tuple(each.items()) for each in target.instances)],
    }


def report_samples(report: ProbeReport, phases: Collection[Phase] = tuple(Phase)) -> Values:
    """Return the results of one probe, with the durations of `phases`."""
    made = [result for result in report.steps if result.outcome is not Outcome.SKIPPED]
    return {
        "ekm_probe_success": _one(report.success),
        "ekm_probe_duration_seconds": _one(report.duration),
        "ekm_last_probe_timestamp_seconds": _one(report.started_at),
        "ekm_step_success": [(_step(result), float(result.outcome is Outcome.OK)) for result in made],
        "ekm_step_phase_duration_seconds": [sample for result in made if not result.shared for sample in _phases(result, phases)],
        "ekm_last_error_code": _last_error_code(report),
        "ekm_last_failure_info": _failure(deciding_failure(report)),
        "ekm_retry_after_seconds": [
            (_step(result), result.facts.retry_after_seconds)
            for result in made
            if result.facts is not None and result.facts.retry_after_seconds is not None
        ],
        "ekm_vault_side_ready": _one(report.readiness.ready),
    }


def run_samples(record: TargetRecord) -> Values:
    """Return the numbers of failed probes in a row.

    None before the first probe of this process.
    """
    if record.last is None:
        return {}
    return {
        "ekm_consecutive_failures": _one(record.consecutive_failures),
        "ekm_consecutive_blocking_failures": _one(record.consecutive_blocking),
        "ekm_consecutive_unready_probes": _one(record.consecutive_unready),
    }


def record_samples(record: TargetRecord, expected: ExpectPath) -> Values:
    """Return the last known values of a target apart from its last report."""
    return {
        **run_samples(record),
        **key_samples(record.key),
        **vault_samples(record.vault, expected),
        "ekm_last_success_timestamp_seconds": _one(record.last_success_at),
        "ekm_next_probe_timestamp_seconds": _one(record.next_probe_at),
        "ekm_key_scheduled_purge_timestamp_seconds": _one(record.purge_at),
    }


def key_samples(key: KeyFacts | None) -> Values:
    """Return the facts about the key version; no series if it was never read."""
    if key is None:
        return {family: [] for family in _KEY_FAMILIES}
    info = (("key", key.name), ("version", key.version), ("kty", key.kty), ("size_bits", str(key.size_bits)))
    return {
        "ekm_key_info": [(info, 1.0)],
        "ekm_key_enabled": _one(key.enabled),
        "ekm_key_supported": _one(key.supported),
        "ekm_key_expiry_timestamp_seconds": _one(key.expires),
        "ekm_key_not_before_timestamp_seconds": _one(key.not_before),
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
    return {"ekm_vault_info": [(info, 1.0)], "ekm_path_as_expected": _one(expected.met_by(vault.connection))}


def credential_samples(credential: Credential, lookups: Mapping[Source, tuple[float | None, float]]) -> Values:
    """Return the expiry of a credential by source.

    `lookups` holds the date, if any, and the time of each lookup.
    """
    declared = {} if credential.expires_on is None else {Source.DECLARED: start_of(credential.expires_on)}
    found = {source: end for source, (end, _) in lookups.items() if end is not None}
    ends: list[Sample] = [((("source", source),), end) for source, end in {**declared, **found}.items()]
    return {
        "ekm_credential_expiry_timestamp_seconds": ends,
        "ekm_credential_expiry_known": _one(bool(ends) if ends or credential.may_expire else None),
        "ekm_credential_expiry_lookup_last_success_timestamp_seconds": [
            ((("source", source),), at) for source, (_, at) in lookups.items()
        ],
    }


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
            values["ekm_clock_skew_seconds"] = _one(facts.server_time + 0.5 - now)
    return shown


def certificate_samples(shown: PeerCertificate) -> Values:
    """Return the expiry of the certificate of an endpoint."""
    return {"ekm_tls_certificate_expiry_timestamp_seconds": _one(shown.not_after)}


def check_samples(results: Iterable[CheckResult] | None) -> Values:
    """Return the failed preflight checks; None before the first run.

    Only the outcome `fail` counts.
    """
    failed = None if results is None else [result.check for result in results if result.outcome is CheckOutcome.FAIL]
    return {
        "ekm_preflight_failed_checks": _one(None if failed is None else len(failed)),
        "ekm_preflight_failed": [((("check", name),), 1.0) for name in failed or ()],
    }


def error_samples(error: ConnectorError) -> Values:
    """Return the meaning of an error code."""
    info = (
        ("symbol", error.symbol),
        ("category", error.category),
        ("owner", error.owner),
        ("summary", error.summary),
        ("action", first_action(error.code)),
    )
    return {"ekm_error_info": [(info, 1.0)]}


def on_demand_samples(report: ProbeReport, record: TargetRecord) -> Values:
    """Return the values of /probe that no scrape has."""
    made = [result for result in report.steps if result.outcome is not Outcome.SKIPPED]
    return {
        "ekm_last_success_timestamp_seconds": _one(report.started_at if report.success else record.last_success_at),
        "ekm_key_scheduled_purge_timestamp_seconds": _one(report.purge_after(record.purge_at)),
        "ekm_probe_step_duration_seconds": [(_step(result), result.duration) for result in made],
        "probe_success": _one(report.success),
        "probe_duration_seconds": _one(report.duration),
    }


def _one(value: float | None) -> list[Sample]:
    return [] if value is None else [((), value)]


def _step(result: StepResult) -> tuple[tuple[str, str], ...]:
    return (("step", result.step),)


def _phases(result: StepResult, shown: Collection[Phase]) -> list[Sample]:
    if result.facts is None:
        return []
    return [
        ((("phase", phase), ("step", result.step)), seconds) for phase, seconds in result.facts.phases.items() if phase in shown
    ]


def _last_error_code(report: ProbeReport) -> list[Sample]:
    failure = deciding_failure(report)
    if failure is None:
        return _one(0 if report.success else None)
    return _one(failure.code)


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

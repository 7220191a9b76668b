"""Gauge and info samples of a target as pure functions of configuration, record and report, those of auxiliary probes included.

An unknown value is an empty list, which is no series; it is never 0.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from datetime import UTC, datetime
from functools import lru_cache
from typing import NamedTuple

from exporter.config.settings import Config, Credential, ExpectPath, Module, Target
from exporter.config.usage import configured_auxiliary
from exporter.core.names import cloud_of
from exporter.core.values import KeyFacts, Outcome, PeerCertificate, Phase, Step, VaultHeaders
from exporter.knowledge.causes import Cause
from exporter.knowledge.checks_vault import CheckOutcome, CheckResult
from exporter.knowledge.code_row import ConnectorError
from exporter.knowledge.codes import BY_CODE
from exporter.knowledge.expiry import Source, start_of
from exporter.knowledge.incident import RUN, CommonCause, Page, Runs, counted_run, least_run
from exporter.knowledge.reasons import Reason
from exporter.knowledge.report import ProbeReport
from exporter.knowledge.verdict import CREDENTIAL_REFUSED, AuxiliaryKind, AuxiliaryResult, deciding_failure
from exporter.metrics.text import Labels, Sample
from exporter.state.record import TargetRecord

# By family name.
Values = dict[str, list[Sample]]

_RUN_FAMILIES = ("ekm_consecutive_failures", "ekm_consecutive_blocking_failures", "ekm_consecutive_unready_probes")


class ProbeOutcome(NamedTuple):
    """Everything in a report that `outcome_samples` shows."""

    success: bool | None
    ready: bool | None
    steps: tuple[tuple[Step, bool, float | None], ...]  # each step that was made: whether it succeeded, and its Retry-After
    failure: tuple[Step, int | None, Reason | None] | None  # the step that decides, its code and reason


UNKNOWN = ProbeOutcome(None, None, (), None)


class RecordFacts(NamedTuple):
    """Everything that `fact_samples` shows: of a record, and the network path that the module expects."""

    runs: Runs | None  # None before the first probe
    key: KeyFacts | None
    vault: VaultHeaders
    purge_at: float | None
    expected: ExpectPath


def report_samples(report: ProbeReport, phases: Collection[Phase] = tuple(Phase)) -> Values:
    """Return the results of one probe, with the durations of `phases`."""
    return timing_samples(report, phases) | outcome_samples(outcome_of(report))


def timing_samples(report: ProbeReport, phases: Collection[Phase]) -> Values:
    """Return the results that differ in each probe."""
    return {
        "ekm_probe_duration_seconds": one(report.duration),
        "ekm_last_probe_timestamp_seconds": one(report.started_at),
        "ekm_step_phase_duration_seconds": [
            ((("phase", phase), ("step", result.step)), seconds)
            for result in report.steps
            if result.outcome is not Outcome.SKIPPED and not result.shared and result.facts is not None
            for phase, seconds in result.facts.phases.items()
            if phase in phases
        ],
    }


def outcome_samples(outcome: ProbeOutcome) -> Values:
    """Return the results that are the same in most probes."""
    step, code, reason = outcome.failure or (None, None, None)
    info: Labels | None = None
    if step is not None and code is not None:
        symbol = BY_CODE[code].symbol if code in BY_CODE else ""
        info = ("code", str(code)), ("reason", reason or ""), ("step", step), ("symbol", symbol)
    return {
        "ekm_probe_success": one(outcome.success),
        "ekm_step_success": [((("step", step),), float(ok)) for step, ok, _ in outcome.steps],
        "ekm_last_error_code": one(0 if outcome.success else code),
        "ekm_last_failure_info": [] if info is None else [(info, 1.0)],
        "ekm_retry_after_seconds": [((("step", step),), retry) for step, _, retry in outcome.steps if retry is not None],
        "ekm_vault_side_ready": one(outcome.ready),
    }


def outcome_of(report: ProbeReport) -> ProbeOutcome:
    """Return what a report shows: nothing if it is discarded. Equal results are one object."""
    if report.discarded:
        return UNKNOWN
    made = [result for result in report.steps if result.outcome is not Outcome.SKIPPED]
    steps = tuple(
        (each.step, each.outcome is Outcome.OK, None if each.facts is None else each.facts.retry_after_seconds) for each in made
    )
    failure = deciding_failure(report)
    decides = None if failure is None else (failure.step, failure.code, failure.reason)
    return _one_outcome(ProbeOutcome(report.success, report.readiness.ready, steps, decides))


@lru_cache(maxsize=256)
def _one_outcome(outcome: ProbeOutcome) -> ProbeOutcome:
    """Return the first of equal values: those of most targets are equal, and each target holds one."""
    return outcome


class FailureAdvice(NamedTuple):
    """What a failure's series says, as values of labels."""

    action: str
    meaning: str
    owner: str
    page: Page


def action_samples(advice: FailureAdvice | None) -> Values:
    """Return the first action for a failure, what happened, who acts and its page; no series without a failure."""
    return {"ekm_failure_action_info": [] if advice is None else [(tuple(advice._asdict().items()), 1.0)]}


def cause_samples(cause: Cause | None) -> Values:
    """Return the cause of a failure."""
    return {"ekm_failure_cause_info": [] if cause is None else [(cause_labels(cause), 1.0)]}


def cause_labels(cause: Cause) -> Labels:
    return ("link", cause.link), ("name", cause.name), ("reason", cause.reason or "")


class Standing(NamedTuple):
    """What the incident of a failure follows from: the deciding step, and the failed probes in a row, counted up to those that page."""

    step: Step
    code: int | None
    reason: Reason | None
    run: int
    least: int


def standing_of(record: TargetRecord) -> Standing | None:
    """Return how the present failure of a target stands; None without one."""
    failure = None if record.last is None else deciding_failure(record.last)
    if record.last is None or failure is None:
        return None
    gap = None if record.next_probe_at is None or record.last_probe_at is None else record.next_probe_at - record.last_probe_at
    run = counted_run(failure.step, failure.code, failure.reason, runs_of(record), record.last.readiness)
    least = least_run(failure.code, interval=record.target.interval, gap=gap)
    return Standing(failure.step, failure.code, failure.reason, min(run, RUN), least)


class Incident(NamedTuple):
    """A failure that pages: since when, as a Unix time, its page and its common cause."""

    since: float
    page: Page
    common: CommonCause | None


def incident_samples(incident: Incident | None) -> Values:
    """Return the incident of a target; no series without one."""
    if incident is None:
        return {"ekm_incident": []}
    cause, name = incident.common or ("", "")
    return {"ekm_incident": [((("page", incident.page), ("cause", cause), ("name", name)), incident.since)]}


def time_samples(record: TargetRecord) -> Values:
    """Return the last known times that change with each probe."""
    return {
        "ekm_last_success_timestamp_seconds": one(record.last_success_at),
        "ekm_next_probe_timestamp_seconds": one(record.next_probe_at),
    }


def fact_samples(facts: RecordFacts) -> Values:
    """Return the last known values that most probes do not change."""
    return {
        **run_samples(facts.runs),
        **key_samples(facts.key),
        **vault_samples(facts.vault, facts.expected),
        "ekm_key_scheduled_purge_timestamp_seconds": one(facts.purge_at),
    }


def facts_of(record: TargetRecord, expected: ExpectPath) -> RecordFacts:
    """Return what a record shows."""
    runs = None if record.last is None else runs_of(record)
    return RecordFacts(runs, record.key, record.vault, record.purge_at, expected)


def run_samples(runs: Runs | None) -> Values:
    """Return the numbers of failed probes in a row."""
    return {} if runs is None else {name: one(run) for name, run in zip(_RUN_FAMILIES, runs, strict=True)}


def runs_of(record: TargetRecord) -> Runs:
    return Runs(record.consecutive_failures, record.consecutive_blocking, record.consecutive_unready)


def key_samples(key: KeyFacts | None) -> Values:
    """Return the facts about the key version; no series if it was never read."""
    return {family: [] if key is None else samples(key) for family, samples in _KEY_SAMPLES.items()}


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
        if facts.server_time is not None and not result.disturbed:
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
        "ekm_probe_step_duration_seconds": [((("step", result.step),), result.duration) for result in made],
        "ekm_probe_tainted": one(report.discarded),
        "probe_success": one(report.success),
        "probe_duration_seconds": one(report.duration),
    }


def one(value: float | None) -> list[Sample]:
    """Return one sample without own labels; none for an unknown value."""
    return [] if value is None else [((), value)]


_KEY_SAMPLES: Mapping[str, Callable[[KeyFacts], list[Sample]]] = {
    "ekm_key_info": lambda key: [
        ((("key", key.name), ("version", key.version), ("kty", key.kty), ("size_bits", str(key.size_bits))), 1.0)
    ],
    "ekm_key_enabled": lambda key: one(key.enabled),
    "ekm_key_supported": lambda key: one(key.supported),
    "ekm_key_expiry_timestamp_seconds": lambda key: one(key.expires),
    "ekm_key_not_before_timestamp_seconds": lambda key: one(key.not_before),
}


def config_samples(config: Config, target: Target, module: Module, tenant: str | None) -> Values:
    """Return what the configuration declares. `tenant` from a challenge replaces the configured one."""
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
        "ekm_probe_interval_seconds": one(target.interval),
        "ekm_key_backup_timestamp_seconds": one(None if target.backup_on is None else start_of(target.backup_on)),
        "ekm_target_info": [(tuple(info.items()), 1.0)],
        "ekm_instance_info": [(instance, 1.0) for instance in dict.fromkeys(tuple(each.items()) for each in target.instances)],
    }


def credential_samples(credential: Credential, lookups: Mapping[Source, tuple[float | None, float]]) -> Values:
    """Return the expiry of a credential by source. `lookups` holds the date, if any, and the time of each lookup."""
    declared = {} if credential.expires_on is None else {Source.DECLARED: start_of(credential.expires_on)}
    found = {source: end for source, (end, _) in lookups.items() if end is not None}
    ends: list[Sample] = [((("source", source),), end) for source, end in {**declared, **found}.items()]
    return {
        "ekm_credential_expiry_timestamp_seconds": ends,
        "ekm_credential_expiry_known": one(bool(ends) if ends or credential.may_expire else None),
        "ekm_credential_expiry_lookup_last_success_timestamp_seconds": [
            ((("source", source),), at) for source, (_, at) in lookups.items()
        ],
    }


def expiry_of(credential: Credential, lookups: Mapping[Source, tuple[float | None, float]]) -> float | None:
    """Return when a credential expires, as a Unix time. A date from a lookup takes precedence over a declared date."""
    declared = None if credential.expires_on is None else start_of(credential.expires_on)
    return min((end for end, _ in lookups.values() if end is not None), default=declared)


def check_samples(results: Iterable[CheckResult] | None) -> Values:
    """Return the failed preflight checks; None before the first run. Only the outcome `fail` counts."""
    failed = None if results is None else [result.check for result in results if result.outcome is CheckOutcome.FAIL]
    return {
        "ekm_preflight_failed_checks": one(None if failed is None else len(failed)),
        "ekm_preflight_failed": [((("check", name),), 1.0) for name in failed or ()],
    }


def error_samples(error: ConnectorError) -> Values:
    """Return the meaning of an error code."""
    info = (
        ("symbol", error.symbol),
        ("category", error.category),
        ("owner", error.owner),
        ("summary", error.summary),
        ("action", next(iter(error.actions), "")),
    )
    return {"ekm_error_info": [(info, 1.0)]}


class AuxiliaryFacts(NamedTuple):
    """Everything that `auxiliary_samples` shows."""

    credential: str
    accepted: bool | None  # whether Entra ID accepted the credential that SQL Server uses
    results: tuple[AuxiliaryResult, ...]  # those that are usable or not usable
    rotation_pending: bool | None
    proof_at: float | None


def auxiliary_facts(target: Target, record: TargetRecord, report: ProbeReport | None = None) -> AuxiliaryFacts:
    """Return the facts that the configuration names. `report` replaces the last one of the record."""
    last = report or record.last
    is_current = report is not None or record.credential == target.credential
    accepted = None if last is None or not is_current else _accepted(last)
    proof_at = record.proof_at if target.recovery_vault is not None else None
    results = tuple(_conclusive(target, record, last)) if record.auxiliary else ()
    return AuxiliaryFacts(target.credential, accepted, results, record.rotation_pending, proof_at)


def auxiliary_samples(facts: AuxiliaryFacts) -> Values:
    """Return the samples of all auxiliary probes of a target, and whether its own credential was accepted."""
    own = (("credential", facts.credential), ("role", "current"))
    staged: list[Sample] = [
        ((("credential", each.credential), ("role", "next")), float(bool(each.usable)))
        for each in facts.results
        if each.kind is AuxiliaryKind.NEXT
    ]
    current: list[Sample] = [] if facts.accepted is None else [(own, float(facts.accepted))]
    return {
        "ekm_credential_usable": [*current, *staged],
        "ekm_key_rotation_pending": one(facts.rotation_pending),
        "ekm_retained_version_usable": _retained(facts.results),
        "ekm_recovery_usable": [((), float(bool(each.usable))) for each in facts.results if each.kind is AuxiliaryKind.RECOVERY],
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


def _conclusive(target: Target, record: TargetRecord, report: ProbeReport | None) -> Iterator[AuxiliaryResult]:
    for result in record.auxiliary.values():
        now = result.at if report is None else max(result.at, report.started_at)
        if result.usable is not None and result.identity in configured_auxiliary(target, datetime.fromtimestamp(now, UTC).date()):
            yield result


def _retained(results: Iterable[AuxiliaryResult]) -> list[Sample]:
    """Return one sample for each key version. A version in two vaults must be usable in both."""
    found: dict[str, bool] = {}
    for each in results:
        if each.kind is AuxiliaryKind.RETAINED:
            found[each.name] = found.get(each.name, True) and bool(each.usable)
    parts = {name: name.rpartition("/") for name in found}
    return [((("key", parts[name][0]), ("version", parts[name][2])), float(usable)) for name, usable in found.items()]

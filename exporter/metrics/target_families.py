"""The metric families of a target, each with its value.

Every family here has the labels `target` and `vault`. The exposition keeps this order. Values are pure functions of configuration,
record and report. An unknown value has no series; it is never 0.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from datetime import UTC, datetime
from functools import lru_cache
from typing import Final, NamedTuple

from exporter.config.settings import Credential, ExpectPath, Module, Target
from exporter.config.usage import configured_auxiliary
from exporter.core.names import cloud_of
from exporter.core.values import KeyFacts, Outcome, Phase, Step, Vantage, VaultHeaders
from exporter.knowledge.causes import Cause
from exporter.knowledge.codes import BY_CODE
from exporter.knowledge.expiry import start_of
from exporter.knowledge.incident import RUN, CommonCause, Page, Runs, counted_run, least_run
from exporter.knowledge.report import ProbeReport
from exporter.knowledge.verdict import CREDENTIAL_REFUSED, AuxiliaryKind, AuxiliaryResult, FailedProbe
from exporter.metrics.counters import STEP_BOUNDS, STEP_BUCKETS, TargetCounters
from exporter.metrics.spec import Group, Level, MetricSpec, Retention, SeriesScope, one
from exporter.metrics.text import Labels, Sample
from exporter.state.record import TargetRecord, failed_probe

# Responses are about 1 KB: the body arrives with the headers, so the phase transfer is short.
_PHASES_OF_FULL: Final = (Phase.TRANSFER,)
_HEADERS: Final = ("region", "service_version", "connection")  # the labels of ekm_vault_info, by their names in `VaultHeaders`
# The label `role` of ekm_credential_usable: the credential that SQL Server uses, or the staged one.
ROLES: Final = ("current", "next")


def phases_at(level: Level) -> tuple[Phase, ...]:
    """Return the values of the label `phase` at a level."""
    return tuple(phase for phase in Phase if level is Level.FULL or phase not in _PHASES_OF_FULL)


# What the families are made from.


class Timing(NamedTuple):
    """What differs in each probe, with the durations of these phases."""

    report: ProbeReport
    phases: Collection[Phase] = tuple(Phase)


def _phases(of: Timing) -> list[Sample]:
    return [
        ((("phase", phase), ("step", result.step)), seconds)
        for result in of.report.steps
        if result.outcome is not Outcome.SKIPPED and not result.shared and result.facts is not None
        for phase, seconds in result.facts.phases.items()
        if phase in of.phases
    ]


class ProbeOutcome(NamedTuple):
    """What is the same in most reports."""

    success: bool | None
    ready: bool | None
    steps: tuple[tuple[Step, bool, float | None], ...]  # each step that was made: whether it succeeded, and its Retry-After
    failure: FailedProbe


def outcome_of(report: ProbeReport) -> ProbeOutcome | None:
    """Return what a report shows: nothing if it is discarded. Equal results are one object."""
    if report.discarded:
        return None
    steps = tuple(
        (each.step, each.outcome is Outcome.OK, None if each.facts is None else each.facts.retry_after_seconds)
        for each in report.steps
        if each.outcome is not Outcome.SKIPPED
    )
    return _first_equal(ProbeOutcome(report.success, report.readiness.ready, steps, failed_probe(report)))


_first_equal: Callable[[ProbeOutcome], ProbeOutcome] = lru_cache(maxsize=256)(lambda outcome: outcome)  # each target holds one


def _last_failure(of: ProbeOutcome) -> list[Sample]:
    step, code, reason = of.failure
    if step is None or code is None:
        return []
    symbol = BY_CODE[code].symbol if code in BY_CODE else ""
    return [((("code", str(code)), ("reason", reason or ""), ("step", step), ("symbol", symbol)), 1.0)]


class RecordFacts(NamedTuple):
    """The last known facts of vault and key that most probes do not change, and the network path that the module expects."""

    vault: VaultHeaders
    purge_at: float | None
    expected: ExpectPath


def _vault(of: RecordFacts) -> list[Sample]:
    """An unknown header has an empty label. There is nothing before the first header."""
    found = [(name, getattr(of.vault, name) or "") for name in _HEADERS]
    return [(tuple(found), 1.0)] if any(value for _, value in found) else []


def _key(of: KeyFacts) -> list[Sample]:
    return [((("key", of.name), ("version", of.version), ("kty", of.kty), ("size_bits", str(of.size_bits))), 1.0)]


class FailureAdvice(NamedTuple):
    """What a failure's series says, as values of labels: the first action, what happened, who acts and its page."""

    action: str
    meaning: str
    owner: str
    page: Page


def cause_labels(cause: Cause) -> Labels:
    return ("link", cause.link), ("name", cause.name), ("reason", cause.reason or "")


class Standing(NamedTuple):
    """What the incident of a failure follows from: the deciding step, and the failed probes in a row, counted up to those that page."""

    failure: FailedProbe
    run: int
    least: int


def standing_of(record: TargetRecord) -> Standing | None:
    """Return how the present failure of a target stands; None without one."""
    failure = failed_probe(record.last)
    if record.last is None or failure.step is None:
        return None
    gap = None if record.next_probe_at is None or record.last_probe_at is None else record.next_probe_at - record.last_probe_at
    run = counted_run(failure, runs_of(record), record.last.readiness)
    return Standing(failure, min(run, RUN), least_run(failure.code, interval=record.target.interval, gap=gap))


def runs_of(record: TargetRecord) -> Runs:
    return Runs(record.consecutive_failures, record.consecutive_blocking, record.consecutive_unready)


class Incident(NamedTuple):
    """A failure that pages: since when, as a Unix time, its page and its common cause."""

    since: float
    page: Page
    common: CommonCause | None


def _incident(of: Incident) -> list[Sample]:
    cause, name = of.common or ("", "")
    return [((("page", of.page), ("cause", cause), ("name", name)), of.since)]


class Declared(NamedTuple):
    """What the configuration declares. `tenant` from a challenge replaces the configured one."""

    target: Target
    module: Module
    credential: Credential
    vantage: Vantage
    tenant: str | None


def _settings(of: Declared) -> list[Sample]:
    target, cloud = of.target, cloud_of(of.target.vault)
    info = {
        **target.labels,
        "key": target.key,
        "credential": of.credential.name,
        "module": of.module.name,
        "mode": of.module.mode,
        "cloud": cloud.name if cloud else "",
        "tenant": of.tenant or of.credential.tenant_id or "",
        "generation": target.generation,
        "pin": "none" if target.key_version is None else "config",
        "vantage": of.vantage,
        "thumbprint": target.thumbprint or "",
    }
    return [(tuple(info.items()), 1.0)]


class AuxiliaryFacts(NamedTuple):
    """What the auxiliary probes of a target show."""

    credential: str
    accepted: bool | None  # whether Entra ID accepted the credential that SQL Server uses
    results: tuple[AuxiliaryResult, ...]  # those that are usable or not usable
    rotation_pending: bool | None
    proof_at: float | None


def auxiliary_facts(target: Target, record: TargetRecord) -> AuxiliaryFacts:
    """Return the facts that the configuration names."""
    token = None if record.last is None else record.last.step(Step.TOKEN)
    is_known = token is not None and (token.outcome is Outcome.OK or token.reason in CREDENTIAL_REFUSED)
    accepted = token.outcome is Outcome.OK if token is not None and is_known and record.credential == target.credential else None
    proof_at = record.proof_at if target.recovery_vault is not None else None
    results = tuple(
        [each for each in record.auxiliary.values() if each.usable is not None and _is_configured(each, target, record)]
    )
    return AuxiliaryFacts(target.credential, accepted, results, record.rotation_pending, proof_at)


def _is_configured(result: AuxiliaryResult, target: Target, record: TargetRecord) -> bool:
    now = result.at if record.last is None else max(result.at, record.last.started_at)
    return result.identity in configured_auxiliary(target, datetime.fromtimestamp(now, UTC).date())


def _credentials(of: AuxiliaryFacts) -> list[Sample]:
    """Whether the target's own credential was accepted, and the staged one."""
    accepted = [] if of.accepted is None else [(of.credential, "current", of.accepted)]
    staged = [(each.credential, "next", each.usable) for each in of.results if each.kind is AuxiliaryKind.NEXT]
    return [((("credential", name), ("role", role)), float(bool(usable))) for name, role, usable in (*accepted, *staged)]


def _retained(of: AuxiliaryFacts) -> list[Sample]:
    """Return one sample for each key version. A version in two vaults must be usable in both."""
    found: dict[str, bool] = {}
    for each in of.results:
        if each.kind is AuxiliaryKind.RETAINED:
            found[each.name] = found.get(each.name, True) and bool(each.usable)
    parts = {name: name.rpartition("/") for name in found}
    return [((("key", parts[name][0]), ("version", parts[name][2])), float(usable)) for name, usable in found.items()]


TIMING = Group[Timing]()
TIMES = Group[tuple[float | None, float | None]]()  # last known: the last success, the next probe
OUTCOME = Group[ProbeOutcome]()
RUNS = Group[tuple[int | None, int | None, int | None]]()  # of failed probes, as `Runs`
FACTS = Group[RecordFacts]()
KEY = Group[KeyFacts]()
DECLARED = Group[Declared]()
MAINTENANCE = Group[bool]()
ADVICE = Group[FailureAdvice]()
CAUSE = Group[Cause]()
INCIDENT = Group[Incident]()
AUXILIARY = Group[AuxiliaryFacts]()
CHECKS = Group[Collection[str]]()  # the names of the failed preflight checks
COUNTERS = Group[TargetCounters]()

TARGET_METRICS: Final = (
    # the probe
    OUTCOME.family(
        "ekm_probe_success",
        lambda of: one(of.success),
        Retention.PROBE,
        "1 if every step succeeded and unwrap returned the original bytes, else 0. Absent while the target is not measured.",
    ),
    TIMING.family(
        "ekm_probe_duration_seconds",
        lambda of: one(of.report.duration),
        Retention.PROBE,
        "Duration of the last probe, all steps together.",
        level=Level.DEFAULT,
    ),
    DECLARED.family(
        "ekm_probe_interval_seconds", lambda of: one(of.target.interval), Retention.DECLARED, "Time from one probe to the next."
    ),
    MAINTENANCE.family(
        "ekm_maintenance", one, Retention.PROBE, "1 if the last probe started in a declared maintenance window, else 0."
    ),
    TIMES.family(
        "ekm_next_probe_timestamp_seconds",
        lambda of: one(of[1]),
        Retention.NOW,
        "Start time of the next scheduled probe.",
        level=Level.FULL,
    ),
    TIMING.family(
        "ekm_last_probe_timestamp_seconds",
        lambda of: one(of.report.started_at),
        Retention.PROBE,
        "Start time of the last probe whose result was not discarded.",
    ),
    TIMES.family(
        "ekm_last_success_timestamp_seconds",
        lambda of: one(of[0]),
        Retention.LAST_KNOWN,
        "Start time of the last probe in which every step succeeded.",
        level=Level.DEFAULT,
    ),
    COUNTERS.family(
        "ekm_probes_total",
        lambda of: one(of.probes),
        Retention.COUNTED,
        "Finished probes with the current credential and key version; discarded results are not counted.",
    ),
    COUNTERS.family(
        "ekm_probe_failures_total",
        lambda of: one(of.failures),
        Retention.COUNTED,
        "Probes in which at least one step failed; discarded results are not counted.",
        level=Level.DEFAULT,
    ),
    COUNTERS.family(
        "ekm_unsteady_failures_total",
        lambda of: one(of.unsteady),
        Retention.COUNTED,
        "Probes in which a step other than wrap_key failed, and too few in a row for a page. Not counted in a maintenance window.",
    ),
    COUNTERS.family(
        "ekm_probe_verdicts_total",
        lambda of: of.verdicts.items(),
        Retention.COUNTED,
        "Probes with a verdict, by verdict (ready or not_ready); the basis of a service level.",
        "verdict",
    ),
    RUNS.family(
        "ekm_consecutive_failures",
        lambda of: one(of[0]),
        Retention.PROBE,
        "Number of failed probes in a row; 0 after a successful probe.",
    ),
    RUNS.family(
        "ekm_consecutive_blocking_failures",
        lambda of: one(of[1]),
        Retention.PROBE,
        "Number of probes in a row in which a step other than wrap_key failed; 0 after a probe without such a failure.",
    ),
    RUNS.family(
        "ekm_consecutive_unready_probes",
        lambda of: one(of[2]),
        Retention.PROBE,
        "Number of probes in a row with the verdict not ready; 0 after a ready or successful probe.",
    ),
    # the steps
    OUTCOME.family(
        "ekm_step_success",
        lambda of: [((("step", step),), float(ok)) for step, ok, _ in of.steps],
        Retention.PROBE,
        "1 if the step succeeded, 0 if the step failed. Absent if the step was not reached.",
        "step",
    ),
    MetricSpec(
        name="ekm_step_duration_seconds",
        scope=SeriesScope.TARGET,
        retention=Retention.COUNTED,
        help="Duration of the step, including failed ones. Not counted: tokens fetched by another probe, discarded results, and steps that this host delayed by a tenth or more.",
        own=("step",),
        buckets=STEP_BUCKETS,
        bucket_levels=tuple(level for _, level in STEP_BOUNDS),
    ),
    TIMING.family(
        "ekm_step_phase_duration_seconds",
        _phases,
        Retention.PROBE,
        "Duration of one phase of the step. The phases dns, connect and tls are absent if the step reused a connection.",
        "step phase",
        level=Level.DEFAULT,
    ),
    # the failures
    COUNTERS.family(
        "ekm_errors_total",
        lambda of: of.errors.items(),
        Retention.COUNTED,
        "Failed steps by the code that SQL Server would show.",
        "step code",
        level=Level.DEFAULT,
    ),
    OUTCOME.family(
        "ekm_last_error_code",
        lambda of: one(0 if of.success else of.failure.code),
        Retention.PROBE,
        "Connector error code of the failed step that decides the verdict, else of the first one; 0 if the probe succeeded.",
        level=Level.DEFAULT,
    ),
    OUTCOME.family(
        "ekm_last_failure_info",
        _last_failure,
        Retention.PROBE,
        "The failed step that decides the verdict, else the first one, and its reason. Absent if the probe succeeded.",
        "step code symbol reason",
    ),
    ADVICE.family(
        "ekm_failure_action_info",
        lambda of: [(tuple(of._asdict().items()), 1.0)],
        Retention.PROBE,
        "The first action for the failure of the last probe, with names of the configuration, what happened, which team acts, and the page that the failure belongs to. Absent if the probe succeeded.",
        "action meaning owner page",
    ),
    INCIDENT.family(
        "ekm_incident",
        _incident,
        Retention.PROBE,
        "Start time of the failure if it pages: it lasts long enough or has a common cause, outside a maintenance window. "
        "Absent otherwise, and with --no-scheduler.",
        "page cause name",
    ),
    CAUSE.family(
        "ekm_failure_cause_info",
        lambda of: [(cause_labels(of), 1.0)],
        Retention.PROBE,
        "The cause of the failure, with the labels of ekm_common_cause_info. Absent if the probe succeeded.",
        "link name reason",
        level=Level.FULL,
    ),
    COUNTERS.family(
        "ekm_throttled_total",
        lambda of: of.throttled.items(),
        Retention.COUNTED,
        "Responses with HTTP status 429; the response to a shared token request is counted once.",
        "step",
        level=Level.DEFAULT,
    ),
    OUTCOME.family(
        "ekm_retry_after_seconds",
        lambda of: [((("step", step),), retry) for step, _, retry in of.steps if retry is not None],
        Retention.PROBE,
        "Wait time in the Retry-After header of the response to the step. Absent without such a header.",
        "step",
        level=Level.DEFAULT,
    ),
    # the verdict
    OUTCOME.family(
        "ekm_vault_side_ready",
        lambda of: one(of.ready),
        Retention.PROBE,
        "1 if this host obtained a token, read the pinned key version and unwrapped with it; 0 if any of these failed. "
        "Absent if that cannot be determined or the last probe is older than three intervals.",
    ),
    # the key
    KEY.family(
        "ekm_key_info",
        _key,
        Retention.LAST_KNOWN,
        "Name, version, type and size of the key version that the last successful read returned.",
        "key version kty size_bits",
        level=Level.DEFAULT,
    ),
    KEY.family(
        "ekm_key_enabled",
        lambda of: one(of.enabled),
        Retention.LAST_KNOWN,
        "1 if the key version is enabled in the vault, else 0.",
    ),
    KEY.family(
        "ekm_key_supported",
        lambda of: one(of.supported),
        Retention.LAST_KNOWN,
        "1 if the connector accepts the type and size of the key, else 0.",
        level=Level.DEFAULT,
    ),
    KEY.family(
        "ekm_key_expiry_timestamp_seconds",
        lambda of: one(of.expires),
        Retention.LAST_KNOWN,
        "Time at which the key version expires. Absent if the key version has no expiry date.",
    ),
    KEY.family(
        "ekm_key_not_before_timestamp_seconds",
        lambda of: one(of.not_before),
        Retention.LAST_KNOWN,
        "Time from which the key version can be used. Absent if the key version has no such date.",
    ),
    DECLARED.family(
        "ekm_key_backup_timestamp_seconds",
        lambda of: one(None if of.target.backup_on is None else start_of(of.target.backup_on)),
        Retention.DECLARED,
        "Date of the last key backup, as declared in backup_on.",
    ),
    FACTS.family(
        "ekm_key_scheduled_purge_timestamp_seconds",
        lambda of: one(of.purge_at),
        Retention.LAST_KNOWN,
        "Time at which the vault permanently deletes the key. Absent if the key is not deleted.",
    ),
    # the auxiliary probes
    AUXILIARY.family(
        "ekm_key_rotation_pending",
        lambda of: one(of.rotation_pending),
        Retention.LAST_KNOWN,
        "1 if the vault has a newer key version than the pinned one, else 0. Absent if unknown or if no version is pinned.",
    ),
    AUXILIARY.family(
        "ekm_retained_version_usable",
        _retained,
        Retention.AUXILIARY,
        "1 if an unwrap with the retained key version succeeded, 0 if it was refused. Absent while unknown.",
        "key version",
    ),
    AUXILIARY.family(
        "ekm_recovery_usable",
        lambda of: [((), float(bool(each.usable))) for each in of.results if each.kind is AuxiliaryKind.RECOVERY],
        Retention.AUXILIARY,
        "1 if the recovery vault unwrapped data that was encrypted with the primary vault's key, 0 if the unwrap failed. "
        "Absent while unknown.",
    ),
    AUXILIARY.family(
        "ekm_recovery_last_success_timestamp_seconds",
        lambda of: one(of.proof_at),
        Retention.LAST_KNOWN,
        "Time of the last successful unwrap in the recovery vault.",
    ),
    # the preflight checks
    CHECKS.family(
        "ekm_preflight_failed_checks",
        lambda of: one(len(of)),
        Retention.CHECKS,
        "Number of failed preflight checks. Absent before the first run and if preflight_interval is 0s.",
    ),
    CHECKS.family(
        "ekm_preflight_failed",
        lambda of: [((("check", name),), 1.0) for name in of],
        Retention.CHECKS,
        "1 for each failed preflight check. Absent for every other check.",
        "check",
    ),
    # credentials, declarations and the network path
    AUXILIARY.family(
        "ekm_credential_usable",
        _credentials,
        Retention.PROBE,
        "Whether the credential was accepted (1) or refused (0): by Entra ID for the current one, by a full round trip for the "
        "staged one. Absent while unknown.",
        "credential role",
    ),
    DECLARED.family(
        "ekm_target_info",
        _settings,
        Retention.DECLARED,
        "Settings of the target and its declared labels; the tenant of the vault's challenge replaces the configured one.",
        "key credential module mode cloud tenant generation pin vantage thumbprint",
    ),
    DECLARED.family(
        "ekm_instance_info",
        lambda of: [(each, 1.0) for each in dict.fromkeys(tuple(each.items()) for each in of.target.instances)],
        Retention.DECLARED,
        "A SQL Server instance that depends on the target, as declared in instances.",
        "sql_instance host ag",
    ),
    FACTS.family(
        "ekm_vault_info",
        _vault,
        Retention.LAST_KNOWN,
        "Region, service version and connection type in the diagnostic headers of the vault's responses.",
        "region service_version connection",
    ),
    COUNTERS.family(
        "ekm_path_changes_total",
        lambda of: of.path_changes.items(),
        Retention.COUNTED,
        "Changes of region, connection type or TLS issuer between two responses of the vault.",
        "what",
        level=Level.DEFAULT,
    ),
    FACTS.family(
        "ekm_path_as_expected",
        lambda of: one(of.expected.met_by(of.vault.connection)),
        Retention.LAST_KNOWN,
        "1 if the vault reports the network path that expect_path names, 0 if it reports another. "
        "Absent if expect_path is any or the vault reports no path.",
    ),
)

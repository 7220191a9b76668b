"""The metric families of a target, and lists that metrics and alerts share.

Every family here has the labels `target` and `vault`. The exposition keeps this order.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from typing import Final

from exporter.core.values import Phase, Step


class MetricType(StrEnum):
    GAUGE = "gauge"
    COUNTER = "counter"
    HISTOGRAM = "histogram"
    INFO = "info"  # exposed as a gauge that is always 1


class SeriesScope(StrEnum):
    """Owner of a series: sets the shared labels, and when the series is removed."""

    TARGET = "target"
    CREDENTIAL = "credential"
    VAULT = "vault"
    ENDPOINT = "endpoint"
    CODE = "code"
    CAUSE = "cause"
    SQL_SERVER = "sql_server"
    EXPORTER = "exporter"


BASE_LABELS: Final[Mapping[SeriesScope, tuple[str, ...]]] = {
    SeriesScope.TARGET: ("target", "vault"),
    SeriesScope.CREDENTIAL: ("credential",),
    SeriesScope.VAULT: ("vault",),
    SeriesScope.ENDPOINT: ("endpoint",),
    SeriesScope.CODE: ("code",),
    SeriesScope.CAUSE: ("link", "name", "reason"),
    SeriesScope.SQL_SERVER: ("sql_instance", "host"),
    SeriesScope.EXPORTER: (),
}


class Retention(StrEnum):
    """How long a value is kept. The text ends the HELP of the family."""

    PROBE = "Of the last probe."
    LAST_KNOWN = "Last known: kept while probes fail."
    AUXILIARY = "Updated by each auxiliary probe."
    CHECKS = "Updated by each preflight run."
    COUNTED = "Counted since the exporter started."
    DECLARED = "From the configuration."
    READ = "Last known: from the last good reading of SQL Server."
    NOW = "Current value."
    STATIC = "Never changes while the exporter runs."


class Level(StrEnum):
    """How much an exporter exposes: a level includes all levels before it."""

    MINIMAL = "minimal"  # what alerts and recording rules use
    DEFAULT = "default"  # and what dashboards use
    FULL = "full"

    def includes(self, other: Level) -> bool:
        return _LEVELS.index(other) <= _LEVELS.index(self)


_LEVELS: Final = tuple(Level)


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricSpec:
    """One metric family. `name` is the name in queries.

    `own` are the labels in addition to those of the scope. `level` is the lowest level with the family, and `bucket_levels` the
    same for each bucket; none means every level.
    """

    name: str
    kind: MetricType
    scope: SeriesScope
    retention: Retention
    help: str
    own: tuple[str, ...] = ()
    level: Level = Level.MINIMAL
    buckets: tuple[float, ...] = ()
    bucket_levels: tuple[Level, ...] = ()

    @property
    def help_text(self) -> str:
        return f"{self.help} {self.retention}"

    def bounds(self, level: Level) -> tuple[float, ...]:
        """Return the upper bounds of the classic buckets at a level."""
        levels = self.bucket_levels or (Level.MINIMAL,) * len(self.buckets)
        return tuple(bound for bound, lowest in zip(self.buckets, levels, strict=True) if level.includes(lowest))

    @property
    def labels(self) -> tuple[str, ...]:
        return BASE_LABELS[self.scope] + self.own

    @property
    def is_counted(self) -> bool:
        return self.kind in (MetricType.COUNTER, MetricType.HISTOGRAM)

    @property
    def type(self) -> str:
        """Return the type for the TYPE line."""
        return MetricType.GAUGE if self.kind is MetricType.INFO else self.kind


# A healthy vault responds in tens of milliseconds; 1 s is slow, 5 s is the service's published limit, 30 s the longest timeout.
# Each bound with the lowest level that has it: the alert on latency counts 1 s and 5 s.
_STEP_BOUNDS: Final = (
    (0.005, Level.FULL),
    (0.025, Level.DEFAULT),
    (0.1, Level.DEFAULT),
    (0.25, Level.FULL),
    (0.5, Level.DEFAULT),
    (1.0, Level.MINIMAL),
    (2.5, Level.FULL),
    (5.0, Level.MINIMAL),
    (10.0, Level.FULL),
    (30.0, Level.FULL),
)
STEP_BUCKETS: Final = tuple(bound for bound, _ in _STEP_BOUNDS)

# The most frequent (code, step) pairs, in classic numbers. Each exists at 0 from the start, so that `increase` in rules and dashboards
# includes the first error. Any other pair appears with its first error. `ekm_throttled_total` counts the 429 responses of every step.
COUNTED: Final[tuple[tuple[int, tuple[Step, ...]], ...]] = (
    (3011, (Step.GET_KEY, Step.WRAP_KEY, Step.UNWRAP_KEY)),
    (3077, (Step.GET_KEY, Step.WRAP_KEY, Step.UNWRAP_KEY)),
)

# The label `what` of ekm_path_changes_total: the parts of the network path that can change.
PATH_PARTS: Final = ("region", "connection", "tls_issuer")
# Responses are about 1 KB: the body arrives with the headers, so the phase transfer is short.
_PHASES_OF_FULL: Final = (Phase.TRANSFER,)
# The label `role` of ekm_credential_usable: the credential that SQL Server uses, or the staged one.
ROLES: Final = ("current", "next")


def phases_at(level: Level) -> tuple[Phase, ...]:
    """Return the values of the label `phase` at a level."""
    return tuple(phase for phase in Phase if level is Level.FULL or phase not in _PHASES_OF_FULL)


def target_metric(
    retention: Retention,
    name: str,
    text: str,
    own: str = "",
    *,
    kind: MetricType = MetricType.GAUGE,
    level: Level = Level.MINIMAL,
) -> MetricSpec:
    """Return a metric of a target. `own` are its labels in addition to `target` and `vault`, with spaces between them."""
    return MetricSpec(
        name=name, kind=kind, scope=SeriesScope.TARGET, retention=retention, help=text, own=tuple(own.split()), level=level
    )


_counter: Final = partial(target_metric, Retention.COUNTED, kind=MetricType.COUNTER)
_info: Final = partial(target_metric, kind=MetricType.INFO)


TARGET_METRICS: Final = (
    # the probe
    target_metric(
        Retention.PROBE,
        "ekm_probe_success",
        "1 if every step succeeded and unwrap returned the original bytes, else 0. Absent while the target is not measured.",
    ),
    target_metric(
        Retention.PROBE, "ekm_probe_duration_seconds", "Duration of the last probe, all steps together.", level=Level.DEFAULT
    ),
    target_metric(Retention.DECLARED, "ekm_probe_interval_seconds", "Time from one probe to the next."),
    target_metric(Retention.PROBE, "ekm_maintenance", "1 if the last probe started in a declared maintenance window, else 0."),
    target_metric(Retention.NOW, "ekm_next_probe_timestamp_seconds", "Start time of the next scheduled probe.", level=Level.FULL),
    target_metric(
        Retention.PROBE, "ekm_last_probe_timestamp_seconds", "Start time of the last probe whose result was not discarded."
    ),
    target_metric(
        Retention.LAST_KNOWN,
        "ekm_last_success_timestamp_seconds",
        "Start time of the last probe in which every step succeeded.",
        level=Level.DEFAULT,
    ),
    _counter(
        "ekm_probes_total",
        "Finished probes with the current credential and key version; discarded results are not counted.",
    ),
    _counter(
        "ekm_probe_failures_total",
        "Probes in which at least one step failed; discarded results are not counted.",
        level=Level.DEFAULT,
    ),
    _counter(
        "ekm_unsteady_failures_total",
        "Probes in which a step other than wrap_key failed, and too few in a row for a page. Not counted in a maintenance window.",
    ),
    _counter(
        "ekm_probe_verdicts_total",
        "Probes with a verdict, by verdict (ready or not_ready); the basis of a service level.",
        "verdict",
    ),
    target_metric(Retention.PROBE, "ekm_consecutive_failures", "Number of failed probes in a row; 0 after a successful probe."),
    target_metric(
        Retention.PROBE,
        "ekm_consecutive_blocking_failures",
        "Number of probes in a row in which a step other than wrap_key failed; 0 after a probe without such a failure.",
    ),
    target_metric(
        Retention.PROBE,
        "ekm_consecutive_unready_probes",
        "Number of probes in a row with the verdict not ready; 0 after a ready or successful probe.",
    ),
    # the steps
    target_metric(
        Retention.PROBE,
        "ekm_step_success",
        "1 if the step succeeded, 0 if the step failed. Absent if the step was not reached.",
        "step",
    ),
    MetricSpec(
        name="ekm_step_duration_seconds",
        kind=MetricType.HISTOGRAM,
        scope=SeriesScope.TARGET,
        retention=Retention.COUNTED,
        help="Duration of the step, including failed ones. Not counted: tokens fetched by another probe, discarded results, and steps that this host delayed by a tenth or more.",
        own=("step",),
        buckets=STEP_BUCKETS,
        bucket_levels=tuple(level for _, level in _STEP_BOUNDS),
    ),
    target_metric(
        Retention.PROBE,
        "ekm_step_phase_duration_seconds",
        "Duration of one phase of the step. The phases dns, connect and tls are absent if the step reused a connection.",
        "step phase",
        level=Level.DEFAULT,
    ),
    # the failures
    _counter("ekm_errors_total", "Failed steps by the code that SQL Server would show.", "step code", level=Level.DEFAULT),
    target_metric(
        Retention.PROBE,
        "ekm_last_error_code",
        "Connector error code of the failed step that decides the verdict, else of the first one; 0 if the probe succeeded.",
        level=Level.DEFAULT,
    ),
    _info(
        Retention.PROBE,
        "ekm_last_failure_info",
        "The failed step that decides the verdict, else the first one, and its reason. Absent if the probe succeeded.",
        "step code symbol reason",
    ),
    _info(
        Retention.PROBE,
        "ekm_failure_action_info",
        "The first action for the failure of the last probe, with names of the configuration, what happened, which team acts, and the page that the failure belongs to. Absent if the probe succeeded.",
        "action meaning owner page",
    ),
    target_metric(
        Retention.PROBE,
        "ekm_incident",
        "Start time of the failure if it pages: it lasts long enough or has a common cause, outside a maintenance window. "
        "Absent otherwise, and with --no-scheduler.",
        "page cause name",
    ),
    _info(
        Retention.PROBE,
        "ekm_failure_cause_info",
        "The cause of the failure, with the labels of ekm_common_cause_info. Absent if the probe succeeded.",
        "link name reason",
        level=Level.FULL,
    ),
    _counter(
        "ekm_throttled_total",
        "Responses with HTTP status 429; the response to a shared token request is counted once.",
        "step",
        level=Level.DEFAULT,
    ),
    target_metric(
        Retention.PROBE,
        "ekm_retry_after_seconds",
        "Wait time in the Retry-After header of the response to the step. Absent without such a header.",
        "step",
        level=Level.DEFAULT,
    ),
    # the verdict
    target_metric(
        Retention.PROBE,
        "ekm_vault_side_ready",
        "1 if this host obtained a token, read the pinned key version and unwrapped with it; 0 if any of these failed. "
        "Absent if that cannot be determined or the last probe is older than three intervals.",
    ),
    # the key
    target_metric(
        Retention.LAST_KNOWN,
        "ekm_key_info",
        "Name, version, type and size of the key version that the last successful read returned.",
        "key version kty size_bits",
        kind=MetricType.INFO,
        level=Level.DEFAULT,
    ),
    target_metric(Retention.LAST_KNOWN, "ekm_key_enabled", "1 if the key version is enabled in the vault, else 0."),
    target_metric(
        Retention.LAST_KNOWN,
        "ekm_key_supported",
        "1 if the connector accepts the type and size of the key, else 0.",
        level=Level.DEFAULT,
    ),
    target_metric(
        Retention.LAST_KNOWN,
        "ekm_key_expiry_timestamp_seconds",
        "Time at which the key version expires. Absent if the key version has no expiry date.",
    ),
    target_metric(
        Retention.LAST_KNOWN,
        "ekm_key_not_before_timestamp_seconds",
        "Time from which the key version can be used. Absent if the key version has no such date.",
    ),
    target_metric(
        Retention.DECLARED, "ekm_key_backup_timestamp_seconds", "Date of the last key backup, as declared in backup_on."
    ),
    target_metric(
        Retention.LAST_KNOWN,
        "ekm_key_scheduled_purge_timestamp_seconds",
        "Time at which the vault permanently deletes the key. Absent if the key is not deleted.",
    ),
    # the auxiliary probes
    target_metric(
        Retention.LAST_KNOWN,
        "ekm_key_rotation_pending",
        "1 if the vault has a newer key version than the pinned one, else 0. Absent if unknown or if no version is pinned.",
    ),
    target_metric(
        Retention.AUXILIARY,
        "ekm_retained_version_usable",
        "1 if an unwrap with the retained key version succeeded, 0 if it was refused. Absent while unknown.",
        "key version",
    ),
    target_metric(
        Retention.AUXILIARY,
        "ekm_recovery_usable",
        "1 if the recovery vault unwrapped data that was encrypted with the primary vault's key, 0 if the unwrap failed. "
        "Absent while unknown.",
    ),
    target_metric(
        Retention.LAST_KNOWN,
        "ekm_recovery_last_success_timestamp_seconds",
        "Time of the last successful unwrap in the recovery vault.",
    ),
    # the preflight checks
    target_metric(
        Retention.CHECKS,
        "ekm_preflight_failed_checks",
        "Number of failed preflight checks. Absent before the first run and if preflight_interval is 0s.",
    ),
    target_metric(
        Retention.CHECKS, "ekm_preflight_failed", "1 for each failed preflight check. Absent for every other check.", "check"
    ),
    # credentials, declarations and the network path
    target_metric(
        Retention.PROBE,
        "ekm_credential_usable",
        "Whether the credential was accepted (1) or refused (0): by Entra ID for the current one, by a full round trip for the "
        "staged one. Absent while unknown.",
        "credential role",
    ),
    _info(
        Retention.DECLARED,
        "ekm_target_info",
        "Settings of the target and its declared labels; the tenant of the vault's challenge replaces the configured one.",
        "key credential module mode cloud tenant generation pin vantage thumbprint",
    ),
    _info(
        Retention.DECLARED,
        "ekm_instance_info",
        "A SQL Server instance that depends on the target, as declared in instances.",
        "sql_instance host ag",
    ),
    _info(
        Retention.LAST_KNOWN,
        "ekm_vault_info",
        "Region, service version and connection type in the diagnostic headers of the vault's responses.",
        "region service_version connection",
    ),
    _counter(
        "ekm_path_changes_total",
        "Changes of region, connection type or TLS issuer between two responses of the vault.",
        "what",
        level=Level.DEFAULT,
    ),
    target_metric(
        Retention.LAST_KNOWN,
        "ekm_path_as_expected",
        "1 if the vault reports the network path that expect_path names, 0 if it reports another. "
        "Absent if expect_path is any or the vault reports no path.",
    ),
)

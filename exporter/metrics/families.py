"""The table of all metric families, with labels, scope, retention, level and HELP; and the codes that a configuration can report.

The exposition, the exporter's own metrics, docs/metrics.md and the tests are made from this table.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import chain
from typing import Final

from exporter.config.settings import Config
from exporter.core.values import CredentialKind
from exporter.knowledge.code_row import ConnectorError, Family, Layer
from exporter.knowledge.codes import CODES
from exporter.metrics.sql_server_families import SQL_SERVER_METRICS
from exporter.metrics.target_families import TARGET_METRICS, Level, MetricSpec, MetricType, Retention, SeriesScope, target_metric

# A probe on an idle host starts late by milliseconds, with 5,000 targets by up to 1 s. A lag above an interval skips probes.
LAG_BUCKETS: Final = (0.005, 0.025, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 15.0, 60.0)


def _shared(
    scope: SeriesScope, retention: Retention, name: str, text: str, own: str = "", *, kind: MetricType = MetricType.GAUGE
) -> MetricSpec:
    return MetricSpec(name=name, kind=kind, scope=scope, retention=retention, help=text, own=tuple(own.split()))


def _exporter(kind: MetricType, name: str, text: str, own: str = "", *, retention: Retention | None = None) -> MetricSpec:
    retention = retention or (Retention.NOW if kind is MetricType.GAUGE else Retention.COUNTED)
    return MetricSpec(name=name, kind=kind, scope=SeriesScope.EXPORTER, retention=retention, help=text, own=tuple(own.split()))


SHARED_METRICS: Final = (
    _shared(
        SeriesScope.CREDENTIAL,
        Retention.LAST_KNOWN,
        "ekm_credential_expiry_timestamp_seconds",
        "Time at which the credential expires; one series for each source with a date.",
        "source",
    ),
    _shared(
        SeriesScope.CREDENTIAL,
        Retention.NOW,
        "ekm_credential_expiry_known",
        "1 if any source has an expiry date for the credential, else 0. Absent for credentials without an expiring secret.",
    ),
    _shared(
        SeriesScope.CREDENTIAL,
        Retention.LAST_KNOWN,
        "ekm_credential_expiry_lookup_last_success_timestamp_seconds",
        "Time of the last successful expiry lookup in the source, with or without a date as its result.",
        "source",
    ),
    _shared(
        SeriesScope.VAULT,
        Retention.PROBE,
        "ekm_request_budget_ratio",
        "Share of the vault's published request limit that this exporter used in the busiest 10 s of the last 60 s.",
    ),
    _shared(
        SeriesScope.ENDPOINT,
        Retention.LAST_KNOWN,
        "ekm_tls_certificate_expiry_timestamp_seconds",
        "Time at which the TLS certificate of the endpoint expires.",
    ),
    _shared(
        SeriesScope.ENDPOINT,
        Retention.LAST_KNOWN,
        "ekm_clock_skew_seconds",
        "Clock of the endpoint minus clock of this host, from the Date header, which has a resolution of 1 s.",
    ),
    _shared(
        SeriesScope.CODE,
        Retention.STATIC,
        "ekm_error_info",
        "Meaning, owner and first action of an error code that can occur with the active configuration.",
        "symbol category owner summary action",
        kind=MetricType.INFO,
    ),
    _shared(
        SeriesScope.CAUSE,
        Retention.NOW,
        "ekm_common_cause_info",
        "A cause of failures: the broken link, its name and the reason. The status page counts those of one incident once. Absent while no probe fails.",
        kind=MetricType.INFO,
    ),
    _shared(SeriesScope.CAUSE, Retention.NOW, "ekm_common_cause_targets", "Number of targets that fail for the cause."),
    _shared(
        SeriesScope.CAUSE,
        Retention.NOW,
        "ekm_common_cause_sql_servers",
        "Number of declared SQL Servers that depend on the targets of the cause.",
    ),
)

EXPORTER_METRICS: Final = (
    _exporter(
        MetricType.INFO,
        "ekm_exporter_build_info",
        "Version, Python version and mode of this exporter.",
        "version python mode",
        retention=Retention.STATIC,
    ),
    _exporter(
        MetricType.GAUGE,
        "ekm_exporter_config_last_reload_successful",
        "1 if the last reload of the configuration succeeded, else 0.",
    ),
    _exporter(
        MetricType.GAUGE,
        "ekm_exporter_config_last_reload_success_timestamp_seconds",
        "Time of the last successful reload of the configuration.",
    ),
    _exporter(
        MetricType.GAUGE,
        "ekm_exporter_ready",
        "1 if the first probes have finished or have exceeded their time limit, as in /-/ready; else 0.",
    ),
    _exporter(
        MetricType.GAUGE,
        "ekm_exporter_state_writable",
        "1 if the last write to the state directory succeeded, else 0; absent without --state.dir.",
    ),
    _exporter(
        MetricType.GAUGE,
        "ekm_exporter_targets",
        "Number of targets that this exporter probes; targets of other shards are not counted.",
    ),
    _exporter(
        MetricType.GAUGE,
        "ekm_exporter_shards",
        "Number of shards that share the targets. The label shard is the I and the label of is the N of --shard I/N. Absent without that flag.",
        "shard of",
    ),
    MetricSpec(
        name="ekm_exporter_schedule_lag_seconds",
        kind=MetricType.HISTOGRAM,
        scope=SeriesScope.EXPORTER,
        retention=Retention.COUNTED,
        help="Delay between the scheduled and the actual start of a probe.",
        buckets=LAG_BUCKETS,
    ),
    _exporter(
        MetricType.COUNTER, "ekm_exporter_probes_skipped_total", "Scheduled probes that were not started, by reason.", "reason"
    ),
    _exporter(
        MetricType.COUNTER,
        "ekm_exporter_probes_tainted_total",
        "Probes whose results were discarded: this host was so slow that a healthy vault would have failed, too.",
    ),
    _exporter(MetricType.COUNTER, "ekm_exporter_requests_total", "Requests sent, by endpoint.", "endpoint"),
    _exporter(
        MetricType.COUNTER,
        "ekm_exporter_resent_requests_total",
        "Requests of a step that were sent again on a new connection, because the far side had closed the kept one.",
        "step",
    ),
    _exporter(MetricType.COUNTER, "ekm_exporter_internal_errors_total", "Internal errors of the exporter; each is logged."),
    _exporter(MetricType.GAUGE, "ekm_exporter_event_loop_lag_seconds", "Longest delay of the event loop in the last 60 s."),
)

# Families that only /probe has, with the gauges and infos of the target.
PROBE_METRICS: Final = (
    target_metric(
        Retention.PROBE,
        "ekm_probe_step_duration_seconds",
        "Duration of the step; for a shared token, the duration of its fetch.",
        "step",
        level=Level.DEFAULT,
    ),
    target_metric(
        Retention.PROBE,
        "ekm_probe_tainted",
        "1 if the result of this probe is discarded because this host is too slow, else 0. Then ekm_probe_success is absent.",
    ),
    _exporter(
        MetricType.GAUGE,
        "probe_success",
        "Value of ekm_probe_success, under the name that blackbox_exporter uses; 0 if the result is discarded.",
        retention=Retention.PROBE,
    ),
    _exporter(
        MetricType.GAUGE,
        "probe_duration_seconds",
        "Value of ekm_probe_duration_seconds, under the name that blackbox_exporter uses.",
        retention=Retention.PROBE,
    ),
)

METRICS: Final[tuple[MetricSpec, ...]] = (*TARGET_METRICS, *SHARED_METRICS, *SQL_SERVER_METRICS, *EXPORTER_METRICS)
BY_NAME: Final[Mapping[str, MetricSpec]] = {spec.name: spec for spec in chain(METRICS, PROBE_METRICS)}

# Codes of one way to sign in, and the credentials that sign in so.
_IDENTITY_SERVICE: Final = 3304
_IDENTITY_SERVICE_KINDS: Final = frozenset(
    {CredentialKind.MANAGED_IDENTITY, CredentialKind.WORKLOAD_IDENTITY, CredentialKind.DEFAULT}
)
_CERTIFICATE_KINDS: Final = frozenset({CredentialKind.CLIENT_CERTIFICATE, CredentialKind.DEFAULT})


def possible_codes(config: Config) -> tuple[ConnectorError, ...]:
    """Return the codes that fit the generations and the kinds of credential of `config`.

    If no target has a generation, its own numbers cannot occur. Certificate codes need a credential with a certificate.
    """
    families = {Family.BOTH} | {Family(target.generation.value) for target in config.targets.values()}
    kinds = {credential.kind for credential in config.credentials.values()}
    return tuple(error for error in CODES if error.observable and error.generation in families and _fits(error, kinds))


def _fits(error: ConnectorError, kinds: set[CredentialKind]) -> bool:
    if error.layer is Layer.CREDENTIAL:
        return not kinds.isdisjoint(_CERTIFICATE_KINDS)
    return error.code != _IDENTITY_SERVICE or not kinds.isdisjoint(_IDENTITY_SERVICE_KINDS)

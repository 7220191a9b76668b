"""Every metric, once: name, kind, labels, whose it is, how long it lasts, what it says.

For: the one table from which the exposition, the exporter's own instruments, docs/metrics.md and the tests are made.
Not for: the rows of a target (see `target_definitions`), values, nor how they are found (see `samples`, `counters`, `self_metrics`).
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import chain
from typing import Final

from exporter.metrics.spec import MetricSpec, MetricType, Retention, Scope
from exporter.metrics.target_definitions import ALERTED, OF_TARGETS, PATH_PARTS, ROLES, STEP_BUCKETS, of_target

__all__ = [
    "ALERTED",
    "BY_NAME",
    "LAG_BUCKETS",
    "METRICS",
    "OF_EXPORTER",
    "OF_OTHERS",
    "OF_PROBE",
    "OF_TARGETS",
    "PATH_PARTS",
    "ROLES",
    "STEP_BUCKETS",
]

# A start is late by milliseconds on an idle host; 1 s is what 5,000 targets may cost; from one interval on probes are missing.
LAG_BUCKETS: Final = (0.005, 0.025, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 15.0, 60.0)


def _shared(scope: Scope, memory: Retention, name: str, text: str, *own: str, kind: MetricType = MetricType.GAUGE) -> MetricSpec:
    return MetricSpec(name=name, kind=kind, scope=scope, memory=memory, help=text, own=own)


def _exporter(kind: MetricType, name: str, text: str, *own: str, memory: Retention | None = None) -> MetricSpec:
    memory = memory or (Retention.NOW if kind is MetricType.GAUGE else Retention.COUNTED)
    return MetricSpec(name=name, kind=kind, scope=Scope.EXPORTER, memory=memory, help=text, own=own)


OF_OTHERS: Final = (
    _shared(
        Scope.CREDENTIAL,
        Retention.KNOWN,
        "ekm_credential_expiry_timestamp_seconds",
        "When the credential ends, one series per source that knows it.",
        "source",
    ),
    _shared(
        Scope.CREDENTIAL,
        Retention.NOW,
        "ekm_credential_expiry_known",
        "1 if any source knows when the credential ends, 0 if none does; no series for one that has no secret that ends.",
    ),
    _shared(
        Scope.CREDENTIAL,
        Retention.KNOWN,
        "ekm_credential_expiry_lookup_last_success_timestamp_seconds",
        "When this source was last asked with success, whether or not it knew of an end.",
        "source",
    ),
    _shared(
        Scope.VAULT,
        Retention.PROBE,
        "ekm_request_budget_ratio",
        "Share of the vault's published limit that this exporter's requests used in the busiest 10 s of the last 60 s.",
    ),
    _shared(
        Scope.ENDPOINT,
        Retention.KNOWN,
        "ekm_tls_certificate_expiry_timestamp_seconds",
        "When the first certificate of the chain that the endpoint showed ends.",
    ),
    _shared(
        Scope.ENDPOINT,
        Retention.KNOWN,
        "ekm_clock_skew_seconds",
        "Endpoint's clock minus this host's, from the answer's Date header, which tells whole seconds.",
    ),
    _shared(
        Scope.CODE,
        Retention.STATIC,
        "ekm_error_info",
        "What a code that a probe can see means, whose it is and what to do first.",
        "symbol",
        "category",
        "owner",
        "summary",
        "action",
        kind=MetricType.INFO,
    ),
)

OF_EXPORTER: Final = (
    _exporter(MetricType.INFO, "ekm_exporter_build_info", "This exporter.", "version", "python", "mode", memory=Retention.STATIC),
    _exporter(
        MetricType.GAUGE,
        "ekm_exporter_config_last_reload_successful",
        "1 if the configuration was last read without a problem, else 0.",
    ),
    _exporter(
        MetricType.GAUGE, "ekm_exporter_config_last_reload_success_timestamp_seconds", "When the configuration in force was read."
    ),
    _exporter(
        MetricType.GAUGE,
        "ekm_exporter_ready",
        "1 once the first probes have finished or their time is over, as /-/ready says it.",
    ),
    _exporter(MetricType.GAUGE, "ekm_exporter_targets", "Targets that this exporter probes, those of other shards not counted."),
    MetricSpec(
        name="ekm_exporter_schedule_lag_seconds",
        kind=MetricType.HISTOGRAM,
        scope=Scope.EXPORTER,
        memory=Retention.COUNTED,
        help="How much later than planned probes started.",
        buckets=LAG_BUCKETS,
    ),
    _exporter(MetricType.COUNTER, "ekm_exporter_probes_skipped_total", "Planned probes that were not made.", "reason"),
    _exporter(
        MetricType.COUNTER,
        "ekm_exporter_probes_tainted_total",
        "Probes during which the event loop lagged: their times are this exporter's, so counters and histograms leave them out.",
    ),
    _exporter(MetricType.COUNTER, "ekm_exporter_requests_total", "Requests sent, by who was asked.", "endpoint"),
    _exporter(MetricType.COUNTER, "ekm_exporter_internal_errors_total", "Mistakes of the exporter itself; the log has each one."),
    _exporter(
        MetricType.GAUGE,
        "ekm_exporter_event_loop_lag_seconds",
        "Longest that the event loop kept others waiting in the last 60 s.",
    ),
)

# Only in the answer of /probe, beside the target's gauges and infos.
OF_PROBE: Final = (
    of_target(
        Retention.PROBE,
        "ekm_probe_step_duration_seconds",
        "Duration of this step; a shared token's is that of the fetch.",
        "step",
    ),
    MetricSpec(
        name="probe_success",
        kind=MetricType.GAUGE,
        scope=Scope.EXPORTER,
        memory=Retention.PROBE,
        help="The same as ekm_probe_success under the name that blackbox probes use.",
    ),
    MetricSpec(
        name="probe_duration_seconds",
        kind=MetricType.GAUGE,
        scope=Scope.EXPORTER,
        memory=Retention.PROBE,
        help="The same as ekm_probe_duration_seconds under the name that blackbox probes use.",
    ),
)

METRICS: Final[tuple[MetricSpec, ...]] = (*OF_TARGETS, *OF_OTHERS, *OF_EXPORTER)
BY_NAME: Final[Mapping[str, MetricSpec]] = {spec.name: spec for spec in chain(METRICS, OF_PROBE)}

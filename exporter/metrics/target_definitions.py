"""The metrics of a target, and the closed lists that they and the alerts share.

For: the rows of the table (see `definitions`) with `target` and `vault` as labels, in the order in which they are told.
Not for: values, nor how they are found (see `samples`, `auxiliary_samples`, `counters`); metrics of anybody else.
"""

from __future__ import annotations

from typing import Final

from exporter.core.model import Step
from exporter.metrics.spec import MetricSpec, MetricType, Retention, Scope

# Straddles a vault's usual tens of milliseconds, 1 s (a slow answer), 5 s (the service's own promise) and the longest timeout.
STEP_BUCKETS: Final = (0.005, 0.025, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)

# The (code, step) pairs that alerts count, in classic numbers: born at 0 with the target, so that `increase` sees the first
# one. Any other pair appears when it first happens. Every step's 429 responses have their own counter besides.
ALERTED: Final[tuple[tuple[int, tuple[Step, ...]], ...]] = (
    (3011, (Step.GET_KEY, Step.WRAP_KEY, Step.UNWRAP_KEY)),
    (3077, (Step.GET_KEY, Step.WRAP_KEY, Step.UNWRAP_KEY)),
    (3303, (Step.TOKEN,)),
)

# What may change on the way to a vault, the label `what` of ekm_path_changes_total.
PATH_PARTS: Final = ("region", "connection", "tls_issuer")
# Whose credential it is, the label `role` of ekm_credential_usable: SQL Server's, or the staged one.
ROLES: Final = ("current", "next")


def of_target(memory: Retention, name: str, text: str, *own: str, kind: MetricType = MetricType.GAUGE) -> MetricSpec:
    """A metric of a target; `own` are its labels beyond those that every target's has."""
    return MetricSpec(name=name, kind=kind, scope=Scope.TARGET, memory=memory, help=text, own=own)


def _counted(name: str, text: str, *own: str) -> MetricSpec:
    return of_target(Retention.COUNTED, name, text, *own, kind=MetricType.COUNTER)


def _info(memory: Retention, name: str, text: str, *own: str) -> MetricSpec:
    return of_target(memory, name, text, *own, kind=MetricType.INFO)


OF_TARGETS: Final = (
    # the probe
    of_target(
        Retention.PROBE, "ekm_probe_success", "1 if every step succeeded and the unwrapped bytes equal the wrapped ones, else 0."
    ),
    of_target(Retention.PROBE, "ekm_probe_duration_seconds", "How long all steps took together."),
    of_target(Retention.DECLARED, "ekm_probe_interval_seconds", "Time from one probe to the next."),
    of_target(
        Retention.PROBE, "ekm_maintenance", "1 if the last probe started in a declared maintenance window, 0 if outside of all."
    ),
    of_target(Retention.NOW, "ekm_next_probe_timestamp_seconds", "When the next probe is due."),
    of_target(Retention.PROBE, "ekm_last_probe_timestamp_seconds", "When it started."),
    of_target(Retention.KNOWN, "ekm_last_success_timestamp_seconds", "When the last wholly successful probe started."),
    _counted("ekm_probes_total", "Finished probes of the current credential and key version, without tainted ones."),
    _counted("ekm_probe_failures_total", "Those of them in which a step failed."),
    _counted(
        "ekm_probe_verdicts_total",
        "Probes with a verdict, by verdict (ready, not_ready): what a service level counts.",
        "verdict",
    ),
    of_target(Retention.PROBE, "ekm_consecutive_failures", "Failed probes in a row, 0 after a good one."),
    of_target(
        Retention.PROBE,
        "ekm_consecutive_blocking_failures",
        "Probes in a row in which a step other than wrap_key failed, 0 after a good one.",
    ),
    of_target(
        Retention.PROBE, "ekm_consecutive_unready_probes", "Probes in a row with the verdict not ready, 0 after a good one."
    ),
    # its steps
    of_target(
        Retention.PROBE, "ekm_step_success", "1 if this step succeeded, 0 if it failed, no series if it was not reached.", "step"
    ),
    MetricSpec(
        name="ekm_step_duration_seconds",
        kind=MetricType.HISTOGRAM,
        scope=Scope.TARGET,
        memory=Retention.COUNTED,
        help="Duration of this step, failed ones included; a token fetched by another probe and tainted probes are left out.",
        own=("step",),
        buckets=STEP_BUCKETS,
    ),
    of_target(
        Retention.PROBE,
        "ekm_step_phase_duration_seconds",
        "Duration of one phase of this step; dns, connect and tls only where a connection was made for it.",
        "step",
        "phase",
    ),
    # its failures
    _counted("ekm_errors_total", "Failed steps by the code that SQL Server would show.", "step", "code"),
    of_target(Retention.PROBE, "ekm_last_error_code", "Number of the first failed step's code, 0 when it succeeded."),
    _info(
        Retention.PROBE,
        "ekm_last_failure_info",
        "Which step failed first and why; no series when it succeeded.",
        "step",
        "code",
        "symbol",
        "reason",
    ),
    _counted("ekm_throttled_total", "Answers with HTTP status 429, a shared token's answer counted once.", "step"),
    of_target(Retention.PROBE, "ekm_retry_after_seconds", "Wait that this step's answer asked for in Retry-After.", "step"),
    # the verdict
    of_target(
        Retention.PROBE,
        "ekm_vault_side_ready",
        "1 if a token, the pinned key version and an unwrap with it were got from here, 0 if one of them failed; no series "
        "where neither can be said, nor after three intervals without a probe.",
    ),
    # the key
    _info(Retention.KNOWN, "ekm_key_info", "The key version that was read.", "key", "version", "kty", "size_bits"),
    of_target(Retention.KNOWN, "ekm_key_enabled", "1 if the vault calls the key version enabled, else 0."),
    of_target(Retention.KNOWN, "ekm_key_supported", "1 if the connector accepts its type and size, else 0."),
    of_target(Retention.KNOWN, "ekm_key_expiry_timestamp_seconds", "When the key version expires; no series if it never does."),
    of_target(Retention.KNOWN, "ekm_key_not_before_timestamp_seconds", "From when on the key version may be used."),
    of_target(Retention.DECLARED, "ekm_key_backup_timestamp_seconds", "When the key was last backed up, as declared."),
    of_target(
        Retention.KNOWN,
        "ekm_key_scheduled_purge_timestamp_seconds",
        "When the deleted key will be gone for good; no series for a key that is not deleted.",
    ),
    # beside the probe
    of_target(Retention.KNOWN, "ekm_key_rotation_pending", "1 if the newest version of the key is not the pinned one, else 0."),
    of_target(
        Retention.LOOK,
        "ekm_retained_version_usable",
        "1 if a retained key version unwrapped, 0 if it was refused; no series where no answer was had.",
        "key",
        "version",
    ),
    of_target(
        Retention.LOOK,
        "ekm_recovery_usable",
        "1 if the recovery vault unwrapped what was encrypted under the primary's key, 0 if it did not; no series where no "
        "answer was had.",
    ),
    of_target(Retention.KNOWN, "ekm_recovery_last_success_timestamp_seconds", "When the recovery vault last did so."),
    # the doctor's checks
    of_target(
        Retention.CHECKS,
        "ekm_preflight_failed_checks",
        "How many of the doctor's checks failed; no series before the first run, nor where preflight_interval is 0s.",
    ),
    of_target(
        Retention.CHECKS,
        "ekm_preflight_failed",
        "1 for each of the doctor's checks that failed, no series for any other.",
        "check",
    ),
    # who, where, for whom
    of_target(
        Retention.PROBE,
        "ekm_credential_usable",
        "1 if it was accepted, 0 if it was refused, the staged one by the whole round trip; no series where no answer was had.",
        "credential",
        "role",
    ),
    _info(
        Retention.DECLARED,
        "ekm_target_info",
        "What is probed and how, with the labels given to the target; the tenant also from the vault's challenge.",
        "key",
        "credential",
        "module",
        "mode",
        "cloud",
        "tenant",
        "generation",
        "pin",
        "vantage",
    ),
    _info(
        Retention.DECLARED,
        "ekm_instance_info",
        "One SQL Server that depends on the target, as declared.",
        "sql_instance",
        "host",
        "ag",
    ),
    _info(
        Retention.KNOWN,
        "ekm_vault_info",
        "What the vault's diagnostic headers say of where and how it answered.",
        "region",
        "service_version",
        "connection",
    ),
    _counted("ekm_path_changes_total", "Changes seen from one answer of the vault to the next.", "what"),
    of_target(
        Retention.KNOWN,
        "ekm_path_as_expected",
        "1 if the vault says that it was reached over the path that expect_path names, 0 if over another; no series where "
        "nothing is expected or the vault does not say.",
    ),
)

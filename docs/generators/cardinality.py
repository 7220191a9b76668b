"""How many series one target has: the arithmetic behind the promise of `MOST_SERIES`, told in docs/metrics.md.

For: what a healthy target has at most, what a failing probe adds, what each thing declared beside the probe and the doctor's
checks add.
Not for: series that targets share (a credential's, a vault's, an endpoint's), or what a metric says (see `metrics.definitions`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from exporter.core.model import Phase, Step
from exporter.metrics.definitions import ALERTED, OF_TARGETS, PATH_PARTS
from exporter.metrics.spec import MetricSpec, MetricType

MOST_SERIES: Final = 125

_STEPS, _PHASES = len(Step), len(Phase)
_PER_HISTOGRAM = 3  # the +Inf bucket, _count and _sum, besides one per bound
_CONNECTING, _PHASES_REUSED = 2, 2  # challenge and token connect; the others only wait and transfer

# Own labels whose values are a closed list, and how many series they make for one target at most, with the reason.
SEVERAL: Final[Mapping[str, tuple[int, str]]] = {
    "ekm_step_success": (_STEPS, "one per step"),
    "ekm_step_phase_duration_seconds": (
        _CONNECTING * _PHASES + (_STEPS - _CONNECTING) * _PHASES_REUSED,
        "five phases where a connection is made (challenge, token), `wait` and `transfer` elsewhere",
    ),
    "ekm_errors_total": (
        sum(len(steps) for _, steps in ALERTED),
        "the pairs that alerts name; each other (step, code) pair adds one when it first happens",
    ),
    "ekm_probe_verdicts_total": (2, "one per verdict"),
    "ekm_throttled_total": (_STEPS, "one per step"),
    "ekm_path_changes_total": (len(PATH_PARTS), "one per part of the path"),
}
# Only while something is wrong, each one series.
OF_FAILURES: Final[Mapping[str, str]] = {
    "ekm_last_failure_info": "while the last probe failed",
    "ekm_retry_after_seconds": "where its answer asks for a wait; two should wrap and unwrap of one probe both be told to",
    "ekm_key_scheduled_purge_timestamp_seconds": "while the key is deleted; wrap and unwrap are then not reached, which takes more away",
}
# Only where the configuration declares something beside the probe: how many series each such thing adds.
OF_DECLARATIONS: Final[Mapping[str, tuple[str, ...]]] = {
    "each SQL Server in `instances`": ("ekm_instance_info",),
    "each key version in `retained_versions`": ("ekm_retained_version_usable",),
    "`next_credential`": ("ekm_credential_usable",),
    "`recovery_vault`": ("ekm_recovery_usable", "ekm_recovery_last_success_timestamp_seconds"),
    "`maintenance`, here or in `global`": ("ekm_maintenance",),
    "`backup_on`": ("ekm_key_backup_timestamp_seconds",),
    "`expect_path` of the module": ("ekm_path_as_expected",),
}
# Of the doctor's checks, whose results are metrics where `preflight_interval` is not 0s.
OF_CHECKS: Final[Mapping[str, str]] = {
    "ekm_preflight_failed_checks": "from the first run of the checks on",
    "ekm_preflight_failed": "for each check that failed",
}
# A family that is there anyway, with one series more where something is declared.
_ANYWAY = frozenset({"ekm_credential_usable"})
_ADDED: Final = frozenset(name for names in OF_DECLARATIONS.values() for name in names) - _ANYWAY


def of_a_healthy_target() -> dict[str, int]:
    """By family: how many series a target has at most whose probes succeed and beside which nothing is declared."""
    besides = {*_ADDED, *OF_FAILURES, *OF_CHECKS}
    return {spec.name: _count(spec) for spec in OF_TARGETS if spec.name not in besides}


def bounds_and_more(spec: MetricSpec) -> str:
    """A histogram's arithmetic in words."""
    return f"{_STEPS} steps, each with {len(spec.buckets)} bounds, +Inf, `_count` and `_sum`"


def _count(spec: MetricSpec) -> int:
    if spec.kind is MetricType.HISTOGRAM:
        return _STEPS * (len(spec.buckets) + _PER_HISTOGRAM)
    return SEVERAL[spec.name][0] if spec.name in SEVERAL else 1

"""Count the series of one target, for docs/metrics.md and its test.

The count covers a healthy target, a failing probe, optional settings and preflight checks; series that targets share are excluded.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from exporter.core.model import Phase, Step
from exporter.metrics.definitions import COUNTED, PATH_PARTS, TARGET_METRICS, phases_at
from exporter.metrics.spec import Level, MetricSpec, MetricType

_STEPS = len(Step)
_PER_HISTOGRAM = 3  # the +Inf bucket, _count and _sum; each bound adds one more
_CONNECTING = 2  # challenge and token; the other steps reuse a connection
_REUSED: Final = frozenset({Phase.WAIT, Phase.TRANSFER})
_PHASES: Final = "ekm_step_phase_duration_seconds"

# Families with labels from a closed list: the most series for one target, and the reason.
SEVERAL: Final[Mapping[str, tuple[int, str]]] = {
    "ekm_step_success": (_STEPS, "one per step"),
    _PHASES: (
        _CONNECTING * len(Phase) + (_STEPS - _CONNECTING) * len(_REUSED),
        "five phases for a step with a new connection (challenge, token), else `wait` and `transfer`; `transfer` at level `full`",
    ),
    "ekm_errors_total": (
        sum(len(steps) for _, steps in COUNTED),
        "the most frequent pairs; each other (step, code) pair adds one when it first occurs",
    ),
    "ekm_probe_verdicts_total": (2, "one per verdict"),
    "ekm_throttled_total": (_STEPS, "one per step"),
    "ekm_path_changes_total": (len(PATH_PARTS), "one per part of the path"),
}
# One series each, only while the condition holds.
OF_FAILURES: Final[Mapping[str, str]] = {
    **dict.fromkeys(
        ("ekm_last_failure_info", "ekm_failure_action_info", "ekm_failure_cause_info"), "while the last probe failed"
    ),
    "ekm_retry_after_seconds": "while a response carries Retry-After: one series per throttled step, two if wrap and unwrap are both throttled",
    "ekm_key_scheduled_purge_timestamp_seconds": "while the key is deleted; wrap and unwrap are then not reached, which removes more series",
}
# Optional settings, and the families in which each adds a series.
OF_DECLARATIONS: Final[Mapping[str, tuple[str, ...]]] = {
    "each SQL Server in `instances`": ("ekm_instance_info",),
    "each key version in `retained_versions`": ("ekm_retained_version_usable",),
    "`next_credential`": ("ekm_credential_usable",),
    "`recovery_vault`": ("ekm_recovery_usable", "ekm_recovery_last_success_timestamp_seconds"),
    "`maintenance`, here or in `global`": ("ekm_maintenance",),
    "`backup_on`": ("ekm_key_backup_timestamp_seconds",),
    "`expect_path` of the module": ("ekm_path_as_expected",),
}
# Preflight checks, unless `preflight_interval` is 0s.
OF_CHECKS: Final[Mapping[str, str]] = {
    "ekm_preflight_failed_checks": "after the first run of the checks",
    "ekm_preflight_failed": "one series for each failed check",
}
# A family that every target has; a setting adds one more series to it.
_ANYWAY = frozenset({"ekm_credential_usable"})
_ADDED: Final = frozenset(name for names in OF_DECLARATIONS.values() for name in names) - _ANYWAY


def of_a_healthy_target(level: Level, *, native: bool = False) -> dict[str, int]:
    """Return, by family, the most series of a target with successful probes and without optional settings.

    `native`: each histogram is one series.
    """
    added = {*_ADDED, *OF_FAILURES, *OF_CHECKS}
    shown = [spec for spec in TARGET_METRICS if spec.name not in added and level.includes(spec.level)]
    return {spec.name: _count(spec, level, native=native) for spec in shown}


def most_series(level: Level, *, native: bool = False) -> int:
    """Return the most series of a healthy target at a level."""
    return sum(of_a_healthy_target(level, native=native).values())


def bounds_and_more(spec: MetricSpec) -> str:
    """Describe the number of series of a histogram."""
    bounds = " or ".join(str(len(spec.bounds(level))) for level in Level).replace(" or ", ", ", len(Level) - 2)
    return f"{_STEPS} steps, each with {bounds} bounds, +Inf, `_count` and `_sum`"


def _count(spec: MetricSpec, level: Level, *, native: bool) -> int:
    if spec.kind is MetricType.HISTOGRAM:
        return _STEPS * (1 if native else len(spec.bounds(level)) + _PER_HISTOGRAM)
    if spec.name == _PHASES:
        shown = set(phases_at(level))
        return _CONNECTING * len(shown) + (_STEPS - _CONNECTING) * len(shown & _REUSED)
    return SEVERAL[spec.name][0] if spec.name in SEVERAL else 1

"""Count the series of one target and of one SQL Server, for docs/metrics.md and its tests.

The count of a target covers a healthy target, a failing probe, optional settings and preflight checks; series that targets share are
excluded.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from exporter.core.values import Phase, Step
from exporter.metrics.counters import COUNTED, PATH_PARTS
from exporter.metrics.families import BY_NAME
from exporter.metrics.spec import Level, MetricSpec, MetricType
from exporter.metrics.target_families import TARGET_METRICS, phases_at
from exporter.sqlserver.calls import OPTIONAL
from exporter.sqlserver.document import CHANGES, PROOF_SECTIONS, SECTIONS
from exporter.sqlserver.reading import BACKUP_TYPES

_STEPS = len(Step)
_PER_HISTOGRAM = 3  # the +Inf bucket, _count and _sum; each bound adds one more
_CONNECTING = 2  # challenge and token; the other steps reuse a connection
_REUSED: Final = frozenset({Phase.WAIT, Phase.TRANSFER})
_PHASES: Final = "ekm_step_phase_duration_seconds"

DATABASE: Final = "each database that is encrypted or not online"
TARGET: Final = "each target that certainly lists it"
DIFFERENCE: Final = "each difference from the configuration"
OWNED: Final = "each availability group, or none, if a target lists the SQL Server"
FILLS: Final = "each database whose log backups are late while its key fails"
CALL: Final = "each function and result of its calls, if a session records them"
SAID: Final = "each thing of which an alert says what to do first"
MISSING: Final = "each row of the evidence that a restart lacks, for each key"
FAILING: Final = "each key that is due to be proven"
BACKUP: Final = "each such database and type of backup"

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
    "ekm_incident": "while the failure pages",
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
# Series of a SQL Server that the exporter reads: for each of these, one in each family.
OF_SQL_SERVERS: Final[Mapping[str, tuple[str, ...]]] = {
    "the SQL Server": (
        "mssql_ekm_read_success",
        "mssql_ekm_objects_left_out",
        "mssql_ekm_start_timestamp_seconds",
        "mssql_ekm_trace_flag_enabled",
        "mssql_ekm_backups_failing_since_timestamp_seconds",
        "mssql_ekm_read_until_timestamp_seconds",
    ),
    OWNED: ("mssql_ekm_alerts_enabled",),
    SAID: ("mssql_ekm_first_action_info",),
    "each section of a reading": ("mssql_ekm_section_timestamp_seconds",),
    "each provider": ("mssql_ekm_provider_enabled",),
    "each provider in each availability group, or in none": (
        "mssql_ekm_provider_info",
        "mssql_ekm_provider_dll_info",
        "mssql_ekm_provider_loaded_info",
    ),
    "each credential in each availability group, or in none": (
        "mssql_ekm_credential_modified_timestamp_seconds",
        "mssql_ekm_credential_altered_timestamp_seconds",
    ),
    "each key": ("mssql_ekm_asymmetric_key_info",),
    "each key that protects a database": (
        "mssql_ekm_proven_timestamp_seconds",
        "mssql_ekm_proof_due",
        "mssql_ekm_restart_ready_until_timestamp_seconds",
    ),
    MISSING: ("mssql_ekm_restart_missing_info",),
    FAILING: ("mssql_ekm_proof_due_since_timestamp_seconds",),
    "each key that protects a database, and whose login has no credential": ("mssql_ekm_key_without_credential",),
    TARGET: ("mssql_ekm_target_info",),
    DIFFERENCE: ("mssql_ekm_difference_databases",),
    DATABASE: (
        "mssql_ekm_database_encryption_state",
        "mssql_ekm_database_encryption_percent_complete",
        "mssql_ekm_database_key_opened_timestamp_seconds",
        "mssql_ekm_database_state",
        "mssql_ekm_log_vlf_sequence_number",
        "mssql_ekm_log_used_bytes",
        "mssql_ekm_log_free_bytes",
        "mssql_ekm_log_full_seconds",
    ),
    FILLS: ("mssql_ekm_log_full_timestamp_seconds",),
    BACKUP: ("mssql_ekm_backup_started_timestamp_seconds", "mssql_ekm_backup_finished_timestamp_seconds"),
    "each code in the error log": ("mssql_ekm_error_log_lines", "mssql_ekm_error_log_last_timestamp_seconds"),
    CALL: ("mssql_ekm_calls_last_hour", "mssql_ekm_call_timestamp_seconds"),
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


def for_each(what: str, level: Level) -> int:
    """Return the series of a SQL Server for each thing of `OF_SQL_SERVERS` at a level."""
    return sum(level.includes(BY_NAME[name].level) for name in OF_SQL_SERVERS[what])


def of_each_database(level: Level) -> int:
    """Return the most series of an encrypted database at a level."""
    return for_each(DATABASE, level) + len(BACKUP_TYPES) * for_each(BACKUP, level)


def of_a_sql_server(level: Level) -> int:
    """Return the most series of a healthy SQL Server without databases and groups, with one provider, credential and key."""
    without_credential = "each key that protects a database, and whose login has no credential"
    left_out = (DATABASE, BACKUP, TARGET, DIFFERENCE, OWNED, FILLS, SAID, CALL, MISSING, FAILING, without_credential)
    ones = sum(for_each(what, level) for what in OF_SQL_SERVERS if what not in left_out)
    return ones + len({*SECTIONS, *PROOF_SECTIONS, CHANGES} - OPTIONAL) - 1


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

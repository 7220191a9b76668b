"""The generated parts of docs/metrics.md, from the table of metrics."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final, get_args

from docs.generators.cardinality import (
    OF_CHECKS,
    OF_DECLARATIONS,
    OF_FAILURES,
    OF_SQL_SERVERS,
    SEVERAL,
    bounds_and_more,
    for_each,
    most_series,
    of_a_healthy_target,
    of_a_sql_server,
    of_each_database,
)
from docs.generators.pages import GeneratedPart, table
from exporter.core.limits import OWN_SHARE
from exporter.core.values import Phase, Step
from exporter.knowledge.causes import MANY, MANY_RATIO, NEARLY_ALL_RATIO, TOGETHER_SECONDS
from exporter.knowledge.checks import CHECKS
from exporter.knowledge.expiry import Source
from exporter.knowledge.incident import CYCLES, RUN, RUN_SLOW, SLOW_SECONDS, Page
from exporter.knowledge.reasons import Reason
from exporter.metrics.counters import PATH_PARTS
from exporter.metrics.families import METRICS, PROBE_METRICS
from exporter.metrics.own import REQUESTED, SKIP_REASONS
from exporter.metrics.spec import Level, MetricSpec, MetricType, SeriesScope
from exporter.metrics.sql_server_families import FEW, MOST
from exporter.metrics.target_families import ROLES
from exporter.sqlserver.calls import OPTIONAL
from exporter.sqlserver.differences import TEXTS
from exporter.sqlserver.document import PROOF_SECTIONS, SECTIONS
from exporter.sqlserver.proof import ProofSource
from exporter.sqlserver.reading import BACKUP_TYPES
from exporter.state.causes import MOST_CAUSES

# An example query for each metric that has one.
EXAMPLES: Final[Mapping[str, str]] = {
    "ekm_consecutive_failures": "ekm_consecutive_failures >= 3",
    "ekm_consecutive_blocking_failures": "ekm_consecutive_blocking_failures >= 3",
    "ekm_probe_failures_total": "increase(ekm_probe_failures_total[1h]) / increase(ekm_probes_total[1h])",
    "ekm_probe_verdicts_total": (
        'sum without (verdict) (increase(ekm_probe_verdicts_total{verdict="ready"}[30d]))'
        " / sum without (verdict) (increase(ekm_probe_verdicts_total[30d]))"
    ),
    "ekm_last_probe_timestamp_seconds": "time() - ekm_last_probe_timestamp_seconds > 3 * ekm_probe_interval_seconds",
    "ekm_last_success_timestamp_seconds": "(time() - ekm_last_success_timestamp_seconds) / 60",
    "ekm_step_duration_seconds": (
        "histogram_quantile(0.99, sum by (target, step, le) (rate(ekm_step_duration_seconds_bucket[30m])))"
    ),
    "ekm_step_phase_duration_seconds": "sum by (target, phase) (ekm_step_phase_duration_seconds)",
    "ekm_errors_total": 'sum by (target) (increase(ekm_errors_total{code=~"3077|3113"}[1h]))',
    "ekm_unsteady_failures_total": "increase(ekm_unsteady_failures_total[1h]) / increase(ekm_probes_total[1h])",
    "ekm_throttled_total": "sum by (vault) (increase(ekm_throttled_total[10m]))",
    "ekm_last_failure_info": (
        "ekm_last_failure_info * on (job, instance, target) group_left (meaning, action, owner) ekm_failure_action_info"
    ),
    "ekm_failure_action_info": "ekm_failure_action_info and on (job, instance, target) ekm_vault_side_ready == 0",
    "ekm_incident": "count by (page, cause, name) (ekm_incident)",
    "ekm_failure_cause_info": "count by (link, name, reason) (ekm_failure_cause_info)",
    "ekm_common_cause_sql_servers": "topk(5, ekm_common_cause_sql_servers)",
    "ekm_vault_side_ready": "ekm_vault_side_ready == 0",
    "ekm_key_expiry_timestamp_seconds": "(ekm_key_expiry_timestamp_seconds - time()) / 86400 < 30",
    "ekm_key_scheduled_purge_timestamp_seconds": "(ekm_key_scheduled_purge_timestamp_seconds - time()) / 86400",
    "ekm_key_rotation_pending": "ekm_key_rotation_pending == 1",
    "ekm_retained_version_usable": "ekm_retained_version_usable == 0",
    "ekm_recovery_usable": "ekm_recovery_usable == 0",
    "ekm_recovery_last_success_timestamp_seconds": "time() - ekm_recovery_last_success_timestamp_seconds > 7 * 86400",
    "ekm_credential_usable": 'ekm_credential_usable{role="next"} == 0',
    "ekm_preflight_failed_checks": "ekm_preflight_failed_checks > 0 and on (job, instance, target) ekm_probe_success == 1",
    "ekm_preflight_failed": "count by (check) (ekm_preflight_failed)",
    "ekm_path_as_expected": "ekm_path_as_expected == 0",
    "ekm_target_info": "ekm_vault_side_ready * on (job, instance, target) group_left (team, env) ekm_target_info",
    "ekm_instance_info": "ekm_instance_info and on (job, instance, target) (ekm_vault_side_ready == 0)",
    "ekm_credential_expiry_timestamp_seconds": (
        "min by (credential) (last_over_time(ekm_credential_expiry_timestamp_seconds[1d]) - time()) < 14 * 86400"
    ),
    "ekm_credential_expiry_known": "ekm_credential_expiry_known == 0",
    "ekm_credential_info": "ekm_credential_expiry_known * on (credential) group_left (client_id) ekm_credential_info",
    "ekm_credential_expiry_lookup_last_success_timestamp_seconds": (
        "time() - ekm_credential_expiry_lookup_last_success_timestamp_seconds > 2 * 86400"
    ),
    "ekm_request_budget_ratio": f"sum by (vault) (ekm_request_budget_ratio) > {OWN_SHARE}",
    "ekm_tls_certificate_expiry_timestamp_seconds": "(ekm_tls_certificate_expiry_timestamp_seconds - time()) / 86400 < 14",
    "ekm_clock_skew_seconds": "abs(ekm_clock_skew_seconds) > 120",
    "ekm_path_changes_total": 'increase(ekm_path_changes_total{what="region"}[15m]) > 0',
    "mssql_ekm_read_success": "mssql_ekm_read_success == 0",
    "mssql_ekm_section_timestamp_seconds": "(time() - mssql_ekm_section_timestamp_seconds) / 3600 > 24",
    "mssql_ekm_asymmetric_key_info": "count by (thumbprint) (mssql_ekm_asymmetric_key_info)",
    "mssql_ekm_proven_timestamp_seconds": "(time() - max by (sql_instance, host, thumbprint) (mssql_ekm_proven_timestamp_seconds)) / 60",
    "mssql_ekm_proof_due": "mssql_ekm_proof_due == 1",
    "mssql_ekm_database_encryption_state": "count by (encryptor_thumbprint) (mssql_ekm_database_encryption_state > 1)",
    "mssql_ekm_database_state": "mssql_ekm_database_state == 3 or mssql_ekm_database_state == 4",
    "mssql_ekm_backup_finished_timestamp_seconds": (
        '(time() - max by (sql_instance, database) (mssql_ekm_backup_finished_timestamp_seconds{type="log"})) / 60'
    ),
    "mssql_ekm_log_vlf_sequence_number": "rate(mssql_ekm_log_vlf_sequence_number[1h])",
    "mssql_ekm_log_full_seconds": "mssql_ekm_log_full_seconds < 4 * 3600",
    "mssql_ekm_error_log_last_timestamp_seconds": "time() - mssql_ekm_error_log_last_timestamp_seconds < 900",
    "ekm_exporter_schedule_lag_seconds": "histogram_quantile(0.99, rate(ekm_exporter_schedule_lag_seconds_bucket[10m]))",
    "ekm_exporter_probes_skipped_total": "sum by (reason) (increase(ekm_exporter_probes_skipped_total[1h]))",
}

# Checks that run on the SQL Server host only have no result in the exporter.
CHECKED: Final = tuple(check.name for check in CHECKS if not check.on_host)


_LEVELS = f"""\
| level | for | series of a target, at most | with native histograms |
| --- | --- | --- | --- |
| `minimal` | the alerts and recording rules | {most_series(Level.MINIMAL)} | {most_series(Level.MINIMAL, native=True)} |
| `default` | these, and the dashboards | {most_series(Level.DEFAULT)} | {most_series(Level.DEFAULT, native=True)} |
| `full` | every family and bucket | {most_series(Level.FULL)} | {most_series(Level.FULL, native=True)} |"""

_PAGES = ", ".join(f"`{page}`" for page in Page)

_CAUSES = f"""\
While probes fail, the exporter shows why. The status page shows the causes of one incident as one card and counts them once. A ready target has
none of these series, even if it is unsteady; neither has a target before its first probe since the start of the exporter.

| link | name | a cause of failures |
| --- | --- | --- |
| `host` | empty | of the exporter's host or its network: {MANY} vaults or more, and {NEARLY_ALL_RATIO:.0%} of all, without a connection; or {MANY} whose names are not resolved in time |
| `proxy` | its host and port | with a reason `proxy_...` |
| `entra` | the sign-in host | in the step `token`, without a usable response |
| `region` | as in `ekm_vault_info` | no response or a server error from {MANY} vaults or more, and {MANY_RATIO:.0%} of those in the region. TLS and names are no fault of a region |
| `credential` | its name | refused by Entra ID, or not permitted by {MANY} vaults or more, and {MANY_RATIO:.0%} of those it signs in to |
| `vault` | its host name | any other |
| `key` | vault and key | with a reason `key_...` |

The name is empty if one cause covers several vaults, keys or credentials: the same reason and step in {MANY} vaults or more, where each failure
began at most {TOGETHER_SECONDS / 60:.0f} minutes after another. It is empty too if {MANY} vaults or more refuse the address of the exporter. The most frequent reason counts.
At most {MOST_CAUSES} causes have the series `ekm_common_cause_...`. Those with the most SQL Servers at risk come first, then what cannot be undone, then the oldest.
`ekm_failure_cause_info` joins each failing target to its cause. Labels consist of the exporter's own words, names in the configuration and names of regions.
What a server reported, such as an object id or an address, is a capital word in `action`; the pages and `ekm-exporter probe` fill it in.

A failure is an incident, `ekm_incident`, from {RUN} failed probes in a row on; {RUN_SLOW} if the interval is {SLOW_SECONDS / 60:.0f} minutes or more, or the
exporter backs off from a vault that throttles; {CYCLES} if {MANY} targets or more share the label `cause`. Those that count are not ready; a target without a
verdict by design counts probes in which a step other than wrap failed, and a wrap that is throttled or forbidden counts itself. A deleted key
whose purge date is known needs one. `page` is the alert: {_PAGES}.

| cause | name | the incidents of many targets |
| --- | --- | --- |
| `host` | empty | {MANY} targets or more, and {NEARLY_ALL_RATIO:.0%} of all, without a connection |
| `entra` | empty | {MANY} targets or more, and {MANY_RATIO:.0%} of all, without a usable response of Entra ID, and no `host` |
| `region` | as in `ekm_vault_info` | {MANY} vaults or more of the region with this link, and no `host` |
| `credential` | its name | {MANY} vaults or more that refuse the credential or the address of the exporter |

With `--no-scheduler` the causes on `/metrics` are those of the last requested probes, and `/probe` has action and cause of its target."""


def _glance() -> str:
    rows = ((f"[`{spec.name}`](#{spec.name})", spec.type, _labels(spec.own), spec.level, spec.help) for spec in METRICS)
    return table(("metric", "type", "labels", "level", "meaning"), rows)


def _values() -> str:
    lists = {
        "step": Step,
        "check": CHECKED,
        "phase": Phase,
        "what": PATH_PARTS,
        "role": ROLES,
        "source": [source for source in Source if source is not Source.ENTRA],
        "endpoint` of `ekm_exporter_requests_total": REQUESTED,
        "reason` of `ekm_exporter_probes_skipped_total": SKIP_REASONS,
        "reason` of `ekm_last_failure_info": Reason,
        "section": [section for section in (*SECTIONS, *PROOF_SECTIONS) if section not in OPTIONAL],
        "type": BACKUP_TYPES.values(),
        "source` of `mssql_ekm_proven_timestamp_seconds": [source for source in get_args(ProofSource) if source != "call"],
        "kind` of `mssql_ekm_difference_databases": TEXTS,
    }
    return table(("label", "values"), ((f"`{label}`", _labels(values)) for label, values in lists.items()))


def _cardinality() -> str:
    healthy = {level: of_a_healthy_target(level) for level in Level}
    reasons = {name: reason for name, (_, reason) in SEVERAL.items()}
    reasons |= {spec.name: bounds_and_more(spec) for spec in METRICS if spec.kind is MetricType.HISTOGRAM}
    single = [str(sum(1 for name in healthy[level] if name not in reasons)) for level in Level]
    rows = [f"| families with one series | {' | '.join(single)} | |"]
    rows += [
        f"| `{name}` | {' | '.join(str(healthy[level].get(name, 0)) for level in Level)} | {reasons[name]} |"
        for name in healthy[Level.FULL]
        if name in reasons
    ]
    together = f"| **together** | {' | '.join(f'**{sum(healthy[level].values())}**' for level in Level)} | |"
    failures = [f"| `{name}` | {when} |" for name, when in OF_FAILURES.items()]
    checks = [f"| `{name}` | {when} |" for name, when in OF_CHECKS.items()]
    declared = [
        f"| {what} | {len(names)} | {', '.join(f'`{name}`' for name in names)} |" for what, names in OF_DECLARATIONS.items()
    ]
    return "\n".join(
        [
            "| family | minimal | default | full | |", "| --- | --- | --- | --- | --- |", *rows, together, "",
            "A failing probe adds:", "", "| family | condition |", "| --- | --- |", *failures, "",
            "Optional settings of a target add:", "",
            "| setting | series | families |", "| --- | --- | --- |", *declared, "",
            "Preflight checks (`preflight_interval`) add:", "", "| family | condition |", "| --- | --- |", *checks,
        ]
    )  # fmt: skip


def _of_sql_servers() -> str:
    rows = [
        f"| {what} | {for_each(what, Level.MINIMAL)} | {for_each(what, Level.DEFAULT)} | {_labels(names)} |"
        for what, names in OF_SQL_SERVERS.items()
    ]
    alone, each = ([count(level) for level in (Level.MINIMAL, Level.DEFAULT)] for count in (of_a_sql_server, of_each_database))
    return "\n".join(
        [
            "A SQL Server under `sql_servers` has these series, while the exporter reads it:", "",
            "| for | minimal | default, full | families |", "| --- | --- | --- | --- |", *rows, "",
            "These are the most for a SQL Server with one provider, credential and key, and without groups:",
            f"{alone[0]} series at the level `minimal`, and {each[0]} more for each database; at `default` {alone[1]}, and {each[1]} more.", "",
            f"At most {MOST} databases and {MOST} keys have series, and {FEW} providers, credentials and groups each. Databases that are not",
            "online come first, then names in alphabetical order. `mssql_ekm_objects_left_out` counts the others. Databases that are online and",
            "not encrypted have no series, and are not counted.",
        ]
    )  # fmt: skip


def _descriptions() -> str:
    titles = {
        "Of a target": {SeriesScope.TARGET},
        "Of credentials, vaults, endpoints, codes and causes": set(SeriesScope)
        - {SeriesScope.TARGET, SeriesScope.SQL_SERVER, SeriesScope.EXPORTER},
        "Of SQL Servers": {SeriesScope.SQL_SERVER},
        "Of the exporter": {SeriesScope.EXPORTER},
    }
    sections = {title: [spec for spec in METRICS if spec.scope in scopes] for title, scopes in titles.items()}
    sections["Only in the response of /probe"] = list(PROBE_METRICS)
    return "\n\n".join("\n\n".join([f"## {title}", *map(_entry, specs)]) for title, specs in sections.items())


def _entry(spec: MetricSpec) -> str:
    kind = "gauge, always 1" if spec.kind is MetricType.INFO else spec.type
    lines = [
        f"### `{spec.name}`",
        "",
        f"{kind} · labels: {_labels(spec.labels) or 'none'} · {str(spec.retention).lower()} · level: {spec.level}",
        "",
        spec.help,
    ]
    if spec.buckets:
        lines += ["", *_buckets(spec)]
    if spec.name in EXAMPLES:
        lines += ["", "```promql", EXAMPLES[spec.name], "```"]
    return "\n".join(lines)


def _buckets(spec: MetricSpec) -> list[str]:
    shown = {level: ", ".join(f"{bound:g}" for bound in spec.bounds(level)) for level in Level}
    if len(set(shown.values())) == 1:
        return [f"Buckets: {shown[Level.FULL]}."]
    return ["Buckets: " + "; ".join(f"{bounds} (`{level}`)" for level, bounds in shown.items()) + "."]


def _labels(names: Iterable[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)


PARTS: Final = (
    GeneratedPart("levels", lambda: _LEVELS),
    GeneratedPart("causes", lambda: _CAUSES),
    GeneratedPart("table of metrics", _glance),
    GeneratedPart("values of labels", _values),
    GeneratedPart("numbers of series", _cardinality),
    GeneratedPart("series of a SQL Server", _of_sql_servers),
    GeneratedPart("descriptions", _descriptions),
)

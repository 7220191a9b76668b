"""docs/metrics.md, written from the table: `./dev docs`.

For: the reference of every metric for people.
Not for: what a metric says (that stands in the table, once), counting series (see `cardinality`), or alert rules.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from docs.generators.cardinality import (
    MOST_SERIES,
    OF_CHECKS,
    OF_DECLARATIONS,
    OF_FAILURES,
    SEVERAL,
    bounds_and_more,
    of_a_healthy_target,
)
from exporter.core.checks import CHECKS
from exporter.core.credential_expiry import Source
from exporter.core.faults import Reason
from exporter.core.model import Phase, Step
from exporter.metrics.definitions import BY_NAME, METRICS, OF_PROBE, PATH_PARTS, ROLES
from exporter.metrics.self_metrics import ASKED, SKIP_REASONS
from exporter.metrics.spec import MetricSpec, MetricType, Scope

# PromQL to start from.
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
    "ekm_throttled_total": "sum by (vault) (increase(ekm_throttled_total[10m]))",
    "ekm_last_failure_info": (
        "ekm_last_failure_info * on (code) group_left (summary, action) max by (code, summary, action) (ekm_error_info)"
    ),
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
    "ekm_credential_expiry_lookup_last_success_timestamp_seconds": (
        "time() - ekm_credential_expiry_lookup_last_success_timestamp_seconds > 2 * 86400"
    ),
    "ekm_request_budget_ratio": "sum by (vault) (ekm_request_budget_ratio) > 0.01",
    "ekm_tls_certificate_expiry_timestamp_seconds": "(ekm_tls_certificate_expiry_timestamp_seconds - time()) / 86400 < 14",
    "ekm_clock_skew_seconds": "abs(ekm_clock_skew_seconds) > 120",
    "ekm_path_changes_total": 'increase(ekm_path_changes_total{what="region"}[15m]) > 0',
    "ekm_exporter_schedule_lag_seconds": "histogram_quantile(0.99, rate(ekm_exporter_schedule_lag_seconds_bucket[10m]))",
    "ekm_exporter_probes_skipped_total": "sum by (reason) (increase(ekm_exporter_probes_skipped_total[1h]))",
}

# Those that only the SQL Server host can show never fail here.
CHECKED: Final = tuple(check.name for check in CHECKS if not check.on_host)

_HOW_MANY = f"""\
A healthy target has at most {MOST_SERIES} series: everything known of its key and its vault, and all five steps made. Mode `read_only`, a
key version that is not pinned and a key without dates have fewer. Besides, one `ekm_errors_total` for each pair of step and code
that no alert names and that has happened since the exporter started.
Credentials, vaults and endpoints have series of their own, one to eight each, however many targets share them; the table of codes
has about a hundred, the exporter itself about seventy."""

_INTRODUCTION = """\
# Metrics

Written from the exporter's own table of metrics; a test fails when the two differ.

- Times are in seconds, points in time are Unix timestamps, shares are ratios from 0 to 1.
- **What is not known has no series; it is never 0.** A key that never expires has no expiry, a step that was not reached has
  no result, a verdict that cannot be given is absent.
- Series of a target carry `target` (its name in the configuration) and `vault` (its full host name in lower case) besides the
  labels listed.
- How long a value lasts ends its HELP text. *Of the last probe*: replaced by every probe. *Last known*: kept while probes fail.
  *Updated by each auxiliary probe*: replaced by every look; what is in order is looked at again after the module's
  `auxiliary_interval`, what is not after every probe. *Updated by each preflight run*: replaced every
  `preflight_interval`. *Counted*: never falls, but for a restart, and exists at 0 before anything happens.
- A probe during which the exporter's own event loop lagged is *tainted*: counters and histograms leave it out (but for answers
  with status 429), and if a step failed without an answer the gauges keep the earlier picture too.
- `code` is the number that SQL Server would show, in the generation configured for the target. Queries should accept both
  numbers of a twin, as in `code=~"3011|3109"`; [codes.md](codes.md) has them all.
- `/metrics` has all of this but the last section. `/probe` answers with one target's gauges and infos and the last section: what
  this probe showed, and what is last known of the target besides, the looks beside its probe included, the doctor's checks
  not. With `--no-scheduler` that is all there is of a target's gauges, and `/probe` also has the number of failed probes in a
  row. A requested probe counts only there, and only if the target's own module made it and the scrape's timeout did not cut it
  short. Another module, or a probe that was cut short while it failed, gives no `ekm_vault_side_ready` either.
- Besides, `process_*` and `python_*` are what the Prometheus client library for Python gives.
"""


def document() -> str:
    """The whole page."""
    parts = [_INTRODUCTION, _glance(), _values(), _cardinality()]
    parts += [_section(title, specs) for title, specs in _sections()]
    return "\n".join(parts)


def _glance() -> str:
    rows = [f"| [`{spec.name}`](#{spec.name}) | {spec.type} | {_labels(spec.own)} | {spec.help} |" for spec in METRICS]
    shared = "Labels beyond `target` and `vault`, where the metric is a target's."
    return "\n".join(
        ["## At a glance", "", shared, "", "| metric | type | labels | says |", "| --- | --- | --- | --- |", *rows, ""]
    )


def _values() -> str:
    lists = {
        "step": Step,
        "check": CHECKED,
        "phase": Phase,
        "what": PATH_PARTS,
        "role": ROLES,
        "source": Source,
        "endpoint` of `ekm_exporter_requests_total": ASKED,
        "reason` of `ekm_exporter_probes_skipped_total": SKIP_REASONS,
        "reason` of `ekm_last_failure_info": Reason,
    }
    rows = [f"| `{label}` | {_labels(values)} |" for label, values in lists.items()]
    return "\n".join(["## Values of labels", "", "| label | values |", "| --- | --- |", *rows, ""])


def _cardinality() -> str:
    healthy = of_a_healthy_target()
    single = sum(1 for name in healthy if BY_NAME[name].kind is not MetricType.HISTOGRAM and name not in SEVERAL)
    rows = [f"| the {single} families with one series | {single} | |"]
    for name, count in healthy.items():
        if BY_NAME[name].kind is MetricType.HISTOGRAM:
            rows.append(f"| `{name}` | {count} | {bounds_and_more(BY_NAME[name])} |")
        elif name in SEVERAL:
            rows.append(f"| `{name}` | {count} | {SEVERAL[name][1]} |")
    together = f"| **together** | **{sum(healthy.values())}** | |"
    failures = [f"| `{name}` | {when} |" for name, when in OF_FAILURES.items()]
    checks = [f"| `{name}` | {when} |" for name, when in OF_CHECKS.items()]
    declared = [
        f"| {what} | {len(names)} | {', '.join(f'`{name}`' for name in names)} |" for what, names in OF_DECLARATIONS.items()
    ]
    return "\n".join(
        [
            "## How many series", "", _HOW_MANY, "",
            "| family | series | |", "| --- | --- | --- |", *rows, together, "",
            "A failing probe has besides:", "", "| one | when |", "| --- | --- |", *failures, "",
            "What the configuration declares beside the probe has series of its own:", "",
            "| declared | series | |", "| --- | --- | --- |", *declared, "",
            "The doctor's checks (`preflight_interval`) have besides:", "", "| one | when |", "| --- | --- |", *checks, "",
        ]
    )  # fmt: skip


def _sections() -> Iterator[tuple[str, Iterable[MetricSpec]]]:
    titles = {
        "Of a target": (Scope.TARGET,),
        "Of credentials, vaults, endpoints and codes": (Scope.CREDENTIAL, Scope.VAULT, Scope.ENDPOINT, Scope.CODE),
        "Of the exporter": (Scope.EXPORTER,),
    }
    for title, scopes in titles.items():
        yield title, [spec for spec in METRICS if spec.scope in scopes]
    yield "Only in the answer of /probe", OF_PROBE


def _section(title: str, specs: Iterable[MetricSpec]) -> str:
    return "\n".join([f"## {title}", "", *(_entry(spec) for spec in specs)])


def _entry(spec: MetricSpec) -> str:
    kind = "gauge, always 1" if spec.kind is MetricType.INFO else spec.type
    lines = [
        f"### `{spec.name}`",
        "",
        f"{kind} · labels: {_labels(spec.labels) or 'none'} · {str(spec.memory).lower()}",
        "",
        spec.help,
    ]
    if spec.buckets:
        lines += ["", f"Buckets: {', '.join(f'{bound:g}' for bound in spec.buckets)}."]
    if spec.name in EXAMPLES:
        lines += ["", "```promql", EXAMPLES[spec.name], "```"]
    return "\n".join([*lines, ""])


def _labels(names: Iterable[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)


if __name__ == "__main__":
    sys.stdout.write(document())

"""docs/metrics.md, written from the table: `python -m exporter.metrics.document > docs/metrics.md`.

For: the reference of every metric for people, and the arithmetic of how many series a target has.
Not for: what a metric says (that stands in the table, once) or alert rules.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from exporter.core.expiry import Source
from exporter.core.faults import Reason
from exporter.core.model import Phase, Step
from exporter.metrics.instruments import ASKED, SKIP_REASONS
from exporter.metrics.spec import Kind, MetricSpec, Scope
from exporter.metrics.table import ALERTED, METRICS, OF_PROBE, OF_TARGETS, PATH_PARTS

MOST_SERIES: Final = 125

_STEPS, _PHASES = len(Step), len(Phase)
_PER_HISTOGRAM = 3  # the +Inf bucket, _count and _sum, besides one per bound
_CONNECTING, _PHASES_REUSED = 2, 2  # challenge and token connect; the others only wait and transfer

# Own labels whose values are a closed list, and how many series they make for one target at most, with the reason.
_SERIES: Final[Mapping[str, tuple[int, str]]] = {
    "ekm_step_success": (_STEPS, "one per step"),
    "ekm_step_phase_duration_seconds": (
        _CONNECTING * _PHASES + (_STEPS - _CONNECTING) * _PHASES_REUSED,
        "five phases where a connection is made (challenge, token), `wait` and `transfer` elsewhere",
    ),
    "ekm_errors_total": (
        sum(len(steps) for _, steps in ALERTED),
        "the pairs that alerts name; each other (step, code) pair adds one when it first happens",
    ),
    "ekm_throttled_total": (_STEPS, "one per step"),
    "ekm_retry_after_seconds": (
        1,
        "one per step whose answer asks for it; such an answer is a failure, and little comes after one",
    ),
    "ekm_path_changes_total": (len(PATH_PARTS), "one per part of the path"),
    "ekm_instance_info": (1, "one per SQL Server that the configuration declares"),
}

# PromQL to start from.
EXAMPLES: Final[Mapping[str, str]] = {
    "ekm_consecutive_failures": "ekm_consecutive_failures >= 3",
    "ekm_probe_failures_total": "increase(ekm_probe_failures_total[1h]) / increase(ekm_probes_total[1h])",
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
    "ekm_target_info": "ekm_vault_side_ready * on (job, instance, target) group_left (team, env) ekm_target_info",
    "ekm_instance_info": "ekm_instance_info and on (job, instance, target) (ekm_vault_side_ready == 0)",
    "ekm_credential_expiry_timestamp_seconds": (
        "min by (credential) (last_over_time(ekm_credential_expiry_timestamp_seconds[1d]) - time()) < 14 * 86400"
    ),
    "ekm_credential_expiry_known": "ekm_credential_expiry_known == 0",
    "ekm_request_budget_ratio": "sum by (vault) (ekm_request_budget_ratio) > 0.01",
    "ekm_tls_certificate_expiry_timestamp_seconds": "(ekm_tls_certificate_expiry_timestamp_seconds - time()) / 86400 < 14",
    "ekm_clock_skew_seconds": "abs(ekm_clock_skew_seconds) > 120",
    "ekm_path_changes_total": 'increase(ekm_path_changes_total{what="region"}[15m]) > 0',
    "ekm_exporter_schedule_lag_seconds": "histogram_quantile(0.99, rate(ekm_exporter_schedule_lag_seconds_bucket[10m]))",
    "ekm_exporter_probes_skipped_total": "sum by (reason) (increase(ekm_exporter_probes_skipped_total[1h]))",
}

_INTRODUCTION = """\
# Metrics

Written from the exporter's own table of metrics; a test fails when the two differ.

- Times are in seconds, points in time are Unix timestamps, shares are ratios from 0 to 1.
- **What is not known has no series; it is never 0.** A key that never expires has no expiry, a step that was not reached has
  no result, a verdict that cannot be given is absent.
- Series of a target carry `target` (its name in the configuration) and `vault` (its full host name in lower case) besides the
  labels listed.
- How long a value lasts ends its HELP text. *Of the last probe*: replaced by every probe. *Last known*: kept while probes fail.
  *Counted*: never falls, but for a restart, and exists at 0 before anything happens.
- A probe during which the exporter's own event loop lagged is *tainted*: counters and histograms leave it out (but for answers
  with status 429), and if it ran out of time the gauges keep the earlier picture too.
- `code` is the number that SQL Server would show, in the generation configured for the target. Queries should accept both
  numbers of a twin, as in `code=~"3011|3109"`; [codes.md](codes.md) has them all.
- `/metrics` has all of this but the last section. `/probe` answers with one target's gauges and infos and the last section.
- Besides, `process_*` and `python_*` are what the Prometheus client library for Python gives.
"""


def series_of_a_target() -> Iterator[tuple[MetricSpec, int]]:
    """How many series each family has for one target at most, one dependent SQL Server counted."""
    for spec in OF_TARGETS:
        count, _ = _SERIES.get(spec.name, (1, ""))
        yield spec, _STEPS * (len(spec.buckets) + _PER_HISTOGRAM) if spec.kind is Kind.HISTOGRAM else count


def document() -> str:
    """The whole page."""
    parts = [_INTRODUCTION, _glance(), _values(), _cardinality()]
    parts += [_section(title, specs) for title, specs in _sections()]
    return "\n".join(parts)


def _glance() -> str:
    rows = [f"| [`{spec.name}`](#{spec.name}) | {spec.type} | {_labels(spec.own)} | {spec.says} |" for spec in METRICS]
    shared = "Labels beyond `target` and `vault`, where the metric is a target's."
    return "\n".join(
        ["## At a glance", "", shared, "", "| metric | type | labels | says |", "| --- | --- | --- | --- |", *rows, ""]
    )


def _values() -> str:
    lists = {
        "step": Step,
        "phase": Phase,
        "what": PATH_PARTS,
        "role": ("current",),
        "source": Source,
        "endpoint` of `ekm_exporter_requests_total": ASKED,
        "reason` of `ekm_exporter_probes_skipped_total": SKIP_REASONS,
        "reason` of `ekm_last_failure_info": Reason,
    }
    rows = [f"| `{label}` | {_labels(values)} |" for label, values in lists.items()]
    return "\n".join(["## Values of labels", "", "| label | values |", "| --- | --- |", *rows, ""])


def _cardinality() -> str:
    counted = list(series_of_a_target())
    single = sum(1 for spec, _ in counted if spec.kind is not Kind.HISTOGRAM and spec.name not in _SERIES)
    rows = [f"| the {single} families with one series | {single} | |"]
    for spec, count in counted:
        if spec.kind is Kind.HISTOGRAM:
            bounds = len(spec.buckets)
            why = f"{_STEPS} steps, each with {bounds} bounds, +Inf, `_count` and `_sum`"
            rows.append(f"| `{spec.name}` | {count} | {why} |")
        elif spec.name in _SERIES and spec.name != "ekm_instance_info":
            rows.append(f"| `{spec.name}` | {count} | {_SERIES[spec.name][1]} |")
    total = sum(count for spec, count in counted if spec.name != "ekm_instance_info")
    text = (
        f"A target has at most {MOST_SERIES} series: everything known of its key, a declared backup, all five steps made and one of\n"
        "them failed. On top come one `ekm_instance_info` for each SQL Server that the configuration lists, one `ekm_errors_total`\n"
        "for each pair of step and code that no alert names and that has happened since the exporter started, and a second\n"
        "`ekm_retry_after_seconds` should wrap and unwrap of one probe both be told to wait.\n"
        "Credentials, vaults and endpoints have one to three series each, however many targets share them, the table of codes\n"
        "about a hundred, the exporter itself about seventy."
    )
    table = ["| family | series | |", "| --- | --- | --- |", *rows, f"| **together** | **{total}** | |"]
    return "\n".join(["## How many series", "", text, "", *table, ""])


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
    kind = "gauge, always 1" if spec.kind is Kind.INFO else spec.type
    lines = [
        f"### `{spec.name}`",
        "",
        f"{kind} · labels: {_labels(spec.labels) or 'none'} · {str(spec.memory).lower()}",
        "",
        spec.says,
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

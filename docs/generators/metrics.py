"""Write docs/metrics.md from the table of metrics: `./dev docs`."""

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
from exporter.metrics.definitions import METRICS, OF_PROBE, PATH_PARTS, ROLES
from exporter.metrics.self_metrics import REQUESTED, SKIP_REASONS
from exporter.metrics.spec import Level, MetricSpec, MetricType, Scope

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

# Checks that run on the SQL Server host only have no result in the exporter.
CHECKED: Final = tuple(check.name for check in CHECKS if not check.on_host)


def _native(level: Level) -> int:
    return sum(of_a_healthy_target(level, native=True).values())


_LEVELS = f"""\
`--metrics.level` sets how much `/metrics` and `/probe` have. Without the flag they have everything:

| level | for | series of a target, at most | with native histograms |
| --- | --- | --- | --- |
| `minimal` | the alerts and recording rules, the rules in `deploy/sql` | {MOST_SERIES[Level.MINIMAL]} | {_native(Level.MINIMAL)} |
| `default` | these, and the dashboards | {MOST_SERIES[Level.DEFAULT]} | {_native(Level.DEFAULT)} |
| `full` | every family and bucket | {MOST_SERIES[Level.FULL]} | {_native(Level.FULL)} |

A level includes the levels above it in the table. Metrics of the exporter, and those that targets share, are in every level."""

_FORMATS = """\
| request | response of `/metrics` |
| --- | --- |
| nothing, or `text/plain` | text, version 0.0.4 |
| `application/openmetrics-text` | OpenMetrics 1.0 |
| `application/vnd.google.protobuf` with `proto=io.prometheus.client.MetricFamily` and `encoding=delimited` | protobuf: native histograms, and start times of counters and histograms |

Weights (`q`) decide if a client accepts several. Each format has the same series and values. `/probe` is text or OpenMetrics.

Prometheus requests protobuf if native histograms are enabled: by `--enable-feature=native-histograms` in Prometheus 2, by
`scrape_native_histograms: true` in Prometheus 3. Then each histogram is one series with buckets that grow by 9 %:

```promql
histogram_quantile(0.99, sum by (target, step) (rate(ekm_step_duration_seconds[30m])))
```

The responses also have the classic buckets of the level. Prometheus stores them only with `always_scrape_classic_histograms: true`
(Prometheus 2: `scrape_classic_histograms`). VictoriaMetrics scrapes text. Dashboards take either kind. The alert on latency for native histograms is in
[ekm-native.rules.yml](../alerts/ekm-native.rules.yml)."""

_HOW_MANY = """\
The numbers are the most for a healthy target: all facts about key and vault are known, and all five steps run. A target has fewer
series in mode `read_only`, without a pinned key version, or if the key has no dates. Each pair of step and code that no alert
names adds one `ekm_errors_total` when it first occurs.
A credential, vault or endpoint adds one to eight series, independent of the number of targets that share it. The table of codes
adds about a hundred series, the exporter itself about seventy."""

_INTRODUCTION = """\
# Metrics

The exporter's table of metrics generates this page; a test fails if the two differ.

- Durations are in seconds, times are Unix timestamps, ratios are between 0 and 1.
- **An unknown value has no series; it is never 0.** A key without an expiry date has no expiry, a step that was not reached has
  no result, an unknown verdict is absent.
- Each series of a target has the labels `target` (its name in the configuration) and `vault` (its full host name in lower case),
  and the labels in the table below.
- The end of each HELP text states how long the value is kept. *Of the last probe*: replaced by every probe. *Last known*: kept
  while probes fail. *Updated by each auxiliary probe*: a successful auxiliary probe is repeated after the module's
  `auxiliary_interval`, a failed one after every probe. *Updated by each preflight run*: replaced every
  `preflight_interval`. *Counted*: starts at 0 and falls only if the exporter restarts.
- A probe is *tainted* if the exporter's event loop lagged meanwhile. Counters and histograms exclude tainted probes, except
  responses with status 429. If a step of a tainted probe failed without a response, the gauges keep their previous values.
- `code` is the number that SQL Server would show, in the generation configured for the target. Queries should accept both
  numbers of a code, as in `code=~"3011|3109"`; [codes.md](codes.md) lists all codes.
- `/metrics` has all families except those of the last section.
- `/probe` returns the gauges and infos of one target and the last section: the results of this probe and the last known
  values, including auxiliary probes, without preflight checks.
- With `--no-scheduler`, only `/probe` has gauges of targets, and it adds the number of failed probes in a row. A requested
  probe is counted only in this mode, with the target's own module, and if the scrape's timeout did not interrupt it.
- With another module, or if the scrape's timeout interrupted a failed probe, `/probe` has no `ekm_vault_side_ready`.
- `process_*` and `python_*` come from the Prometheus client library for Python.
"""


def document() -> str:
    """The whole page."""
    parts = [_INTRODUCTION, f"## Levels\n\n{_LEVELS}\n", f"## Formats\n\n{_FORMATS}\n", _glance(), _values(), _cardinality()]
    parts += [_section(title, specs) for title, specs in _sections()]
    return "\n".join(parts)


def _glance() -> str:
    rows = [
        f"| [`{spec.name}`](#{spec.name}) | {spec.type} | {_labels(spec.own)} | {spec.level} | {spec.help} |" for spec in METRICS
    ]
    shared = "The label column omits `target` and `vault`, which every metric of a target has."
    columns = ["| metric | type | labels | level | meaning |", "| --- | --- | --- | --- | --- |"]
    return "\n".join(["## At a glance", "", shared, "", *columns, *rows, ""])


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
    }
    rows = [f"| `{label}` | {_labels(values)} |" for label, values in lists.items()]
    return "\n".join(["## Values of labels", "", "| label | values |", "| --- | --- |", *rows, ""])


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
            "## How many series", "", _HOW_MANY, "",
            "| family | minimal | default | full | |", "| --- | --- | --- | --- | --- |", *rows, together, "",
            "A failing probe adds:", "", "| family | condition |", "| --- | --- |", *failures, "",
            "Optional settings of a target add:", "",
            "| setting | series | families |", "| --- | --- | --- |", *declared, "",
            "Preflight checks (`preflight_interval`) add:", "", "| family | condition |", "| --- | --- |", *checks, "",
        ]
    )  # fmt: skip


def _sections() -> Iterator[tuple[str, Iterable[MetricSpec]]]:
    titles = {
        "Of a target": {Scope.TARGET},
        "Of credentials, vaults, endpoints, codes and causes": set(Scope) - {Scope.TARGET, Scope.EXPORTER},
        "Of the exporter": {Scope.EXPORTER},
    }
    for title, scopes in titles.items():
        yield title, [spec for spec in METRICS if spec.scope in scopes]
    yield "Only in the response of /probe", OF_PROBE


def _section(title: str, specs: Iterable[MetricSpec]) -> str:
    return "\n".join([f"## {title}", "", *(_entry(spec) for spec in specs)])


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
    return "\n".join([*lines, ""])


def _buckets(spec: MetricSpec) -> list[str]:
    shown = {level: ", ".join(f"{bound:g}" for bound in spec.bounds(level)) for level in Level}
    if len(set(shown.values())) == 1:
        return [f"Buckets: {shown[Level.FULL]}."]
    return ["Buckets: " + "; ".join(f"{bounds} (`{level}`)" for level, bounds in shown.items()) + "."]


def _labels(names: Iterable[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)


if __name__ == "__main__":
    sys.stdout.write(document())

"""Pieces that the annotations of several alerts share: Go templates, which ask Prometheus when an alert is evaluated.

For: who is concerned, what failed and what to do first, and which SQL Servers depend on it, worded alike in every alert.
Not for: what one alert alone says (that stands in the template), or numbers (see `values`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

_TARGET: Final = "job=%q,instance=%q,target=%q"
_CREDENTIAL: Final = "target:ekm_target_info:labels{job=%q,instance=%q,credential=%q}"
_REGION: Final = "target:ekm_target_info:labels{job=%q,instance=%q,region=%q}"
_EXPLAINED: Final = "target:ekm_last_failure_info:explained"
_SQL: Final = "max by (sql_instance, host, ag)"
_ENDS: Final = (
    "max by (source) (last_over_time(ekm_credential_expiry_timestamp_seconds{job=%q,instance=%q,credential=%q}[@{HOLD}]))"
)

# Twins share their symbol; the classic one is the smaller number.
_NUMBERS: Final = (
    '{{ range $place, $twin := query (printf "max by (code) (last_over_time(ekm_error_info{symbol=%q}[@{HOLD}]))" '
    '.Labels.symbol) | sortByLabel "code" }}'
    "{{ if $place }} ({{ $twin.Labels.code }} on connector 1.0.5.0){{ else }}{{ $twin.Labels.code }}{{ end }}{{ end }}"
)
_FAILURE: Final = (
    " " + _NUMBERS + " {{ .Labels.symbol }} at {{ .Labels.step }}, reason {{ .Labels.reason }}. "
    "{{ .Labels.summary }} First: {{ .Labels.action }}"
)
_INSTANCE: Final = (
    "{{ $one.Labels.sql_instance }}{{ with $one.Labels.host }} on {{ . }}{{ end }}{{ with $one.Labels.ag }} ({{ . }}){{ end }}"
)


def _asked(query: str, labels: str) -> str:
    """The query, each %q replaced by the value of one of the alert's labels."""
    return f"query (printf `{query}` {' '.join(f'$labels.{label}' for label in labels.split())})"


def _listed(query: str, labels: str, by: str, each: str, none: str = "") -> str:
    """What the query finds, sorted by a label and parted by commas."""
    begin = "{{ range $place, $one := " + _asked(query, labels) + f' | sortByLabel "{by}" ' + "}}"
    otherwise = "{{ else }}" + none if none else ""
    return begin + "{{ if $place }}, {{ end }}" + each + otherwise + "{{ end }}"


def _failures(query: str, labels: str) -> str:
    """Each failure of the last minutes, begun with a space."""
    return "{{ range " + _asked(query, labels) + ' | sortByLabel "code" }}' + _FAILURE + "{{ end }}"


def _instances(query: str, labels: str) -> str:
    listed = _listed(f"{_SQL} ({query})", labels, "sql_instance", _INSTANCE, none="none is declared")
    return f"SQL Server instances that depend on it: {listed}."


def _instances_of(targets: str, labels: str) -> str:
    return _instances(f"last_over_time(ekm_instance_info[@{{HOLD}}]) and on (job, instance, target) {targets}", labels)


TEXTS: Final[Mapping[str, str]] = {
    "TARGET": "{{ $labels.target }} ({{ $labels.vault }}), seen from {{ $labels.instance }}",
    "FAILURES": _failures("last_over_time(" + _EXPLAINED + "{" + _TARGET + "}[@{HOLD}])", "job instance target"),
    "INSTANCES": _instances("last_over_time(ekm_instance_info{target=%q,vault=%q}[@{HOLD}])", "target vault"),
    "UNWRAPS": (
        "{{ with "
        + _asked("last_over_time(ekm_step_success{" + _TARGET + ',step="unwrap_key"}[@{LONG}]) == 1', "job instance target")
        + " }}Databases still open, since the vault unwraps with it"
        "{{ else }}Whether the vault still unwraps with it is not tested by this target{{ end }}"
    ),
    "VANTAGE": (
        "{{ range " + _asked("target:ekm_target_info:labels{" + _TARGET + "}", "job instance target") + " }}"
        '{{ if eq .Labels.vantage "sql_host" }} on the SQL host{{ else if .Labels.vantage }} on a central host{{ end }}{{ end }}'
    ),
    "CHECKS": _listed(
        "max by (check) (ekm_preflight_failed{" + _TARGET + "})",
        "job instance target",
        "check",
        "{{ $one.Labels.check }}",
        none="not known just now",
    ),
    "CREDENTIAL_FAILURES": _failures(
        "max by (step, code, symbol, reason, summary, action) (last_over_time("
        + _EXPLAINED
        + '{step="token"}[@{HOLD}]) and on (job, instance, target) '
        + _CREDENTIAL
        + ")",
        "job instance credential",
    ),
    "CREDENTIAL_TARGETS": _listed(
        f"max by (target) ({_CREDENTIAL})", "job instance credential", "target", "{{ $one.Labels.target }}", none="none"
    ),
    "CREDENTIAL_DATES": _listed(
        _ENDS,
        "job instance credential",
        "source",
        "{{ $one.Labels.source }} {{ $one.Value | humanizeTimestamp }}",
        none="none known",
    ),
    "CREDENTIAL_INSTANCES": _instances_of(_CREDENTIAL, "job instance credential"),
    "WAY_OUT_SEEN": _listed(
        "count by (step, reason) (ekm_last_failure_info{job=%q,instance=%q})",
        "job instance",
        "reason",
        "{{ $one.Labels.reason }} at {{ $one.Labels.step }} {{ $one.Value }}",
    ),
    "TOKEN_SEEN": _listed(
        'count by (code, reason) (ekm_last_failure_info{step="token",job=%q,instance=%q})',
        "job instance",
        "reason",
        "{{ $one.Labels.code }} {{ $one.Labels.reason }} {{ $one.Value }}",
    ),
    "FORBIDDEN_SEEN": _listed(
        'count by (reason) (ekm_last_failure_info{code=~"3077|3113"} and on (job, instance, target) ' + _CREDENTIAL + ")",
        "job instance credential",
        "reason",
        "{{ $one.Labels.reason }} {{ $one.Value }}",
    ),
    "EXPORTER_INSTANCES": _instances("last_over_time(ekm_instance_info{job=%q,instance=%q}[@{HOLD}])", "job instance"),
    "REGION_INSTANCES": _instances_of(_REGION, "job instance region"),
}

"""Parts that the annotations of several alerts share: fixed sentences, and queries that run when an alert is evaluated.

A text shows what the exporter reports. It lists and counts, and decides nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from exporter.core.codes.shared import DO_NOT_RESTART, FROM_THEN_ON, WITHOUT_THE_KEY

_TARGET: Final = "job=%q,instance=%q,target=%q"
_CREDENTIAL: Final = "target:ekm_target_info:known{job=%q,instance=%q,credential=%q}"
_REGION: Final = "target:ekm_target_info:labels{job=%q,instance=%q,region=%q}"
_OF_TARGET, _OF_CREDENTIAL, _OF_REGION = "job instance target", "job instance credential", "job instance region"
_JOIN: Final = "on (job, instance, target)"
_SQL_SERVER: Final = (
    "{{ $one.Labels.sql_instance }}{{ with $one.Labels.host }} on {{ . }}{{ end }}{{ with $one.Labels.ag }} ({{ . }}){{ end }}"
)
_AT: Final = "{{ .Labels.symbol }} at {{ .Labels.step }}, reason {{ .Labels.reason }}. {{ .Labels.summary }}"
_TO_SEE: Final = " First: ekm-exporter probe {{ $labels.target }} --config.file FILE."


def _query(query: str, labels: str) -> str:
    """Return the query, with each %q replaced by the value of one of the alert's labels."""
    return f"query (printf `{query}` {' '.join(f'$labels.{label}' for label in labels.split())})"


def _listed(found: str, by: str, each: str, most: int = 10) -> str:
    """Return the first items of what a query finds, sorted by a label and separated by commas, and the number of the others."""
    first = f'{{{{ range $place, $one := $all | sortByLabel "{by}" }}}}{{{{ if lt $place {most} }}}}{{{{ if $place }}}}, {{{{ end }}}}'
    more = f"{{{{ if gt (len $all) {most} }}}} and {{{{ len (slice $all {most}) }}}} more{{{{ end }}}}"
    return f"{{{{ $all := {found} }}}}{first}{each}{{{{ end }}}}{{{{ end }}}}{more}"


def _servers(query: str, labels: str) -> str:
    """Return the first three SQL Servers; empty if none is declared. An instance in two availability groups is one SQL Server."""
    found = _query(f"topk by (sql_instance, host) (1, max by (sql_instance, host, ag) ({query}))", labels)
    return _listed(found, "sql_instance", _SQL_SERVER, most=3)


def _servers_of(targets: str) -> str:
    return f"last_over_time(ekm_instance_info[@{{HOLD}}]) and {_JOIN} {targets}"


def _failure(code: str = "") -> str:
    """Return the first action and the failure of the alert's target."""
    query = _query(f"target:ekm_failure:latest{{{_TARGET}}}", _OF_TARGET)
    return f"{{{{ range {query} }}}} First: {{{{ .Labels.action }}}} Last failure: {code}{_AT}{{{{ else }}}}{_TO_SEE}{{{{ end }}}}"


def _of_credential(page: str) -> str:
    """Return PromQL for the failures of a credential's targets that have this page."""
    paged = f'last_over_time(target:ekm_incident:page{{page="{page}"}}[@{{HOLD}}])'
    return _query(f"target:ekm_failure:latest and {_JOIN} {paged} and {_JOIN} {_CREDENTIAL}", _OF_CREDENTIAL)


def _credential_failure(page: str, first: str = " First, for {{ .Labels.target }}: {{ .Labels.action }}") -> str:
    """Return the failure of one target of a credential, and the names of all."""
    one = f"{{{{ with $all }}}}{{{{ with first . }}}}{first} Last failure: {_AT}{{{{ end }}}}{{{{ end }}}}"
    names = _listed(_of_credential(page), "target", "{{ $one.Labels.target }}")
    begin, end = names.split(" }}", 1)
    return f"{begin} | sortByLabel \"target\" }}}}{one} Targets: {end}."


def _seen(targets: str, labels: str) -> str:
    """Return how many targets have which failure, the most frequent ones."""
    query = f"topk(10, count by (step, reason) (target:ekm_failure:latest{targets}))"
    return _listed(_query(query, labels), "reason", "{{ $one.Labels.reason }} at {{ $one.Labels.step }} {{ $one.Value }}")


TEXTS: Final[Mapping[str, str]] = {
    "TARGET": "{{ $labels.target }} ({{ $labels.vault }}), seen from {{ $labels.instance }}",
    "FAILURE": _failure(),
    "FAILURE_CODE": _failure("{{ .Labels.code }} "),
    "CAREFUL": f"{WITHOUT_THE_KEY} {DO_NOT_RESTART}",
    "CAREFUL_IF": (
        f"{{{{ if $value }}}}{WITHOUT_THE_KEY} {DO_NOT_RESTART}{{{{ else }}}}No failing target here has a verdict about SQL Server's databases: a"
        " canary, no pinned version, or another host's managed identity. SQL Server may meet the same fault.{{ end }}"
    ),
    "FROM_THEN_ON": FROM_THEN_ON,
    "FAILURE_REFUSED": _credential_failure("refused"),
    "FAILURE_TURNED_AWAY": _credential_failure("turned_away"),
    "FAILURE_EXPIRED": _credential_failure("expired", first=""),
    # Entra ID refuses the credential as expired: a later date is wrong.
    "WRONG_DATES": (
        "{{ range "
        + _query(
            "max by (source) (ekm_credential_expiry_timestamp_seconds{job=%q,instance=%q,credential=%q}) > time()", _OF_CREDENTIAL
        )
        + " }} The date of source {{ .Labels.source }}, {{ .Value | humanizeTimestamp }}, is wrong.{{ end }}"
    ),
    "SEEN_BY_EXPORTER": _seen("{job=%q,instance=%q}", "job instance"),
    "SEEN_IN_REGION": _seen(f" and {_JOIN} {_REGION}", _OF_REGION),
    "SEEN_WITH_CREDENTIAL": _seen(f" and {_JOIN} {_CREDENTIAL}", _OF_CREDENTIAL),
    "SERVERS": _servers("last_over_time(ekm_instance_info{target=%q,vault=%q}[@{HOLD}])", "target vault"),
    "CREDENTIAL_SERVERS": _servers(_servers_of(_CREDENTIAL), _OF_CREDENTIAL),
    "EXPORTER_SERVERS": _servers("last_over_time(ekm_instance_info{job=%q,instance=%q}[@{HOLD}])", "job instance"),
    "REGION_SERVERS": _servers(_servers_of(_REGION), _OF_REGION),
}

# Of the tickets.
_NAMES_OF_ONE: Final = {name: "" for name in ("ENABLE_KEY", "EXTEND_KEY", "START_KEY", "BACKUP_KEY", "KEY_KIND", "UNWRAPS", "STATE", "ABOVE_5S", "CAUSES", "CREDENTIAL_SUCCESSOR", "OTHER_CREDENTIAL_REPLACED", "INSTANCES", "FAILURES", "CHECKS", "CREDENTIAL_DATES", "CREDENTIAL_TARGETS", "CREDENTIAL_INSTANCES")}
TEXTS = {**_NAMES_OF_ONE, **TEXTS}

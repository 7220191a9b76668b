"""Parts that the annotations of several alerts share: fixed sentences, and queries that run when an alert is evaluated.

A text shows what the exporter reports. It lists and counts, and decides nothing.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from exporter.knowledge.advice import SERVER_ACTIONS
from exporter.knowledge.code_row import (
    DO_NOT_RESTART,
    FROM_THEN_ON,
    SHOW_CHANGES,
    WATCH_THE_LOG,
    WHILE_IT_LASTS,
    WITHOUT_THE_KEY,
    Category,
)
from exporter.knowledge.codes import BY_CODE
from exporter.knowledge.verdict import NOT_TESTED

_TARGET: Final = "instance=%q,target=%q"
_CREDENTIAL: Final = "instance=%q,credential=%q"
_SQL: Final = "sql_instance=%q,host=%q"
_VERDICT: Final = "{{ if eq .Value 1.0 }}ready{{ else }}not ready{{ end }}"
_UNKNOWN: Final = "{{ else }}not known for this instance.{{ end }}"
_FILLED: Final = re.compile(r"(\w+)=(?:%q|~'\(%s\)\?')")
_JOIN: Final = "on (job, instance, target)"
# One sentence for all targets of a page, of which some may show nothing about databases.
_DO_NOT: Final = f"Not known for a canary, an unpinned target or another host's identity. {DO_NOT_RESTART}"


def _query(query: str) -> str:
    """Return the query, with each %q replaced by the value that the alert has for this label."""
    return f"query (printf `{query}` {' '.join(f'$labels.{label}' for label in _FILLED.findall(query))})"


def _listed(found: str, by: str, each: str, most: int = 10) -> str:
    """Return the first items of what a query finds, sorted by a label and separated by commas, and the number of the others."""
    assign = "" if found == "$all" else f"{{{{ $all := {found} }}}}"
    first = f'{{{{ range $place, $one := $all | sortByLabel "{by}" }}}}{{{{ if lt $place {most} }}}}{{{{ if $place }}}}, {{{{ end }}}}'
    more = f"{{{{ if gt (len $all) {most} }}}} and {{{{ len (slice $all {most}) }}}} more{{{{ end }}}}"
    return f"{assign}{first}{each}{{{{ end }}}}{{{{ end }}}}{more}"


def _range(query: str, shown: str, by: str = "") -> str:
    """Return what is shown of each series that a query finds, sorted by a label."""
    in_order = by and f' | sortByLabel "{by}"'
    return f"{{{{ range {_query(query)}{in_order} }}}}{shown}{{{{ end }}}}"


def _servers(targets: str) -> str:
    """Return the SQL Servers of targets; empty if none is declared. An instance in two availability groups is one SQL Server."""
    found = _query(f"count by (sql_instance, host) (last_over_time(ekm_instance_info{targets})")
    return (
        f"{{{{ range $i, $_ := {found} }}}}{{{{ if $i }}}}, {{{{ end }}}}{{{{ .Labels.sql_instance }}}}"
        "{{ with .Labels.host }} on {{ . }}{{ end }}{{ end }}"
    )


def _failures(targets: str, more: str = "> time() - @{PRESENT}", first: str = " First: ") -> str:
    """Return the failure of the first target, and the names of ten with their reasons."""
    found = _query(f"topk(10, target:ekm_failure:latest{{{targets}}} {more})")
    return (
        f'{{{{ range $i, $_ := {found} | sortByLabel "target" }}}}{{{{ if $i }}}}, {{{{ else }}}}: {{{{ .Labels.code }}}} at {{{{ .Labels.step }}}}.'
        f"{first}{{{{ .Labels.action }}}} {{{{ .Labels.meaning }}}} Targets, up to ten: {{{{ end }}}}{{{{ .Labels.target }}}} ({{{{ .Labels.reason }}}}){{{{ end }}}}."
    )


def _paged(page: str) -> str:
    """Return the failures of a credential's targets that have the page."""
    return _failures(_CREDENTIAL, f"and on (instance, target) target:ekm_incident:page{{page='{page}'}}")


def _targets_of_sql_server() -> str:
    """Return each target that lists the SQL Server, with its verdict and from where it is seen."""
    found = _query(
        f"min by (target, vantage) (ekm_vault_side_ready * {_JOIN} group_left (vantage) ekm_target_info) * on (target) group_left ()"
        f" max by (target) (sql_server_target:mssql_ekm_target_info:labels{{{_SQL}}})"
    )
    seen = 'seen {{ if eq .Labels.vantage "sql_host" }}on the SQL host{{ else }}from a central host{{ end }}. '
    probe = "`ekm-exporter probe {} --config.file FILE`"
    first = probe.format('{{ . | sortByLabel "target" | first | label "target" }}')
    return (
        f"{{{{ with {found} }}}}{{{{ range . }}}}{{{{ .Labels.target }}}} {_VERDICT}, {seen}{{{{ end }}}}Not tested: {NOT_TESTED}. Run {first} on"
        f" this host.{{{{ else }}}}not known for this instance. Run {probe.format('TARGET')} on this host.{{{{ end }}}}"
    )


def _cause_of_closed_database() -> str:
    """Return the cause of a closed database as far as its key's last proof by another database shows it."""
    key = _query(
        f"max by (key_name, database, thumbprint) (mssql_ekm_proven_timestamp_seconds{{{_SQL}}}) > on () group_left ()"
        f" max(database:mssql_ekm_closed:timestamp_seconds{{{_SQL},database=%q}}) and on (thumbprint) label_replace("
        f"last_over_time(mssql_ekm_database_encryption_state{{{_SQL},database=%q}}[7d]),'thumbprint','$1','encryptor_thumbprint','(.+)')"
    )
    logged = (
        f"max by (code) (mssql_ekm_error_log_last_timestamp_seconds{{{_SQL},code!~'other|18204|3041'}}) > on () group_left ()"
        f" (max(database:mssql_ekm_closed:timestamp_seconds{{{_SQL},database=%q}}) - @{{AN_HOUR}})"
    )
    proven = 'SQL Server proved its key {{ .Labels.key_name }} at {{ (.Value | toTime).Format "15:04" }} UTC, by [{{ .Labels.database }}]'
    return (
        f"{{{{ with {key} }}}}look for missing files and damage, because the vault is not the cause: {{{{ with . | first }}}}{proven}"
        "{{ end }}.{{ else }}"
        f"{{{{ with {_query(logged)} }}}}read what SQL Server logged: {_listed('.', 'code', 'ekm-exporter explain {{ $one.Labels.code }}')}"
        "{{ else }}read messages 33027, 33028, 33049 and 33111 in the error log of SQL Server{{ end }}. If a key in Azure Key Vault protects it, the vault, the credential or the provider is the cause. Other causes: missing files, damage."
        "{{ end }}"
    )


_LINES: Final = f"mssql_ekm_error_log_last_timestamp_seconds{{{_SQL}"
# The provider's codes in the error log; without one, messages of SQL Server itself, which have none.
_LOGGED: Final = (
    f"max by (code) ({_LINES},code!~'other|18204|3041|33027|33111'}}) or on () max by (code) ({_LINES},code=~'33027|33111'}})"
)
# Categories whose first action the alert names; for the others it names the command that explains the code.
_CATEGORIES: Final = (Category.IDENTITY, Category.NETWORK, Category.PERMISSION, Category.HOST)


def _sql_action() -> str:
    """Return the first action for the last provider's code that SQL Server logged, by its category; else what explains the code."""
    cases = "".join(
        f'{{{{ if match "^({"|".join(str(code) for code, row in BY_CODE.items() if row.category is category)})$" . }}}}'
        f"{what[0].lower()}{what[1:].format(server='this SQL Server', target='TARGET')}.{{{{ else }}}}"
        for category in _CATEGORIES
        if (what := SERVER_ACTIONS[category].what)
    )
    found = _query(f"topk(1, {_LOGGED})")
    return (
        f'{{{{ with {found} }}}}{{{{ with . | first | label "code" }}}}{cases}ekm-exporter explain {{{{ . }}}}.{"{{ end }}" * len(_CATEGORIES)}'
        "{{ end }}{{ else }}add the credential to the login: `verify.sql`, part 2, has the names.{{ end }}"
    )


TEXTS: Final[Mapping[str, str]] = {
    "TARGET": "{{ $labels.target }}",
    "FAILURE": _range(
        f"target:ekm_failure:latest{{{_TARGET}}}",
        ": {{ .Labels.code }} at {{ .Labels.step }}, {{ .Labels.reason }}. First: {{ .Labels.action }} {{ .Labels.meaning }}",
    ),
    "EXPORTER_FAILURES": _failures("instance=%q"),
    "FORBIDDEN_FAILURES": _failures(f"{_CREDENTIAL},page='forbidden'", first=" "),
    "REFUSED_FAILURES": _paged("refused"),
    "EXPIRED_FAILURES": _paged("expired"),
    "TURNED_AWAY_FAILURES": _paged("turned_away"),
    "CAREFUL": f"{WITHOUT_THE_KEY} {_DO_NOT}",
    "CAREFUL_WHILE": f"{WHILE_IT_LASTS} {_DO_NOT}",
    "FROM_THEN_ON": FROM_THEN_ON,
    "SHOW_CHANGES": SHOW_CHANGES.strip("`"),
    "SERVERS": _servers("{target=%q,vault=%q}[@{HOLD}])"),
    "CREDENTIAL_SERVERS": _servers(f"[@{{HOLD}}]) and on (instance, target) target:ekm_target_info:labels{{{_CREDENTIAL}}}"),
    "EXPORTER_SERVERS": _servers("{instance=%q}[@{HOLD}])"),
    "REGION_SERVERS": _servers("[@{HOLD}]) and on (instance, target) target:ekm_target_info:labels{instance=%q,region=%q}"),
    # Of the alerts on SQL Server.
    "SQL_SERVER": "{{ $labels.sql_instance }} ({{ $labels.host }})",
    "SQL_CAREFUL": f"{WITHOUT_THE_KEY} Do not restart or fail over this SQL Server. {WATCH_THE_LOG}",
    "WATCH_THE_LOG": WATCH_THE_LOG,
    "NOT_TESTED": NOT_TESTED,
    "SQL_VERDICT": (
        "Vault side, reported by ekm-exporter: {{ range "
        + _query(f"max by (target) (sql_server_target:ekm_vault_side_ready:max{{{_SQL}}})")
        + f' | sortByLabel "target" }}}}{{{{ or .Labels.target "all targets" }}}} {_VERDICT}. {_UNKNOWN}'
    ),
    "SQL_VERDICT_SEEN": _targets_of_sql_server(),
    "SQL_CLOSED_CAUSE": _cause_of_closed_database(),
    "SQL_CODES": (
        "{{ with "
        + _query(_LOGGED)
        + " }} with code "
        + _listed(".", "code", "{{ $one.Labels.code }}")
        + "{{ else }}: the login of a key has no credential, so add it{{ end }}"
    ),
    "SQL_ACTION": _sql_action(),
    "SQL_WITHOUT_BACKUP": (
        "{{ with "
        + _query(
            f"database:mssql_ekm_good_backup:timestamp_seconds{{{_SQL}}} <= on (sql_instance, host) group_left ()"
            " sql_server:mssql_ekm_backups_fail:timestamp_seconds"
        )
        + " }}No backup finished since of: "
        + _listed(".", "database", "[{{ $one.Labels.database }}]", most=5)
        + ". {{ end }}"
    ),
    # With the usual interval, these are several readings of a log that grew before: it waits for the vault, or for room.
    "SQL_STALLED": (
        "{{ with "
        + _query(f"changes(mssql_ekm_log_used_bytes{{{_SQL},database=%q}}[@{{RECENT}}])==0")
        + " }}The database may no longer write: its log no longer grows. {{ end }}"
    ),
    "SQL_TRACE_FLAG": (
        "{{ with "
        + _query(f"max by (flag) (mssql_ekm_trace_flag_enabled{{{_SQL},flag='15025'}})")
        + " }}Trace flag 15025 is {{ if eq (. | first | value) 1.0 }}on: new virtual log files (VLF) need no vault.{{ else }}off: each new virtual log file (VLF) needs"
        " the vault, so the database may lose access before that.{{ end }}{{ else }}Whether trace flag 15025 is on is not known.{{ end }}"
    ),
    # A log that was read has the code `other`, even without such a line.
    "SQL_ERROR_LOG": "{{ with " + _query(f"mssql_ekm_error_log_lines{{{_SQL},code='other'}}") + " }}",
    # An id names a vault and a Managed HSM alike. A name with other signs is no key's, and would be no word of a command.
    "ENABLE_KEY": _range(
        f"max by (vault, key) (ekm_target_info{{{_TARGET},key=~'[0-9A-Za-z/-]+'}})",
        ": az keyvault key set-attributes --id https://{{ .Labels.vault }}/keys/{{ .Labels.key }} --enabled true",
    ),
    "PURGE_DATE": _range(
        f"max(ekm_key_scheduled_purge_timestamp_seconds{{{_TARGET}}})",
        ". Recover it before {{ .Value | humanizeTimestamp }}",
    ),
    "CHECKS": _range(f"max by (check) (ekm_preflight_failed{{{_TARGET}}})", " {{ .Labels.check }}", "check"),
    "CREDENTIAL_DATES": _range(
        f"ekm_credential_expiry_timestamp_seconds{{{_CREDENTIAL}}}",
        " {{ .Value | humanizeTimestamp }} ({{ .Labels.source }})",
    ),
    "BURNING_TARGETS": _range(
        "max by (target) (target:ekm_error_budget_burns:ratio{instance=%q} and on (instance, target) target:ekm_target_info:labels{team=%q,env=%q})",
        " {{ .Labels.target }} ({{ .Value | humanizePercentage }})",
        "target",
    ),
}

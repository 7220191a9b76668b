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

_TARGET: Final = "{job=%q,instance=%q,target=%q}"
_CREDENTIAL: Final = "{job=%q,instance=%q,credential=%q}"
_REGION: Final = "{job=%q,instance=%q,region=%q}"
_SQL: Final = "sql_instance=%q,host=%q"
_VERDICT: Final = "{{ if eq .Value 1.0 }}ready{{ else }}not ready{{ end }}"
_UNKNOWN: Final = "{{ else }}not known for this instance.{{ end }}"
_FILLED: Final = re.compile(r"(\w+)=(?:%q|~'\(%s\)\?')")
_JOIN: Final = "on (job, instance, target)"
_SQL_SERVER: Final = (
    "{{ $one.Labels.sql_instance }}{{ with $one.Labels.host }} on {{ . }}{{ end }}{{ with $one.Labels.ag }} ({{ . }}){{ end }}"
)
_WHAT: Final = ": {{ .Labels.code }} at {{ .Labels.step }}, reason {{ .Labels.reason }}."
_MORE: Final = (
    '{{ .Labels.action }} {{ .Labels.symbol }}, last at {{ (.Value | toTime).Format "15:04" }} UTC. {{ .Labels.meaning }}'
)


def _query(query: str) -> str:
    """Return the query, with each %q replaced by the value that the alert has for this label."""
    return f"query (printf `{query}` {' '.join(f'$labels.{label}' for label in _FILLED.findall(query))})"


def _listed(found: str, by: str, each: str, most: int = 10) -> str:
    """Return the first items of what a query finds, sorted by a label and separated by commas, and the number of the others."""
    assign = "" if found == "$all" else f"{{{{ $all := {found} }}}}"
    first = f'{{{{ range $place, $one := $all | sortByLabel "{by}" }}}}{{{{ if lt $place {most} }}}}{{{{ if $place }}}}, {{{{ end }}}}'
    more = f"{{{{ if gt (len $all) {most} }}}} and {{{{ len (slice $all {most}) }}}} more{{{{ end }}}}"
    return f"{assign}{first}{each}{{{{ end }}}}{{{{ end }}}}{more}"


def _servers(targets: str) -> str:
    """Return the first three SQL Servers; empty if none is declared. An instance in two availability groups is one SQL Server."""
    found = _query(
        f"topk by (sql_instance, host) (1, max by (sql_instance, host, ag) (target:ekm_instance_info:labels{targets}))"
    )
    return _listed(found, "sql_instance", _SQL_SERVER, most=3)


def _failures_of_credential(pages: str, more: str = "") -> str:
    """Return the failure of one target of a credential, `more` about it, and the names of all that have one of these pages."""
    paged = f'last_over_time(target:ekm_incident:page{{page=~"{pages}"}}[@{{HOLD}}])'
    found = _query(f"target:ekm_failure:latest{_CREDENTIAL} and {_JOIN} {paged}")
    one = f"{{{{ range slice $all 0 1 }}}}{_WHAT} First, for {{{{ .Labels.target }}}}: {_MORE}{more}{{{{ end }}}}"
    names = _listed("$all", "target", "{{ $one.Labels.target }}")
    return f'{{{{ $all := {found} | sortByLabel "target" }}}}{{{{ if $all }}}}{one} Targets: {names}.{{{{ else }}}}.{{{{ end }}}}'


def _about_expiry() -> str:
    """Return what follows the first action of a refusal, with each date that is wrong or explains it.

    Entra ID calls a credential expired: a later date is wrong. It only refuses one: its date has passed.
    """
    date = f"max by (source) (ekm_credential_expiry_timestamp_seconds{_CREDENTIAL})"
    dates = _query(
        f"label_replace({date} > time(), 'so', 'is wrong', '', '') or label_replace({date} <= time(), 'so', 'has passed', '', '')"
    )
    return (
        '{{ if match "^(@{REFUSED})$" .Labels.reason }} Then write a new secret with alter-credential.sql on every replica. If SQL Server has a newer'
        f' one already, give it to the exporter.{{{{ $ended := match "^(@{{ENDED}})$" .Labels.reason }}}}{{{{ range {dates} }}}}'
        '{{ if eq $ended (eq .Labels.so "is wrong") }} The date of source {{ .Labels.source }}, {{ (.Value | toTime).Format "2006-01-02" }},'
        " {{ .Labels.so }}.{{ end }}{{ end }}{{ end }}"
    )


def _seen(targets: str) -> str:
    """Return how many targets have which failure, for the ten most frequent failures."""
    found = _query(f"topk(10, count by (step, reason) (target:ekm_failure:latest{targets}))")
    each = "{{ if $place }}, {{ end }}{{ .Value }} {{ .Labels.reason }} at {{ .Labels.step }}"
    return f'Targets by failure: {{{{ range $place, $one := {found} | sortByLabel "reason" }}}}{each}{{{{ end }}}}.'


def _egress_action() -> str:
    """Return the first action of one target if all failures of an exporter have one reason, else what shows the part of the network."""
    found = _query("target:ekm_failure:latest{job=%q,instance=%q}")
    several = (
        ": on that host, resolve a vault's name and connect to its port 443; then do the same on a SQL Server host. Likely causes: DNS, proxy,"
        " firewall or routing of this host; or the region, if all vaults are in one."
    )
    one = ", for {{ .Labels.target }}, reason {{ .Labels.reason }}: {{ .Labels.action }}"
    return _by_reason(found, one, several, ": read the status page.")


def _by_reason(found: str, one: str, several: str, otherwise: str) -> str:
    """Return `one` of the first failure if all have one reason; `otherwise` without a failure."""
    return (
        f'{{{{ $all := {found} | sortByLabel "target" | sortByLabel "reason" }}}}{{{{ $last := "" }}}}{{{{ range $all }}}}{{{{ $last = .Labels.reason }}}}{{{{ end }}}}'
        f"{{{{ range $place, $one := $all }}}}{{{{ if not $place }}}}{{{{ with $one }}}}{{{{ if eq .Labels.reason $last }}}}{one}{{{{ else }}}}{several}"
        f"{{{{ end }}}}{{{{ end }}}}{{{{ end }}}}{{{{ else }}}}{otherwise}{{{{ end }}}}"
    )


def _forbidden_action() -> str:
    """Return what to undo, and the first action of one target if all failures of a credential have one reason."""
    found = _query(f"target:ekm_failure:latest{_CREDENTIAL}")
    shown = f"{SHOW_CHANGES.strip('`')}. If it was intended, allow the application or its address"
    one = f", reason {{{{ .Labels.reason }}}}. First: undo the change: {shown}; for {{{{ .Labels.target }}}}: {{{{ .Labels.action }}}}"
    several = f". First: undo the change of role assignments, access policies or vault firewalls: {shown}."
    return _by_reason(found, one, several, several)


def _action_or(otherwise: str) -> str:
    """Return the first action that the exporter shows for the target's failure."""
    found = _query(f"max by (action) (ekm_failure_action_info{_TARGET})")
    return f'{{{{ with {found} }}}}{{{{ . | first | label "action" }}}}{{{{ else }}}}{otherwise}{{{{ end }}}}'


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
    "TARGET": "{{ $labels.target }} ({{ $labels.vault }}), seen from {{ $labels.instance }}",
    "CREDENTIAL": "{{ $labels.credential }}, as configured on {{ $labels.instance }}",
    "FAILURE": (
        f"{{{{ range {_query(f'target:ekm_failure:latest{_TARGET}')} }}}}{_WHAT} First: {_MORE}"
        "{{ else }}. First: ekm-exporter probe {{ $labels.target }} --config.file FILE.{{ end }}"
    ),
    "CAREFUL": f"{WITHOUT_THE_KEY} {DO_NOT_RESTART}",
    "CAREFUL_WHILE": f"{WHILE_IT_LASTS} {DO_NOT_RESTART}",
    "CAREFUL_IF": (
        f"{{{{ if $value }}}}{WITHOUT_THE_KEY} {DO_NOT_RESTART} Not tested: {NOT_TESTED}.{{{{ else }}}}No target of this page has a verdict"
        " about SQL Server's databases: a canary, no pinned version, or another host's managed identity.{{ end }}"
    ),
    "FROM_THEN_ON": FROM_THEN_ON,
    "CREDENTIAL_FAILURE": _failures_of_credential("refused|turned_away"),
    "EXPIRED_FAILURE": _failures_of_credential("expired", _about_expiry()),
    # Only the certificate of a credential has a date of its file. The first source by name is the certificate.
    "NEXT_SECRET": (
        "{{ range $place, $one := "
        + _query(f"max by (source) (ekm_credential_expiry_timestamp_seconds{_CREDENTIAL})")
        + ' | sortByLabel "source" }}{{ if not $place }}{{ if eq $one.Labels.source "certificate" }}create a new certificate, register it with'
        " the application, and replace the exporter's certificate file{{ else }}create a second secret, and write it with alter-credential.sql on every"
        " replica{{ end }}{{ end }}{{ end }}"
    ),
    "EGRESS_ACTION": _egress_action(),
    "FORBIDDEN_ACTION": _forbidden_action(),
    "SHOW_CHANGES": SHOW_CHANGES.strip("`"),
    "SEEN_BY_EXPORTER": _seen("{job=%q,instance=%q}"),
    "SEEN_IN_REGION": _seen(f" and {_JOIN} target:ekm_target_info:labels{_REGION}"),
    "SEEN_WITH_CREDENTIAL": _seen(_CREDENTIAL),
    "SERVERS": _servers("{target=%q,vault=%q}"),
    "CREDENTIAL_SERVERS": _servers(_CREDENTIAL),
    "EXPORTER_SERVERS": _servers("{job=%q,instance=%q}"),
    "REGION_SERVERS": _servers(_REGION),
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
    # Of tickets.
    "TICKET_ACTION": _action_or("ekm-exporter probe {{ $labels.target }} --config.file FILE, on that host."),
    # An id names a vault and a Managed HSM alike. A name with other signs is no key's, and would be no word of a command.
    "ENABLE_KEY": (
        "{{ with "
        + _query(f"max by (vault, key) (ekm_target_info{_TARGET.removesuffix('}')},key=~'[0-9A-Za-z/-]+'}})")
        + " }}{{ with . | first }}: az keyvault key set-attributes --id https://{{ .Labels.vault }}/keys/{{ .Labels.key }} --enabled"
        " true{{ end }}{{ end }}"
    ),
    "KEY_ACTION": _action_or("move its date, or enable it, in the vault, as the runbook shows."),
    "CHECKS": _listed(_query(f"max by (check) (ekm_preflight_failed{_TARGET})"), "check", "{{ $one.Labels.check }}"),
    "CREDENTIAL_TARGETS": _listed(
        _query(f"max by (target) (target:ekm_target_info:known{_CREDENTIAL})"),
        "target",
        "{{ $one.Labels.target }}",
    ),
    "CREDENTIAL_DATES": _listed(
        _query(f"max by (source) (last_over_time(ekm_credential_expiry_timestamp_seconds{_CREDENTIAL}[@{{HOLD}}]))"),
        "source",
        '{{ $one.Labels.source }} {{ ($one.Value | toTime).Format "2006-01-02" }}',
    ),
    "BURNING_TARGETS": _listed(
        _query(
            f"target:ekm_error_budget_burns:ratio{{job=%q,instance=%q}} and {_JOIN} target:ekm_target_info:labels{{team=%q,env=%q}}"
        ),
        "target",
        "{{ $one.Labels.target }} {{ $one.Value | humanizePercentage }}",
    ),
}

"""Parts that the annotations of several alerts share: fixed sentences, and queries that run when an alert is evaluated.

A text shows what the exporter reports. It lists and counts, and decides nothing.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from exporter.knowledge.code_row import (
    DO_NOT_RESTART,
    WATCH_THE_LOG,
    WHILE_IT_LASTS,
    WITHOUT_THE_KEY,
)
from exporter.knowledge.verdict import NOT_TESTED

_TARGET: Final = "instance=%q,target=%q"
_CREDENTIAL: Final = "instance=%q,credential=%q"
_SQL: Final = "sql_instance=%q,host=%q"
_FILLED: Final = re.compile(r"(\w+)=(?:%q|~'\(%s\)\?')")
# Throttling comes in waves: a probe between two of them succeeds.
_QUIET: Final = "ten minutes pass without 429; then repeat the log backups"
# One sentence for all targets of a page, of which some may show nothing about databases.
# In a group one node alone makes log backups.
_OVER: Final = "It is over when a probe succeeds and a log backup finishes; two hours after ALTER CREDENTIAL, prove.sql on each node proves the new secret."
_DO_NOT: Final = f"Not known for a canary, an unpinned target or another host's identity. {DO_NOT_RESTART}"


def _query(query: str) -> str:
    """Return the query, with each %q replaced by the value that the alert has for this label."""
    return f"query (printf `{query}` {' '.join(f'$labels.{label}' for label in _FILLED.findall(query))})"


def _range(query: str, shown: str, by: str = "", none: str = "") -> str:
    """Return what is shown of each series that a query finds, sorted by a label, and what if it finds `none`."""
    in_order = by and f' | sortByLabel "{by}"'
    otherwise = none and f"{{{{ else }}}}{none}"
    return f"{{{{ range {_query(query)}{in_order} }}}}{shown}{otherwise}{{{{ end }}}}"


def _servers(targets: str) -> str:
    """Return the SQL Servers of targets; empty if none is declared. An instance in two availability groups is one SQL Server."""
    found = _query(f"count by (sql_instance, host) (last_over_time(ekm_instance_info{targets})")
    return (
        f"{{{{ range $i, $_ := {found} }}}}{{{{ if $i }}}}, {{{{ end }}}}{{{{ .Labels.sql_instance }}}}"
        "{{ with .Labels.host }} on {{ . }}{{ end }}{{ end }}"
    )


_HAPPENED: Final = "{{ .Labels.meaning }} Code {{ .Labels.code }} at {{ .Labels.step }}"
_ACTION: Final = "{{ .Labels.action }}"
_ACTS: Final = "Acts: {{ .Labels.owner }} team."
_AT_SIGN_IN: Final = f"{{{{ .Labels.meaning }}}} Code {{{{ .Labels.code }}}}. {_ACTS} First: {_ACTION}"


def _failures(targets: str, more: str = "> time() - @{PRESENT}", shown: str = f"{_HAPPENED}. {_ACTS} First: {_ACTION}") -> str:
    """Return what is shown of the failure of the first target, and the names of ten with their reasons."""
    found = _query(f"topk(10,target:ekm_failure:latest{targets and f'{{{targets}}}'} {more})")
    return (
        f'{{{{ range $i, $_ := {found} | sortByLabel "target" }}}}{{{{ if $i }}}}, {{{{ else }}}}: {shown}'
        f" Targets, up to ten: {{{{ end }}}}{{{{ .Labels.target }}}} ({{{{ .Labels.reason }}}}){{{{ else }}}}: not known{{{{ end }}}}."
    )


def _paged(page: str) -> str:
    """Return the failures of the targets whose page names the credential: a reload may have given them another one since."""
    return _failures("", f"and on(instance,target) target:ekm_incident:page{{{_CREDENTIAL},page='{page}'}}", _AT_SIGN_IN)


_SAYS: Final = "Acts: DBA. First: {{ .Labels.action }}."


def _sql_says(about: str, more: str = "", says: str = "") -> str:
    """Return what the exporter says of a SQL Server, or of one of its databases."""
    found = f"topk(1,mssql_ekm_first_action_info{{{_SQL}{more},about='{about}'}})"
    return _range(found, says or _SAYS, none=". See the runbook." if says else "See the runbook.")


_TEXTS: Final[Mapping[str, str]] = {
    "TARGET": "{{ $labels.target }}",
    "FAILURE": _range(
        f"target:ekm_failure:latest{{{_TARGET}}}",
        f": {_HAPPENED}, {{{{ .Labels.reason }}}}. {_ACTS} First: {_ACTION}",
    ),
    "RECOVER": _range(
        f"target:ekm_failure:latest{{{_TARGET},reason='key_soft_deleted'}}",
        f"{_ACTS} First: {_ACTION}",
        none="See the runbook.",
    ),
    "EXPORTER_FAILURES": _failures("instance=%q"),
    "FORBIDDEN_FAILURES": _failures(
        f"{_CREDENTIAL},page='forbidden'", shown=f"{_HAPPENED}. {_ACTS} If that is intended: {_ACTION}"
    ),
    "REFUSED_FAILURES": _paged("refused"),
    "EXPIRED_FAILURES": _paged("expired"),
    "TURNED_AWAY_FAILURES": _paged("turned_away"),
    "CAREFUL": f"{WITHOUT_THE_KEY} {_DO_NOT} {_OVER}",
    "CAREFUL_WHILE": f"{WHILE_IT_LASTS} {_DO_NOT}".replace("a probe succeeds", _QUIET) + " It is over when these finish.",
    "FROM_THEN_ON": WITHOUT_THE_KEY.replace("Now: ", "From then on: ", 1),
    "SERVERS": _servers("{target=%q,vault=%q}[@{HOLD}])"),
    "CREDENTIAL_SERVERS": _servers(
        f"[@{{HOLD}}]) and on (instance, target) (target:ekm_target_info:labels{{{_CREDENTIAL}}} or target:ekm_incident:page{{{_CREDENTIAL}}})"
    ),
    "FORBIDDEN_SERVERS": _servers(
        f"[@{{HOLD}}]) and on (instance, target) (target:ekm_failure:latest{{{_CREDENTIAL},page='forbidden'}} > time() - @{{PRESENT}})"
    ),
    "EXPORTER_SERVERS": _servers("{instance=%q}[@{HOLD}])"),
    "REGION_SERVERS": _servers("[@{HOLD}]) and on (instance, target) target:ekm_target_info:labels{instance=%q,region=%q}"),
    # Of the alerts on SQL Server.
    "SQL_SERVER": "{{ $labels.sql_instance }} ({{ $labels.host }})",
    "SQL_CAREFUL": f"{WITHOUT_THE_KEY} Do not restart or fail over this SQL Server. {WATCH_THE_LOG}",
    "WATCH_THE_LOG": WATCH_THE_LOG,
    "NOT_TESTED": NOT_TESTED,
    "SQL_BACKUPS": _sql_says("backups", says=f"{{{{ .Labels.shows }}}}. {_SAYS}"),
    "SQL_CLOSED": _sql_says("closed", ",database=%q"),
    "SQL_LOG": _sql_says("log", ",database=%q"),
    "SQL_READING": _sql_says("reading", says=f": {{{{ .Labels.shows }}}}. {_SAYS}"),
    "SQL_DIFFERENCE": _range(
        f"topk(1,mssql_ekm_difference_databases{{{_SQL},kind=%q,target=%q,thumbprint=%q}})",
        "{{ .Labels.difference }}. First: {{ .Labels.action }}.",
        none="See the runbook.",
    ),
    "NODES": _range(
        "group by (host, file_version) (mssql_ekm_provider_dll_info{ag=%q,provider=%q})",
        "; {{ .Labels.host }}: {{ .Labels.file_version }}",
        "host",
    ),
    # An id names a vault and a Managed HSM alike. A name with other signs is no key's, and would be no word of a command.
    "ENABLE_KEY": _range(
        f"max by (vault, key) (ekm_target_info{{{_TARGET},key=~'[0-9A-Za-z/-]+'}})",
        ": az keyvault key set-attributes --id https://{{ .Labels.vault }}/keys/{{ .Labels.key }} --enabled true",
    ),
    "PURGE_DATE": _range(
        f"max(ekm_key_scheduled_purge_timestamp_seconds{{{_TARGET}}})",
        "; it is lost after {{ .Value | humanizeTimestamp }}",
    ),
    "KEY_DATE": _range(
        f"max(ekm_key_expiry_timestamp_seconds{{{_TARGET}}})",
        "The pinned version expires {{ .Value | humanizeTimestamp }}: rotate before that, today if under 14 days.",
    ),
    "CHECKS": _range(f"max by (check) (ekm_preflight_failed{{{_TARGET}}})", " {{ .Labels.check }}", "check"),
    "CREDENTIAL_ID": _range(f"ekm_credential_info{{{_CREDENTIAL}}}", "{{ .Labels.client_id }}", none="CLIENT_ID"),
    "CREDENTIAL_DATES": _range(
        f"ekm_credential_expiry_timestamp_seconds{{{_CREDENTIAL}}}",
        " Date: {{ .Value | humanizeTimestamp }} ({{ .Labels.source }}).",
    ),
    "BURNING_TARGETS": _range(
        "max by (target) (target:ekm_error_budget_burns:ratio{instance=%q} and on (instance, target) target:ekm_target_info:labels{team=%q,env=%q})",
        " {{ .Labels.target }} ({{ .Value | humanizePercentage }})",
        "target",
    ),
}
# Without the spaces of their actions: a rule file has each text many times.
TEXTS: Final[Mapping[str, str]] = {name: re.sub(r"\{\{ (.*?) \}\}", r"{{\1}}", text) for name, text in _TEXTS.items()}

"""Parts that the annotations of several alerts share: Go templates with queries that run when an alert is evaluated.

They name the target, its failure, the first action with the target's own names, and the SQL Server instances that depend on it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Final

from alerts.go_templates import filled, listed, query_of
from exporter.core.codes.advice_vault import ON_HSM
from exporter.core.codes.shared import DO_NOT_RESTART, FROM_THEN_ON, WHILE_IT_LASTS, WITHOUT_THE_KEY
from exporter.core.faults import Reason

_TARGET: Final = "job=%q,instance=%q,target=%q"
_CREDENTIAL: Final = "target:ekm_target_info:known{job=%q,instance=%q,credential=%q}"
_CREDENTIAL_AGAIN: Final = "target:ekm_target_info:known{job=%[1]q,instance=%[2]q,credential=%[3]q}"
_REGION: Final = "target:ekm_target_info:labels{job=%q,instance=%q,region=%q}"
_EXPLAINED: Final = "target:ekm_last_failure_info:explained"
_OF_ONE_TARGET: Final = "last_over_time(" + _EXPLAINED + "{" + _TARGET + "}[@{HOLD}])"
_SQL: Final = "max by (sql_instance, host, ag)"
_ENDS: Final = (
    "max by (source) (last_over_time(ekm_credential_expiry_timestamp_seconds{job=%q,instance=%q,credential=%q}[@{HOLD}]))"
)

# Counterpart codes share their symbol; the classic code is the smaller number.
_NUMBERS: Final = (
    '{{ range $place, $code := query (printf "max by (code) (last_over_time(ekm_error_info{symbol=%q}[@{HOLD}]))" '
    '.Labels.symbol) | sortByLabel "code" }}'
    "{{ if $place }} ({{ $code.Labels.code }} on connector 1.0.5.0){{ else }}{{ $code.Labels.code }}{{ end }}{{ end }}"
)
# The names of the alert's target replace `VAULT`, `KEY` and the like in an action. The host name must come before its first label.
_VAULT_NAME: Final = '(reReplaceAll "[.].*" "" $labels.vault)'


# A Managed HSM has another option for its name. `$0` keeps what was found.
_HSM_OPTION: Final = (
    '{{ $store := "$0" }}{{ if match "[.]managedhsm[.]" @VAULT }}'
    '{{ $store = printf "--hsm-name %s" (reReplaceAll "[.].*" "" @VAULT) }}{{ end }}'
)
_STORE_NAME: Final = (r"--(vault-)?name VAULT\\b", "$store")
_OF_TARGET: Final = (
    _STORE_NAME,
    ("VAULT[.]vault[.]azure[.]net", "$labels.vault"),
    (r"\\bHOST\\b", "$host"),
    (r"\\bVAULT\\b", _VAULT_NAME),
    (r"\\bKEY\\b", '(reReplaceAll "/.*" "" $key)'),
    (r"\\bVERSION\\b", '(reReplaceAll "^.*/" "" $key)'),
    (r"\\bTARGET\\b", '(printf "%s --config.file FILE" $labels.target)'),
)
_CAUSE: Final = " " + _NUMBERS + " {{ .Labels.symbol }} at {{ .Labels.step }}, reason {{ .Labels.reason }}. {{ .Labels.summary }}"
# The host of the failed request: the vault, or the sign-in host of its cloud. @VAULT is the vault's host name.
_HOST: Final = (
    '{{ $host := @VAULT }}{{ if eq .Labels.step "token" }}{{ $host = "login.microsoftonline.com" }}'
    '{{ if match "[.]usgovcloudapi[.]net$" @VAULT }}{{ $host = "login.microsoftonline.us" }}{{ end }}'
    '{{ if match "[.]azure[.]cn$" @VAULT }}{{ $host = "login.partner.microsoftonline.cn" }}{{ end }}{{ end }}'
)
# A Managed HSM has roles of its own.
_HSM_ACTION: Final = (
    '{{ $do := .Labels.action }}{{ if and (match "[.]managedhsm[.]" @VAULT) (match "^forbidden(_rbac|_policy)?$" .Labels.reason) }}'
    "{{ $do = " + json.dumps(ON_HSM[Reason.FORBIDDEN_RBAC][0]) + " }}{{ end }}"
)
# The configuration has the client id, and no metric does.
_ACTION: Final = (
    _HOST
    + _HSM_ACTION
    + ' First: {{ @ACTION }}{{ if match "CLIENT_ID" $do }}'
    + "{{ with $labels.credential }} CLIENT_ID is the client_id of {{ . }} in the exporter's configuration, or the first 32 digits of its"
    " connector secret. The exporter's page of the target fills it in.{{ end }}{{ end }}"
    + '{{ if match "OBJECT_ID" $do }} OBJECT_ID is the object id of the principal: the exporter\'s page of the target shows it.{{ end }}'
    + '{{ if match "VAULT_ID" $do }} VAULT_ID is the output of az keyvault show --name {{ @NAME }} --query id'
    " --output tsv.{{ end }}"
)
_INSTANCE: Final = (
    "{{ $one.Labels.sql_instance }}{{ with $one.Labels.host }} on {{ . }}{{ end }}{{ with $one.Labels.ag }} ({{ . }}){{ end }}"
)


def _failures(query: str, labels: str, action: str) -> str:
    """Return each failure of the last minutes, with `action` after it; each begins with a space."""
    return "{{ range " + query_of(query, labels) + ' | sortByLabel "code" }}' + _CAUSE + action + "{{ end }}"


def _action(vault: str, name: str, *replacements: tuple[str, str]) -> str:
    """Return the first action of a failure at `vault`, a template variable, with the words replaced; `name` is VAULT."""
    return _ACTION.replace("@ACTION", filled("$do", *replacements)).replace("@VAULT", vault).replace("@NAME", name)


_KEY: Final = (
    '{{ $key := "KEY/VERSION" }}{{ range '
    + query_of("max by (key) (last_over_time(ekm_target_info{" + _TARGET + "}[@{HOLD}]))", "job instance target")
    + " }}{{ $key = .Labels.key }}{{ end }}"
)
# Actions name one target: the first one of the credential. With several vaults, an action names none of them.
_FIRST_TARGET: Final = (
    '{{ $target := "" }}{{ $vault := "" }}{{ $several := false }}{{ range '
    + query_of(f"max by (target, vault) ({_CREDENTIAL})", "job instance credential")
    + ' | sortByLabel "target" }}{{ if not $target }}{{ $target = .Labels.target }}{{ $vault = .Labels.vault }}'
    + "{{ else if ne $vault .Labels.vault }}{{ $several = true }}{{ end }}{{ end }}"
)
_SEVERAL: Final = (
    '{{ if and $several (match "VAULT" .Labels.action) }} VAULT differs by target: the exporter\'s page of each target fills it in.'
    '{{ if match "ALTER CREDENTIAL" .Labels.action }} On each SQL Server, alter-credential.sql writes each statement with the IDENTITY'
    " of its credential.{{ end }}{{ end }}"
)
_NAME_OF_ONE: Final = '(or (and $several "VAULT") (reReplaceAll "[.].*" "" $vault))'
_OF_FIRST_TARGET: Final = (
    _STORE_NAME,
    ("VAULT[.]vault[.]azure[.]net", '(or (and $several "VAULT.vault.azure.net") $vault)'),
    (r"\\bHOST\\b", "$host"),
    (r"\\bVAULT\\b", _NAME_OF_ONE),
    (r"\\bTARGET\\b", '(printf "%s --config.file FILE" $target)'),
)
_STORE: Final = (
    '{{ if match "[.]managedhsm[.]" $labels.vault }}--hsm-name{{ else }}--vault-name{{ end }} '
    f'{{{{ {_VAULT_NAME.strip("()")} }}}} --name {{{{ reReplaceAll "/.*" "" $key }}}}'
)
_VERSION: Final = '--version {{ reReplaceAll "^.*/" "" $key }}'


def _held(succeeds: str, failed: str, labels: str) -> str:
    """Return the time since which probes succeed again, for an alert that is held."""
    query = f"max(max_over_time(timestamp({failed})[@{{LONG}}:@{{EVERY_TICKET}}])) and on () min({succeeds}) == 1"
    clock = '{{ (. | first | value | toTime).Format "15:04" }}'
    return "{{ with " + query_of(query, labels) + " }} Probes succeed again since " + clock + " UTC.{{ end }}"


def _instances(query: str, labels: str) -> str:
    instances = listed(f"{_SQL} ({query})", labels, "sql_instance", _INSTANCE, none="none is declared")
    return f"SQL Server instances that depend on it: {instances}."


_OF_CREDENTIAL: Final = (
    "max by (step, code, symbol, reason, summary, action) (last_over_time("
    + _EXPLAINED
    + '{step="token"}[@{HOLD}]) and on (job, instance, target) '
    + _CREDENTIAL
    + ")"
)
_CREDENTIAL_FAILURES: Final = (
    _FIRST_TARGET
    + _HSM_OPTION.replace("@VAULT", "$vault")
    + '{{ if and $several (match "hsm" $store) }}{{ $store = "--hsm-name VAULT" }}{{ end }}'
    + _failures(_OF_CREDENTIAL, "job instance credential", _action("$vault", _NAME_OF_ONE, *_OF_FIRST_TARGET) + _SEVERAL)
)


def _servers(query: str, labels: str) -> str:
    """Return the first three SQL Server instances and the number of the others; empty if none is declared."""
    # An instance in two availability groups is one SQL Server.
    found = "{{ $all := " + query_of(f"topk by (sql_instance, host) (1, {_SQL} ({query}))", labels) + " }}"
    first = '{{ range $place, $one := $all | sortByLabel "sql_instance" }}{{ if lt $place 3 }}{{ if $place }}, {{ end }}'
    more = "{{ if gt (len $all) 3 }} and {{ len (slice $all 3) }} more{{ end }}"
    return found + first + _INSTANCE + "{{ end }}{{ end }}" + more


def _targets_servers(targets: str) -> str:
    return f"last_over_time(ekm_instance_info[@{{HOLD}}]) and on (job, instance, target) {targets}"


def _first_unless_certificate(first: str) -> str:
    """Return the first action before a credential ends; only that of a certificate has a date of its file."""
    of_file = query_of(_ENDS.replace("credential=%q", 'credential=%q,source="certificate"'), "job instance credential")
    certificate = "create a new certificate, register it with the application, and replace the exporter's certificate file."
    return "{{ if " + of_file + " }}First: " + certificate + "{{ else }}" + first + "{{ end }}"


def _action_or(otherwise: str) -> str:
    """Return the first action that the exporter shows for the target's failure."""
    found = query_of("max by (action) (ekm_failure_action_info{" + _TARGET + "})", "job instance target")
    return "{{ with " + found + ' }}{{ . | first | label "action" }}{{ else }}' + otherwise + "{{ end }}"


# Who depends on a target, on the targets of a credential, of an exporter or of a region: query and labels.
_DEPENDENTS: Final[Mapping[str, tuple[str, str]]] = {
    "": ("last_over_time(ekm_instance_info{target=%q,vault=%q}[@{HOLD}])", "target vault"),
    "CREDENTIAL_": (_targets_servers(_CREDENTIAL), "job instance credential"),
    "EXPORTER_": ("last_over_time(ekm_instance_info{job=%q,instance=%q}[@{HOLD}])", "job instance"),
    "REGION_": (_targets_servers(_REGION), "job instance region"),
}


TEXTS: Final[Mapping[str, str]] = {
    "TARGET": "{{ $labels.target }} ({{ $labels.vault }}), seen from {{ $labels.instance }}",
    "FAILURES": _KEY
    + _HSM_OPTION.replace("@VAULT", "$labels.vault")
    + _failures(_OF_ONE_TARGET, "job instance target", _action("$labels.vault", _VAULT_NAME, *_OF_TARGET)),
    "CAREFUL": f"{WITHOUT_THE_KEY} {DO_NOT_RESTART}",
    "CAREFUL_MEANWHILE": f"{WHILE_IT_LASTS} {DO_NOT_RESTART}",
    "FROM_THEN_ON": FROM_THEN_ON,
    "CAUSES": _failures(_OF_ONE_TARGET, "job instance target", action=""),
    "HELD": _held(
        "ekm_probe_success{job=%[1]q,instance=%[2]q,target=%[3]q}",
        "ekm_probe_success{job=%[1]q,instance=%[2]q,target=%[3]q} == 0",
        "job instance target",
    ),
    "CREDENTIAL_HELD": _held(
        "ekm_probe_success and on (job, instance, target) " + _CREDENTIAL_AGAIN,
        "ekm_probe_success == 0 and on (job, instance, target) " + _CREDENTIAL_AGAIN,
        "job instance credential",
    ),
    "ENABLE_KEY": _KEY + "az keyvault key set-attributes " + _STORE + " " + _VERSION + " --enabled true",
    "RECOVER_KEY": _KEY + "az keyvault key recover " + _STORE,
    "PURGE": (
        "{{ range "
        + query_of("max(ekm_key_scheduled_purge_timestamp_seconds{" + _TARGET + "})", "job instance target")
        + " }} It will be purged at {{ .Value | humanizeTimestamp }}; after that only a backup brings it back.{{ end }}"
    ),
    "TOKEN_REFUSALS": (
        "{{ range "
        + query_of(
            'max by (code) (last_over_time(ekm_last_failure_info{step="token",code=~"3011|3109|3077|3113"}[@{HOLD}])'
            " and on (job, instance, target) " + _CREDENTIAL + ")",
            "job instance credential",
        )
        + ' }}{{ if match "3011|3109" .Labels.code }} Status 429: the application signs in too often. First: find its other clients in'
        " Entra ID's sign-in log and stop the one that loops.{{ else }} Status 403: something on the route refuses the sign-in. First:"
        " check the proxy and the network policy between this host and Entra ID.{{ end }}{{ end }}"
    ),
    **{f"{of}INSTANCES": _instances(*dependents) for of, dependents in _DEPENDENTS.items()},
    **{f"{of}SERVERS": _servers(*dependents) for of, dependents in _DEPENDENTS.items()},
    "VANTAGE": (
        "{{ range " + query_of("target:ekm_target_info:labels{" + _TARGET + "}", "job instance target") + " }}"
        '{{ if eq .Labels.vantage "sql_host" }} on the SQL host{{ else if .Labels.vantage }} on a central host{{ end }}{{ end }}'
    ),
    "CHECKS": listed(
        "max by (check) (ekm_preflight_failed{" + _TARGET + "})",
        "job instance target",
        "check",
        "{{ $one.Labels.check }}",
        none="unknown after a restart",
    ),
    "TICKET_ACTION": _action_or("ekm-exporter probe {{ $labels.target }} --config.file FILE, on that host."),
    "KEY_ACTION": _action_or("move its date, or enable it, in the vault, as the runbook shows."),
    "BURNING_TARGETS": listed(
        "target:ekm_error_budget_burns:ratio{job=%q,instance=%q} and on (job, instance, target)"
        " target:ekm_target_info:labels{team=%q,env=%q}",
        "job instance team env",
        "target",
        "{{ $one.Labels.target }} {{ $one.Value | humanizePercentage }}",
    ),
    "CREDENTIAL_FAILURES": _CREDENTIAL_FAILURES,
    # A refusal after the date may have another reason, such as secret_wrong. The first action is still a new secret.
    "CREDENTIAL_ENDED": (
        "{{ if "
        + query_of(
            'last_over_time(ekm_last_failure_info{step="token",reason=~"@{ENDED}"}[@{HOLD}]) and on (job, instance, target) '
            + _CREDENTIAL,
            "job instance credential",
        )
        + " }}"
        + _CREDENTIAL_FAILURES
        + "{{ else }}"
        + _failures(_OF_CREDENTIAL, "job instance credential", action="")
        + " First: create a new secret and set it with ALTER CREDENTIAL on every replica. If SQL Server has a newer secret already, give it"
        " to the exporter.{{ end }}"
    ),
    "CREDENTIAL_TARGETS": listed(
        f"max by (target) ({_CREDENTIAL})", "job instance credential", "target", "{{ $one.Labels.target }}", none="none"
    ),
    "CREDENTIAL_REPLACED": _first_unless_certificate(
        "First: create a second secret and set it with ALTER CREDENTIAL on every replica."
    ),
    "CREDENTIAL_DATES": listed(
        _ENDS,
        "job instance credential",
        "source",
        "{{ $one.Labels.source }} {{ $one.Value | humanizeTimestamp }}",
        none="none known",
    ),
    # Entra ID refuses the credential as expired: a later date is wrong.
    "EXPIRED_DATES": listed(
        'label_replace({0} > time(), "wrong", ", which is wrong", "", "") or on (source) {0}'.format(
            _ENDS.replace("job=%q,instance=%q,credential=%q", "job=%[1]q,instance=%[2]q,credential=%[3]q")
        ),
        "job instance credential",
        "source",
        "{{ $one.Labels.source }} {{ $one.Value | humanizeTimestamp }}{{ $one.Labels.wrong }}",
        none="none known",
    ),
    "EGRESS_SEEN": listed(
        "count by (step, reason) (max by (target, step, reason) (ekm_last_failure_info{job=%q,instance=%q}))",
        "job instance",
        "reason",
        "{{ $one.Labels.reason }} at {{ $one.Labels.step }} {{ $one.Value }}",
    ),
    "TOKEN_SEEN": listed(
        'count by (code, reason) (max by (target, code, reason) (ekm_last_failure_info{step="token",job=%q,instance=%q}))',
        "job instance",
        "reason",
        "{{ $one.Labels.code }} {{ $one.Labels.reason }} {{ $one.Value }}",
    ),
    "FORBIDDEN_SEEN": listed(
        'count by (reason) (max by (target, reason) (ekm_last_failure_info{code=~"3077|3113"} and on (job, instance, target) '
        + _CREDENTIAL
        + "))",
        "job instance credential",
        "reason",
        "{{ $one.Labels.reason }} {{ $one.Value }}",
    ),
}

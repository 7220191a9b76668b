"""PromQL for the dashboards: series with the dashboards' variables, and joins that several dashboards share.

The expressions are correct with two exporters for one vault, and if a series is absent because its value is unknown.
"""

from __future__ import annotations

import re
from typing import Final

from alerts.values import PATTERNS
from exporter.core.values import Vantage
from exporter.knowledge.codes import BY_CODE
from exporter.knowledge.reason_row import Refused
from exporter.knowledge.reasons import refusing
from exporter.metrics.families import BY_NAME
from exporter.metrics.spec import SeriesScope

# Series that other programs expose too: query them through `of_exporters`.
FOREIGN: Final = frozenset(
    {
        "up",
        "process_cpu_seconds_total",
        "process_max_fds",
        "process_open_fds",
        "process_resident_memory_bytes",
        "process_start_time_seconds",
    }
)
STEP_DURATIONS: Final = "ekm_step_duration_seconds"
_HISTOGRAM_PART: Final = re.compile(r"_(bucket|sum|count)$")
_EXPORTER: Final = 'job=~"$job", instance=~"$instance"'
_CHOSEN: Final = ', target=~"$target", vault=~"$vault"'
_SELECTORS: Final = {
    SeriesScope.TARGET: f"{_EXPORTER}{_CHOSEN}",
    SeriesScope.VAULT: f'{_EXPORTER}, vault=~"$vault"',
}

# For how long a target without series is still listed, as unknown.
REMEMBERED: Final = "1h"
# For how long an exporter without series is still recognised, and counted as down.
EXPORTER_REMEMBERED: Final = "1d"
# Values of the state of a target, so that sorting puts the worst first.
NOT_READY, UNKNOWN, READY = 0, 1, 2


def series(name: str, more: str = "", over: str = "") -> str:
    """Return a selector with the dashboard's variables, `more` matchers and the range `over`. Raise KeyError for an unknown metric."""
    selector = _EXPORTER if name in FOREIGN else _SELECTORS.get(_scope(name), _EXPORTER)
    return f"{name}{{{selector}{', ' + more if more else ''}}}{f'[{over}]' if over else ''}"


def of_every_target(expression: str) -> str:
    """Widen an expression to the targets that are not chosen."""
    return expression.replace(_CHOSEN, "")


def of_exporters(expression: str) -> str:
    """Restrict an expression to exporters, including those that were up within a day."""
    return f"({expression} and on (job, instance) last_over_time({series('ekm_exporter_build_info', over=EXPORTER_REMEMBERED)}))"


def _scope(name: str) -> SeriesScope:
    if name.startswith("target:"):  # a recording rule
        return SeriesScope.TARGET
    return BY_NAME[name if name in BY_NAME else _HISTOGRAM_PART.sub("", name)].scope


def increase(name: str, by: str, over: str = "$__rate_interval", more: str = "") -> str:
    """Return the increase of a counter; of two exporters, the larger one."""
    return f"max by ({by}) (increase({series(name, more, over)}))"


def quantile(share: float, name: str = STEP_DURATIONS, by: str = "", over: str = "$__rate_interval", more: str = "") -> str:
    """Return the quantile of a histogram: of the native one, else of the classic one."""
    native = f"sum by ({by}) (rate({series(name, more, over)}))" if by else f"sum(rate({series(name, more, over)}))"
    classic = f"sum by ({f'le, {by}' if by else 'le'}) (rate({series(f'{name}_bucket', more, over)}))"
    return f"histogram_quantile({share}, {native}) or histogram_quantile({share}, {classic})"


def observations(more: str) -> str:
    """Return the increase of the step durations by bucket: of the native histogram, else of the classic one."""
    native, classic = (series(name, more, "$__rate_interval") for name in (STEP_DURATIONS, f"{STEP_DURATIONS}_bucket"))
    return f"sum(increase({native})) or ignoring (le) sum by (le) (increase({classic}))"


def one_of(metric: str, labels: str, more: str = "") -> str:
    """Return one series for each target, even if two exporters differ."""
    return f"topk by (target) (1, max by (target, {labels}) ({series(metric, more)}))"


def newest(metric: str, labels: str) -> str:
    """Return 1 for each target of the last hour, with the newest values of `labels`, if there are any."""
    latest = f"max by (target, {labels}) (max_over_time(timestamp({series(metric)})[{REMEMBERED}:1m]))"
    return f"(topk by (target) (1, {latest}) > bool 0 or on (target) {KNOWN})"


# Exporters of different versions can have different texts for a code: use any of them.
_MEANINGS: Final = (
    f"topk by (code) (1, max by (code, {{labels}}) ({series('ekm_error_info').replace('{', '{{').replace('}', '}}')}))"
)


def with_meaning(expression: str, labels: str) -> str:
    """Add labels with the meaning of `code` to each series."""
    return f"({expression}) * on (code) group_left ({labels}) {_MEANINGS.format(labels=labels)}"


def with_affected(expression: str) -> str:
    """Begin the label `meaning` with what the failure affects, if the target is ready all the same."""
    return f'label_join({expression}, "meaning", "", "affects", "meaning")'


def label(expression: str, name: str, value: str) -> str:
    """Add a label with a constant value to each series."""
    return f'label_replace({expression}, "{name}", "{value}", "", "")'


def first_sentence(expression: str, name: str) -> str:
    """Cut a label to its first sentence, or to two if the first is very short."""
    return f'label_replace({expression}, "{name}", "$1", "{name}", "(.{{30,}}?\\\\.)( .*)?")'


# The share of successful probes of each target in the chosen time range.
SUCCESS: Final = (
    f"1 - {increase('ekm_probe_failures_total', 'target', '$__range')} / {increase('ekm_probes_total', 'target', '$__range')}"
)
# Every target of the last hour, 1 each.
KNOWN: Final = f"max by (target) (last_over_time({series('ekm_target_info', over=REMEMBERED)}))"
# 0 if any target is known, else no number: without a target the state is unknown.
NONE: Final = f"0 * count({KNOWN})"


def _seen_from(vantage: Vantage) -> str:
    return series("ekm_target_info", f'vantage="{vantage}"')


# As in the alert rules: the vault's firewall blocks a central exporter, while an exporter on a SQL Server host reaches the same
# vault. SQL Server is not affected.
_BY_A_FIREWALL: Final = 'reason=~"' + PATTERNS["FIREWALL"] + '"'
_ONLY_CENTRALLY: Final = (
    f"({series('ekm_last_failure_info', _BY_A_FIREWALL)}"
    f" and on (job, instance, target) {_seen_from(Vantage.CENTRAL)}"
    f" and on (vault) ({series('ekm_probe_success')} == 1 and on (job, instance, target) {_seen_from(Vantage.SQL_HOST)}))"
)
# The verdict of each exporter on each target.
_VERDICTS: Final = f"({series('ekm_vault_side_ready')} unless on (job, instance, target) {_ONLY_CENTRALLY})"
NOT_READY_VERDICTS: Final = f"({_VERDICTS} == 0)"
_READY: Final = f"min by (target) {_VERDICTS}"
# 0 not ready, 1 unknown, 2 ready, for every target; of two exporters the worse state.
STATE: Final = f"{READY} * {_READY} or on (target) {KNOWN}"
IS_NOT_READY: Final = f"({_READY} == 0)"
# 0 if any verdict is known, else no number: without a verdict the danger is unknown.
NONE_IN_DANGER: Final = f"0 * count({_VERDICTS})"


# The failure of each target with its own advice: another target with the same code may need another action.
_ADVISED: Final = (
    f"({series('ekm_last_failure_info')} * on (job, instance, target) group_left (action, meaning, owner)"
    f" max by (job, instance, target, action, meaning, owner) ({series('ekm_failure_action_info')}))"
)
_OF_FAILURE: Final = "step, code, symbol, reason, action, meaning, owner"


def _why_not_ready(vantage: Vantage) -> str:
    failure = f"({_ADVISED} and on (job, instance, target) {NOT_READY_VERDICTS})"
    seen = f"{failure} * on (job, instance, target) group_left (vantage) {_seen_from(vantage)}"
    return f"topk by (target) (1, max by (target, {_OF_FAILURE}, vantage) ({seen}))"


# The failure behind the verdict not ready, preferably from an exporter on the SQL Server host.
WHY_NOT_READY: Final = f"({_why_not_ready(Vantage.SQL_HOST)} or on (target) {_why_not_ready(Vantage.CENTRAL)})"
_ANY_FAILURE: Final = f"topk by (target) (1, max by (target, {_OF_FAILURE}) ({_ADVISED}))"


def _affecting(failure: str) -> str:
    """Add the label `affects`: what a failure affects, if the target is ready all the same."""
    centrally = f'label_replace({failure}, "affects", "Central exporter only: ", "reason", "{PATTERNS["FIREWALL"]}")'
    return f'label_replace({centrally}, "affects", "Wrap only: ", "step", "wrap_key")'


# For all other targets, any known failure.
FAILURE: Final = f"({WHY_NOT_READY} or on (target) {_affecting(f'({_ANY_FAILURE} and on (target) ({_READY} == 1))')} or on (target) {_ANY_FAILURE})"
DECLARED_SERVERS: Final = f"max by (target, sql_instance, host, ag) ({series('ekm_instance_info')})"
# Each SQL Server of each target, including targets without a declared SQL Server.
SERVERS: Final = f"({DECLARED_SERVERS} or on (target) {label(KNOWN, 'sql_instance', 'none declared')})"


def _codes(code: int) -> str:
    """Return a code of both generations."""
    return f"{code}|{BY_CODE[code].counterpart}"


# The runbook of a failure, by one of its labels; the last match wins. The default is the runbook of the verdict alert.
RUNBOOK_OF: Final = (
    ("EkmVaultHostNameGone", "reason", "dns_not_found"),
    ("EkmVaultSideNotReady", "step", "token"),  # the failed name is a host of Entra ID
    ("EkmThrottledSpike", "code", _codes(3011)),
    ("EkmForbiddenSpike", "code", _codes(3077)),
    ("EkmCredentialRefused", "code", "3303"),
    ("EkmCredentialExpired", "reason", "|".join(sorted(refusing(Refused.EXPIRED_CREDENTIAL)))),
    ("EkmKeySoftDeleted", "reason", "key_soft_deleted"),
)


def with_page(expression: str) -> str:
    """Copy `code` to the label `page` for links: a link in a column with mapped values has the mapped text."""
    return f'label_replace({expression}, "page", "$1", "code", "(.*)")'


def with_runbook(expression: str) -> str:
    """Add the labels `page`, a copy of `code`, and `runbook`, the name of its runbook."""
    named = label(with_page(expression), "runbook", "EkmVaultSideNotReady")
    for runbook, name, values in RUNBOOK_OF:
        named = f'label_replace({named}, "runbook", "{runbook}", "{name}", "{values}")'
    return named


# Dates from lookups take precedence over declared ones: a credential has one expiry date.
def credential_expiry(more: str = "") -> str:
    """Return the expiry of each credential, as a Unix time."""
    name, comma = "ekm_credential_expiry_timestamp_seconds", ", " if more else ""
    found, declared = (series(name, f'{more}{comma}source{operator}"declared"') for operator in ("!=", "="))
    return f"(min by (credential) ({found}) or on (credential) min by (credential) ({declared}))"


_OF_TARGETS: Final = (
    f"max by (target, credential) ({series('ekm_target_info')}) * on (credential) group_left () {credential_expiry()}"
)
# The first expiry of key and credential, or the purge of a deleted key.
NEXT_EXPIRY: Final = " or ".join(
    (
        f"min by (target) ({label(series('ekm_key_expiry_timestamp_seconds'), 'what', 'key')}",
        label(series("ekm_key_scheduled_purge_timestamp_seconds"), "what", "purge"),
        label(_OF_TARGETS, "what", "credential") + ")",
    )
)

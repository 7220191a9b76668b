"""Pieces of PromQL: series with the dashboards' variables in their selectors, and the joins that several dashboards need.

For: expressions that stay right when two exporters probe the same vault, and when a series is absent because nothing is known.
Not for: panels, units, colours (see `panels`), nor the words of codes (see `words`).
"""

from __future__ import annotations

import re
from typing import Final

from alerts.values import REASONS
from exporter.core.model import Vantage
from exporter.metrics.definitions import BY_NAME
from exporter.metrics.spec import Scope

# Series that other programs have as well, with the labels that scraping gives them: to be asked for through `of_exporters`.
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
_HISTOGRAM_PART: Final = re.compile(r"_(bucket|sum|count)$")
_EXPORTER: Final = 'job=~"$job", instance=~"$instance"'
_SELECTORS: Final = {
    Scope.TARGET: f'{_EXPORTER}, target=~"$target", vault=~"$vault"',
    Scope.VAULT: f'{_EXPORTER}, vault=~"$vault"',
}

# How long a target that is no longer heard of is still listed, as unknown.
REMEMBERED: Final = "1h"
# How long an exporter that is no longer heard of is still told from other programs, and so counted as down.
HEARD_OF: Final = "1d"
# Values of the state of a target, so that sorting puts the worst first.
NOT_READY, UNKNOWN, READY = 0, 1, 2


def series(name: str, more: str = "", over: str = "") -> str:
    """One metric with its variables, `more` matchers, and a range where `over` gives one. Raises KeyError for a name that is not
    in the table of metrics.
    """
    selector = _EXPORTER if name in FOREIGN else _SELECTORS.get(_scope(name), _EXPORTER)
    return f"{name}{{{selector}{', ' + more if more else ''}}}{f'[{over}]' if over else ''}"


def of_exporters(expression: str) -> str:
    """Of series that other programs have as well, those of exporters; one that is down is known by what it told within a day."""
    return f"({expression} and on (job, instance) last_over_time({series('ekm_exporter_build_info', over=HEARD_OF)}))"


def _scope(name: str) -> Scope:
    return BY_NAME[name if name in BY_NAME else _HISTOGRAM_PART.sub("", name)].scope


def increase(name: str, by: str, over: str = "$__rate_interval", more: str = "") -> str:
    """What a counter gained; of two exporters that count the same, the one that counted more."""
    return f"max by ({by}) (increase({series(name, more, over)}))"


def quantile(share: float, by: str = "", over: str = "$__rate_interval", more: str = "") -> str:
    """Seconds within which this share of the steps ended."""
    groups = f"le, {by}" if by else "le"
    return f"histogram_quantile({share}, sum by ({groups}) (rate({series('ekm_step_duration_seconds_bucket', more, over)})))"


def one_of(metric: str, labels: str, more: str = "") -> str:
    """One series for each target, even where two exporters see it differently."""
    return f"topk by (target) (1, max by (target, {labels}) ({series(metric, more)}))"


def newest(metric: str, labels: str) -> str:
    """1 for each target of the last hour, with the labels that were told of it last: not with those of before a change as well.
    Without them where nobody tells of any.
    """
    told = f"max by (target, {labels}) (max_over_time(timestamp({series(metric)})[{REMEMBERED}:1m]))"
    return f"(topk by (target) (1, {told}) > bool 0 or on (target) {KNOWN})"


# Two exporters of different versions may have different words for a code: any one's will do.
_MEANINGS: Final = (
    f"topk by (code) (1, max by (code, {{labels}}) ({series('ekm_error_info').replace('{', '{{').replace('}', '}}')}))"
)


def with_meaning(expression: str, labels: str) -> str:
    """The same series, with labels of the meaning of their `code`."""
    return f"({expression}) * on (code) group_left ({labels}) {_MEANINGS.format(labels=labels)}"


def label(expression: str, name: str, value: str) -> str:
    """The same series with one more label, always of this value."""
    return f'label_replace({expression}, "{name}", "{value}", "", "")'


def first_sentence(expression: str, name: str) -> str:
    """The same series with the label cut to its first sentence, or the first two where that is a very short one."""
    return f'label_replace({expression}, "{name}", "$1", "{name}", "(.{{30,}}?\\\\.)( .*)?")'


# Every target of the last hour, 1 each.
KNOWN: Final = f"max by (target) (last_over_time({series('ekm_target_info', over=REMEMBERED)}))"
# 0 where a target is known, and no number where none is: what nobody watches is not fine.
NONE: Final = f"0 * count({KNOWN})"


def _seen_from(vantage: Vantage) -> str:
    return series("ekm_target_info", f'vantage="{vantage}"')


# As the alert rules have it: refused by a vault's firewall from a central host, while an exporter on a SQL Server host gets through
# to the same vault. That says nothing of SQL Server.
_BY_A_FIREWALL: Final = 'reason=~"' + REASONS["FIREWALL"] + '"'
_ONLY_CENTRALLY: Final = (
    f"({series('ekm_last_failure_info', _BY_A_FIREWALL)}"
    f" and on (job, instance, target) {_seen_from(Vantage.CENTRAL)}"
    f" and on (vault) ({series('ekm_probe_success')} == 1 and on (job, instance, target) {_seen_from(Vantage.SQL_HOST)}))"
)
# What each exporter says of each target.
_VERDICTS: Final = f"({series('ekm_vault_side_ready')} unless on (job, instance, target) {_ONLY_CENTRALLY})"
SAYS_NOT_READY: Final = f"({_VERDICTS} == 0)"
_READY: Final = f"min by (target) {_VERDICTS}"
# 0 not ready, 1 unknown, 2 ready: every target has one. Of two exporters, the one that sees the worse.
STATE: Final = f"{READY} * {_READY} or on (target) {KNOWN}"
IS_NOT_READY: Final = f"({_READY} == 0)"
# 0 where any verdict is known, and no number where none is: then nobody can say that none is in danger.
NONE_IN_DANGER: Final = f"0 * count({_VERDICTS})"


def _why_not_ready(vantage: Vantage) -> str:
    failure = f"({series('ekm_last_failure_info')} and on (job, instance, target) {SAYS_NOT_READY})"
    seen = f"{failure} * on (job, instance, target) group_left (vantage) {_seen_from(vantage)}"
    return f"topk by (target) (1, max by (target, step, code, symbol, reason, vantage) ({seen}))"


# Of an exporter that says not ready; of one on the SQL Server's own host, where there is one.
WHY_NOT_READY: Final = f"({_why_not_ready(Vantage.SQL_HOST)} or on (target) {_why_not_ready(Vantage.CENTRAL)})"
# Of a target that is not said to be not ready, any failure that is known.
FAILURE: Final = f"({WHY_NOT_READY} or on (target) {one_of('ekm_last_failure_info', 'step, code, symbol, reason')})"
DECLARED_SERVERS: Final = f"max by (target, sql_instance, host, ag) ({series('ekm_instance_info')})"
# Each SQL Server of each target; a target for which none is declared is listed all the same.
SERVERS: Final = f"({DECLARED_SERVERS} or on (target) {label(KNOWN, 'sql_instance', 'none declared')})"

# Which runbook speaks of a failure, by one of its labels; the last line that fits counts. Of any other the alert about the verdict tells.
RUNBOOK_OF: Final = (
    ("EkmVaultHostNameGone", "reason", "dns_not_found"),
    ("EkmVaultSideNotReady", "step", "token"),  # there the name is Entra's
    ("EkmThrottledSpike", "code", "3011|3109"),
    ("EkmForbiddenSpike", "code", "3077|3113"),
    ("EkmCredentialRefused", "code", "3303"),
    ("EkmCredentialExpired", "reason", "secret_expired|certificate_expired"),
    ("EkmKeySoftDeleted", "reason", "key_soft_deleted"),
)


def with_page(expression: str) -> str:
    """The same series with their `code` once more, for links: a column with mapped values gives links its mapped text."""
    return f'label_replace({expression}, "page", "$1", "code", "(.*)")'


def with_runbook(expression: str) -> str:
    """The same series with the labels `page`, which repeats their `code`, and `runbook`, the name of the runbook for it."""
    named = label(with_page(expression), "runbook", "EkmVaultSideNotReady")
    for runbook, name, values in RUNBOOK_OF:
        named = f'label_replace({named}, "runbook", "{runbook}", "{name}", "{values}")'
    return named


# When the first of a target's key and credential ends, and a deleted key is purged.
# What was looked up counts for more than what somebody once wrote down.
_LOOKED_UP, _DECLARED = 'source!="declared"', 'source="declared"'
_CREDENTIAL_ENDS: Final = (
    f"max by (target, credential) ({series('ekm_target_info')}) * on (credential) group_left () ("
    f"min by (credential) ({series('ekm_credential_expiry_timestamp_seconds', _LOOKED_UP)}) or on (credential) "
    f"min by (credential) ({series('ekm_credential_expiry_timestamp_seconds', _DECLARED)}))"
)
NEXT_END: Final = " or ".join(
    (
        f"min by (target) ({label(series('ekm_key_expiry_timestamp_seconds'), 'what', 'key')}",
        label(series("ekm_key_scheduled_purge_timestamp_seconds"), "what", "purge"),
        label(_CREDENTIAL_ENDS, "what", "credential") + ")",
    )
)

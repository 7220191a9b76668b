"""The preflight checks of the report in their order, the findings of a run, and the fix of a check that did not pass.

Rows are in `checks_vault` and `checks_host`; those of `SQL` follow if SQL Servers were read. Names are public: renaming one breaks users.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import KW_ONLY, dataclass, replace
from functools import partial
from types import MappingProxyType

from exporter.core.values import KEY_STEPS, CredentialKind, Step
from exporter.knowledge.advice import kept, prove_and_switch, reason_actions
from exporter.knowledge.checks_host import HOST, SQL
from exporter.knowledge.checks_vault import KEY, NETWORK, SIGN_IN, Actions, Check, CheckOutcome, FailureMoment
from exporter.knowledge.code_row import DO_NOT_RESTART, REPEAT, STAGE_SECRET, TEST_SECRET
from exporter.knowledge.codes import BY_CODE
from exporter.knowledge.names import HSM_DOMAIN, Names, fill_names
from exporter.knowledge.reason_row import Refused
from exporter.knowledge.reasons import Reason, refusing
from exporter.knowledge.verdict import AuxiliaryResult

CHECKS: tuple[Check, ...] = (*NETWORK, *SIGN_IN, *KEY, *HOST)
BY_NAME: Mapping[str, Check] = MappingProxyType({check.name: check for check in (*CHECKS, *SQL)})


@dataclass(frozen=True, slots=True)
class Finding:
    """The finding of a check: an outcome with its text. `code` may be of any generation; without one, a failure has the code of the table.

    `blocked_by` is the check that reports the cause.
    """

    outcome: CheckOutcome
    detail: str
    blocked_by: str | None = None
    _: KW_ONLY
    code: int | None = None
    reason: Reason | None = None
    moment: FailureMoment | None = None  # None: that of the table
    step: Step | None = None  # the failed one
    subject: AuxiliaryResult | None = None  # whose names the fix has, instead of the target's
    codeless: bool = False  # SQL Server shows no code for this, also if the table lists one
    actions: Actions = ()  # instead of those of the reason, the table or the code
    discarded: bool = False  # a failure that says nothing, since this host was too slow: it blocks as one, and is none


passed = partial(Finding, CheckOutcome.PASS)
warned = partial(Finding, CheckOutcome.WARN)
failed = partial(Finding, CheckOutcome.FAIL)
skipped = partial(Finding, CheckOutcome.SKIPPED)
unknown = partial(Finding, CheckOutcome.UNKNOWN)
blocked = partial(skipped, "")

_WORST_FIRST = (CheckOutcome.FAIL, CheckOutcome.WARN, CheckOutcome.UNKNOWN, CheckOutcome.PASS, CheckOutcome.SKIPPED)


def combined(*findings: Finding) -> Finding:
    """Return the worst of several findings with the details of all, the worst first."""
    ordered = sorted(findings, key=lambda finding: _WORST_FIRST.index(finding.outcome))
    return replace(ordered[0], detail="; ".join(finding.detail for finding in ordered))


# The fix: actions of the reason, of the check's row or of the code, as lines. A line that starts with two blanks is a command.

_COMMAND = re.compile(r": `([^`]+)`\.(?: (?=[A-Z])|$)")
_EXPIRED = refusing(Refused.EXPIRED_CREDENTIAL)


def check_actions(
    check: Check,
    outcome: CheckOutcome,
    names: Names,
    *,
    code: int | None = None,
    reason: Reason | None = None,
    step: Step | None = None,
) -> Actions:
    """Return the actions, before names are filled in; empty if there are none.

    `code`, `reason` and `step` are those of the failure. A reason is an expiry also if the day is only near.
    """
    if outcome is CheckOutcome.UNKNOWN:
        return _row_actions(check, names) if check.on_host or check.if_unknown else ()
    if outcome is CheckOutcome.WARN and reason in _EXPIRED and names.staged is not None:
        return prove_and_switch(names)
    of_reason = () if reason is None else reason_actions(reason, step, names)
    if outcome is CheckOutcome.WARN and reason in _EXPIRED:
        of_reason = tuple(STAGE_SECRET if each == TEST_SECRET else each for each in of_reason)
    return of_reason or _row_actions(check, names) or (() if code is None else BY_CODE[code].actions)


def _row_actions(check: Check, names: Names) -> Actions:
    of_certificate = check.of_certificate if names.kind is CredentialKind.CLIENT_CERTIFICATE else ()
    return of_certificate or (check.on_hsm if HSM_DOMAIN in names.vault else ()) or check.actions


def action_lines(texts: Iterable[str], names: Names, *, reason: Reason | None = None, ready: bool = False) -> tuple[str, ...]:
    """Return actions as lines with names filled in, each command on lines of its own.

    `again` of the names stands for the probe, so it is not to be repeated. The report warns of a restart, so the actions do not.
    If SQL Server is `ready`, no database is to be set online.
    """
    own = (each for each in kept(texts, names, reason=reason, ready=ready) if each not in (DO_NOT_RESTART, REPEAT))
    return tuple(line for text in own for line in _lines(fill_names(text, names)))


def _lines(text: str) -> list[str]:
    return _COMMAND.sub(lambda found: ":\n  " + found[1].replace("\n", "\n  ") + "\n", text).strip("\n").split("\n")


# The check of a step reports a reason that no check of its own shows at this step: exactly one reports it, so each cause appears once.
STEP_CHECKS: Mapping[Step, str] = MappingProxyType(
    {Step.CHALLENGE: "challenge", Step.TOKEN: "token", **dict.fromkeys(KEY_STEPS, "vault_answers")}
)


def check_of(step: Step, reason: Reason | None) -> str:
    """Return the name of the check that reports this failure."""
    shown = None if reason is None else reason.row.shown_by
    if shown is None or step not in shown.steps:
        return STEP_CHECKS[step]
    return shown.check.format(host="entra" if step is Step.TOKEN else "vault", operation=step.value.removesuffix("_key"))

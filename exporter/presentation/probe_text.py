"""One probe as plain text, for a terminal or `debug=true`.

The report holds masked values only.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence

from exporter.config.consequences.names import names_of
from exporter.config.settings import Target
from exporter.core.codes import BY_CODE, both_numbers
from exporter.core.codes.action_texts import ALTER, EACH_IDENTITY
from exporter.core.codes.actions import actions
from exporter.core.codes.cause_text import cause, meaning, observed_cause, owner_of_failure, sentence
from exporter.core.codes.model import Owner
from exporter.core.codes.shared import LESS_WITHOUT_WRAP, NOT_FOR_TONIGHT, REWRITTEN, WITHOUT_WRAP
from exporter.core.durations import moment
from exporter.core.model import Outcome, ProbeReport, Step, StepResult, Vantage
from exporter.core.quoting import plain
from exporter.core.readiness import NOT_TESTED, deciding_failure, readiness_text
from exporter.core.reasons.row import Reply
from exporter.core.tickets.team import who_repairs
from exporter.explain.render import wrap
from exporter.state.records import TargetRecord

Line = tuple[str, str]
_LABEL_WIDTH = 15
VAULTS = 10  # that one action names, at most
_SPAN = re.compile(r"`([^`]+)`")
_VAULT_ID = re.compile(r"(--(?:scope|resource-id) )VAULT_ID([^\s`]*)")


def transcript(target: Target, report: ProbeReport, *, vantage: Vantage, record: TargetRecord | None = None) -> str:
    """Return the whole probe as text, ending with a line break.

    The text shows target, verdict, each step, and the advice for the deciding failure. `record` holds the auxiliary results.
    """
    lines = [line(*each) for each in probe_lines(target, report, vantage=vantage)]
    for result in report.steps:
        lines += ["", _headline(result), *(line(*each, indent="  ") for each in facts_of(result))]
    lines += (
        ["", *(wrapped(*each) for each in advice_lines(target, report, record))] if deciding_failure(report) is not None else []
    )
    return "\n".join(lines) + "\n"


def probe_lines(target: Target, report: ProbeReport, *, vantage: Vantage) -> Iterator[Line]:
    """Yield target, time, result and verdict of a probe."""
    yield "target", target.name
    if servers := what_depends(target):
        yield "SQL Servers", servers
    yield "vault", target.vault
    yield "key", target.key
    yield "credential", target.credential
    yield "started", moment(report.started_at)
    yield "took", seconds(report.duration)
    result = "every step succeeded and the bytes came back equal" if report.success else "failed"
    yield "result", "discarded" if report.discarded else result
    yield "verdict", readiness_text(report.readiness, vantage)
    yield "not tested", NOT_TESTED
    if any(step.disturbed for step in report.steps):
        yield "note", "the exporter was slow during this probe: the times include its own delay"


def facts_of(result: StepResult) -> Iterator[Line]:
    """Yield the known facts of a step, code and reason first."""
    if result.outcome is Outcome.FAILED and result.code is not None:
        entry = BY_CODE.get(result.code)
        yield "code", both_numbers(result.code) + (f" {entry.symbol}" if entry else "")
    if result.reason is not None:
        yield "reason", result.reason.value
    if result.shared:
        yield "shared", "the token comes from a request that several targets share; its time is not this probe's"
    facts = result.facts
    if facts is None:
        return
    named = (
        ("HTTP status", facts.status),
        ("service code", facts.service_code),
        ("inner code", facts.inner_code),
        ("Entra error", None if facts.aadsts is None else f"AADSTS{facts.aadsts}"),
        ("vault message", None if facts.akv is None else f"AKV{facts.akv}"),
        ("retry after", None if facts.retry_after_seconds is None else seconds(facts.retry_after_seconds)),
        ("request id", facts.request_id),
        ("correlation id", facts.correlation_id),
        ("client address", facts.client_address),
        ("object id", facts.object_id),
        ("endpoint", facts.endpoint),
        ("issuer", facts.refused_issuer),
        ("resent", "yes, on a new connection: the far side had closed the kept one" if facts.resent else None),
        ("phase reached", facts.phase_reached.value if facts.phase_reached and result.outcome is Outcome.FAILED else None),
        ("exception", facts.exception),
        ("detail", facts.detail or None),
        ("phases", "  ".join(f"{phase.value} {seconds(took)}" for phase, took in facts.phases.items()) or None),
    )
    yield from ((label, str(value)) for label, value in named if value is not None)


def what_depends(target: Target) -> str:
    """Return the declared SQL Servers that depend on the target; empty without any.

    An example is `SQLPRD01 (host n1, ag AG7), SQLPRD02`.
    """
    return ", ".join(_instance(each) for each in target.instances)


def recommended_actions(target: Target, report: ProbeReport, record: TargetRecord | None = None) -> tuple[str, ...]:
    """Return the actions for the deciding failure, with the target's own names.

    The result is empty if no step has a code. `record` holds the auxiliary results, which may prove a staged credential.
    """
    failure = deciding_failure(report)
    if failure is None or failure.code is None:
        return ()
    names = names_of(target, report.steps, failure, auxiliary=() if record is None else record.auxiliary.values())
    return actions(failure.code, failure.reason, ready=report.readiness.ready, names=names, step=failure.step)


def with_vault_id(text: str, vault: str) -> str:
    """Return an action of a card, where the resource id of the vault is looked up instead of the word VAULT_ID."""
    show = f"$(az keyvault show --name {plain(vault.partition('.')[0], 'VAULT')} --query id --output tsv)"
    return _VAULT_ID.sub(rf'\1"{show}\2"', text)


def vault_actions(actions: Sequence[str], *, vaults: int) -> tuple[str, tuple[str, ...]]:
    """Return the action of several vaults as a sentence and its commands.

    `actions` are those of the first `VAULTS` of all `vaults`, each once. A single action has its command in the sentence.
    """
    if len(actions) == 1:
        return actions[0], ()
    what = actions[0].partition("`")[0].rstrip(": ")
    if ALTER.split(" ")[0] in actions[0]:
        return f"{what}. {EACH_IDENTITY}", ()
    commands = tuple(dict.fromkeys(span for each in actions for span in _SPAN.findall(each)))
    others = f" The pages of the targets have those of {vaults - VAULTS:,} more vaults." if vaults > VAULTS else ""
    return f"{what}. One line for each vault.{others}", commands


def effect(report: ProbeReport) -> str:
    """Return what fails in SQL Server, and when, by the deciding failure; empty if nothing does."""
    failure = deciding_failure(report)
    if failure is None or failure.code is None:
        return ""
    if report.readiness.ready:
        return f"{WITHOUT_WRAP} {NOT_FOR_TONIGHT}" if failure.step is Step.WRAP_KEY else ""
    return BY_CODE[failure.code].effect.removesuffix(LESS_WITHOUT_WRAP)


def advice_lines(target: Target, report: ProbeReport, record: TargetRecord | None = None) -> Iterator[Line]:
    """Yield meaning, cause, actions and owner of the deciding failure with a code.

    The likely causes of the code follow only if the probe did not observe the cause.
    """
    failure = deciding_failure(report)
    if failure is None or failure.code is None:
        return
    entry = BY_CODE[failure.code]
    yield "code", f"{both_numbers(failure.code)} {entry.symbol}"
    yield "meaning", meaning(failure, entry.summary)
    if what := effect(report):
        yield "effect", what
    owner, observed = owner_of_failure(failure, entry.owner), observed_cause(failure)
    reason = failure.reason
    if not observed and reason is not None and reason.row.reply_at(failure.step) is Reply.NONE:
        observed = sentence(cause(reason, failure.step))  # the connection itself shows it, and no other cause is likely
    if observed:
        yield "cause", observed
    yield from (("do", action) for action in recommended_actions(target, report, record))
    is_rewritten = owner is Owner.NETWORK and entry.owner is not owner
    likely = () if observed else (REWRITTEN,) if is_rewritten else entry.causes
    yield from (("likely cause", each) for each in likely)
    yield "owner", f"{owner}: {who_repairs(failure, entry.owner)}"


def seconds(duration: float) -> str:
    """Return a duration as text: in milliseconds below one second."""
    return f"{duration:.3f} s" if duration >= 1 else f"{duration * 1000:.1f} ms"


def _headline(result: StepResult) -> str:
    took = "" if result.outcome is Outcome.SKIPPED else seconds(result.duration)
    return f"{result.step.value:<{_LABEL_WIDTH}} {result.outcome.value:<8} {took}".rstrip()


def line(label: str, value: str, *, indent: str = "") -> str:
    """Return a label and its value in columns, on one line."""
    return f"{indent}{label:<{_LABEL_WIDTH - len(indent)}} {value}"


def wrapped(label: str, value: str, *, indent: str = "") -> str:
    """Return a label and its value in columns, wrapped at terminal width.

    A longer `code` span stays whole.
    """
    return wrap(value, first=f"{indent}{label:<{_LABEL_WIDTH - len(indent)}} ", rest=" " * (_LABEL_WIDTH + 1))


def _instance(labels: Mapping[str, str]) -> str:
    others = ", ".join(f"{name} {value}" for name, value in labels.items() if name != "sql_instance")
    return labels.get("sql_instance", "") + (f" ({others})" if others else "")

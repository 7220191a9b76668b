"""One probe as plain text, for a terminal or `debug=true`.

The report holds masked values only.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from exporter.config.model import Target
from exporter.core.codes import BY_CODE, both_numbers
from exporter.core.codes.actions import Names, actions
from exporter.core.codes.render import OWNERS, WIDTH, wrap
from exporter.core.durations import moment
from exporter.core.model import Outcome, ProbeReport, StepResult, Vantage
from exporter.core.readiness import NOT_TESTED, in_words

Line = tuple[str, str]
_LABEL_WIDTH = 15


def transcript(target: Target, report: ProbeReport, *, vantage: Vantage) -> str:
    """Return the whole probe as text, ending with a line break.

    It has the target, the verdict, each step, and the advice for the first failure.
    """
    lines = [line(*each) for each in about(target, report, vantage=vantage)]
    for result in report.steps:
        lines += ["", _headline(result), *(line(*each, indent="  ") for each in facts_of(result))]
    lines += ["", *(wrapped(*each) for each in advice(target, report))] if report.first_failure is not None else []
    return "\n".join(lines) + "\n"


def about(target: Target, report: ProbeReport, *, vantage: Vantage) -> Iterator[Line]:
    """Yield target, time, result and verdict of a probe."""
    yield "target", target.name
    if servers := what_depends(target):
        yield "SQL Servers", servers
    yield "vault", target.vault
    yield "key", target.key
    yield "credential", target.credential
    yield "started", moment(report.started_at)
    yield "took", seconds(report.duration)
    yield "result", "every step succeeded and the bytes came back equal" if report.success else "failed"
    yield "verdict", in_words(report.readiness, vantage)
    yield "not tested", NOT_TESTED
    if report.tainted:
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
        ("endpoint", facts.endpoint),
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


def recommended_actions(target: Target, report: ProbeReport) -> tuple[str, ...]:
    """Return the actions for the first failed step, with the target's own names.

    The result is empty if no step has a code.
    """
    failure = report.first_failure
    if failure is None or failure.code is None:
        return ()
    names = Names(target=target.name, vault=target.vault, key=target.key_name, version=target.key_version)
    return actions(failure.code, failure.reason, ready=report.readiness.ready, names=names)


def advice(target: Target, report: ProbeReport) -> Iterator[Line]:
    """Yield meaning, actions, causes and owner of the first failure with a code."""
    failure = report.first_failure
    if failure is None or failure.code is None:
        return
    entry = BY_CODE[failure.code]
    yield "code", f"{both_numbers(failure.code)} {entry.symbol}"
    yield "meaning", entry.summary
    yield from (("do", action) for action in recommended_actions(target, report))
    yield from (("likely cause", cause) for cause in entry.causes)
    yield "owner", f"{entry.owner}: {OWNERS[entry.owner]}"


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
    return wrap(value, WIDTH, first=f"{indent}{label:<{_LABEL_WIDTH - len(indent)}} ", rest=" " * (_LABEL_WIDTH + 1))


def _instance(labels: Mapping[str, str]) -> str:
    others = ", ".join(f"{name} {value}" for name, value in labels.items() if name != "sql_instance")
    return labels.get("sql_instance", "") + (f" ({others})" if others else "")

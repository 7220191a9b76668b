"""Runs all checks in the order of the table: a failure skips the checks that depend on it. And their results as text and data."""

from __future__ import annotations

import textwrap
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

from exporter.config.fields import TENANT_NAME
from exporter.config.settings import Config, Credential, Module, SecretSource, Settings, Target
from exporter.config.usage import names_of, names_of_auxiliary
from exporter.core.names import vault_host
from exporter.core.secrets import hide
from exporter.core.values import CredentialKind, Generation, KeyReference, Step, parse_key
from exporter.doctor import checks_host, checks_vault
from exporter.doctor.checks_vault import CheckFunction
from exporter.doctor.collect import EvidenceCollector, Lookup, ReadSqlServer
from exporter.doctor.evidence import Evidence
from exporter.doctor.host_facts import LookUpHost
from exporter.explain.explanation import WIDTH, wrap
from exporter.knowledge.checks import BY_NAME, CHECKS, Finding, action_lines, blocked, check_actions, skipped
from exporter.knowledge.checks_host import SQL
from exporter.knowledge.checks_vault import Actions, Check, CheckOutcome, CheckResult, FailureMoment
from exporter.knowledge.code_row import WATCH_THE_LOG
from exporter.knowledge.codes import both_numbers, generation_code
from exporter.knowledge.names import Names, command_about
from exporter.knowledge.verdict import AuxiliaryResult

CHECK_FUNCTIONS: Mapping[str, CheckFunction] = MappingProxyType({**checks_vault.CHECKS, **checks_host.CHECKS})


def _raise(error: Exception) -> None:
    raise error


async def run_checks(
    config: Config,
    target: Target,
    *,
    again: str | None = None,
    clock: Callable[[], float] = time.time,
    look_up: Lookup | None = None,
    read_sql_server: ReadSqlServer | None = None,
    look_up_host: LookUpHost | None = None,
    on_internal_error: Callable[[Exception], None] = _raise,
    on_evidence: Callable[[Evidence], None] = lambda _: None,
) -> tuple[CheckResult, ...]:
    """Run every check of one target with new requests and a fresh token.

    `target` may be one of the configuration with another credential or key. `again` is the command that repeats the checks, `clock` gives
    Unix time. `look_up` returns the expiry of a credential; if it is None, the sources are looked up now. `read_sql_server` returns the
    reading of a SQL Server; if it is None, none is read. `look_up_host` returns the facts of this host; if it is None, the checks of the
    SQL Server host are unknown. Takes about three timeouts of the target. Eight of its SQL Servers at a time may
    take four minutes more. Raises NetworkError if the module's authorities cannot be loaded, and PoolExhausted if this process lacks a
    resource.
    """
    collector = EvidenceCollector(
        config,
        target,
        clock=clock,
        look_up=look_up,
        read_sql_server=read_sql_server,
        look_up_host=look_up_host,
        on_internal_error=on_internal_error,
    )
    async with aclosing(collector):
        evidence = await collector.collect()
    on_evidence(evidence)
    return assess_all(evidence, again=again or command_about(names_of(target, ()), "doctor"))


def assess_all(evidence: Evidence, *, again: str) -> tuple[CheckResult, ...]:
    """Return the result of each check. A check whose cause another one reports is skipped, and names that one."""
    roots: dict[str, str] = {}  # the failed check that is the cause, by its own name and by that of each skipped check
    results = list[CheckResult]()
    for check in CHECKS if evidence.sql_servers is None else (*CHECKS, *SQL):
        # A check that another one is blocked by reports its failure itself.
        before = next((roots[name] for name in check.needs if roots.get(name, check.name) != check.name), None)
        found = CHECK_FUNCTIONS[check.name](evidence) if before is None else blocked(before)
        if found.blocked_by is not None:
            root = roots[check.name] = roots.get(found.blocked_by, found.blocked_by)
            found = skipped(f"because of: {BY_NAME[root].title}")
        elif found.outcome is CheckOutcome.FAIL or found.discarded:
            roots[check.name] = check.name
        code = check.code if found.code is None and found.outcome is CheckOutcome.FAIL and not found.codeless else found.code
        result = CheckResult(
            check=check.name,
            outcome=found.outcome,
            code=None if code is None else generation_code(code, evidence.target.generation),
            detail=hide(found.detail),
            moment=found.moment,
            fix=() if found.outcome in (CheckOutcome.PASS, CheckOutcome.SKIPPED) else _fix(check, found, code, evidence, again),
        )
        results.append(result)
    return tuple(results)


def _fix(check: Check, found: Finding, code: int | None, evidence: Evidence, again: str) -> Actions:
    step = Step.TOKEN if check.name.endswith("_entra") else found.step
    names = replace(_names(evidence, found.subject, step), again=again)
    texts = found.actions or check_actions(check, found.outcome, names, code=code, reason=found.reason, step=step)
    lines = action_lines(texts, names, reason=found.reason, ready=found.outcome is CheckOutcome.WARN)
    ids = {result.step: result.facts.request_id for result in evidence.report.steps if result.facts and result.facts.request_id}
    if not ids or not any("request id" in line for line in lines):
        return lines
    return (*lines, "The request ids of this run:", *(f"  {step.value:<10} {request_id}" for step, request_id in ids.items()))


def _names(evidence: Evidence, subject: AuxiliaryResult | None, step: Step | None) -> Names:
    """Return the names for commands, of the target or of the auxiliary probe that failed."""
    if subject is not None:
        return names_of_auxiliary(evidence.target, subject)
    report, vault, entra = evidence.report, evidence.vault, evidence.entra
    endpoint = entra if step is Step.TOKEN else vault
    names = names_of(
        evidence.target,
        report.steps,
        None if step is None else report.step(step),
        auxiliary=evidence.auxiliary,
        credential=evidence.credential,
        key=report.key,
    )
    return replace(
        names,
        client_id=evidence.secret.client_id or names.client_id,
        host=names.host if endpoint is None else endpoint.host,
        proxy=names.proxy or vault.proxy_address or ("" if entra is None else entra.proxy_address) or None,
    )


# The results as text of 80 columns for a terminal, where commands are never wrapped, and as JSON data.

_OUTCOME, _TITLE, _LABEL = 8, 28, 12
_BELOW = " " * _OUTCOME
_COUNTED = {
    CheckOutcome.FAIL: "failed",
    CheckOutcome.WARN: "warned",
    CheckOutcome.PASS: "passed",
    CheckOutcome.SKIPPED: "skipped",
    CheckOutcome.UNKNOWN: "not visible from this host",
}
_UNSEEN = (CheckOutcome.UNKNOWN, CheckOutcome.SKIPPED)
_ADVICE = (
    "Until this is fixed, do not restart or fail over SQL Server: its encrypted databases might not open. Backups may fail, log backups "
    f"too. {WATCH_THE_LOG}"
)
# With a code: a failure without one does not stop SQL Server.
_STOPS_OPENING = (FailureMoment.SESSION, FailureMoment.KEY, FailureMoment.UNWRAP)
# The effect of other failures with a code. Without one, the check has it.
_MOMENT_TEXTS: Mapping[FailureMoment, str] = MappingProxyType(
    {
        FailureMoment.WRAP: (
            "Encrypted databases still open. Until this is fixed, no other database can be encrypted, and no encryption key can be changed."
        ),
        FailureMoment.RESTORE: "Until this is fixed, backups that need that key version cannot be restored. A database in use needs it only for old parts of its log.",
        FailureMoment.SETUP: "This fails only when a credential or a key is created: SQL Server rejects such a key, so no database depends on it.",
    }
)


def is_ok(results: Sequence[CheckResult]) -> bool:
    """Return whether no check failed."""
    return all(result.outcome is not CheckOutcome.FAIL for result in results)


def as_data(target: Target, results: Sequence[CheckResult]) -> dict[str, Any]:
    """Return the document of `doctor --json`. Fields may be added; none may be removed."""
    return {
        "target": target.name,
        "vault": target.vault,
        "key": target.key,
        "credential": target.credential,
        "ok": is_ok(results),
        "checks": [
            {
                "check": result.check,
                "outcome": result.outcome.value,
                "code": result.code,
                "detail": result.detail,
                "fix": "\n".join(result.fix) or None,
                "title": BY_NAME[result.check].title,
            }
            for result in results
        ],
    }


def as_text(target: Target, results: Sequence[CheckResult], *, verbose: bool = False) -> str:
    """Return what failed and what needs attention, with the fixes; then a line for each check that saw nothing; then the counts.

    With `verbose`, every check in the order of the table. It ends with a line break.
    """
    head = {"target": target.name, "vault": target.vault, "key": target.key, "credential": target.credential}
    lines = [*(f"{label:<{_LABEL}}{value}" for label, value in head.items()), ""]
    if verbose:
        lines += [line for result in results for line in _lines(result)] + [""]
    else:
        for shown, outcomes in ((_lines, (CheckOutcome.FAIL,)), (_lines, (CheckOutcome.WARN,)), (_one_line, _UNSEEN)):
            group = [line for result in results if result.outcome in outcomes for line in shown(result)]
            lines += [*group, ""] if group else []
    return "\n".join([*lines, *_summary(results, verbose=verbose)]) + "\n"


def _one_line(result: CheckResult) -> Iterator[str]:
    start = f"{result.outcome.value:<{_OUTCOME}}{BY_NAME[result.check].title:<{_TITLE}}"
    yield (start + textwrap.shorten(result.detail, WIDTH - len(start), placeholder=" …")).rstrip()


def _lines(result: CheckResult) -> Iterator[str]:
    check = BY_NAME[result.check]
    yield wrap(
        result.detail,
        first=f"{result.outcome.value:<{_OUTCOME}}{check.title:<{_TITLE}}",
        rest=" " * (_OUTCOME + _TITLE),
    )
    if result.code is not None and result.outcome in (CheckOutcome.FAIL, CheckOutcome.WARN):
        when = "From that day on, " if (result.check, result.outcome) == ("credential_expiry", CheckOutcome.WARN) else ""
        yield wrap(f"{when}SQL Server would show {both_numbers(result.code)} {_moment(result)}.", first=_BELOW, rest=_BELOW)
    for line in result.fix:
        yield f"{_BELOW}{line}" if line.startswith("  ") else wrap(line, first=_BELOW, rest=_BELOW)


def _summary(results: Sequence[CheckResult], *, verbose: bool) -> Iterator[str]:
    counts = Counter(result.outcome for result in results)
    yield wrap(", ".join(f"{counts[outcome]} {word}" for outcome, word in _COUNTED.items() if counts[outcome]) + ".")
    if not verbose:
        yield "To see every check: --verbose"
    failures = [result for result in results if result.outcome is CheckOutcome.FAIL]
    if not failures:
        yield wrap("Nothing visible from this host would stop SQL Server.")
        return
    own = {result.check: result.detail for result in failures if result.check in ("sql_closed", "sql_proof")}
    if "sql_closed" in own:
        yield wrap(f"{own['sql_closed']}.")
    code, moment = next(((result.code, _moment(result)) for result in failures if result.code is not None), (None, None))
    if code is not None:
        yield wrap(f"SQL Server would show {both_numbers(code)} {moment}.")
        yield f"More about it: ekm-exporter explain {code}"
    elif not own:  # SQL Server shows what it fails at
        yield "SQL Server would show no code for this."
    # The warning against a restart, or else the effect of each failure.
    stops = any(one.code is not None and _moment(one) in _STOPS_OPENING for one in failures)
    effects = (_MOMENT_TEXTS.get(_moment(one)) if one.code is not None else BY_NAME[one.check].effect for one in failures)
    yield from map(wrap, [_ADVICE] if stops else dict.fromkeys(filter(None, effects)))


def _moment(result: CheckResult) -> FailureMoment:
    return result.moment or BY_NAME[result.check].moment


# A target without a configuration file: a DBA has vault, key, credential string, and a code from the error log. A proxy or a private certificate authority needs a configuration file.

NAME = "connector-secret-file"


def key_in(vault: str | None, text: str, *, source: str) -> KeyReference:
    """Parse a key whose KeyUri must name the same vault; a preflight check tests the name.

    `source` is what names `vault`. Raises ValueError with a text for the user.
    """
    try:
        reference = parse_key(text)
    except ValueError as error:
        raise ValueError(f"--key: {error}") from None
    if reference.contradicts(vault):
        raise ValueError(f"--key names the vault {reference.vault}, but {source} is {vault}: correct one")
    return reference


def bare_config(vault: str | None, key: str, secret_file: Path, tenant: str | None) -> Config:
    """Return a configuration of one target.

    `vault` may be None if `key` is a KeyUri. Raises ValueError with a text for the user.
    """
    try:
        host = None if vault is None else vault_host(vault)
    except ValueError as error:
        raise ValueError(f"--vault: {error}") from None
    name, version, named = key_in(host, key, source="--vault")
    host = host or named
    if host is None:
        raise ValueError("--key names no vault: add --vault, or give the KeyUri")
    if tenant is not None and not TENANT_NAME.fullmatch(tenant):
        raise ValueError("--tenant: expected its GUID or one of its domain names")
    settings, module = Settings(), Module(name="default")
    credential = Credential(
        name=NAME, kind=CredentialKind.CONNECTOR_SECRET, tenant_id=tenant, secret=SecretSource(file=secret_file)
    )
    target = Target(
        name=host,
        vault=host,
        key_name=name,
        key_version=version,
        credential=NAME,
        module=module.name,
        interval=settings.interval,
        timeout=settings.timeout,
        generation=Generation.CLASSIC,
        generation_declared=False,
    )
    return Config(settings=settings, credentials={NAME: credential}, modules={module.name: module}, targets={host: target})

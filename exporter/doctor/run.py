"""Runs all checks in the order of the table: a failure skips the checks that depend on it. And their results as text and data."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Any
from urllib.parse import urlsplit

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
from exporter.explain.explanation import wrap
from exporter.knowledge.checks import BY_NAME, CHECKS, Finding, action_lines, check_actions
from exporter.knowledge.checks_host import SQL
from exporter.knowledge.checks_vault import Actions, Check, CheckOutcome, CheckResult, FailureMoment
from exporter.knowledge.code_row import WATCH_THE_LOG
from exporter.knowledge.codes import both_numbers, generation_code
from exporter.knowledge.names import Names, command_about
from exporter.knowledge.verdict import AuxiliaryResult

CHECK_FUNCTIONS: Mapping[str, CheckFunction] = MappingProxyType(
    {
        **checks_vault.ENDPOINT_CHECKS,
        "revocation": checks_vault.revocation,
        "path": checks_vault.path,
        "clock": checks_host.clock,
        "challenge": checks_vault.challenge,
        "tenant": checks_vault.tenant,
        "secret": checks_vault.secret,
        "credential_string": checks_vault.credential_string,
        "token": checks_vault.token,
        "audience": checks_vault.audience,
        "firewall": checks_vault.firewall,
        "vault_answers": checks_vault.vault_answers,
        "credential_expiry": checks_vault.credential_expiry,
        "key_name": checks_vault.key_name,
        "permission_get": checks_vault.permission_get,
        "key_version": checks_vault.key_version,
        "key_type": checks_vault.key_type,
        "key_enabled": checks_vault.key_enabled,
        "key_dates": checks_vault.key_dates,
        "key_ops": checks_vault.key_ops,
        "permission_wrap": checks_vault.permission(Step.WRAP_KEY, "permission_wrap"),
        "permission_unwrap": checks_vault.permission(Step.UNWRAP_KEY, "permission_unwrap"),
        "permission_list": checks_vault.permission_list,
        "round_trip": checks_vault.round_trip,
        "retained_versions": checks_vault.retained_versions,
        "newest_version": checks_vault.newest_version,
        "key_expiry": checks_vault.key_expiry,
        "thumbprint": checks_vault.thumbprint,
        **checks_host.SQL_CHECKS,
        **checks_host.HOST_CHECKS,
    }
)


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
    try:
        evidence = await collector.collect()
    finally:
        await collector.aclose()
    on_evidence(evidence)
    return assess_all(evidence, again=again or command_about(names_of(target, ()), "doctor"))


def assess_all(evidence: Evidence, *, again: str) -> tuple[CheckResult, ...]:
    roots: dict[str, str] = {}  # the failed check that is the cause, by skipped check
    results = []
    for check in CHECKS if evidence.sql_servers is None else (*CHECKS, *SQL):
        result, root = _assess(check, evidence, roots, again)
        results.append(result)
        if root is not None:
            roots[check.name] = root
    return tuple(results)


def _assess(check: Check, evidence: Evidence, roots: Mapping[str, str], again: str) -> tuple[CheckResult, str | None]:
    """Return the result, and the failed check that blocks those that need this one."""
    # A check that another one is blocked by reports its failure itself.
    before = next((roots[name] for name in check.needs if roots.get(name, check.name) != check.name), None)
    found = CHECK_FUNCTIONS[check.name](evidence) if before is None else None
    if found is None or found.blocked_by is not None:
        blocker = before or (found.blocked_by if found is not None else None) or check.name
        root = roots.get(blocker, blocker)
        result = CheckResult(check=check.name, outcome=CheckOutcome.SKIPPED, detail=f"because of: {BY_NAME[root].title}")
        return result, root
    failed = found.outcome is CheckOutcome.FAIL
    code = found.code if found.code is not None or not failed or found.codeless else check.code
    result = CheckResult(
        check=check.name,
        outcome=found.outcome,
        code=None if code is None else generation_code(code, evidence.target.generation),
        detail=hide(found.detail),
        moment=found.moment,
        fix=() if found.outcome in (CheckOutcome.PASS, CheckOutcome.SKIPPED) else _fix(check, found, code, evidence, again),
    )
    return result, check.name if failed or found.discarded else None


def _fix(check: Check, found: Finding, code: int | None, evidence: Evidence, again: str) -> Actions:
    step = Step.TOKEN if check.name.endswith("_entra") else found.step
    names = replace(_names(evidence, found.subject, step), again=again)
    texts = found.actions or check_actions(check, found.outcome, names, code=code, reason=found.reason, step=step)
    lines = action_lines(texts, names, reason=found.reason, ready=found.outcome is CheckOutcome.WARN)
    return (*lines, *_request_ids(evidence)) if any("request id" in line for line in lines) else lines


def _names(evidence: Evidence, subject: AuxiliaryResult | None, step: Step | None) -> Names:
    """Return the names for commands, of the target or of the auxiliary probe that failed."""
    if subject is not None:
        return names_of_auxiliary(evidence.target, subject)
    report, endpoint = evidence.report, evidence.entra if step is Step.TOKEN else evidence.vault
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
        proxy=names.proxy or _proxy(evidence),
    )


def _proxy(evidence: Evidence) -> str | None:
    """Return host and port of the active proxy."""
    url = evidence.vault.proxy or (None if evidence.entra is None else evidence.entra.proxy)
    return None if url is None else urlsplit(url).netloc.rpartition("@")[2]


def _request_ids(evidence: Evidence) -> Iterator[str]:
    """Return the request ids of this run, which the lines before refer to."""
    steps = [(result.step, result.facts.request_id) for result in evidence.report.steps if result.facts is not None]
    named = [f"  {step.value:<10} {request_id}" for step, request_id in steps if request_id]
    if named:
        yield "The request ids of this run:"
        yield from named


# The results as text of 80 columns for a terminal, where commands are never wrapped, and as JSON data.

_OUTCOME, _TITLE, _LABEL = 8, 28, 12
_BELOW = " " * _OUTCOME
_COUNTED = (
    (CheckOutcome.FAIL, "failed"),
    (CheckOutcome.WARN, "warned"),
    (CheckOutcome.PASS, "passed"),
    (CheckOutcome.SKIPPED, "skipped"),
    (CheckOutcome.UNKNOWN, "not visible from this host"),
)
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


def as_text(target: Target, results: Sequence[CheckResult]) -> str:
    """Return the whole list, with a final line break."""
    head = (("target", target.name), ("vault", target.vault), ("key", target.key), ("credential", target.credential))
    lines = [f"{label:<{_LABEL}}{value}" for label, value in head]
    for result in results:
        lines += _lines(result)
    return "\n".join([*lines[:4], "", *lines[4:], "", *_summary(results)]) + "\n"


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


def _summary(results: Sequence[CheckResult]) -> Iterator[str]:
    numbers = [(sum(result.outcome is verdict for result in results), word) for verdict, word in _COUNTED]
    yield ", ".join(f"{number} {word}" for number, word in numbers if number) + "."
    failures = [result for result in results if result.outcome is CheckOutcome.FAIL]
    if not failures:
        yield wrap("Nothing visible from this host would stop SQL Server.")
        return
    own = {result.check: result.detail for result in failures if result.check in ("sql_closed", "sql_proof")}
    shown = next((result for result in failures if result.code is not None), None)
    if "sql_closed" in own:
        yield wrap(f"{own['sql_closed']}.")
    if shown is None or shown.code is None:
        if not own:  # SQL Server shows what it fails at
            yield "SQL Server would show no code for this."
    else:
        yield wrap(f"SQL Server would show {both_numbers(shown.code)} {_moment(shown)}.")
        yield f"More about it: ekm-exporter explain {shown.code}"
    for advice in _advice(failures):
        yield wrap(advice)


def _advice(failures: Sequence[CheckResult]) -> Iterable[str]:
    """Return the warning against a restart, or else the effect of each failure."""
    if any(one.code is not None and _moment(one) in _STOPS_OPENING for one in failures):
        return (_ADVICE,)
    effects = (_MOMENT_TEXTS.get(_moment(one)) if one.code is not None else BY_NAME[one.check].effect for one in failures)
    return dict.fromkeys(each for each in effects if each)


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
    return Config(
        settings=settings,
        credentials={NAME: credential},
        modules={module.name: module},
        targets={target.name: target},
    )

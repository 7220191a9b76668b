"""Runs all checks in the order of the table.

A failure skips the checks that depend on it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from types import MappingProxyType
from urllib.parse import urlsplit

from exporter.config.consequences.names import names_of, names_of_auxiliary
from exporter.config.settings import Config, Target
from exporter.core.auxiliary import AuxiliaryResult
from exporter.core.checks.finding import Finding
from exporter.core.checks.fix import action_lines, check_actions
from exporter.core.checks.model import Actions, Check, CheckOutcome, CheckResult
from exporter.core.checks.sql import SQL
from exporter.core.checks.table import BY_NAME, CHECKS
from exporter.core.codes import generation_code
from exporter.core.codes.names import Names, command_about
from exporter.core.known_secrets import hide
from exporter.core.model import Step
from exporter.doctor import check_host, check_key, check_network, check_sign_in, check_sql, check_thumbprint
from exporter.doctor.check_network import CheckFunction
from exporter.doctor.collect import EvidenceCollector, Lookup, ReadSqlServer
from exporter.doctor.evidence import Evidence
from exporter.doctor.host_lookup import LookUpHost

CHECK_FUNCTIONS: Mapping[str, CheckFunction] = MappingProxyType(
    {
        **check_network.ENDPOINT_CHECKS,
        "revocation": check_network.revocation,
        "path": check_network.path,
        "clock": check_host.clock,
        "challenge": check_sign_in.challenge,
        "tenant": check_sign_in.tenant,
        "secret": check_sign_in.secret,
        "credential_string": check_sign_in.credential_string,
        "token": check_sign_in.token,
        "audience": check_sign_in.audience,
        "firewall": check_sign_in.firewall,
        "vault_answers": check_sign_in.vault_answers,
        "credential_expiry": check_sign_in.credential_expiry,
        "key_name": check_key.key_name,
        "permission_get": check_key.permission_get,
        "key_version": check_key.key_version,
        "key_type": check_key.key_type,
        "key_enabled": check_key.key_enabled,
        "key_dates": check_key.key_dates,
        "key_ops": check_key.key_ops,
        "permission_wrap": check_key.permission(Step.WRAP_KEY, "permission_wrap"),
        "permission_unwrap": check_key.permission(Step.UNWRAP_KEY, "permission_unwrap"),
        "permission_list": check_key.permission_list,
        "round_trip": check_key.round_trip,
        "retained_versions": check_key.retained_versions,
        "newest_version": check_key.newest_version,
        "key_expiry": check_key.key_expiry,
        "thumbprint": check_thumbprint.thumbprint,
        **check_sql.SQL_CHECKS,
        **check_host.HOST_CHECKS,
    }
)


def _raise(error: Exception) -> None:
    raise error


def _ignore(_evidence: Evidence) -> None:
    """Do nothing with the evidence: its assessment suffices."""


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
    on_evidence: Callable[[Evidence], None] = _ignore,
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
    """Return the results of all checks."""
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
    return result, check.name if failed else None


def _fix(check: Check, found: Finding, code: int | None, evidence: Evidence, again: str) -> Actions:
    step = Step.TOKEN if check.name.endswith("_entra") else found.step
    names = replace(_names(evidence, found.subject, step), again=again)
    texts = found.actions or check_actions(check, found.outcome, names, code=code, reason=found.reason, step=step)
    lines = action_lines(texts, names, ready=found.outcome is CheckOutcome.WARN)
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

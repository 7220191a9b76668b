"""Runs all checks in the order of the table.

A failure skips the checks that depend on it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Final
from urllib.parse import urlsplit

from exporter.config.model import Config, Target
from exporter.core.auxiliary import AuxiliaryKind, AuxiliaryResult
from exporter.core.checks.fixes import Lines
from exporter.core.checks.fixes_sign_in import prove_and_switch_to, switch_to
from exporter.core.checks.model import Check, CheckOutcome, CheckResult
from exporter.core.checks.select_fix import Words, filled, in_lines, remedy
from exporter.core.checks.table import BY_NAME, CHECKS
from exporter.core.codes import in_generation
from exporter.core.codes.actions import general_actions
from exporter.core.known_secrets import hide
from exporter.core.model import Step, StepResult
from exporter.doctor import check_identity, check_key, check_network, check_thumbprint
from exporter.doctor.check_network import CheckFunction
from exporter.doctor.collect import EvidenceCollector, LookUp
from exporter.doctor.evidence import Evidence
from exporter.doctor.finding import Finding, unknown

_OF_THE_CREDENTIAL: Final = frozenset({"token", "credential_string", "credential_expiry"})
_ON_HOST: Final = "visible only on the SQL Server host"


def _on_host(_evidence: Evidence) -> Finding:
    return unknown(_ON_HOST)


CHECK_FUNCTIONS: Mapping[str, CheckFunction] = MappingProxyType(
    {
        **{f"proxy_{host}": check_network.proxy(host) for host in ("vault", "entra")},
        **{f"dns_{host}": check_network.dns(host) for host in ("vault", "entra")},
        **{f"tcp_{host}": check_network.tcp(host) for host in ("vault", "entra")},
        **{f"issuer_{host}": check_network.issuer(host) for host in ("vault", "entra")},
        **{f"tls_{host}": check_network.tls(host) for host in ("vault", "entra")},
        "revocation": check_network.revocation,
        "path": check_network.path,
        "clock": check_network.clock,
        "challenge": check_identity.challenge,
        "tenant": check_identity.tenant,
        "secret": check_identity.secret,
        "credential_string": check_identity.credential_string,
        "token": check_identity.token,
        "audience": check_identity.audience,
        "firewall": check_identity.firewall,
        "vault_answers": check_identity.vault_answers,
        "credential_expiry": check_identity.credential_expiry,
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
        **{check.name: _on_host for check in CHECKS if check.on_host},
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
    look_up: LookUp | None = None,
    on_internal_error: Callable[[Exception], None] = _raise,
) -> tuple[CheckResult, ...]:
    """Run every check of one target with new requests and a fresh token.

    `target` may be one of the configuration with another credential or key. `again` is the command that repeats the checks, `clock` gives
    Unix time. `look_up` returns the expiry of a credential; if it is None, the sources are looked up now. Takes about three timeouts of the
    target. Raises NetworkError if the module's authorities cannot be loaded, and PoolExhausted if this process lacks a resource.
    """
    collector = EvidenceCollector(config, target, clock=clock, look_up=look_up, on_internal_error=on_internal_error)
    try:
        evidence = await collector.collect()
    finally:
        await collector.aclose()
    return assess_all(evidence, again=again or f"ekm-exporter doctor {target.name} --config.file {target.config_file or 'FILE'}")


def assess_all(evidence: Evidence, *, again: str) -> tuple[CheckResult, ...]:
    """Return the results of all checks."""
    roots: dict[str, str] = {}  # the failed check that is the cause, by skipped check
    results = []
    for check in CHECKS:
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
        code=None if code is None else in_generation(code, evidence.target.generation),
        detail=hide(found.detail),
        moment=found.moment,
        fix=() if found.outcome in (CheckOutcome.PASS, CheckOutcome.SKIPPED) else _fix(check, found, evidence, again),
    )
    return result, check.name if failed else None


def _fix(check: Check, found: Finding, evidence: Evidence, again: str) -> Lines:
    words = _words(evidence, found.subject, again)
    own = filled(found.advice or _staged_fix(check, found, evidence), words)
    lines = own or remedy(check.name, found.outcome, found.reason, words) or _actions_of_code(found, words)
    return (*lines, *_request_ids(evidence)) if any("request id" in line for line in lines) else lines


def _staged_fix(check: Check, found: Finding, evidence: Evidence) -> Lines:
    """Return the fix of a refused or expiring credential if another one is staged."""
    if check.name not in _OF_THE_CREDENTIAL:
        return ()
    staged = usable_staged(evidence) if found.outcome is CheckOutcome.FAIL else None
    if staged is not None:
        return switch_to(staged, evidence.credential.kind)
    expiring = check.name == "credential_expiry" and found.outcome is CheckOutcome.WARN
    following = evidence.target.next_credential if expiring else None
    return prove_and_switch_to(following, evidence.credential.kind) if following else ()


def _words(evidence: Evidence, subject: AuxiliaryResult | None, again: str) -> Words:
    target, endpoint = evidence.target, evidence.entra
    newest = next((one.key for one in evidence.auxiliary if one.what is AuxiliaryKind.NEWEST), None)
    words = Words(
        vault=target.vault,
        entra="login.microsoftonline.com" if endpoint is None else endpoint.host,
        key=target.key_name,
        version=target.key_version or (None if evidence.report.key is None else evidence.report.key.version),
        again=again,
        client=evidence.secret.client_id or evidence.credential.client_id,
        newest=None if newest is None else newest.version,
        secret_file=evidence.credential.secret_path,
        proxy=_proxy(evidence),
        modulus=b"" if evidence.report.key is None else evidence.report.key.modulus,
        kind=evidence.credential.kind,
        vantage=target.vantage,
    )
    if subject is None:
        return _with_facts(words, evidence.report.steps)
    key, _, version = subject.name.rpartition("/")
    return _with_facts(replace(words, vault=subject.vault, key=key, version=version), subject.steps)


def _with_facts(words: Words, steps: Iterable[StepResult]) -> Words:
    """Return the words with what these steps report about sign-in and caller."""
    facts = [result.facts for result in steps if result.facts is not None]
    return replace(
        words,
        kind=next((each.credential_kind for each in facts if each.credential_kind), words.kind),
        aadsts=next((each.aadsts for each in facts if each.aadsts), None),
        client_address=next((each.client_address for each in facts if each.client_address), None),
        object_id=next((each.object_id for each in facts if each.object_id), None),
    )


def _proxy(evidence: Evidence) -> str | None:
    """Return host and port of the active proxy."""
    url = evidence.vault.proxy or (None if evidence.entra is None else evidence.entra.proxy)
    return None if url is None else urlsplit(url).netloc.rpartition("@")[2]


def usable_staged(evidence: Evidence) -> str | None:
    """Return the name of the staged credential if its round trip succeeded."""
    staged = (one for one in evidence.auxiliary if one.what is AuxiliaryKind.NEXT and one.usable is True)
    return next((one.credential for one in staged), None)


def _request_ids(evidence: Evidence) -> Iterator[str]:
    """Return the request ids of this run, which the lines before refer to."""
    steps = [(result.step, result.facts.request_id) for result in evidence.report.steps if result.facts is not None]
    named = [f"  {step.value:<10} {request_id}" for step, request_id in steps if request_id]
    if named:
        yield "The request ids of this run:"
        yield from named


def _actions_of_code(found: Finding, words: Words) -> Lines:
    """Return the actions for the code, if the check has many causes."""
    return () if found.code is None else in_lines(general_actions(found.code), words)

"""From what was observed to the list of results: every check in the table's order, and those skipped that would say nothing.

For: `run_checks`, and the rule by which one failure silences what depends on it.
Not for: single checks (see the `judge_` modules), finding out (see `collect`).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType
from typing import Final

from exporter.config.model import Config, Target
from exporter.core.checks.fixes import Lines
from exporter.core.checks.model import Check, CheckOutcome, CheckResult
from exporter.core.checks.select_fix import Words, filled, remedy
from exporter.core.checks.table import BY_NAME, CHECKS
from exporter.core.codes import in_generation
from exporter.core.codes.actions import Names, actions
from exporter.core.model import Step
from exporter.doctor import check_identity, check_key, check_network
from exporter.doctor.check_network import Judge
from exporter.doctor.collect import EvidenceCollector, LookUp
from exporter.doctor.evidence import Evidence
from exporter.doctor.finding import Finding, unknown

_ON_HOST: Final = "only the SQL Server host can show it"


def _on_host(_seen: Evidence) -> Finding:
    return unknown(_ON_HOST)


JUDGES: Mapping[str, Judge] = MappingProxyType(
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
        **{check.name: _on_host for check in CHECKS if check.on_host},
    }
)

_PROBE = "ekm-exporter probe TARGET --config.file FILE"
_PRINTED_BY_PROBE = f"the request id that `{_PROBE}` prints"


def _raise(error: Exception) -> None:
    raise error


async def run_checks(
    config: Config,
    target: Target,
    *,
    again: str | None = None,
    clock: Callable[[], float] = time.time,
    look_up: LookUp | None = None,
    on_bug: Callable[[Exception], None] = _raise,
) -> tuple[CheckResult, ...]:
    """Every check of one target, in the table's order, with requests of its own and a fresh token.

    `target` may be one of the configuration with another credential or key in it. `again` is the command that repeats the check,
    `clock` gives Unix time, `look_up` the ends of a credential (asked for anew where it is None). Takes at most some three of the
    target's timeouts. Raises NetworkError where the module's authorities cannot be loaded, and PoolExhausted for a shortage of our own.
    """
    examination = EvidenceCollector(config, target, clock=clock, look_up=look_up, on_bug=on_bug)
    try:
        seen = await examination.observe()
    finally:
        await examination.aclose()
    return assess_all(seen, again=again or f"ekm-exporter doctor {target.name} --config.file FILE")


def assess_all(seen: Evidence, *, again: str) -> tuple[CheckResult, ...]:
    """The results for what was observed."""
    roots: dict[str, str] = {}  # a check that said nothing, and the failed one that is the cause
    results = []
    for check in CHECKS:
        result, root = _assess(check, seen, roots, again)
        results.append(result)
        if root is not None:
            roots[check.name] = root
    return tuple(results)


def _assess(check: Check, seen: Evidence, roots: Mapping[str, str], again: str) -> tuple[CheckResult, str | None]:
    """The result, and the check that is to blame for those that need this one."""
    # A check that an earlier one has already blamed tells its failure itself.
    before = next((roots[name] for name in check.needs if roots.get(name, check.name) != check.name), None)
    found = JUDGES[check.name](seen) if before is None else None
    if found is None or found.because is not None:
        blamed = before or (found.because if found is not None else None) or check.name
        root = roots.get(blamed, blamed)
        told = CheckResult(check=check.name, outcome=CheckOutcome.SKIPPED, detail=f"because of: {BY_NAME[root].title}")
        return told, root
    failed = found.outcome is CheckOutcome.FAIL
    code = found.code if found.code is not None or not failed or found.codeless else check.code
    result = CheckResult(
        check=check.name,
        outcome=found.outcome,
        code=None if code is None else in_generation(code, seen.target.generation),
        detail=found.detail,
        moment=found.moment,
        fix=() if found.outcome in (CheckOutcome.PASS, CheckOutcome.SKIPPED) else _fix(check, found, seen, again),
    )
    return result, check.name if failed else None


def _fix(check: Check, found: Finding, seen: Evidence, again: str) -> Lines:
    target = seen.target
    words = Words(
        vault=target.vault,
        entra="login.microsoftonline.com" if seen.entra is None else seen.entra.host,
        key=target.key_name,
        version=target.key_version or (None if seen.report.key is None else seen.report.key.version),
        again=again,
        client=seen.credential.client_id,
    )
    own = filled(found.advice, words)
    lines = own or remedy(check.name, found.outcome, found.reason, words) or _from_catalogue(found, seen, again)
    return (*lines, *_request_ids(seen)) if any("request id" in line for line in lines) else lines


def _request_ids(seen: Evidence) -> Iterator[str]:
    """What the lines before ask for: the ids under which the services know the requests of this very run."""
    steps = [(result.step, result.facts.request_id) for result in seen.report.steps if result.facts is not None]
    named = [f"  {step.value:<10} {request_id}" for step, request_id in steps if request_id]
    if named:
        yield "The request ids of this run:"
        yield from named


def _from_catalogue(found: Finding, seen: Evidence, again: str) -> Lines:
    """Where the check stands for many causes, the catalogue knows what to do about each."""
    if found.code is None:
        return ()
    target = seen.target
    names = Names(target="TARGET", vault=target.vault, key=target.key_name, version=target.key_version)
    texts = actions(found.code, found.reason, ready=True, names=names)
    given = (text.replace(_PRINTED_BY_PROBE, "the request id below") for text in texts)
    return tuple(text.replace(_PROBE, again) for text in given)

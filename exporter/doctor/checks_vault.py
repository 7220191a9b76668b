"""Checks of what a probe meets, from the proxy to the round trip: network, sign-in, vault, key and permissions.

One function per check turns evidence into a finding. No text contains a part of a secret or token.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from http import HTTPStatus
from types import MappingProxyType
from typing import Final

from exporter.config.settings import ExpectPath
from exporter.core import first_true
from exporter.core.connector import KEY_NAME_LIMIT, KEY_NAME_UNUSABLE, key_name_findings
from exporter.core.names import contradiction, is_hash, length_of
from exporter.core.values import CredentialKind, Fault, Generation, Outcome, Step
from exporter.doctor.evidence import Endpoint, Evidence
from exporter.knowledge.advice import open_detail
from exporter.knowledge.checks import Finding, blocked, check_of, failed, passed, skipped, unknown, warned
from exporter.knowledge.checks_vault import CheckOutcome, FailureMoment
from exporter.knowledge.classify import classify
from exporter.knowledge.expiry import Source, entra_answer, mark_wrong_dates, wrong_dates
from exporter.knowledge.reasons import Reason
from exporter.knowledge.report import StepResult
from exporter.knowledge.verdict import WHY, AuxiliaryKind, AuxiliaryResult

EXPIRY_WARN: Final = 30 * 86400.0  # seconds before an expiry
CERTIFICATE_WARN: Final = 2 * 86400.0  # seconds before the expiry of a host's certificate
SKEW_WARN, SKEW_FAIL = 120.0, 300.0  # seconds
_GUID = re.compile(r"[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}")
_SIGNED: Final = frozenset({CredentialKind.CLIENT_CERTIFICATE, CredentialKind.WORKLOAD_IDENTITY})
_NO_KEY = "the key was not read"
_OPERATIONS = {Step.WRAP_KEY: "wrapKey", Step.UNWRAP_KEY: "unwrapKey"}

CheckFunction = Callable[[Evidence], Finding]


# From a step of the probe to the finding of a check.


def failed_at(result: StepResult, *, discarded: bool = False) -> Finding:
    """Return the finding of a failed step, or that it says nothing: with `discarded`, silence may be the fault of this host."""
    words, facts = (result.reason or Reason.INTERNAL).value.replace("_", " "), result.facts
    if discarded and facts is not None and facts.fault.silence is not None:
        return unknown(WHY["not_measured"], discarded=True)
    if facts is not None:  # as in `secret expired (HTTP 401, AADSTS7000222)`
        numbers = {"HTTP ": facts.status, "AADSTS": facts.aadsts, "AKV": facts.akv, "": facts.inner_code}
        codes = ", ".join(f"{label}{number}" for label, number in numbers.items() if number is not None)
        words = ": ".join(filter(None, (f"{words} ({codes})" if codes else words, open_detail(result))))
    return failed(words, code=result.code, reason=result.reason, step=result.step)


def step_finding(evidence: Evidence, step: Step, check: str, *later: str) -> Finding | None:
    """Return a check's finding by a step of the probe; None if the step succeeded, or failed by what `later` checks report."""
    result = evidence.report.step(step)
    if result is not None and result.outcome is Outcome.OK:
        return None
    failure = result if result is not None and result.outcome is Outcome.FAILED else evidence.report.first_failure
    if failure is None:
        return skipped("the module's mode leaves it out")
    owner = check_of(failure.step, failure.reason)
    if failure is result and owner == check:
        return failed_at(failure, discarded=evidence.report.discarded)
    return None if owner in later else blocked(owner)


def owned(evidence: Evidence, check: str) -> Finding | None:
    """Return the failure of a check by the first failed step that belongs to it."""
    for result in evidence.report.steps:
        if result.outcome is Outcome.FAILED and check_of(result.step, result.reason) == check:
            unwrapped = evidence.report.step(Step.UNWRAP_KEY)
            opens = result.step is Step.WRAP_KEY and unwrapped is not None and unwrapped.outcome is Outcome.OK
            # With unwrap alone, databases still open.
            return replace(failed_at(result, discarded=evidence.report.discarded), moment=FailureMoment.WRAP if opens else None)
    return None


def day(moment: float) -> str:
    """Return the day of a Unix time, in UTC."""
    return datetime.fromtimestamp(moment, UTC).date().isoformat()


# The sign-in, and whether the vault answers.


def tenant(evidence: Evidence) -> Finding:
    if evidence.challenge is None:
        return step_finding(evidence, Step.CHALLENGE, "tenant") or unknown("no challenge was read")
    named, own = evidence.challenge.tenant.lower(), (evidence.credential.tenant_id or "").lower()
    if own in ("", named):
        return passed(
            "the vault and the credential name the same" if own else "the credential has none: that of the vault is used"
        )
    if not (_GUID.fullmatch(named) and _GUID.fullmatch(own)):
        return unknown("one is an id, the other a domain: they cannot be compared")
    refused = owned(evidence, "audience")  # SQL Server, which signs in at the tenant of the vault, has another code
    why = "" if refused is None else f"; the probe signs in at the latter, so it shows {refused.code}"
    return failed(f"the vault is in {named}, the credential in {own}{why}", reason=Reason.TOKEN_WRONG_ISSUER)


def secret(evidence: Evidence) -> Finding:
    unreadable, kind = owned(evidence, "secret"), evidence.credential.kind
    if unreadable is not None and not evidence.secret.failure:
        return replace(unreadable, code=None, codeless=True)
    has_none = kind in {*_SIGNED, CredentialKind.MANAGED_IDENTITY, CredentialKind.DEFAULT}
    return first_true(
        (evidence.secret.failure, failed(evidence.secret.failure, reason=Reason.SECRET_UNREADABLE, codeless=True)),
        (has_none and evidence.credential.password is None, skipped(f"a {kind.value.replace('_', ' ')} has none")),
        default=passed("can be read"),
    )


def credential_string(evidence: Evidence) -> Finding:
    findings = evidence.secret.findings
    if findings is None:
        return skipped("the credential is not a client id and secret")
    if not findings:
        return owned(evidence, "credential_string") or passed("follows the rules")
    text = "; ".join(finding.text for finding in findings)
    # 3128 for a client id with hyphens: the connector sends it to Entra ID, which responds 400.
    code = next((finding.code for finding in findings if finding.code is not None), 3128 if "3128" in text else None)
    return failed(text, code=code, reason=Reason.SECRET_TOO_SHORT, codeless=code is None, step=Step.TOKEN)


def audience(evidence: Evidence) -> Finding:
    refused, wrong = owned(evidence, "audience"), _wrong_claim(evidence)
    if refused is not None:
        return replace(refused, detail=f"{refused.detail}: {wrong.detail}") if wrong else refused
    if wrong is not None:
        return wrong
    if evidence.claims is None:
        return unknown("the token cannot be read here" if evidence.granted else "there is no token")
    return passed(f"{evidence.claims.audience}")


def _wrong_claim(evidence: Evidence) -> Finding | None:
    claims, challenge = evidence.claims, evidence.challenge
    if claims is None or challenge is None:
        return None
    named, issuing, own = ((each or "").lower() for each in (claims.audience, claims.tenant, evidence.secret.client_id))
    tenant_of_vault, audience_of_vault = challenge.tenant.lower(), challenge.resource.rstrip("/").lower()
    other = f"the token is for {claims.audience}, the vault requires {challenge.resource}"
    return first_true(
        (
            # An audience may also be the service's application id: then only the vault's response shows whether it is right.
            named.rstrip("/") != audience_of_vault and not _GUID.fullmatch(named.rstrip("/")),
            failed(other, reason=Reason.TOKEN_WRONG_AUDIENCE),
        ),
        (
            issuing and _GUID.fullmatch(tenant_of_vault) and issuing != tenant_of_vault,
            failed("the token is from another tenant than the vault's", reason=Reason.TOKEN_WRONG_ISSUER),
        ),
        (
            claims.application is not None and own and claims.application.lower() != own,
            failed("the token is for another application"),
        ),
        default=None,
    )


def _vault_finding(evidence: Evidence, check: str, success: str) -> Finding:
    get, found = evidence.report.step(Step.GET_KEY), owned(evidence, check)
    if get is not None and get.outcome is not Outcome.SKIPPED:
        return found or passed(success)
    return found or step_finding(evidence, Step.GET_KEY, check) or unknown("no request was sent")


def credential_expiry(evidence: Evidence) -> Finding:
    """Compare the dates with each other, with the day and with what Entra ID does.

    A reason selects the advice: for a date that is reached or near, not for a wrong one.
    """
    kind = evidence.credential.kind
    dates = [one for one in evidence.expiry if one.source is not Source.ENTRA]  # of an earlier probe
    answer = entra_answer(evidence.report.steps, evidence.now)
    wrong = wrong_dates(mark_wrong_dates(evidence.credential.name, dates, answer))
    if wrong and answer is not None and answer.expired_since is not None:
        return warned(f"Entra ID refuses it as expired: {wrong}")
    known = [(one.expires_at, one.source) for one in dates if one.expires_at is not None]
    if not known and not evidence.credential.may_expire:
        return skipped(f"a {kind.value.replace('_', ' ')} has none")
    if not known:
        reasons = "; ".join(f"{one.source}: {one.failure}" for one in dates if one.failure)
        return unknown(reasons or "no source has it: set expires_on or graph_credential")
    # As in the alert rules, a date that was looked up takes precedence over a declared one.
    expiry, source = min([one for one in known if one[1] is not Source.DECLARED] or known)
    when, is_declared = f"{day(expiry)} ({source})", source is Source.DECLARED
    reason = Reason.CERTIFICATE_EXPIRED if kind is CredentialKind.CLIENT_CERTIFICATE else Reason.SECRET_EXPIRED
    left, shown = expiry - evidence.now, f"declared as expired on {day(expiry)}" if is_declared else f"expired on {when}"
    wrong = f"{shown}, yet Entra issues tokens: correct {'expires_on' if is_declared else 'that source'}"
    return first_true(
        (left <= 0 and not evidence.granted, failed(f"expired on {when}", reason=reason, step=Step.TOKEN)),
        (left <= 0, warned(wrong)),
        (left < EXPIRY_WARN, warned(f"expires on {when}", code=3303, reason=reason)),
        default=passed(f"expires on {when}"),
    )


# The key, its permissions and the round trip.


def key_name(evidence: Evidence) -> Finding:
    text = "; ".join(finding.text for finding in key_name_findings(evidence.target.key_name))
    if text:
        return failed(text, code=KEY_NAME_UNUSABLE, reason=Reason.KEY_NAME_TOO_LONG)
    return owned(evidence, "key_name") or passed(evidence.target.key_name)


def key_version(evidence: Evidence) -> Finding:
    version = "there" if evidence.report.key is None else evidence.report.key.version
    text = version if evidence.target.key_version else f"newest is {version}; none is pinned"
    return step_finding(evidence, Step.GET_KEY, "key_version", "key_type") or passed(text)


def key_type(evidence: Evidence) -> Finding:
    key = evidence.report.key
    if key is None:
        return step_finding(evidence, Step.GET_KEY, "key_type") or unknown(_NO_KEY)
    text = f"{key.kty} {key.size_bits}" if key.size_bits else key.kty
    if key.supported:
        return passed(text)
    return failed(f"{text}: the connector supports RSA and RSA-HSM of 2048 and 3072 bits", reason=Reason.KEY_UNSUPPORTED)


def key_enabled(evidence: Evidence) -> Finding:
    key = evidence.report.key
    refused = owned(evidence, "key_enabled")
    if key is None:
        return refused or unknown(_NO_KEY)
    if key.enabled is False:
        return failed("the version is disabled", code=None if refused is None else refused.code, reason=Reason.KEY_DISABLED)
    return refused or passed("enabled")


def key_dates(evidence: Evidence) -> Finding:
    """Warn outside of the key's dates, where it still unwraps. Fail if the vault refused more than wrap."""
    key, refused = evidence.report.key, owned(evidence, "key_dates")
    wrap = evidence.report.step(Step.WRAP_KEY)
    if refused is not None and (wrap is None or wrap.outcome is not Outcome.FAILED):
        return replace(refused, moment=FailureMoment.UNWRAP)
    if key is not None and key.expires is not None and key.expires <= evidence.now:
        return warned(
            f"expired on {day(key.expires)}: databases still open, wrapping fails", code=3077, reason=Reason.KEY_EXPIRED
        )
    if key is not None and key.not_before is not None and key.not_before > evidence.now:
        text = f"not valid before {day(key.not_before)}: databases still open, wrapping fails"
        return warned(text, code=3077, reason=Reason.KEY_NOT_YET_VALID)
    if refused is not None:
        return replace(refused, outcome=CheckOutcome.WARN, moment=None)
    return unknown(_NO_KEY) if key is None else passed("the key is valid today")


def key_ops(evidence: Evidence) -> Finding:
    key, refused = evidence.report.key, owned(evidence, "key_ops")
    if key is None or not key.key_ops:
        return refused or unknown(_NO_KEY if key is None else "the vault lists none")
    missing = [name for name in _OPERATIONS.values() if name not in key.key_ops]
    if not missing:
        return refused or passed("wrapKey and unwrapKey")
    moment = None if _OPERATIONS[Step.UNWRAP_KEY] in missing else FailureMoment.WRAP  # with unwrap alone databases still open
    return failed(f"{' and '.join(missing)} missing", reason=Reason.KEY_OPERATION_FORBIDDEN, moment=moment)


def _permission(evidence: Evidence, step: Step, check: str) -> Finding:
    key = evidence.report.key
    if key is not None and key.key_ops and _OPERATIONS[step] not in key.key_ops:
        return blocked("key_ops")
    # Different bytes after a round trip are no permission failure.
    return step_finding(evidence, step, check, "round_trip") or passed("allowed")


def permission_list(evidence: Evidence) -> Finding:
    facts = evidence.listing
    if facts is None:
        return step_finding(evidence, Step.TOKEN, "permission_list") or unknown("no request was sent")
    return first_true(
        (facts.fault is Fault.NONE, passed("allowed")),
        (owned(evidence, "firewall"), blocked("firewall")),
        (facts.status == HTTPStatus.FORBIDDEN, warned("not allowed; the connector does not need it")),
        default=unknown(facts.fault.replace("_", " ")),
    )


def round_trip(evidence: Evidence) -> Finding:
    wrapped = evidence.report.step(Step.WRAP_KEY)
    here = wrapped is not None and wrapped.outcome is not Outcome.OK
    how = "unwrap returned equal bytes; wrap failed, so they were encrypted locally" if here else "the bytes came back equal"
    return step_finding(evidence, Step.UNWRAP_KEY, "round_trip") or passed(how)


def retained_versions(evidence: Evidence) -> Finding:
    results = [one for one in evidence.auxiliary if one.kind is AuxiliaryKind.RETAINED]
    if not results:
        return skipped("none were probed" if evidence.target.retained_versions else "none are declared")
    owners = [_owner_of_same(evidence, one) for one in results]
    for bad, owner in zip(results, owners, strict=True):
        if bad.usable is False and owner is None and bad.failure is not None:
            found = failed_at(bad.failure)
            return replace(found, detail=f"{bad.name}: {bad.failure.step} {found.detail}", subject=bad)
    if any(owners):
        return blocked(next(filter(None, owners)))
    unsure = [one.name for one in results if one.usable is None]
    return unknown(f"not known for {', '.join(unsure)}") if unsure else passed(f"{len(results)} can be used")


def _owner_of_same(evidence: Evidence, result: AuxiliaryResult) -> str | None:
    """Return the check that reports the same failure of the same credential or vault."""
    first, failure = evidence.report.first_failure, result.failure
    if first is None or failure is None or (first.step, first.reason) != (failure.step, failure.reason):
        return None
    same = result.credential == evidence.target.credential if first.step is Step.TOKEN else result.vault == evidence.target.vault
    return check_of(first.step, first.reason) if same else None


def newest_version(evidence: Evidence) -> Finding:
    pinned = evidence.target.key_version
    if pinned is None:
        return skipped("no version is pinned")
    newest = next((one.key for one in evidence.auxiliary if one.kind is AuxiliaryKind.NEWEST and one.key is not None), None)
    if newest is None:
        return unknown("the newest version was not read")
    return passed("the pinned one") if newest.version == pinned else warned(f"{newest.version} is newer than the pinned one")


def key_expiry(evidence: Evidence) -> Finding:
    key = evidence.report.key
    if key is None or key.expires is None:
        return unknown(_NO_KEY) if key is None else passed("the key does not expire")
    if key.expires <= evidence.now:
        return blocked("key_dates")
    return (warned if key.expires - evidence.now < EXPIRY_WARN else passed)(f"expires on {day(key.expires)}")


# The network, from the proxy to certificates and clocks.


def _host_check(check: str, assess: Callable[[Evidence, Endpoint, Finding | None], Finding]) -> CheckFunction:
    """Return the check of the host that its name ends with; `assess` receives the failure that belongs to it."""

    def run(evidence: Evidence) -> Finding:
        endpoint = evidence.vault if check.endswith("_vault") else evidence.entra
        if endpoint is None:
            return skipped("the host's identity service issues the tokens")
        step = Step.CHALLENGE if endpoint is evidence.vault else Step.TOKEN
        facts, failure = endpoint.facts, owned(evidence, check)
        if facts.fault not in (Fault.NONE, Fault.HTTP_STATUS):
            cause = classify(step, facts)
            result = StepResult(step=step, outcome=Outcome.FAILED, code=cause.code, reason=cause.reason, facts=facts)
            failure = failed_at(result, discarded=endpoint.discarded) if check_of(step, cause.reason) == check else failure
        return assess(evidence, endpoint, failure)

    return run


def _proxy(_evidence: Evidence, endpoint: Endpoint, failure: Finding | None) -> Finding:
    route = f"through {endpoint.proxy}" if endpoint.proxy else "direct"
    return passed(route) if failure is None else replace(failure, detail=f"{route}: {failure.detail}")


def _dns(_evidence: Evidence, endpoint: Endpoint, failure: Finding | None) -> Finding:
    if endpoint.proxy is not None:
        return skipped("the proxy resolves the name, not this host")
    if failure is not None:
        return replace(failure, detail=f"{endpoint.redirected or endpoint.host}: {failure.detail}")
    found = ", ".join(endpoint.addresses[:4]) or "found"
    if endpoint.absolute is not None and endpoint.addresses and set(endpoint.absolute).isdisjoint(endpoint.addresses):
        other = ", ".join(endpoint.absolute[:4]) or "no address"
        return warned(f"{found}, but {other} in DNS for the name as written: a search domain or the hosts file answers")
    return passed(f"{found} (by connect_to)" if endpoint.redirected else found)


def _issuer(evidence: Evidence, endpoint: Endpoint, _failure: Finding | None) -> Finding:
    certificate, ca_file = endpoint.certificate, evidence.module.ca_file
    if certificate is None:
        return skipped("no certificate was seen")
    if certificate.organization in ("Microsoft Corporation", "DigiCert Inc", "DigiCert, Inc."):  # those of Azure's hosts
        return passed(certificate.issuer)
    who = f"{certificate.issuer!r}" + (f" of {certificate.organization!r}" if certificate.organization else "")
    if endpoint.facts.fault is Fault.TLS_UNTRUSTED:
        return failed(
            f"issued by {who}, which is not trusted here: TLS is inspected on the route, or a search domain answers with another host",
            reason=Reason.TLS_UNTRUSTED,
        )
    through = f"{ca_file.name} of the module" if ca_file is not None else "this host's store"
    return warned(f"issued by {who}, not an authority of Azure, trusted through {through}")


def _tls(evidence: Evidence, endpoint: Endpoint, failure: Finding | None) -> Finding:
    shown = endpoint.certificate
    if failure is not None and (shown is None or failure.reason is None):
        return failure
    if failure is not None and shown is not None:
        why = {
            Reason.TLS_EXPIRED: f": it expired on {day(shown.not_after)}",
            Reason.TLS_NOT_YET_VALID: f": it is valid from {day(shown.not_before)}",
            Reason.TLS_WRONG_NAME: f": it is for {shown.subject!r}",
        }.get(failure.reason or Reason.INTERNAL, f": issued by {shown.issuer!r}")
        return replace(failure, detail=failure.detail + why)
    certificate = endpoint.facts.certificate
    if certificate is None:
        return unknown("the handshake succeeded, but the certificate could not be read")
    is_near = certificate.not_after - evidence.now < CERTIFICATE_WARN
    return (warned if is_near else passed)(f"valid until {day(certificate.not_after)}")


def revocation(evidence: Evidence) -> Finding:
    if not evidence.module.crl_check:
        return skipped("crl_check is off in the module")
    if not evidence.revocation:
        shown = any(one is not None and one.certificate is not None for one in (evidence.vault, evidence.entra))
        return skipped("the certificates have no revocation host" if shown else "no certificate was seen")
    closed = [f"{host}: {problem}" for host, problem in evidence.revocation.items() if problem]
    return warned("; ".join(closed)) if closed else passed(", ".join(evidence.revocation))


def path(evidence: Evidence) -> Finding:
    taken, source = _path_taken(evidence)
    expected = evidence.module.expect_path
    is_any = expected is ExpectPath.ANY
    if taken is None:
        return passed("not known; any is allowed") if is_any else unknown(f"{source}; {expected} is expected")
    if is_any or taken == expected:
        return passed(f"{taken}, {source}" if is_any else f"{taken}, as expected, {source}")
    return failed(f"{taken}, {source}; {expected} is expected", codeless=True)


def _path_taken(evidence: Evidence) -> tuple[str | None, str]:
    """Return the network path by the response header, else by the addresses."""
    for facts in (evidence.vault.facts, *(result.facts for result in evidence.report.steps if result.step is not Step.TOKEN)):
        if facts is not None and facts.vault is not None and facts.vault.connection is not None:
            return facts.vault.connection, "by the vault's header"
    addresses = (ipaddress.ip_address(address.partition("%")[0]) for address in evidence.vault.addresses)
    kinds = {"private" if address.is_private else "public" for address in addresses}
    if len(kinds) == 1:
        return kinds.pop(), "by its address"
    return None, "the vault has private and public addresses" if kinds else "the vault sends no such header"


def clock(evidence: Evidence) -> Finding:
    """Use the smallest difference: a wrong clock here differs from all services."""
    refused = owned(evidence, "clock")
    known = [one.skew for one in (evidence.vault, evidence.entra) if one is not None and one.skew is not None]
    if not known:
        return refused or unknown("no response had a date")
    skew = min(known, key=abs)
    how = f"{abs(skew):.0f} s {'ahead of' if skew > 0 else 'behind'} the services"
    if refused is not None:
        return replace(refused, detail=f"{how}; {refused.detail}")
    return first_true(
        (abs(skew) > SKEW_FAIL, failed(how, codeless=evidence.credential.kind not in _SIGNED)),
        (abs(skew) > SKEW_WARN, warned(how)),
        default=passed(how),
    )


# Only SQL Server stores the thumbprint together with the public key. This host can find a contradiction, never a proof.
def thumbprint(evidence: Evidence) -> Finding:
    """Warn if another declaration contradicts the thumbprint; else it is unknown here."""
    target, pin = evidence.target, evidence.target.pin
    if evidence.report.key is None:
        return skipped("the key was not read")
    if pin is None:
        return unknown("none is declared; the query finds it by the public key")
    others = [f"target {name} has {why}" for name, other in evidence.pins if (why := contradiction(pin, other))]
    length = f"{pin.thumbprint} has {length_of(pin.thumbprint)} bytes, not the 20 of connector 1.0.5.0: versions can share it"
    is_classic = target.generation_declared and target.generation is Generation.CLASSIC
    return first_true(
        (
            target.key_version is None,
            warned(f"{pin.thumbprint} is declared, but the key has no version: it proves nothing"),
        ),
        (others, warned("".join(others[:1]))),
        (not is_hash(pin.thumbprint), unknown(length)),
        (
            # The encoding of the longest names by connector 1.0.4.0 may have as many bytes as the hash.
            is_classic and len(target.key_name) < KEY_NAME_LIMIT,
            warned(f"{pin.thumbprint} has the 20 bytes of connector 1.0.5.0, but connector_generation is classic"),
        ),
        default=unknown(f"{pin.thumbprint} is declared for this version; only SQL Server can compare the public key"),
    )


CHECKS: Mapping[str, CheckFunction] = MappingProxyType(
    {
        f"{name}_{host}": _host_check(f"{name}_{host}", assess)
        for name, assess in (
            ("proxy", _proxy),
            ("dns", _dns),
            ("tcp", lambda _, __, failure: failure or passed("open")),
            ("issuer", _issuer),
            ("tls", _tls),
        )
        for host in ("vault", "entra")
    }
    | {
        "revocation": revocation,
        "path": path,
        "challenge": lambda evidence: (
            step_finding(evidence, Step.CHALLENGE, "challenge") or passed("read as the connector reads it")
        ),
        "tenant": tenant,
        "secret": secret,
        "credential_string": credential_string,
        "token": lambda evidence: step_finding(evidence, Step.TOKEN, "token") or passed("issued by Entra"),
        "audience": audience,
        "firewall": lambda evidence: _vault_finding(evidence, "firewall", "allows this network"),
        "vault_answers": lambda evidence: _vault_finding(evidence, "vault_answers", "complete and readable"),
        "credential_expiry": credential_expiry,
        "key_name": key_name,
        "permission_get": lambda evidence: (
            step_finding(evidence, Step.GET_KEY, "permission_get", "key_version", "key_type", "key_name") or passed("allowed")
        ),
        "key_version": key_version,
        "key_type": key_type,
        "key_enabled": key_enabled,
        "key_dates": key_dates,
        "key_ops": key_ops,
        "permission_wrap": lambda evidence: _permission(evidence, Step.WRAP_KEY, "permission_wrap"),
        "permission_unwrap": lambda evidence: _permission(evidence, Step.UNWRAP_KEY, "permission_unwrap"),
        "permission_list": permission_list,
        "round_trip": round_trip,
        "retained_versions": retained_versions,
        "newest_version": newest_version,
        "key_expiry": key_expiry,
        "thumbprint": thumbprint,
    }
)

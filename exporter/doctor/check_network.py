"""Checks of the road: proxy, names, ports, certificates, revocation hosts, path and clock.

For: one small function per check, from what was observed to what it means.
Not for: looking anything up.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable
from typing import Final

from exporter.config.model import CredentialKind, ExpectPath
from exporter.core.checks.routing import owner_of
from exporter.core.classify import classify
from exporter.core.faults import Fault, Reason
from exporter.core.model import Outcome, Step, StepResult
from exporter.doctor.evidence import Certificate, Endpoint, Evidence
from exporter.doctor.finding import Finding, day, failed, in_words, owned, passed, skipped, unknown, warned

SKEW_WARN, SKEW_FAIL = 120.0, 300.0  # seconds
CERTIFICATE_WARN: Final = 2 * 86400.0  # seconds before its end
# Organisations that issue the certificates of Azure's own hosts.
AZURE_ISSUERS: Final = ("Microsoft Corporation", "DigiCert Inc", "DigiCert, Inc.")
_SIGNED: Final = frozenset({CredentialKind.CLIENT_CERTIFICATE, CredentialKind.WORKLOAD_IDENTITY})
_NO_ENTRA: Final = "the host's own identity service gives the tokens"

Judge = Callable[[Evidence], Finding]


def _of(seen: Evidence, host: str) -> Endpoint | None:
    return seen.vault if host == "vault" else seen.entra


def _failure(seen: Evidence, host: str, check: str) -> Finding | None:
    """The failure of a greeting, or of the probe's own step, that belongs to the check."""
    endpoint = _of(seen, host)
    step = Step.CHALLENGE if host == "vault" else Step.TOKEN
    if endpoint is not None and endpoint.facts.fault not in (Fault.NONE, Fault.HTTP_STATUS):
        judged = classify(step, endpoint.facts)
        if owner_of(step, judged.reason) == check:
            result = StepResult(step=step, outcome=Outcome.FAILED, reason=judged.reason, facts=endpoint.facts)
            return failed(in_words(result), code=judged.code, reason=judged.reason)
    return owned(seen, check)


def proxy(host: str) -> Judge:
    def judge(seen: Evidence) -> Finding:
        endpoint = _of(seen, host)
        if endpoint is None:
            return skipped(_NO_ENTRA)
        way = f"through {endpoint.proxy}" if endpoint.proxy else "direct"
        failure = _failure(seen, host, f"proxy_{host}")
        return passed(way) if failure is None else failed(f"{way}: {failure.detail}", code=failure.code, reason=failure.reason)

    return judge


def dns(host: str) -> Judge:
    def judge(seen: Evidence) -> Finding:
        endpoint = _of(seen, host)
        if endpoint is None:
            return skipped(_NO_ENTRA)
        if endpoint.proxy is not None:
            return skipped("the proxy looks the name up, not this host")
        failure = _failure(seen, host, f"dns_{host}")
        if failure is not None:
            return failed(f"{_name(endpoint)}: {failure.detail}", code=failure.code, reason=failure.reason)
        found = ", ".join(endpoint.addresses[:4]) or "found"
        return passed(f"{found} (by connect_to)" if endpoint.redirected else found)

    return judge


def tcp(host: str) -> Judge:
    def judge(seen: Evidence) -> Finding:
        endpoint = _of(seen, host)
        if endpoint is None:
            return skipped(_NO_ENTRA)
        return _failure(seen, host, f"tcp_{host}") or passed("open")

    return judge


def issuer(host: str) -> Judge:
    def judge(seen: Evidence) -> Finding:
        endpoint = _of(seen, host)
        if endpoint is None:
            return skipped(_NO_ENTRA)
        if endpoint.certificate is None:
            return skipped("no certificate was seen")
        return _assess_issuer(
            endpoint, endpoint.certificate, trusts=None if seen.module.ca_file is None else seen.module.ca_file.name
        )

    return judge


def _assess_issuer(endpoint: Endpoint, certificate: Certificate, *, trusts: str | None) -> Finding:
    who = f"{certificate.issuer!r}" + (f" of {certificate.organization!r}" if certificate.organization else "")
    if certificate.organization in AZURE_ISSUERS:
        return passed(certificate.issuer)
    if endpoint.facts.fault is Fault.TLS_UNTRUSTED:
        return failed(f"issued by {who}, whom nobody here trusts: TLS is inspected on the way", reason=Reason.TLS_UNTRUSTED)
    through = f"{trusts} of the module" if trusts else "this host's store"
    return warned(f"issued by {who}, none of Azure's authorities, trusted through {through}")


def tls(host: str) -> Judge:
    def judge(seen: Evidence) -> Finding:
        endpoint = _of(seen, host)
        if endpoint is None:
            return skipped(_NO_ENTRA)
        failure = _failure(seen, host, f"tls_{host}")
        if failure is not None:
            shown = _of_certificate(endpoint.certificate, failure.reason)
            return failed(f"{failure.detail}{shown}", code=failure.code, reason=failure.reason)
        certificate = endpoint.facts.certificate
        if certificate is None:
            return unknown("the handshake succeeded, the certificate could not be read")
        end = f"valid until {day(certificate.not_after)}"
        return warned(end) if certificate.not_after - seen.now < CERTIFICATE_WARN else passed(end)

    return judge


def _of_certificate(certificate: Certificate | None, reason: Reason | None) -> str:
    if certificate is None:
        return ""
    said = {
        Reason.TLS_EXPIRED: f": it ended on {day(certificate.ends)}",
        Reason.TLS_NOT_YET_VALID: f": it begins on {day(certificate.starts)}",
        Reason.TLS_WRONG_NAME: f": it is for {certificate.subject!r}",
    }
    return said.get(reason, f": issued by {certificate.issuer!r}") if reason is not None else ""


def revocation(seen: Evidence) -> Finding:
    if not seen.module.crl_check:
        return skipped("crl_check is off in the module")
    if not seen.revocation:
        shown = [one for one in (seen.vault, seen.entra) if one is not None and one.certificate is not None]
        return skipped("the certificates name no host for revocation" if shown else "no certificate was seen")
    closed = [f"{one.host}: {one.problem}" for one in seen.revocation if one.problem]
    return warned("; ".join(closed)) if closed else passed(", ".join(one.host for one in seen.revocation))


def path(seen: Evidence) -> Finding:
    taken, source = _path_taken(seen)
    expected = seen.module.expect_path
    if taken is None:
        return passed("not known; any will do") if expected is ExpectPath.ANY else unknown(f"{source}; {expected} is expected")
    if expected is ExpectPath.ANY:
        return passed(f"{taken}, {source}")
    if taken == expected:
        return passed(f"{taken}, as expected, {source}")
    return failed(f"{taken}, {source}, where {expected} is expected", codeless=True)


def _path_taken(seen: Evidence) -> tuple[str | None, str]:
    """What the vault says of our connection; where it says nothing, what the addresses are."""
    for facts in (seen.vault.facts, *(result.facts for result in seen.report.steps if result.step is not Step.TOKEN)):
        if facts is not None and facts.vault is not None and facts.vault.connection is not None:
            return facts.vault.connection, "says the vault"
    kinds = {_kind(address) for address in seen.vault.addresses}
    if len(kinds) == 1:
        return kinds.pop(), "by its address"
    return None, "the vault's addresses are of both kinds" if kinds else "the vault does not tell"


def _kind(address: str) -> str:
    return "private" if ipaddress.ip_address(address.partition("%")[0]).is_private else "public"


def clock(seen: Evidence) -> Finding:
    """Of several the smallest difference: a clock of ours that is off is off against everybody."""
    refused = owned(seen, "clock")
    known = [one.skew for one in (seen.vault, seen.entra) if one is not None and one.skew is not None]
    if not known:
        return refused or unknown("no answer told the time")
    skew = min(known, key=abs)
    how = f"{abs(skew):.0f} s {'ahead of' if skew > 0 else 'behind'} the services"
    if refused is not None:
        return failed(f"{how}; {refused.detail}", code=refused.code, reason=refused.reason)
    if abs(skew) > SKEW_FAIL:
        return failed(how, codeless=seen.credential.kind not in _SIGNED)
    return warned(how) if abs(skew) > SKEW_WARN else passed(how)


def _name(endpoint: Endpoint) -> str:
    return endpoint.redirected or endpoint.host

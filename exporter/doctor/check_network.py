"""Checks of the network, from the proxy to certificates and clocks.

One function per check turns evidence into a finding.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Final

from exporter.config.settings import ExpectPath
from exporter.core.checks.check_owner import owner_of
from exporter.core.checks.finding import Finding, failed, passed, skipped, unknown, warned
from exporter.core.classify import classify
from exporter.core.faults import Fault
from exporter.core.model import CredentialKind, Outcome, Step, StepResult
from exporter.core.reasons import Reason
from exporter.doctor.evidence import Endpoint, Evidence, HostCertificate
from exporter.doctor.finding import day, failed_at, owned

SKEW_WARN, SKEW_FAIL = 120.0, 300.0  # seconds
CERTIFICATE_WARN: Final = 2 * 86400.0  # seconds before its expiry
# Organisations that issue the certificates of Azure's hosts.
AZURE_ISSUERS: Final = ("Microsoft Corporation", "DigiCert Inc", "DigiCert, Inc.")
_SIGNED: Final = frozenset({CredentialKind.CLIENT_CERTIFICATE, CredentialKind.WORKLOAD_IDENTITY})

CheckFunction = Callable[[Evidence], Finding]


_AtHost = Callable[[Evidence, Endpoint, Finding | None], Finding]


def _failure(evidence: Evidence, endpoint: Endpoint, check: str) -> Finding | None:
    """Return the failure of the endpoint check or step that belongs to a check."""
    step = Step.CHALLENGE if endpoint is evidence.vault else Step.TOKEN
    if endpoint.facts.fault not in (Fault.NONE, Fault.HTTP_STATUS):
        cause = classify(step, endpoint.facts)
        if owner_of(step, cause.reason) == check:
            return failed_at(
                StepResult(step=step, outcome=Outcome.FAILED, code=cause.code, reason=cause.reason, facts=endpoint.facts)
            )
    return owned(evidence, check)


def _host_check(check: str, assess: _AtHost) -> CheckFunction:
    """Return the check of the host that its name ends with; `assess` receives the failure that belongs to it."""

    def run(evidence: Evidence) -> Finding:
        endpoint = evidence.vault if check.endswith("_vault") else evidence.entra
        if endpoint is None:
            return skipped("the host's identity service issues the tokens")
        return assess(evidence, endpoint, _failure(evidence, endpoint, check))

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


def _tcp(_evidence: Evidence, _endpoint: Endpoint, failure: Finding | None) -> Finding:
    return failure or passed("open")


def _issuer(evidence: Evidence, endpoint: Endpoint, _failure: Finding | None) -> Finding:
    if endpoint.certificate is None:
        return skipped("no certificate was seen")
    trusts = None if evidence.module.ca_file is None else evidence.module.ca_file.name
    return _assess_issuer(endpoint, endpoint.certificate, trusts=trusts)


def _assess_issuer(endpoint: Endpoint, certificate: HostCertificate, *, trusts: str | None) -> Finding:
    who = f"{certificate.issuer!r}" + (f" of {certificate.organization!r}" if certificate.organization else "")
    if certificate.organization in AZURE_ISSUERS:
        return passed(certificate.issuer)
    if endpoint.facts.fault is Fault.TLS_UNTRUSTED:
        return failed(
            f"issued by {who}, which is not trusted here: TLS is inspected on the route, or a search domain answers with another host",
            reason=Reason.TLS_UNTRUSTED,
        )
    through = f"{trusts} of the module" if trusts else "this host's store"
    return warned(f"issued by {who}, not an authority of Azure, trusted through {through}")


def _tls(evidence: Evidence, endpoint: Endpoint, failure: Finding | None) -> Finding:
    if failure is not None:
        return replace(failure, detail=failure.detail + _certificate_text(endpoint.certificate, failure.reason))
    certificate = endpoint.facts.certificate
    if certificate is None:
        return unknown("the handshake succeeded, but the certificate could not be read")
    end = f"valid until {day(certificate.not_after)}"
    return warned(end) if certificate.not_after - evidence.now < CERTIFICATE_WARN else passed(end)


def _certificate_text(certificate: HostCertificate | None, reason: Reason | None) -> str:
    if certificate is None:
        return ""
    texts = {
        Reason.TLS_EXPIRED: f": it expired on {day(certificate.not_after)}",
        Reason.TLS_NOT_YET_VALID: f": it is valid from {day(certificate.not_before)}",
        Reason.TLS_WRONG_NAME: f": it is for {certificate.subject!r}",
    }
    return texts.get(reason, f": issued by {certificate.issuer!r}") if reason is not None else ""


def revocation(evidence: Evidence) -> Finding:
    if not evidence.module.crl_check:
        return skipped("crl_check is off in the module")
    if not evidence.revocation:
        shown = [one for one in (evidence.vault, evidence.entra) if one is not None and one.certificate is not None]
        return skipped("the certificates have no revocation host" if shown else "no certificate was seen")
    closed = [f"{one.host}: {one.problem}" for one in evidence.revocation if one.problem]
    return warned("; ".join(closed)) if closed else passed(", ".join(one.host for one in evidence.revocation))


def path(evidence: Evidence) -> Finding:
    taken, source = _path_taken(evidence)
    expected = evidence.module.expect_path
    if taken is None:
        return passed("not known; any is allowed") if expected is ExpectPath.ANY else unknown(f"{source}; {expected} is expected")
    if expected is ExpectPath.ANY:
        return passed(f"{taken}, {source}")
    if taken == expected:
        return passed(f"{taken}, as expected, {source}")
    return failed(f"{taken}, {source}; {expected} is expected", codeless=True)


def _path_taken(evidence: Evidence) -> tuple[str | None, str]:
    """Return the network path by the response header, else by the addresses."""
    for facts in (evidence.vault.facts, *(result.facts for result in evidence.report.steps if result.step is not Step.TOKEN)):
        if facts is not None and facts.vault is not None and facts.vault.connection is not None:
            return facts.vault.connection, "by the vault's header"
    kinds = {_kind(address) for address in evidence.vault.addresses}
    if len(kinds) == 1:
        return kinds.pop(), "by its address"
    return None, "the vault has private and public addresses" if kinds else "the vault sends no such header"


def _kind(address: str) -> str:
    return "private" if ipaddress.ip_address(address.partition("%")[0]).is_private else "public"


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
    if abs(skew) > SKEW_FAIL:
        return failed(how, codeless=evidence.credential.kind not in _SIGNED)
    return warned(how) if abs(skew) > SKEW_WARN else passed(how)


ENDPOINT_CHECKS: Mapping[str, CheckFunction] = MappingProxyType(
    {
        f"{name}_{host}": _host_check(f"{name}_{host}", assess)
        for name, assess in (("proxy", _proxy), ("dns", _dns), ("tcp", _tcp), ("issuer", _issuer), ("tls", _tls))
        for host in ("vault", "entra")
    }
)

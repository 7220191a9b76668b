"""Checks of the network.

Proxy, names, ports, certificates, revocation hosts, path and clock.

One function per check turns evidence into a finding.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable
from dataclasses import replace
from typing import Final

from exporter.config.model import CredentialKind, ExpectPath
from exporter.core.checks.routing import owner_of
from exporter.core.classify import classify
from exporter.core.faults import Fault, Reason
from exporter.core.model import Outcome, Step, StepResult
from exporter.doctor.evidence import Certificate, Endpoint, Evidence
from exporter.doctor.finding import Finding, day, failed, failure_text, owned, passed, skipped, unknown, warned

SKEW_WARN, SKEW_FAIL = 120.0, 300.0  # seconds
CERTIFICATE_WARN: Final = 2 * 86400.0  # seconds before its expiry
# Organisations that issue the certificates of Azure's hosts.
AZURE_ISSUERS: Final = ("Microsoft Corporation", "DigiCert Inc", "DigiCert, Inc.")
_SIGNED: Final = frozenset({CredentialKind.CLIENT_CERTIFICATE, CredentialKind.WORKLOAD_IDENTITY})
_NO_ENTRA: Final = "the host's identity service issues the tokens"

_OTHER_SOURCE: Final = "a search domain or the hosts file answers"
_SEARCH_DOMAIN: Final = (
    "Check the hosts file. If it does not have the name, a search domain with a wildcard record answers with another host.",
    "Remove that record, or set `options ndots:1` in /etc/resolv.conf.",
    "In Kubernetes, set `dnsConfig` with `ndots: 1`, as the chart does. Compare with the name as written:",
    "  Resolve-DnsName VAULT_HOST. -DnsOnly",
)

CheckFunction = Callable[[Evidence], Finding]


def _of(evidence: Evidence, host: str) -> Endpoint | None:
    return evidence.vault if host == "vault" else evidence.entra


def _failure(evidence: Evidence, host: str, check: str) -> Finding | None:
    """Return the failure of the endpoint check or step that belongs to a check."""
    endpoint = _of(evidence, host)
    step = Step.CHALLENGE if host == "vault" else Step.TOKEN
    if endpoint is not None and endpoint.facts.fault not in (Fault.NONE, Fault.HTTP_STATUS):
        cause = classify(step, endpoint.facts)
        if owner_of(step, cause.reason) == check:
            result = StepResult(step=step, outcome=Outcome.FAILED, reason=cause.reason, facts=endpoint.facts)
            return failed(failure_text(result), code=cause.code, reason=cause.reason)
    return owned(evidence, check)


def proxy(host: str) -> CheckFunction:
    def run(evidence: Evidence) -> Finding:
        endpoint = _of(evidence, host)
        if endpoint is None:
            return skipped(_NO_ENTRA)
        route = f"through {endpoint.proxy}" if endpoint.proxy else "direct"
        failure = _failure(evidence, host, f"proxy_{host}")
        if failure is None:
            return passed(route)
        return failed(f"{route}: {failure.detail}", code=failure.code, reason=failure.reason)

    return run


def dns(host: str) -> CheckFunction:
    def run(evidence: Evidence) -> Finding:
        endpoint = _of(evidence, host)
        if endpoint is None:
            return skipped(_NO_ENTRA)
        if endpoint.proxy is not None:
            return skipped("the proxy resolves the name, not this host")
        failure = _failure(evidence, host, f"dns_{host}")
        if failure is not None:
            return failed(f"{_name(endpoint)}: {failure.detail}", code=failure.code, reason=failure.reason)
        found = ", ".join(endpoint.addresses[:4]) or "found"
        if endpoint.absolute is not None and endpoint.addresses and set(endpoint.absolute).isdisjoint(endpoint.addresses):
            other = ", ".join(endpoint.absolute[:4]) or "no address"
            return replace(warned(f"{found}, but {other} in DNS for the name as written: {_OTHER_SOURCE}"), advice=_SEARCH_DOMAIN)
        return passed(f"{found} (by connect_to)" if endpoint.redirected else found)

    return run


def tcp(host: str) -> CheckFunction:
    def run(evidence: Evidence) -> Finding:
        endpoint = _of(evidence, host)
        if endpoint is None:
            return skipped(_NO_ENTRA)
        return _failure(evidence, host, f"tcp_{host}") or passed("open")

    return run


def issuer(host: str) -> CheckFunction:
    def run(evidence: Evidence) -> Finding:
        endpoint = _of(evidence, host)
        if endpoint is None:
            return skipped(_NO_ENTRA)
        if endpoint.certificate is None:
            return skipped("no certificate was seen")
        return _assess_issuer(
            endpoint, endpoint.certificate, trusts=None if evidence.module.ca_file is None else evidence.module.ca_file.name
        )

    return run


def _assess_issuer(endpoint: Endpoint, certificate: Certificate, *, trusts: str | None) -> Finding:
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


def tls(host: str) -> CheckFunction:
    def run(evidence: Evidence) -> Finding:
        endpoint = _of(evidence, host)
        if endpoint is None:
            return skipped(_NO_ENTRA)
        failure = _failure(evidence, host, f"tls_{host}")
        if failure is not None:
            shown = _certificate_text(endpoint.certificate, failure.reason)
            return failed(f"{failure.detail}{shown}", code=failure.code, reason=failure.reason)
        certificate = endpoint.facts.certificate
        if certificate is None:
            return unknown("the handshake succeeded, but the certificate could not be read")
        end = f"valid until {day(certificate.not_after)}"
        return warned(end) if certificate.not_after - evidence.now < CERTIFICATE_WARN else passed(end)

    return run


def _certificate_text(certificate: Certificate | None, reason: Reason | None) -> str:
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
    """Use the smallest difference.

    If this host's clock is wrong, it differs from all services.
    """
    refused = owned(evidence, "clock")
    known = [one.skew for one in (evidence.vault, evidence.entra) if one is not None and one.skew is not None]
    if not known:
        return refused or unknown("no response had a date")
    skew = min(known, key=abs)
    how = f"{abs(skew):.0f} s {'ahead of' if skew > 0 else 'behind'} the services"
    if refused is not None:
        return failed(f"{how}; {refused.detail}", code=refused.code, reason=refused.reason)
    if abs(skew) > SKEW_FAIL:
        return failed(how, codeless=evidence.credential.kind not in _SIGNED)
    return warned(how) if abs(skew) > SKEW_WARN else passed(how)


def _name(endpoint: Endpoint) -> str:
    return endpoint.redirected or endpoint.host

"""Checks of the sign-in and of the vault's response: its firewall, and whether it answers.

One function per check turns evidence into a finding. No text contains a part of a secret or token.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Final

from exporter.core.checks.finding import Finding, failed, passed, skipped, unknown, warned
from exporter.core.credential_expiry import Source
from exporter.core.entra_answer import entra_answer, mark_wrong_dates, wrong_dates
from exporter.core.model import CredentialKind, Outcome, Step
from exporter.core.reasons import Reason
from exporter.doctor.evidence import Evidence
from exporter.doctor.finding import day, owned, step_finding

EXPIRY_WARN: Final = 30 * 86400.0  # seconds before an expiry
_GUID = re.compile(r"[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}")
_SECRETLESS_KINDS: Final = frozenset(
    {CredentialKind.MANAGED_IDENTITY, CredentialKind.WORKLOAD_IDENTITY, CredentialKind.DEFAULT, CredentialKind.CLIENT_CERTIFICATE}
)


def challenge(evidence: Evidence) -> Finding:
    found = step_finding(evidence, Step.CHALLENGE, "challenge")
    return found or passed("read as the connector reads it")


def tenant(evidence: Evidence) -> Finding:
    if evidence.challenge is None:
        return step_finding(evidence, Step.CHALLENGE, "tenant") or unknown("no challenge was read")
    named, own = evidence.challenge.tenant.lower(), (evidence.credential.tenant_id or "").lower()
    if not own:
        return passed("the credential has none: that of the vault is used")
    if named == own:
        return passed("the vault and the credential name the same")
    if _GUID.fullmatch(named) and _GUID.fullmatch(own):
        text = f"the vault is in {named}, the credential in {own}{_probed_with(evidence)}"
        return failed(text, reason=Reason.TOKEN_WRONG_ISSUER)
    return unknown("one is an id, the other a domain: they cannot be compared")


def _probed_with(evidence: Evidence) -> str:
    """Return why the probe has another code than SQL Server, which signs in at the tenant of the vault."""
    refused = owned(evidence, "audience")
    return "" if refused is None else f"; the probe signs in at the latter, so it shows {refused.code}"


def secret(evidence: Evidence) -> Finding:
    if evidence.secret.failure:
        return failed(evidence.secret.failure, reason=Reason.SECRET_UNREADABLE, codeless=True)
    unreadable = owned(evidence, "secret")
    if unreadable is not None:
        return replace(unreadable, code=None, codeless=True)
    if evidence.credential.kind in _SECRETLESS_KINDS and evidence.credential.password is None:
        return skipped(f"a {evidence.credential.kind.value.replace('_', ' ')} has none")
    return passed("can be read")


def credential_string(evidence: Evidence) -> Finding:
    findings = evidence.secret.findings
    if findings is None:
        return skipped("the credential is not a client id and secret")
    if not findings:
        return owned(evidence, "credential_string") or passed("follows the rules")
    text = "; ".join(finding.text for finding in findings)
    # 3128 for a client id with hyphens: the connector sends it to Entra ID, which responds 400.
    code = next((finding.code for finding in findings if finding.code is not None), 3128 if "3128" in text else None)
    found = failed(text, code=code, reason=Reason.SECRET_TOO_SHORT, codeless=code is None)
    return replace(found, step=Step.TOKEN)


def token(evidence: Evidence) -> Finding:
    return step_finding(evidence, Step.TOKEN, "token") or passed("issued by Entra")


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
    named = (claims.audience or "").rstrip("/").lower()
    # An audience may also be the service's application id: then only the vault's response shows whether it is right.
    if named != challenge.resource.rstrip("/").lower() and not _GUID.fullmatch(named):
        text = f"the token is for {claims.audience}, the vault requires {challenge.resource}"
        return failed(text, reason=Reason.TOKEN_WRONG_AUDIENCE)
    issuing = (claims.tenant or "").lower()
    if issuing and _GUID.fullmatch(challenge.tenant.lower()) and issuing != challenge.tenant.lower():
        return failed("the token is from another tenant than the vault's", reason=Reason.TOKEN_WRONG_ISSUER)
    own = (evidence.secret.client_id or "").lower()
    if claims.application is not None and own and claims.application.lower() != own:
        return failed("the token is for another application")
    return None


def firewall(evidence: Evidence) -> Finding:
    return _vault_finding(evidence, "firewall", "allows this network")


def vault_answers(evidence: Evidence) -> Finding:
    return _vault_finding(evidence, "vault_answers", "complete and readable")


def _vault_finding(evidence: Evidence, check: str, success: str) -> Finding:
    get = evidence.report.step(Step.GET_KEY)
    requested = get is not None and get.outcome is not Outcome.SKIPPED
    if not requested:
        return owned(evidence, check) or step_finding(evidence, Step.GET_KEY, check) or unknown("no request was sent")
    return owned(evidence, check) or passed(success)


def _contradicted(expiry: float, source: Source) -> Finding:
    """Warn that Entra accepts a credential that is expired by this source."""
    if source is Source.DECLARED:
        return warned(f"declared as expired on {day(expiry)}, yet Entra issues tokens: correct expires_on")
    return warned(f"expired on {day(expiry)} ({source}), yet Entra issues tokens: correct that source")


def credential_expiry(evidence: Evidence) -> Finding:
    """Compare the dates with each other, with the day and with what Entra ID does.

    A reason selects the advice: for a date that is reached or near, not for a wrong one.
    """
    dates = [one for one in evidence.expiry if one.source is not Source.ENTRA]  # of an earlier probe
    answer = entra_answer(evidence.report.steps, evidence.now)
    wrong = wrong_dates(mark_wrong_dates(evidence.credential.name, dates, answer))
    if wrong and answer is not None and answer.expired_since is not None:
        return warned(f"Entra ID refuses it as expired: {wrong}")
    known = [(one.expires_at, one.source) for one in dates if one.expires_at is not None]
    if not known and not evidence.credential.may_expire:
        return skipped(f"a {evidence.credential.kind.value.replace('_', ' ')} has none")
    if not known:
        reasons = "; ".join(f"{one.source}: {one.failure}" for one in dates if one.failure)
        return unknown(reasons or "no source has it: set expires_on or graph_credential")
    # As in the alert rules, a date that was looked up takes precedence over a declared one.
    expiry, source = min([one for one in known if one[1] is not Source.DECLARED] or known)
    when = f"{day(expiry)} ({source})"
    signed = evidence.credential.kind is CredentialKind.CLIENT_CERTIFICATE
    reason = Reason.CERTIFICATE_EXPIRED if signed else Reason.SECRET_EXPIRED
    if expiry <= evidence.now:
        expired = replace(failed(f"expired on {when}", reason=reason), step=Step.TOKEN)
        return _contradicted(expiry, source) if evidence.granted else expired
    near = expiry - evidence.now < EXPIRY_WARN
    return warned(f"expires on {when}", code=3303, reason=reason) if near else passed(f"expires on {when}")

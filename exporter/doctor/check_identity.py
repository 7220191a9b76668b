"""Checks of the sign-in: challenge, tenant, secret, credential string, token, audience, and what the vault says to the caller.

For: one small function per check, from what was observed to what it means.
Not for: looking anything up; no text made here holds a part of a secret or of a token.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Final

from exporter.config.model import CredentialKind
from exporter.core.checks.fixes import STILL_TAKEN
from exporter.core.credential_expiry import Source
from exporter.core.model import Outcome, Step
from exporter.doctor.evidence import Evidence
from exporter.doctor.finding import Finding, day, failed, of_step, owned, passed, skipped, unknown, warned

EXPIRY_WARN: Final = 30 * 86400.0  # seconds before an end
_GUID = re.compile(r"[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}")
_WITHOUT_SECRET: Final = frozenset(
    {CredentialKind.MANAGED_IDENTITY, CredentialKind.WORKLOAD_IDENTITY, CredentialKind.DEFAULT, CredentialKind.CLIENT_CERTIFICATE}
)


def challenge(seen: Evidence) -> Finding:
    found = of_step(seen, Step.CHALLENGE, "challenge")
    return found or passed("read as the connector reads it")


def tenant(seen: Evidence) -> Finding:
    if seen.challenge is None:
        return of_step(seen, Step.CHALLENGE, "tenant") or unknown("no challenge was read")
    named, own = seen.challenge.tenant.lower(), (seen.credential.tenant_id or "").lower()
    if not own:
        return passed("the credential names none: the vault's is taken")
    if named == own:
        return passed("the vault and the credential name the same")
    if _GUID.fullmatch(named) and _GUID.fullmatch(own):
        return failed(f"the vault is in {named}, the credential is of {own}")
    return unknown("one is named by its id, the other by a domain")


def secret(seen: Evidence) -> Finding:
    if seen.secret.failure:
        return failed(seen.secret.failure, codeless=True)
    unreadable = owned(seen, "secret")
    if unreadable is not None:
        return failed(unreadable.detail, codeless=True)
    if seen.credential.kind in _WITHOUT_SECRET and seen.credential.password is None:
        return skipped(f"a {seen.credential.kind.value.replace('_', ' ')} has none")
    return passed("can be read")


def credential_string(seen: Evidence) -> Finding:
    findings = seen.secret.findings
    if findings is None:
        return skipped("the credential is no client id and secret")
    if not findings:
        return owned(seen, "credential_string") or passed("follows the rules")
    code = next((finding.code for finding in findings if finding.code is not None), None)
    said = "; ".join(finding.text for finding in findings)
    return failed(said, code=code or _code_in(said), codeless=code is None and _code_in(said) is None)


def _code_in(text: str) -> int | None:
    """Client ids with hyphens are sent to Entra as they are, which answers 400."""
    return 3128 if "3128" in text else None


def token(seen: Evidence) -> Finding:
    return of_step(seen, Step.TOKEN, "token") or passed("given by Entra")


def audience(seen: Evidence) -> Finding:
    refused, wrong = owned(seen, "audience"), _wrong_claim(seen)
    if refused is not None:
        return replace(refused, detail=f"{refused.detail}: {wrong}") if wrong else refused
    if wrong:
        return failed(wrong)
    if seen.claims is None:
        return unknown("the token cannot be read here" if seen.granted else "there is no token")
    return passed(f"{seen.claims.audience}")


def _wrong_claim(seen: Evidence) -> str:
    claims, challenge = seen.claims, seen.challenge
    if claims is None or challenge is None:
        return ""
    named = (claims.audience or "").rstrip("/").lower()
    # An audience may also be given as the service's application id: then the vault's own answer has to do.
    if named != challenge.resource.rstrip("/").lower() and not _GUID.fullmatch(named):
        return f"it is for {claims.audience}, the vault wants {challenge.resource}"
    of = (claims.tenant or "").lower()
    if of and _GUID.fullmatch(challenge.tenant.lower()) and of != challenge.tenant.lower():
        return "it is of another tenant than the vault's"
    own = (seen.secret.client_id or "").lower()
    if claims.application is not None and own and claims.application.lower() != own:
        return "it is another application's"
    return ""


def firewall(seen: Evidence) -> Finding:
    return _of_the_vault(seen, "firewall", "lets this network in")


def vault_answers(seen: Evidence) -> Finding:
    return _of_the_vault(seen, "vault_answers", "whole and readable")


def _of_the_vault(seen: Evidence, check: str, fine: str) -> Finding:
    get = seen.report.step(Step.GET_KEY)
    asked = get is not None and get.outcome is not Outcome.SKIPPED
    return owned(seen, check) or (passed(fine) if asked else of_step(seen, Step.GET_KEY, check) or unknown("it was not asked"))


def _contradicted(end: float, source: Source) -> Finding:
    """Entra has just taken what this source says has ended."""
    if source is Source.DECLARED:
        said = f"declared as ended on {day(end)}, yet Entra gives tokens: correct expires_on"
    else:
        said = f"ended on {day(end)} ({source}), yet Entra gives tokens: correct that source"
    return replace(warned(said), advice=STILL_TAKEN)


def credential_expiry(seen: Evidence) -> Finding:
    known = [(end.expires_at, end.source) for end in seen.ends if end.expires_at is not None]
    if not known:
        reasons = "; ".join(f"{end.source}: {end.failure}" for end in seen.ends if end.failure)
        return unknown(reasons or "no source knows it: declare expires_on, or name a graph_credential")
    # As the alert rules have it: what was looked up counts for more than what somebody once wrote down.
    end, source = min([one for one in known if one[1] is not Source.DECLARED] or known)
    said = f"{day(end)} ({source})"
    if end <= seen.now:
        return _contradicted(end, source) if seen.granted else failed(f"ended on {said}")
    return warned(f"ends on {said}", code=3303) if end - seen.now < EXPIRY_WARN else passed(f"ends on {said}")

"""The report of a probe without the secrets of this process.

Steps are parsed, compared and classified with what the servers sent. What a report keeps passes here once.
"""

from __future__ import annotations

from dataclasses import replace

from exporter.core.known_secrets import hide, reveals, stands_in_bytes
from exporter.core.masking import mask
from exporter.core.model import Facts, KeyFacts, ProbeReport, StepResult


def redacted(report: ProbeReport) -> ProbeReport:
    """Return the report with each text that holds a known secret masked or removed."""
    return replace(
        report,
        steps=tuple(map(_step, report.steps)),
        key=None if report.key is None else redacted_key(report.key),
        tenant=None if report.tenant is None else hide(report.tenant),
    )


def redacted_facts(facts: Facts) -> Facts:
    """Return the facts without a known secret in codes and detail; the same object if there is none."""
    clean = replace(
        facts,
        service_code=_code(facts.service_code),
        inner_code=_code(facts.inner_code),
        aadsts=None if facts.aadsts is None or reveals(str(facts.aadsts)) else facts.aadsts,
        client_address=_without_secret(facts.client_address),
        object_id=_without_secret(facts.object_id),
        refused_issuer=_without_secret(facts.refused_issuer),
        correlation_id=_without_secret(facts.correlation_id),
        detail=hide(facts.detail),
    )
    return facts if clean == facts else clean


def redacted_key(key: KeyFacts) -> KeyFacts:
    """Return the key without a known secret; the same object if there is none."""
    if not any(map(reveals, (key.kid, key.kty, *key.key_ops))) and not any(map(stands_in_bytes, (key.modulus, key.exponent))):
        return key
    return replace(
        key,
        name=hide(key.name),
        version=hide(key.version),
        kid=hide(key.kid),
        kty=hide(key.kty),
        modulus=b"" if stands_in_bytes(key.modulus) else key.modulus,
        exponent=b"" if stands_in_bytes(key.exponent) else key.exponent,
        key_ops=tuple(each for each in key.key_ops if not reveals(each)),
    )


def _step(result: StepResult) -> StepResult:
    clean = None if result.facts is None else redacted_facts(result.facts)
    return result if clean is result.facts else replace(result, facts=clean)


def _code(code: str | None) -> str | None:
    """Return a code that logs may show; None for a secret, an id or an address in its place."""
    return None if code is None or reveals(code) or mask(code) != code else code


def _without_secret(text: str | None) -> str | None:
    return None if text is None or reveals(text) else text

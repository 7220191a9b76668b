"""The report of a probe without the secrets of this process.

Steps are parsed, compared and classified with what the servers sent. What a report keeps passes here once.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from operator import attrgetter
from typing import Any

from exporter.core.known_secrets import hide, reveals, stands_in_bytes
from exporter.core.masking import mask
from exporter.core.model import Facts, KeyFacts, ProbeReport, StepResult


def redacted(report: ProbeReport) -> ProbeReport:
    """Return the report with each text that holds a known secret masked or removed; the same object if there is none."""
    steps = tuple(map(_step, report.steps))
    key = None if report.key is None else redacted_key(report.key)
    tenant = None if report.tenant is None else hide(report.tenant)
    if (steps, key, tenant) == (report.steps, report.key, report.tenant):
        return report
    return replace(report, steps=steps, key=key, tenant=tenant)


def redacted_facts(facts: Facts) -> Facts:
    """Return the facts without a known secret in codes and detail; the same object if there is none."""
    sent = _all_sent(facts)
    if not any(sent):  # as in each good response
        return facts
    cleaned = ((name, value, clean(value)) for (name, clean), value in zip(_CLEANERS.items(), sent, strict=True) if value)
    changes: dict[str, Any] = {name: after for name, before, after in cleaned if after != before}
    return replace(facts, **changes) if changes else facts


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


def _code(code: str) -> str | None:
    """Return a code that logs may show; None for a secret, an id or an address in its place."""
    return None if reveals(code) or mask(code) != code else code


def _without_secret(value: object) -> object:
    return None if reveals(str(value)) else value


# The fields of facts that a server fills, and what is left of a value with a secret.
_CLEANERS: Mapping[str, Callable[[Any], object]] = {
    "service_code": _code,
    "inner_code": _code,
    "aadsts": _without_secret,
    "client_address": _without_secret,
    "object_id": _without_secret,
    "refused_issuer": _without_secret,
    "correlation_id": _without_secret,
    "detail": hide,
}
_all_sent: Callable[[Facts], tuple[Any, ...]] = attrgetter(*_CLEANERS)

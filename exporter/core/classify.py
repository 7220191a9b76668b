"""Classify facts: the connector's code and a reason, from literal tables.

The first match wins. The code is the one that SQL Server would show, in the classic generation; `codes` maps it to its
counterpart. `tests/unit/core` proves that every input gets a code and that no row is dead.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from exporter.core.faults import Fault, Reason
from exporter.core.model import Facts, Step
from exporter.core.reason_rules import ENTRA_REASONS, VAULT_REASONS, markers

UNKNOWN = 3001


@dataclass(frozen=True, slots=True)
class Classification:
    """The code, in the classic generation, and the reason of a failed step."""

    code: int
    reason: Reason


@dataclass(frozen=True, slots=True)
class StatusRule:
    """A response with a status from `first` to `last` at one of `steps`."""

    first: int
    last: int
    code: int
    reason: Reason
    steps: tuple[Step, ...] | None = None
    markers: tuple[str, ...] = ()


_TOKEN = (Step.TOKEN,)
_WITH_TOKEN = (Step.GET_KEY, Step.WRAP_KEY, Step.UNWRAP_KEY)

# The meaning of an HTTP status from the vault, from Entra, or from a proxy in response to CONNECT.
STATUS_RULES: tuple[StatusRule, ...] = (
    StatusRule(401, 401, 3303, Reason.CREDENTIALS_REFUSED, steps=_TOKEN),
    StatusRule(401, 401, 3305, Reason.TOKEN_WRONG_AUDIENCE, steps=_WITH_TOKEN, markers=("akv10022",)),
    StatusRule(401, 401, 3305, Reason.TOKEN_WRONG_ISSUER, steps=_WITH_TOKEN, markers=("akv10032",)),
    StatusRule(401, 401, 3010, Reason.TOKEN_REJECTED),
    StatusRule(403, 403, 3077, Reason.FORBIDDEN),
    StatusRule(404, 404, 3076, Reason.NOT_FOUND),
    StatusRule(429, 429, 3011, Reason.THROTTLED),
    StatusRule(400, 400, 3128, Reason.BAD_REQUEST, steps=_TOKEN),
    StatusRule(400, 400, 3012, Reason.BAD_REQUEST),
    StatusRule(409, 409, 3012, Reason.CONFLICT),
    StatusRule(400, 499, 3012, Reason.CLIENT_ERROR),
    StatusRule(500, 599, 3013, Reason.ENTRA_UNAVAILABLE, steps=_TOKEN),
    StatusRule(500, 599, 3013, Reason.SERVER_ERROR),
)

# A proxy that requires credentials: 407 is the standard's status, 401 is tinyproxy's for a wrong password.
_PROXY_AUTH_STATUSES = (401, 407)


@dataclass(frozen=True, slots=True)
class FaultRule:
    """A fault other than an HTTP status."""

    fault: Fault
    code: int
    reason: Reason
    steps: tuple[Step, ...] | None = None


_GET, _WRAP, _UNWRAP = (Step.GET_KEY,), (Step.WRAP_KEY,), (Step.UNWRAP_KEY,)

FAULT_RULES: tuple[FaultRule, ...] = (
    # names: one API error for every host and cause
    FaultRule(Fault.DNS_NOT_FOUND, 3900, Reason.DNS_NOT_FOUND),
    FaultRule(Fault.DNS_TEMPORARY, 3900, Reason.DNS_TEMPORARY),
    FaultRule(Fault.DNS_TIMEOUT, 3900, Reason.DNS_TIMEOUT),
    # connections
    FaultRule(Fault.NETWORK_DOWN, 3005, Reason.NETWORK_DOWN),
    FaultRule(Fault.CONNECT_REFUSED, 3008, Reason.CONNECT_REFUSED),
    FaultRule(Fault.CONNECT_RESET, 3008, Reason.CONNECT_RESET),
    FaultRule(Fault.CONNECT_TIMEOUT, 3008, Reason.CONNECT_TIMEOUT),
    FaultRule(Fault.CONNECT_UNREACHABLE, 3008, Reason.CONNECT_UNREACHABLE),
    FaultRule(Fault.CONNECT_FAILED, 3008, Reason.CONNECT_FAILED),
    FaultRule(Fault.TLS_UNTRUSTED, 3008, Reason.TLS_UNTRUSTED),
    FaultRule(Fault.TLS_EXPIRED, 3008, Reason.TLS_EXPIRED),
    FaultRule(Fault.TLS_NOT_YET_VALID, 3008, Reason.TLS_NOT_YET_VALID),
    FaultRule(Fault.TLS_WRONG_NAME, 3008, Reason.TLS_WRONG_NAME),
    FaultRule(Fault.TLS_NOT_TLS, 3008, Reason.TLS_NOT_TLS),
    FaultRule(Fault.TLS_RESET, 3008, Reason.TLS_RESET),
    FaultRule(Fault.TLS_TIMEOUT, 3008, Reason.TLS_TIMEOUT),
    FaultRule(Fault.TLS_FAILED, 3008, Reason.TLS_FAILED),
    FaultRule(Fault.PROXY_UNRESOLVED, 3008, Reason.PROXY_UNRESOLVED),
    FaultRule(Fault.PROXY_UNREACHABLE, 3008, Reason.PROXY_UNREACHABLE),
    FaultRule(Fault.PROXY_TIMEOUT, 3008, Reason.PROXY_TIMEOUT),
    FaultRule(Fault.PROXY_INVALID, 3008, Reason.PROXY_INVALID),
    # the exchange: sending and waiting for headers is one API call, reading the body is another
    FaultRule(Fault.CONNECTION_RESET, 3008, Reason.CONNECTION_RESET),
    FaultRule(Fault.CONNECTION_CLOSED, 3008, Reason.CONNECTION_CLOSED),
    FaultRule(Fault.READ_TIMEOUT, 3008, Reason.READ_TIMEOUT),
    FaultRule(Fault.NOT_HTTP, 3008, Reason.NOT_HTTP),
    FaultRule(Fault.BODY_TRUNCATED, 3019, Reason.BODY_TRUNCATED),
    FaultRule(Fault.BODY_TIMEOUT, 3019, Reason.BODY_TIMEOUT),
    FaultRule(Fault.BODY_TOO_LARGE, 3019, Reason.BODY_TOO_LARGE),
    FaultRule(Fault.REDIRECT, UNKNOWN, Reason.REDIRECT),
    # the challenge
    FaultRule(Fault.NO_CHALLENGE, UNKNOWN, Reason.NO_CHALLENGE),
    FaultRule(Fault.CHALLENGE_ABSENT, 3017, Reason.CHALLENGE_ABSENT),
    FaultRule(Fault.CHALLENGE_NO_AUTHORIZATION, 3201, Reason.CHALLENGE_MALFORMED),
    FaultRule(Fault.CHALLENGE_OPEN_AUTHORIZATION, 3202, Reason.CHALLENGE_MALFORMED),
    FaultRule(Fault.CHALLENGE_NO_TENANT, 3203, Reason.CHALLENGE_MALFORMED),
    FaultRule(Fault.CHALLENGE_NO_RESOURCE, 3206, Reason.CHALLENGE_MALFORMED),
    FaultRule(Fault.CHALLENGE_OPEN_RESOURCE, 3207, Reason.CHALLENGE_MALFORMED),
    FaultRule(Fault.AUTHORITY_UNTRUSTED, UNKNOWN, Reason.AUTHORITY_UNTRUSTED),
    FaultRule(Fault.RESOURCE_MISMATCH, UNKNOWN, Reason.RESOURCE_MISMATCH),
    # unreadable responses
    FaultRule(Fault.ANSWER_NOT_JSON, 3307, Reason.ANSWER_NOT_JSON, steps=_TOKEN),
    FaultRule(Fault.TOKEN_MISSING, 3306, Reason.ANSWER_INCOMPLETE),
    FaultRule(Fault.TOKEN_UNUSABLE, 3308, Reason.ANSWER_MALFORMED),
    FaultRule(Fault.ANSWER_EMPTY, 3403, Reason.ANSWER_EMPTY, steps=_GET),
    FaultRule(Fault.ANSWER_NOT_JSON, 3404, Reason.ANSWER_NOT_JSON, steps=_GET),
    FaultRule(Fault.KEY_MISSING, 3405, Reason.ANSWER_INCOMPLETE),
    FaultRule(Fault.KID_MISSING, 3406, Reason.ANSWER_INCOMPLETE),
    FaultRule(Fault.KID_UNUSABLE, 3412, Reason.ANSWER_MALFORMED),
    FaultRule(Fault.KTY_MISSING, 3407, Reason.ANSWER_INCOMPLETE),
    FaultRule(Fault.MODULUS_MISSING, 3408, Reason.ANSWER_INCOMPLETE),
    FaultRule(Fault.MODULUS_UNUSABLE, 3409, Reason.ANSWER_MALFORMED),
    FaultRule(Fault.EXPONENT_MISSING, 3410, Reason.ANSWER_INCOMPLETE),
    FaultRule(Fault.EXPONENT_UNUSABLE, 3411, Reason.ANSWER_MALFORMED),
    FaultRule(Fault.ANSWER_EMPTY, 3609, Reason.ANSWER_EMPTY, steps=_WRAP),
    FaultRule(Fault.ANSWER_NOT_JSON, 3607, Reason.ANSWER_NOT_JSON, steps=_WRAP),
    FaultRule(Fault.VALUE_MISSING, 3608, Reason.ANSWER_INCOMPLETE, steps=_WRAP),
    FaultRule(Fault.VALUE_UNUSABLE, 3606, Reason.ANSWER_MALFORMED, steps=_WRAP),
    FaultRule(Fault.ANSWER_EMPTY, 3709, Reason.ANSWER_EMPTY, steps=_UNWRAP),
    FaultRule(Fault.ANSWER_NOT_JSON, 3707, Reason.ANSWER_NOT_JSON, steps=_UNWRAP),
    FaultRule(Fault.VALUE_MISSING, 3708, Reason.ANSWER_INCOMPLETE, steps=_UNWRAP),
    FaultRule(Fault.VALUE_UNUSABLE, 3706, Reason.ANSWER_MALFORMED, steps=_UNWRAP),
    FaultRule(Fault.BYTES_DIFFER, 1, Reason.BYTES_DIFFER),
    FaultRule(Fault.KEY_UNSUPPORTED, 3, Reason.KEY_UNSUPPORTED),
    # the credential and the configuration
    FaultRule(Fault.KEY_NAME_TOO_LONG, 2049, Reason.KEY_NAME_TOO_LONG),
    FaultRule(Fault.SECRET_TOO_SHORT, 2050, Reason.SECRET_TOO_SHORT),
    FaultRule(Fault.SECRET_UNREADABLE, UNKNOWN, Reason.SECRET_UNREADABLE),
    FaultRule(Fault.SECRET_TIMEOUT, UNKNOWN, Reason.SECRET_TIMEOUT),
    FaultRule(Fault.IDENTITY_UNAVAILABLE, 3304, Reason.IDENTITY_UNAVAILABLE),
    FaultRule(Fault.IDENTITY_KEY_UNREADABLE, 3304, Reason.IDENTITY_KEY_UNREADABLE),
    FaultRule(Fault.PFX_UNREADABLE, 3809, Reason.CERTIFICATE_UNUSABLE),
    FaultRule(Fault.PFX_NO_CERTIFICATE, 3810, Reason.CERTIFICATE_UNUSABLE),
    FaultRule(Fault.PFX_NO_PRIVATE_KEY, 3811, Reason.CERTIFICATE_UNUSABLE),
    FaultRule(Fault.PFX_NOT_RSA, 3812, Reason.CERTIFICATE_UNUSABLE),
    FaultRule(Fault.PFX_KEY_UNUSABLE, 3813, Reason.CERTIFICATE_UNUSABLE),
    FaultRule(Fault.PFX_REQUEST, 3814, Reason.CERTIFICATE_UNUSABLE),
    FaultRule(Fault.PEM_NO_CERTIFICATE, 3815, Reason.CERTIFICATE_UNUSABLE),
    FaultRule(Fault.PEM_NO_PRIVATE_KEY, 3816, Reason.CERTIFICATE_UNUSABLE),
    FaultRule(Fault.PEM_NOT_RSA, 3817, Reason.CERTIFICATE_UNUSABLE),
    FaultRule(Fault.PEM_KEY_UNUSABLE, 3818, Reason.CERTIFICATE_UNUSABLE),
    FaultRule(Fault.PEM_REQUEST, 3819, Reason.CERTIFICATE_UNUSABLE),
)
_BY_FAULT: Mapping[Fault, tuple[FaultRule, ...]] = {
    fault: tuple(rule for rule in FAULT_RULES if rule.fault is fault) for fault in Fault
}


def classify(step: Step, facts: Facts) -> Classification:
    """Classify a failed step. Total: a failure without a rule is 3001."""
    if facts.fault in (Fault.HTTP_STATUS, Fault.PROXY_STATUS):
        classification = _by_status(step, facts)
    else:
        classification = _by_fault(step, facts.fault)
    return Classification(classification.code, Reason.SCRAPE_TIMEOUT) if facts.cut_by_scrape else classification


def _by_fault(step: Step, fault: Fault) -> Classification:
    for rule in _BY_FAULT[fault]:
        if rule.steps is None or step in rule.steps:
            return Classification(rule.code, rule.reason)
    return Classification(UNKNOWN, Reason.INTERNAL)


def _by_status(step: Step, facts: Facts) -> Classification:
    found = markers(facts) if facts.fault is Fault.HTTP_STATUS else frozenset()
    rule = _status_rule(step, facts.status or 0, found)
    if facts.fault is Fault.PROXY_STATUS:
        reason = Reason.PROXY_AUTH if facts.status in _PROXY_AUTH_STATUSES else Reason.PROXY_STATUS
        return Classification(UNKNOWN if rule is None else rule.code, reason)
    if rule is None:
        return Classification(UNKNOWN, Reason.UNEXPECTED_STATUS)
    return Classification(rule.code, _reason(step, facts.status or 0, found) or rule.reason)


def _status_rule(step: Step, status: int, found: frozenset[str]) -> StatusRule | None:
    for rule in STATUS_RULES:
        if (
            rule.first <= status <= rule.last
            and (rule.steps is None or step in rule.steps)
            and (not rule.markers or not found.isdisjoint(rule.markers))
        ):
            return rule
    return None


def _reason(step: Step, status: int, found: frozenset[str]) -> Reason | None:
    for rule in ENTRA_REASONS if step is Step.TOKEN else VAULT_REASONS:
        if (not rule.statuses or status in rule.statuses) and not found.isdisjoint(rule.markers):
            return rule.reason
    return None

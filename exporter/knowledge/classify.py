"""Classify facts: the connector's code and a reason, from literal tables.

The first match wins. The code is the one that SQL Server would show, in the classic generation; `codes` maps it to its
counterpart. `tests/unit/knowledge` proves that every input gets a code and that no row is dead.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from exporter.core.values import KEY_STEPS, Facts, Fault, Step
from exporter.knowledge.reasons import ENTRA_REASONS, VAULT_REASONS, Reason, markers_of

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

# The meaning of an HTTP status from the vault, from Entra, or from a proxy in response to CONNECT.
STATUS_RULES: tuple[StatusRule, ...] = (
    StatusRule(401, 401, 3303, Reason.CREDENTIALS_REFUSED, steps=_TOKEN),
    StatusRule(401, 401, 3305, Reason.TOKEN_WRONG_AUDIENCE, steps=KEY_STEPS, markers=("akv10022",)),
    StatusRule(401, 401, 3305, Reason.TOKEN_WRONG_ISSUER, steps=KEY_STEPS, markers=("akv10032",)),
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


@dataclass(frozen=True, slots=True)
class FaultRule:
    """A fault other than an HTTP status."""

    fault: Fault
    code: int
    reason: Reason
    steps: tuple[Step, ...] | None = None


def _rules(code: int, *faults: Fault, reason: Reason | None = None, step: Step | None = None) -> tuple[FaultRule, ...]:
    """Return a rule for each fault, with the reason of its name unless another one is given."""
    return tuple(FaultRule(fault, code, reason or Reason(fault.value), None if step is None else (step,)) for fault in faults)


FAULT_RULES: tuple[FaultRule, ...] = (
    # names: one API error for every host and cause
    *_rules(3900, Fault.DNS_NOT_FOUND, Fault.DNS_TEMPORARY, Fault.DNS_TIMEOUT),
    # connections
    *_rules(3005, Fault.NETWORK_DOWN),
    *_rules(
        3008,
        Fault.CONNECT_REFUSED,
        Fault.CONNECT_RESET,
        Fault.CONNECT_TIMEOUT,
        Fault.CONNECT_UNREACHABLE,
        Fault.CONNECT_FAILED,
        Fault.TLS_UNTRUSTED,
        Fault.TLS_EXPIRED,
        Fault.TLS_NOT_YET_VALID,
        Fault.TLS_WRONG_NAME,
        Fault.TLS_NOT_TLS,
        Fault.TLS_RESET,
        Fault.TLS_TIMEOUT,
        Fault.TLS_FAILED,
        Fault.PROXY_UNRESOLVED,
        Fault.PROXY_UNREACHABLE,
        Fault.PROXY_TIMEOUT,
        Fault.PROXY_INVALID,
    ),
    # the exchange: sending and waiting for headers is one API call, reading the body is another
    *_rules(3008, Fault.CONNECTION_RESET, Fault.CONNECTION_CLOSED, Fault.READ_TIMEOUT, Fault.NOT_HTTP),
    *_rules(3019, Fault.BODY_TRUNCATED, Fault.BODY_TIMEOUT, Fault.BODY_TOO_LARGE),
    *_rules(UNKNOWN, Fault.REDIRECT),
    # the challenge
    *_rules(UNKNOWN, Fault.NO_CHALLENGE, Fault.AUTHORITY_UNTRUSTED, Fault.RESOURCE_MISMATCH),
    *_rules(3017, Fault.CHALLENGE_ABSENT),
    *_rules(3201, Fault.CHALLENGE_NO_AUTHORIZATION, reason=Reason.CHALLENGE_MALFORMED),
    *_rules(3202, Fault.CHALLENGE_OPEN_AUTHORIZATION, reason=Reason.CHALLENGE_MALFORMED),
    *_rules(3203, Fault.CHALLENGE_NO_TENANT, reason=Reason.CHALLENGE_MALFORMED),
    *_rules(3206, Fault.CHALLENGE_NO_RESOURCE, reason=Reason.CHALLENGE_MALFORMED),
    *_rules(3207, Fault.CHALLENGE_OPEN_RESOURCE, reason=Reason.CHALLENGE_MALFORMED),
    # unreadable responses
    *_rules(3307, Fault.ANSWER_NOT_JSON, step=Step.TOKEN),
    *_rules(3306, Fault.TOKEN_MISSING, reason=Reason.ANSWER_INCOMPLETE),
    *_rules(3308, Fault.TOKEN_UNUSABLE, reason=Reason.ANSWER_MALFORMED),
    *_rules(3403, Fault.ANSWER_EMPTY, step=Step.GET_KEY),
    *_rules(3404, Fault.ANSWER_NOT_JSON, step=Step.GET_KEY),
    *_rules(3405, Fault.KEY_MISSING, reason=Reason.ANSWER_INCOMPLETE),
    *_rules(3406, Fault.KID_MISSING, reason=Reason.ANSWER_INCOMPLETE),
    *_rules(3412, Fault.KID_UNUSABLE, reason=Reason.ANSWER_MALFORMED),
    *_rules(3407, Fault.KTY_MISSING, reason=Reason.ANSWER_INCOMPLETE),
    *_rules(3408, Fault.MODULUS_MISSING, reason=Reason.ANSWER_INCOMPLETE),
    *_rules(3409, Fault.MODULUS_UNUSABLE, reason=Reason.ANSWER_MALFORMED),
    *_rules(3410, Fault.EXPONENT_MISSING, reason=Reason.ANSWER_INCOMPLETE),
    *_rules(3411, Fault.EXPONENT_UNUSABLE, reason=Reason.ANSWER_MALFORMED),
    *_rules(3609, Fault.ANSWER_EMPTY, step=Step.WRAP_KEY),
    *_rules(3607, Fault.ANSWER_NOT_JSON, step=Step.WRAP_KEY),
    *_rules(3608, Fault.VALUE_MISSING, reason=Reason.ANSWER_INCOMPLETE, step=Step.WRAP_KEY),
    *_rules(3606, Fault.VALUE_UNUSABLE, reason=Reason.ANSWER_MALFORMED, step=Step.WRAP_KEY),
    *_rules(3709, Fault.ANSWER_EMPTY, step=Step.UNWRAP_KEY),
    *_rules(3707, Fault.ANSWER_NOT_JSON, step=Step.UNWRAP_KEY),
    *_rules(3708, Fault.VALUE_MISSING, reason=Reason.ANSWER_INCOMPLETE, step=Step.UNWRAP_KEY),
    *_rules(3706, Fault.VALUE_UNUSABLE, reason=Reason.ANSWER_MALFORMED, step=Step.UNWRAP_KEY),
    *_rules(1, Fault.BYTES_DIFFER),
    *_rules(3, Fault.KEY_UNSUPPORTED),
    # the credential and the configuration
    *_rules(2049, Fault.KEY_NAME_TOO_LONG),
    *_rules(2050, Fault.SECRET_TOO_SHORT),
    *_rules(UNKNOWN, Fault.SECRET_UNREADABLE, Fault.SECRET_TIMEOUT),
    *_rules(3304, Fault.IDENTITY_UNAVAILABLE, Fault.IDENTITY_KEY_UNREADABLE),
    *_rules(3809, Fault.PFX_UNREADABLE, reason=Reason.CERTIFICATE_UNUSABLE),
    *_rules(3810, Fault.PFX_NO_CERTIFICATE, reason=Reason.CERTIFICATE_UNUSABLE),
    *_rules(3811, Fault.PFX_NO_PRIVATE_KEY, reason=Reason.CERTIFICATE_UNUSABLE),
    *_rules(3812, Fault.PFX_NOT_RSA, reason=Reason.CERTIFICATE_UNUSABLE),
    *_rules(3813, Fault.PFX_KEY_UNUSABLE, reason=Reason.CERTIFICATE_UNUSABLE),
    *_rules(3814, Fault.PFX_REQUEST, reason=Reason.CERTIFICATE_UNUSABLE),
    *_rules(3815, Fault.PEM_NO_CERTIFICATE, reason=Reason.CERTIFICATE_UNUSABLE),
    *_rules(3816, Fault.PEM_NO_PRIVATE_KEY, reason=Reason.CERTIFICATE_UNUSABLE),
    *_rules(3817, Fault.PEM_NOT_RSA, reason=Reason.CERTIFICATE_UNUSABLE),
    *_rules(3818, Fault.PEM_KEY_UNUSABLE, reason=Reason.CERTIFICATE_UNUSABLE),
    *_rules(3819, Fault.PEM_REQUEST, reason=Reason.CERTIFICATE_UNUSABLE),
)
_FAULT_RULES: Mapping[Fault, tuple[FaultRule, ...]] = {
    fault: tuple(rule for rule in FAULT_RULES if rule.fault is fault) for fault in Fault
}


def classify(step: Step, facts: Facts) -> Classification:
    """Classify a failed step. Total: a failure without a rule is 3001."""
    if facts.fault in (Fault.HTTP_STATUS, Fault.PROXY_STATUS):
        classification = _classify_status(step, facts)
    else:
        rules = (rule for rule in _FAULT_RULES[facts.fault] if rule.steps is None or step in rule.steps)
        classification = next(
            (Classification(rule.code, rule.reason) for rule in rules), Classification(UNKNOWN, Reason.INTERNAL)
        )
    return Classification(classification.code, Reason.SCRAPE_TIMEOUT) if facts.cut_by_scrape else classification


def _classify_status(step: Step, facts: Facts) -> Classification:
    of_service, status = facts.fault is Fault.HTTP_STATUS, facts.status or 0
    found = markers_of(facts) if of_service else frozenset()
    rules = (
        rule
        for rule in STATUS_RULES
        if rule.first <= status <= rule.last
        and (rule.steps is None or step in rule.steps)
        and not (rule.markers and found.isdisjoint(rule.markers))
    )
    rule = next(rules, None)
    code = UNKNOWN if rule is None else rule.code
    if not of_service:
        # A proxy that requires credentials: 407 is the standard's status, 401 is tinyproxy's for a wrong password.
        return Classification(code, Reason.PROXY_AUTH if status in (401, 407) else Reason.PROXY_STATUS)
    if rule is None:
        return Classification(code, Reason.UNEXPECTED_STATUS)
    specific = (
        each.reason
        for each in (ENTRA_REASONS if step is Step.TOKEN else VAULT_REASONS)
        if (not each.statuses or status in each.statuses) and not found.isdisjoint(each.markers)
    )
    return Classification(code, next(specific, rule.reason))

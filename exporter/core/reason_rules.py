"""The reasons that the body of an error gives: markers, from literal tables.

A body never gives a code. The first match wins, so numbers with one meaning come before sentences, and sentences before
numbers with several meanings. The AADSTS numbers are those of Microsoft's list, and of public reports.
"""

from __future__ import annotations

from dataclasses import dataclass

from exporter.core.faults import Reason
from exporter.core.model import Facts

# Key Vault and Entra ID send no page and no text with these statuses: another device sent it.
_PAGE = "body:page"
# An AADSTS number; every number has it.
_NUMBERED = "aadsts:any"


@dataclass(frozen=True, slots=True)
class ReasonRule:
    """A marker in an error body that gives a more specific reason, but never a code."""

    markers: tuple[str, ...]
    reason: Reason
    statuses: tuple[int, ...] = ()  # empty: any


def _numbers(*numbers: int) -> tuple[str, ...]:
    return tuple(f"aadsts{number}" for number in numbers)


ENTRA_REASONS: tuple[ReasonRule, ...] = (
    # numbers with one meaning
    ReasonRule(_numbers(7000222), Reason.SECRET_EXPIRED),
    ReasonRule(_numbers(7000215), Reason.SECRET_WRONG),
    ReasonRule(_numbers(700024, 500133), Reason.CLOCK_SKEW),
    ReasonRule(_numbers(1000502, 7000274), Reason.CERTIFICATE_EXPIRED),
    # 50017 and 7000213: the chain; 7000214 and 7000277: revoked
    ReasonRule(_numbers(7000213, 7000214, 7000277, 50017), Reason.CERTIFICATE_REFUSED),
    ReasonRule(_numbers(700211, 700212, 700213, 7002131, 70021, 700222, 700229), Reason.FEDERATION_UNMATCHED),
    ReasonRule(_numbers(90061, 501661, 50166, 900612), Reason.FEDERATION_UNREACHABLE),
    ReasonRule(_numbers(7000229), Reason.APPLICATION_NOT_IN_TENANT),
    ReasonRule(_numbers(700038), Reason.APPLICATION_ID_INVALID),
    ReasonRule(_numbers(700016, 700011), Reason.APPLICATION_UNKNOWN),
    ReasonRule(_numbers(7000112), Reason.APPLICATION_DISABLED),
    # 90002, 900021 and 900023: no such tenant; 50059, 50128 and 90019: none is named; the others: `common` and the like
    ReasonRule(
        _numbers(90002, 900021, 900023, 50059, 50128, 90019, 50029, 50194, 9001023, 9002332, 90124, 90130),
        Reason.TENANT_UNKNOWN,
    ),
    # 5000224: deleted or deactivated; 5000225: blocked for inactivity; 5000229: expired
    ReasonRule(_numbers(5000224, 5000225, 5000229), Reason.TENANT_BLOCKED),
    # The first four: a header of the network's proxy or device; 500212 and 500213: cross-tenant access settings
    ReasonRule(_numbers(50002, 500021, 500022, 5000211, 500212, 500213), Reason.TENANT_RESTRICTED),
    ReasonRule(_numbers(90038, 90043, 900381, 900382, 900432, 900439, 90051, 50049, 1000104), Reason.WRONG_CLOUD),
    ReasonRule(_numbers(500014), Reason.RESOURCE_PRINCIPAL_DISABLED),
    ReasonRule(_numbers(500011, 50001, 650052, 650054), Reason.RESOURCE_PRINCIPAL_MISSING),
    # 53000 to 53999 and 530000 to 530999 are decisions of policies
    ReasonRule(("aadsts:53", "aadsts:530"), Reason.CONDITIONAL_ACCESS),
    ReasonRule(_numbers(1002016), Reason.OUTDATED_TLS),
    ReasonRule(_numbers(90055, 50196), Reason.THROTTLED),  # 50196: too many equal requests of one client
    ReasonRule(("temporarily_unavailable",), Reason.THROTTLED, (429,)),
    ReasonRule(
        (
            *_numbers(90033, 90006, 90024, 90090, 90091, 90092, 90012, 90036, 50000, 50033, 50087),
            "temporarily_unavailable",
        ),
        Reason.ENTRA_UNAVAILABLE,
    ),
    # sentences
    ReasonRule(("invalidclientsecret",), Reason.SECRET_WRONG),
    ReasonRule(("assertionnotintime",), Reason.CLOCK_SKEW),
    ReasonRule(("certificateexpired",), Reason.CERTIFICATE_EXPIRED),
    ReasonRule(("applicationdisabled",), Reason.APPLICATION_DISABLED),
    # numbers with several meanings, or next to a more specific one
    ReasonRule(_numbers(70001), Reason.APPLICATION_UNKNOWN),
    ReasonRule(_numbers(700027, 700030, 50012), Reason.CERTIFICATE_UNKNOWN),
    ReasonRule(_numbers(50131, 50005), Reason.CONDITIONAL_ACCESS),
    ReasonRule(_numbers(70002), Reason.CREDENTIALS_REFUSED),
    # every other number; other devices send none
    ReasonRule((_NUMBERED,), Reason.SIGN_IN_REFUSED, (400, 401, 403, 404, 409)),
    ReasonRule((_PAGE,), Reason.ANSWER_NOT_JSON, (400, 401)),
)
VAULT_REASONS: tuple[ReasonRule, ...] = (
    ReasonRule(("tokenexpired",), Reason.TOKEN_EXPIRED, (401,)),
    ReasonRule(("insufficient_claims", "akv10094"), Reason.TOKEN_REVOKED, (401,)),
    ReasonRule(("akv10046",), Reason.TOKEN_UNVERIFIABLE, (401,)),
    ReasonRule((_PAGE,), Reason.ANSWER_NOT_JSON, (400, 401, 403, 404, 409, 429)),
    ReasonRule(("forbiddenbyfirewall",), Reason.FORBIDDEN_FIREWALL, (403,)),
    ReasonRule(("forbiddenbyconnection",), Reason.FORBIDDEN_CONNECTION, (403,)),
    ReasonRule(("forbiddenbynsp",), Reason.FORBIDDEN_NSP, (403,)),
    ReasonRule(("keydisabled", "secretdisabled"), Reason.KEY_DISABLED, (403,)),
    ReasonRule(("keyexpired",), Reason.KEY_EXPIRED, (403,)),
    ReasonRule(("keynotyetvalid",), Reason.KEY_NOT_YET_VALID, (403,)),
    ReasonRule(("keyoperationforbidden",), Reason.KEY_OPERATION_FORBIDDEN, (403,)),
    # A vault may also report a missing permission for a key outside its dates: the facts of the key are more specific.
    ReasonRule(("key:expired",), Reason.KEY_EXPIRED, (403,)),
    ReasonRule(("key:not_yet_valid",), Reason.KEY_NOT_YET_VALID, (403,)),
    ReasonRule(("key:disabled",), Reason.KEY_DISABLED, (403,)),
    ReasonRule(("forbiddenbyrbac",), Reason.FORBIDDEN_RBAC, (403,)),
    ReasonRule(("forbiddenbypolicy",), Reason.FORBIDDEN_POLICY, (403,)),
    ReasonRule(("key:soft_deleted",), Reason.KEY_SOFT_DELETED, (404,)),
    ReasonRule(("keynotfound",), Reason.KEY_NOT_FOUND, (404,)),
)


def markers(facts: Facts) -> frozenset[str]:
    """Return the markers of an error body, in lower case, as the tables have them."""
    words = (
        facts.service_code,
        facts.inner_code,
        f"akv{facts.akv}" if facts.akv is not None else None,
        f"key:{facts.key_state}" if facts.key_state is not None else None,
        _PAGE if facts.has_page else None,
        *(() if facts.aadsts is None else _markers_of_number(facts.aadsts)),
    )
    return frozenset(word.lower() for word in words if word is not None)


def _markers_of_number(number: int) -> tuple[str, ...]:
    """Return the markers of an AADSTS number: itself, its thousand, and that it is one."""
    return f"aadsts{number}", f"aadsts:{number // 1000}", _NUMBERED


def reason_of_number(aadsts: int) -> Reason | None:
    """Return the reason of an AADSTS number; None if only its sentence names the cause."""
    reason = ENTRA_REASONS[rank(aadsts)].reason
    return None if reason is Reason.SIGN_IN_REFUSED else reason


def rank(aadsts: int) -> int:
    """Return the place of the first row with this number: the lowest of several numbers decides the reason."""
    words = _markers_of_number(aadsts)
    return next(place for place, rule in enumerate(ENTRA_REASONS) if any(word in rule.markers for word in words))

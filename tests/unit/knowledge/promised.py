"""Promised classifications: the classic code and the reason of each result that a step can have.

The rows are derived from the public contract and from the behaviour of the connector and the services, never from the
tables of `classify`. `mutate_classification` checks that they detect every change of those tables.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from exporter.core.values import Facts, Fault, Step
from exporter.knowledge.reasons import Reason

ANY = tuple(Step)
CHALLENGE, TOKEN, GET, WRAP, UNWRAP = ((step,) for step in Step)
VAULT = (*CHALLENGE, *GET, *WRAP, *UNWRAP)
WITH_TOKEN = (*GET, *WRAP, *UNWRAP)

NOTHING_ELSE = 3001  # "anything else"


@dataclass(frozen=True, slots=True)
class Promise:
    """Each of `facts` at each of `steps` has this code and this reason."""

    steps: tuple[Step, ...]
    facts: tuple[Facts, ...]
    code: int
    reason: Reason

    def cases(self) -> Iterator[tuple[Step, Facts]]:
        return ((step, facts) for step in self.steps for facts in self.facts)

    def __str__(self) -> str:
        return f"{self.code} {self.reason}"


def fault(*faults: Fault) -> tuple[Facts, ...]:
    return tuple(Facts(fault=one) for one in faults)


def status(*statuses: int | None, **body: object) -> tuple[Facts, ...]:
    return tuple(Facts(fault=Fault.HTTP_STATUS, status=one, **body) for one in statuses)


def proxy(*statuses: int, **body: object) -> tuple[Facts, ...]:
    return tuple(Facts(fault=Fault.PROXY_STATUS, status=one, **body) for one in statuses)


def aadsts_with(marker: str) -> int:
    """Return a number of Entra ID that has this marker, and no marker of another row."""
    family = marker.removeprefix("aadsts").removeprefix(":")
    return 900144 if family == "any" else int(family) * 1000 + 999 if ":" in marker else int(family)


# --- statuses without a known error in the body ------------------------------------------------------------------------

OTHER_4XX = (402, 405, 407, 408, 410, 413, 418, 428, 430, 431, 499)
STATUSES = (
    Promise(TOKEN, status(401), 3303, Reason.CREDENTIALS_REFUSED),
    Promise(VAULT, status(401), 3010, Reason.TOKEN_REJECTED),
    Promise(ANY, status(403), 3077, Reason.FORBIDDEN),
    Promise(ANY, status(404), 3076, Reason.NOT_FOUND),
    Promise(ANY, status(429), 3011, Reason.THROTTLED),
    Promise(TOKEN, status(400), 3128, Reason.BAD_REQUEST),
    Promise(VAULT, status(400), 3012, Reason.BAD_REQUEST),
    Promise(ANY, status(409), 3012, Reason.CONFLICT),
    Promise(ANY, status(*OTHER_4XX), 3012, Reason.CLIENT_ERROR),
    Promise(TOKEN, status(500, 501, 502, 503, 504, 599), 3013, Reason.ENTRA_UNAVAILABLE),
    Promise(VAULT, status(500, 501, 502, 503, 504, 599), 3013, Reason.SERVER_ERROR),
    Promise(ANY, status(None, 0, 100, 199, 399, 600, 999), NOTHING_ELSE, Reason.UNEXPECTED_STATUS),
    # Only these two numbers mean a token of another audience or issuer. A vault can also fail to verify a good token.
    Promise(WITH_TOKEN, status(401, akv=10022), 3305, Reason.TOKEN_WRONG_AUDIENCE),
    Promise(WITH_TOKEN, status(401, akv=10032), 3305, Reason.TOKEN_WRONG_ISSUER),
    Promise(VAULT, status(401, akv=10000), 3010, Reason.TOKEN_REJECTED),
    Promise(VAULT, status(401, akv=10046), 3010, Reason.TOKEN_UNVERIFIABLE),
    Promise(VAULT, status(401, akv=10094), 3010, Reason.TOKEN_REVOKED),
    Promise(VAULT, status(401, inner_code="insufficient_claims"), 3010, Reason.TOKEN_REVOKED),
    Promise(VAULT, status(401, inner_code="TokenExpired"), 3010, Reason.TOKEN_EXPIRED),
    *(
        Promise(VAULT, status(number, **found), code, plain)
        for found in ({"akv": 10046}, {"akv": 10094}, {"inner_code": "insufficient_claims"}, {"inner_code": "TokenExpired"})
        for number, code, plain in (
            (400, 3012, Reason.BAD_REQUEST),
            (403, 3077, Reason.FORBIDDEN),
            (404, 3076, Reason.NOT_FOUND),
            (429, 3011, Reason.THROTTLED),
            (500, 3013, Reason.SERVER_ERROR),
            (503, 3013, Reason.SERVER_ERROR),
        )
    ),
    Promise(CHALLENGE, status(401, akv=10022), 3010, Reason.TOKEN_REJECTED),
    Promise(CHALLENGE, status(401, akv=10032), 3010, Reason.TOKEN_REJECTED),
    Promise(TOKEN, status(401, akv=10022), 3303, Reason.CREDENTIALS_REFUSED),
    Promise(TOKEN, status(401, akv=10032), 3303, Reason.CREDENTIALS_REFUSED),
    *(
        promise
        for number in (10022, 10032)
        for promise in (
            Promise(WITH_TOKEN, status(400, akv=number), 3012, Reason.BAD_REQUEST),
            Promise(WITH_TOKEN, status(402, akv=number), 3012, Reason.CLIENT_ERROR),
            Promise(WITH_TOKEN, status(403, akv=number), 3077, Reason.FORBIDDEN),
        )
    ),
)

# The response of a proxy to CONNECT gets the code of its status; its body is not an error of the vault.
PROXIES = (
    Promise(ANY, proxy(407), 3012, Reason.PROXY_AUTH),
    Promise(VAULT, proxy(401), 3010, Reason.PROXY_AUTH),
    Promise(TOKEN, proxy(401), 3303, Reason.PROXY_AUTH),
    Promise(ANY, proxy(403), 3077, Reason.PROXY_STATUS),
    Promise(ANY, proxy(404), 3076, Reason.PROXY_STATUS),
    Promise(ANY, proxy(405), 3012, Reason.PROXY_STATUS),
    Promise(ANY, proxy(429), 3011, Reason.PROXY_STATUS),
    Promise(ANY, proxy(302, 204), NOTHING_ELSE, Reason.PROXY_STATUS),
    Promise(ANY, proxy(500, 502, 503, 504), 3013, Reason.PROXY_STATUS),
    Promise(WITH_TOKEN, proxy(403, inner_code="ForbiddenByFirewall"), 3077, Reason.PROXY_STATUS),
    Promise(WITH_TOKEN, proxy(401, akv=10022), 3010, Reason.PROXY_AUTH),
    Promise(ANY, proxy(101), NOTHING_ELSE, Reason.PROXY_STATUS),
)

# --- Entra ID: the AADSTS number gives the reason under any status, the status gives the code ---------------------------

EVERYDAY = ({"service_code": "invalid_client"}, {"service_code": "Forbidden"}, {"inner_code": "NotFound"}, {"akv": 10000})
_PLAIN_AT_ENTRA = (
    (400, 3128, Reason.BAD_REQUEST),
    (401, 3303, Reason.CREDENTIALS_REFUSED),
    (403, 3077, Reason.FORBIDDEN),
    (404, 3076, Reason.NOT_FOUND),
    (429, 3011, Reason.THROTTLED),
    (500, 3013, Reason.ENTRA_UNAVAILABLE),
    (503, 3013, Reason.ENTRA_UNAVAILABLE),
)
ENTRA_CODES = {status: code for status, code, _ in _PLAIN_AT_ENTRA}
NUMBERS_OF: dict[Reason, tuple[int, ...]] = {
    Reason.SECRET_EXPIRED: (7000222,),
    Reason.SECRET_WRONG: (7000215,),
    Reason.CREDENTIALS_REFUSED: (70002,),
    Reason.CLOCK_SKEW: (700024, 500133),
    Reason.CERTIFICATE_UNKNOWN: (700027, 700030, 50012),
    Reason.CERTIFICATE_EXPIRED: (1000502, 7000274),
    Reason.CERTIFICATE_REFUSED: (7000213, 7000214, 7000277, 50017),
    Reason.FEDERATION_UNMATCHED: (700211, 700212, 700213, 7002121, 7002131, 7002137, 7002138, 70021, 700222, 700229),
    Reason.FEDERATION_UNREACHABLE: (90061, 501661, 50166, 900612),
    Reason.APPLICATION_UNKNOWN: (700016, 700011, 70001),
    Reason.APPLICATION_NOT_IN_TENANT: (7000229,),
    Reason.APPLICATION_ID_INVALID: (700038,),
    Reason.APPLICATION_DISABLED: (7000112,),
    Reason.TENANT_UNKNOWN: (90002, 900021, 900023, 50059, 50128, 90019, 50029, 50194, 9001023, 9002332, 90124, 90130),
    Reason.TENANT_BLOCKED: (5000224, 5000225, 5000229),
    Reason.TENANT_RESTRICTED: (50002, 500021, 500022, 5000211, 500212, 500213),
    Reason.WRONG_CLOUD: (90038, 90043, 900381, 900382, 900432, 900439, 90051, 50049, 1000104),
    Reason.RESOURCE_PRINCIPAL_MISSING: (500011, 50001, 650052, 650054),
    Reason.RESOURCE_PRINCIPAL_DISABLED: (500014,),
    # every decision of a policy, listed or not: 53xxx and 530xxx
    Reason.CONDITIONAL_ACCESS: (50131, 50005, 53000, 53003, 53011, 53999, 530032, 530035, 530999),
    Reason.OUTDATED_TLS: (1002016,),
    Reason.METHOD_CHANGED: (900561,),
    Reason.SECRET_OF_IDENTITY: (7000232,),
    Reason.APPLICATION_WITHOUT_CREDENTIAL: (700026,),
    Reason.ASSIGNMENT_REQUIRED: (501051, 50105),
    Reason.SIGN_IN_OF_PERSON: (50072, 50074, 50076, 50078, 50079, 50126, 50173, 70043, 700082),
    Reason.THROTTLED: (90055, 50196),
    Reason.ENTRA_UNAVAILABLE: (90033, 90006, 90024, 90090, 90091, 90092, 90012, 90036, 50000, 50033, 50087),
}
ENTRA_NUMBERS = {number: reason for reason, numbers in NUMBERS_OF.items() for number in numbers}
# Numbers that a sign-in can return and that name no cause of this list; neighbours of listed ones.
OTHER_NUMBERS = (900144, 7000218, 700025, 90094, 52999, 54000, 529999, 531000, 5300, 99999999)
# Sentences that decide under any number that has several meanings.
SENTENCES = {
    "InvalidClientSecret": Reason.SECRET_WRONG,
    "AssertionNotInTime": Reason.CLOCK_SKEW,
    "CertificateExpired": Reason.CERTIFICATE_EXPIRED,
    "ApplicationDisabled": Reason.APPLICATION_DISABLED,
}
AMBIGUOUS = (None, 70001, 70002, 700027, 50012, 50131, 900144)
BUSY = "temporarily_unavailable"
ENTRA = (
    *(
        Promise(TOKEN, status(number, aadsts=aadsts), code, reason)
        for aadsts, reason in ENTRA_NUMBERS.items()
        for number, code in ENTRA_CODES.items()
    ),
    Promise(TOKEN, status(429, service_code=BUSY), 3011, Reason.THROTTLED),
    *(
        Promise(TOKEN, status(number, service_code=BUSY), code, Reason.ENTRA_UNAVAILABLE)
        for number, code in ENTRA_CODES.items()
        if number != 429
    ),
    # Everyday words and numbers that are not in the list add nothing to the status.
    *(Promise(TOKEN, status(number, **body), code, plain) for body in EVERYDAY for number, code, plain in _PLAIN_AT_ENTRA),
    *(
        Promise(TOKEN, status(number, aadsts=aadsts), ENTRA_CODES[number], reason)
        for aadsts in OTHER_NUMBERS
        for number, reason in (
            *((refused, Reason.SIGN_IN_REFUSED) for refused in (400, 401, 403, 404)),
            (429, Reason.THROTTLED),
            (500, Reason.ENTRA_UNAVAILABLE),
            (503, Reason.ENTRA_UNAVAILABLE),
        )
    ),
    Promise(TOKEN, status(409, aadsts=900144), 3012, Reason.SIGN_IN_REFUSED),
    Promise(TOKEN, status(402, aadsts=900144), 3012, Reason.CLIENT_ERROR),
    *(
        Promise(TOKEN, status(number, inner_code=sentence, aadsts=aadsts), code, reason)
        for sentence, reason in SENTENCES.items()
        for aadsts in AMBIGUOUS
        for number, code in ENTRA_CODES.items()
    ),
    *(
        Promise(TOKEN, status(401, inner_code=sentence, aadsts=aadsts), 3303, ENTRA_NUMBERS[aadsts])
        for sentence in SENTENCES
        for aadsts in (7000222, 7000213, 700024, 90002, 53003)
    ),
    *(Promise(VAULT, status(401, inner_code=sentence), 3010, Reason.TOKEN_REJECTED) for sentence in SENTENCES),
    # AADSTS numbers count in responses of Entra ID only.
    *(Promise(VAULT, status(401, aadsts=aadsts), 3010, Reason.TOKEN_REJECTED) for aadsts in ENTRA_NUMBERS),
    Promise(VAULT, status(429, service_code=BUSY), 3011, Reason.THROTTLED),
    Promise(VAULT, status(400, service_code=BUSY), 3012, Reason.BAD_REQUEST),
)

# --- the vault: inner codes and key states of a 403 or a 404; other statuses ignore them --------------------------------

WORDS_OF_403 = {
    "ForbiddenByFirewall": Reason.FORBIDDEN_FIREWALL,
    "ForbiddenByConnection": Reason.FORBIDDEN_CONNECTION,
    "ForbiddenByNsp": Reason.FORBIDDEN_NSP,
    "ForbiddenByPolicy": Reason.FORBIDDEN_POLICY,
    "ForbiddenByRbac": Reason.FORBIDDEN_RBAC,
    "ForbiddenByDenyAssignment": Reason.FORBIDDEN_DENY_ASSIGNMENT,
    "KeyDisabled": Reason.KEY_DISABLED,
    "SecretDisabled": Reason.KEY_DISABLED,
    "KeyExpired": Reason.KEY_EXPIRED,
    "KeyNotYetValid": Reason.KEY_NOT_YET_VALID,
    "KeyOperationForbidden": Reason.KEY_OPERATION_FORBIDDEN,
}
STATES_AT_403 = {"disabled": Reason.KEY_DISABLED, "expired": Reason.KEY_EXPIRED, "not_yet_valid": Reason.KEY_NOT_YET_VALID}
_PLAIN_AT_THE_VAULT = (
    (400, 3012, Reason.BAD_REQUEST),
    (401, 3010, Reason.TOKEN_REJECTED),
    (402, 3012, Reason.CLIENT_ERROR),
    (404, 3076, Reason.NOT_FOUND),
    (429, 3011, Reason.THROTTLED),
    (500, 3013, Reason.SERVER_ERROR),
    (503, 3013, Reason.SERVER_ERROR),
)
_SPECIFIC_AT_403 = (
    *(({"inner_code": word}, reason) for word, reason in WORDS_OF_403.items()),
    *(({"key_state": state}, reason) for state, reason in STATES_AT_403.items()),
)
VAULTS = (
    *(Promise(VAULT, status(403, **body), 3077, reason) for body, reason in _SPECIFIC_AT_403),
    *(
        Promise(VAULT, status(number, **body), code, plain)
        for body, _ in _SPECIFIC_AT_403
        for number, code, plain in _PLAIN_AT_THE_VAULT
    ),
    *(Promise(TOKEN, status(403, **body), 3077, Reason.FORBIDDEN) for body, _ in _SPECIFIC_AT_403),
    Promise(VAULT, status(403, inner_code="forbiddenbyRBAC"), 3077, Reason.FORBIDDEN_RBAC),
    Promise(VAULT, status(403, service_code="ForbiddenByPolicy"), 3077, Reason.FORBIDDEN_POLICY),
    # The state of the key overrides a missing permission; a firewall overrides the state of the key.
    Promise(WRAP, status(403, inner_code="ForbiddenByPolicy", key_state="expired"), 3077, Reason.KEY_EXPIRED),
    Promise(WRAP, status(403, inner_code="ForbiddenByRbac", key_state="not_yet_valid"), 3077, Reason.KEY_NOT_YET_VALID),
    Promise(UNWRAP, status(403, inner_code="ForbiddenByPolicy", key_state="disabled"), 3077, Reason.KEY_DISABLED),
    Promise(WRAP, status(403, inner_code="ForbiddenByFirewall", key_state="expired"), 3077, Reason.FORBIDDEN_FIREWALL),
    *(
        promise
        for word, reason in (("KeyNotFound", Reason.KEY_NOT_FOUND), ("VaultNotFound", Reason.VAULT_NOT_FOUND))
        for promise in (
            Promise(VAULT, status(404, service_code=word), 3076, reason),
            Promise(VAULT, status(403, service_code=word), 3077, Reason.FORBIDDEN),
            Promise(TOKEN, status(404, service_code=word), 3076, Reason.NOT_FOUND),
            *(
                Promise(VAULT, status(number, service_code=word), code, plain)
                for number, code, plain in _PLAIN_AT_THE_VAULT
                if number != 404
            ),
        )
    ),
    Promise(GET, status(404, service_code="KeyNotFound", key_state="soft_deleted"), 3076, Reason.KEY_SOFT_DELETED),
    Promise(GET, status(403, key_state="soft_deleted"), 3077, Reason.FORBIDDEN),
    *(
        Promise(GET, status(number, key_state="soft_deleted"), code, plain)
        for number, code, plain in _PLAIN_AT_THE_VAULT
        if number != 404
    ),
    *(
        Promise(VAULT, status(number, **body), code, plain)
        for body in EVERYDAY
        for number, code, plain in (*_PLAIN_AT_THE_VAULT, (403, 3077, Reason.FORBIDDEN))
    ),
    Promise(VAULT, status(429, service_code="Throttled"), 3011, Reason.THROTTLED),
)

# --- a page or a text instead of an error: Key Vault and Entra ID send none with these statuses ---------------------------

PAGES = (
    Promise(TOKEN, status(400, has_page=True), 3128, Reason.ANSWER_NOT_JSON),
    Promise(TOKEN, status(401, has_page=True), 3303, Reason.ANSWER_NOT_JSON),
    *(
        Promise(TOKEN, status(number, has_page=True), code, plain)
        for number, code, plain in _PLAIN_AT_ENTRA
        if number not in (400, 401)
    ),
    Promise(TOKEN, status(402, has_page=True), 3012, Reason.CLIENT_ERROR),
    *(
        Promise(VAULT, status(number, has_page=True), code, Reason.ANSWER_NOT_JSON)
        for number, code in ((400, 3012), (401, 3010), (403, 3077), (404, 3076), (409, 3012), (429, 3011))
    ),
    # It overrides the state of the key, which a proxy does not know.
    Promise(WRAP, status(403, has_page=True, key_state="expired"), 3077, Reason.ANSWER_NOT_JSON),
    Promise(VAULT, status(402, 405, has_page=True), 3012, Reason.CLIENT_ERROR),
    Promise(VAULT, status(500, 503, has_page=True), 3013, Reason.SERVER_ERROR),
)

# --- no status ---------------------------------------------------------------------------------------------------------

NETWORK = (
    *(Promise(ANY, fault(one), 3900, reason) for one, reason in (
        (Fault.DNS_NOT_FOUND, Reason.DNS_NOT_FOUND),
        (Fault.DNS_TEMPORARY, Reason.DNS_TEMPORARY),
        (Fault.DNS_TIMEOUT, Reason.DNS_TIMEOUT),
    )),
    Promise(ANY, fault(Fault.NETWORK_DOWN), 3005, Reason.NETWORK_DOWN),
    *(Promise(ANY, fault(one), 3008, reason) for one, reason in (
        (Fault.CONNECT_REFUSED, Reason.CONNECT_REFUSED),
        (Fault.CONNECT_RESET, Reason.CONNECT_RESET),
        (Fault.CONNECT_TIMEOUT, Reason.CONNECT_TIMEOUT),
        (Fault.CONNECT_UNREACHABLE, Reason.CONNECT_UNREACHABLE),
        (Fault.CONNECT_FAILED, Reason.CONNECT_FAILED),
        (Fault.TLS_UNTRUSTED, Reason.TLS_UNTRUSTED),
        (Fault.TLS_EXPIRED, Reason.TLS_EXPIRED),
        (Fault.TLS_NOT_YET_VALID, Reason.TLS_NOT_YET_VALID),
        (Fault.TLS_WRONG_NAME, Reason.TLS_WRONG_NAME),
        (Fault.TLS_NOT_TLS, Reason.TLS_NOT_TLS),
        (Fault.TLS_RESET, Reason.TLS_RESET),
        (Fault.TLS_TIMEOUT, Reason.TLS_TIMEOUT),
        (Fault.TLS_FAILED, Reason.TLS_FAILED),
        (Fault.PROXY_UNRESOLVED, Reason.PROXY_UNRESOLVED),
        (Fault.PROXY_UNREACHABLE, Reason.PROXY_UNREACHABLE),
        (Fault.PROXY_TIMEOUT, Reason.PROXY_TIMEOUT),
        (Fault.PROXY_INVALID, Reason.PROXY_INVALID),
        (Fault.CONNECTION_RESET, Reason.CONNECTION_RESET),
        (Fault.CONNECTION_CLOSED, Reason.CONNECTION_CLOSED),
        (Fault.READ_TIMEOUT, Reason.READ_TIMEOUT),
        (Fault.NOT_HTTP, Reason.NOT_HTTP),
    )),
    *(Promise(ANY, fault(one), 3019, reason) for one, reason in (
        (Fault.BODY_TRUNCATED, Reason.BODY_TRUNCATED),
        (Fault.BODY_TIMEOUT, Reason.BODY_TIMEOUT),
        (Fault.BODY_TOO_LARGE, Reason.BODY_TOO_LARGE),
    )),
    Promise(ANY, fault(Fault.REDIRECT), NOTHING_ELSE, Reason.REDIRECT),
)  # fmt: skip
CHALLENGES = (
    Promise(ANY, fault(Fault.NO_CHALLENGE), NOTHING_ELSE, Reason.NO_CHALLENGE),
    Promise(ANY, fault(Fault.CHALLENGE_ABSENT), 3017, Reason.CHALLENGE_ABSENT),
    Promise(ANY, fault(Fault.CHALLENGE_NO_AUTHORIZATION), 3201, Reason.CHALLENGE_MALFORMED),
    Promise(ANY, fault(Fault.CHALLENGE_OPEN_AUTHORIZATION), 3202, Reason.CHALLENGE_MALFORMED),
    Promise(ANY, fault(Fault.CHALLENGE_NO_TENANT), 3203, Reason.CHALLENGE_MALFORMED),
    Promise(ANY, fault(Fault.CHALLENGE_NO_RESOURCE), 3206, Reason.CHALLENGE_MALFORMED),
    Promise(ANY, fault(Fault.CHALLENGE_OPEN_RESOURCE), 3207, Reason.CHALLENGE_MALFORMED),
    Promise(ANY, fault(Fault.AUTHORITY_UNTRUSTED), NOTHING_ELSE, Reason.AUTHORITY_UNTRUSTED),
    Promise(ANY, fault(Fault.RESOURCE_MISMATCH), NOTHING_ELSE, Reason.RESOURCE_MISMATCH),
)
ANSWERS = (
    Promise(TOKEN, fault(Fault.ANSWER_NOT_JSON), 3307, Reason.ANSWER_NOT_JSON),
    Promise(ANY, fault(Fault.TOKEN_MISSING), 3306, Reason.ANSWER_INCOMPLETE),
    Promise(ANY, fault(Fault.TOKEN_UNUSABLE), 3308, Reason.ANSWER_MALFORMED),
    Promise(GET, fault(Fault.ANSWER_EMPTY), 3403, Reason.ANSWER_EMPTY),
    Promise(GET, fault(Fault.ANSWER_NOT_JSON), 3404, Reason.ANSWER_NOT_JSON),
    Promise(ANY, fault(Fault.KEY_MISSING), 3405, Reason.ANSWER_INCOMPLETE),
    Promise(ANY, fault(Fault.KID_MISSING), 3406, Reason.ANSWER_INCOMPLETE),
    Promise(ANY, fault(Fault.KID_UNUSABLE), 3412, Reason.ANSWER_MALFORMED),
    Promise(ANY, fault(Fault.KTY_MISSING), 3407, Reason.ANSWER_INCOMPLETE),
    Promise(ANY, fault(Fault.MODULUS_MISSING), 3408, Reason.ANSWER_INCOMPLETE),
    Promise(ANY, fault(Fault.MODULUS_UNUSABLE), 3409, Reason.ANSWER_MALFORMED),
    Promise(ANY, fault(Fault.EXPONENT_MISSING), 3410, Reason.ANSWER_INCOMPLETE),
    Promise(ANY, fault(Fault.EXPONENT_UNUSABLE), 3411, Reason.ANSWER_MALFORMED),
    Promise(WRAP, fault(Fault.ANSWER_EMPTY), 3609, Reason.ANSWER_EMPTY),
    Promise(WRAP, fault(Fault.ANSWER_NOT_JSON), 3607, Reason.ANSWER_NOT_JSON),
    Promise(WRAP, fault(Fault.VALUE_MISSING), 3608, Reason.ANSWER_INCOMPLETE),
    Promise(WRAP, fault(Fault.VALUE_UNUSABLE), 3606, Reason.ANSWER_MALFORMED),
    Promise(UNWRAP, fault(Fault.ANSWER_EMPTY), 3709, Reason.ANSWER_EMPTY),
    Promise(UNWRAP, fault(Fault.ANSWER_NOT_JSON), 3707, Reason.ANSWER_NOT_JSON),
    Promise(UNWRAP, fault(Fault.VALUE_MISSING), 3708, Reason.ANSWER_INCOMPLETE),
    Promise(UNWRAP, fault(Fault.VALUE_UNUSABLE), 3706, Reason.ANSWER_MALFORMED),
    Promise(ANY, fault(Fault.BYTES_DIFFER), 1, Reason.BYTES_DIFFER),
    Promise(ANY, fault(Fault.KEY_UNSUPPORTED), 3, Reason.KEY_UNSUPPORTED),
    # Results that a step of this kind cannot have are internal errors.
    Promise(CHALLENGE, fault(Fault.ANSWER_NOT_JSON), NOTHING_ELSE, Reason.INTERNAL),
    Promise((*CHALLENGE, *TOKEN), fault(Fault.ANSWER_EMPTY), NOTHING_ELSE, Reason.INTERNAL),
    Promise((*CHALLENGE, *TOKEN, *GET), fault(Fault.VALUE_MISSING, Fault.VALUE_UNUSABLE), NOTHING_ELSE, Reason.INTERNAL),
)
CREDENTIALS = (
    Promise(ANY, fault(Fault.KEY_NAME_TOO_LONG), 2049, Reason.KEY_NAME_TOO_LONG),
    Promise(ANY, fault(Fault.SECRET_TOO_SHORT), 2050, Reason.SECRET_TOO_SHORT),
    Promise(ANY, fault(Fault.SECRET_UNREADABLE), NOTHING_ELSE, Reason.SECRET_UNREADABLE),
    Promise(ANY, fault(Fault.SECRET_TIMEOUT), NOTHING_ELSE, Reason.SECRET_TIMEOUT),
    Promise(ANY, fault(Fault.IDENTITY_UNAVAILABLE), 3304, Reason.IDENTITY_UNAVAILABLE),
    Promise(ANY, fault(Fault.IDENTITY_KEY_UNREADABLE), 3304, Reason.IDENTITY_KEY_UNREADABLE),
    *(Promise(ANY, fault(one), code, Reason.CERTIFICATE_UNUSABLE) for one, code in (
        (Fault.PFX_UNREADABLE, 3809),
        (Fault.PFX_NO_CERTIFICATE, 3810),
        (Fault.PFX_NO_PRIVATE_KEY, 3811),
        (Fault.PFX_NOT_RSA, 3812),
        (Fault.PFX_KEY_UNUSABLE, 3813),
        (Fault.PFX_REQUEST, 3814),
        (Fault.PEM_NO_CERTIFICATE, 3815),
        (Fault.PEM_NO_PRIVATE_KEY, 3816),
        (Fault.PEM_NOT_RSA, 3817),
        (Fault.PEM_KEY_UNUSABLE, 3818),
        (Fault.PEM_REQUEST, 3819),
    )),
)  # fmt: skip
INTERNAL = (Promise(ANY, fault(Fault.INTERNAL, Fault.NONE), NOTHING_ELSE, Reason.INTERNAL),)

PROMISED: tuple[Promise, ...] = (
    *STATUSES, *PROXIES, *ENTRA, *VAULTS, *PAGES, *NETWORK, *CHALLENGES, *ANSWERS, *CREDENTIALS, *INTERNAL,
)  # fmt: skip

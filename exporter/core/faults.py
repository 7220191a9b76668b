"""The faults of an exchange: what the adapter observed, and when a failed step says nothing about the other side.

A reason is another thing: one fault (an HTTP status) has many, and a reason, once released, is public. `classify` gives a
fault the reason of its name, unless a row there names another.
"""

from __future__ import annotations

from enum import Enum, StrEnum
from typing import Self


class Silence(Enum):
    """How a step ended without an answer. A host that gives the exporter no time may be its cause."""

    TIMEOUT = "timeout"  # the result of a deadline, the target's or that of the scrape
    LOST = "lost"  # a reset, a close, or a resolver's "try again"


_TIMEOUT, _LOST = Silence.TIMEOUT, Silence.LOST


class Fault(StrEnum):
    """What a client observed. The value is the name."""

    silence: Silence | None  # None: an answer, or a fault that no slow host causes

    def __new__(cls, value: str, silence: Silence | None = None) -> Self:
        member = str.__new__(cls, value)
        member._value_ = value
        member.silence = silence
        return member

    NONE = "none"

    # names and connections
    DNS_NOT_FOUND = "dns_not_found"
    DNS_TEMPORARY = "dns_temporary", _LOST
    DNS_TIMEOUT = "dns_timeout", _TIMEOUT
    NETWORK_DOWN = "network_down"  # ENETUNREACH, ENETDOWN
    CONNECT_REFUSED = "connect_refused"
    CONNECT_RESET = "connect_reset", _LOST
    CONNECT_TIMEOUT = "connect_timeout", _TIMEOUT
    CONNECT_UNREACHABLE = "connect_unreachable"
    CONNECT_FAILED = "connect_failed"

    # TLS
    TLS_UNTRUSTED = "tls_untrusted"
    TLS_EXPIRED = "tls_expired"
    TLS_NOT_YET_VALID = "tls_not_yet_valid"
    TLS_WRONG_NAME = "tls_wrong_name"
    TLS_NOT_TLS = "tls_not_tls"
    TLS_RESET = "tls_reset", _LOST
    TLS_TIMEOUT = "tls_timeout", _TIMEOUT
    TLS_FAILED = "tls_failed"

    # the proxy
    PROXY_UNRESOLVED = "proxy_unresolved"
    PROXY_UNREACHABLE = "proxy_unreachable"
    PROXY_TIMEOUT = "proxy_timeout", _TIMEOUT
    PROXY_INVALID = "proxy_invalid"  # its response to CONNECT is not HTTP, or the tunnel carries no TLS
    PROXY_STATUS = "proxy_status"  # with the status of its response to CONNECT

    # the exchange
    CONNECTION_RESET = "connection_reset", _LOST
    CONNECTION_CLOSED = "connection_closed", _LOST
    READ_TIMEOUT = "read_timeout", _TIMEOUT  # no headers in time
    NOT_HTTP = "not_http"
    BODY_TRUNCATED = "body_truncated"
    BODY_TIMEOUT = "body_timeout", _TIMEOUT
    BODY_TOO_LARGE = "body_too_large"
    REDIRECT = "redirect"
    HTTP_STATUS = "http_status"  # any response from 400 up, with its status

    # the challenge
    NO_CHALLENGE = "no_challenge"  # 2xx without a request for a token
    CHALLENGE_ABSENT = "challenge_absent"
    CHALLENGE_NO_AUTHORIZATION = "challenge_no_authorization"
    CHALLENGE_OPEN_AUTHORIZATION = "challenge_open_authorization"
    CHALLENGE_NO_TENANT = "challenge_no_tenant"
    CHALLENGE_NO_RESOURCE = "challenge_no_resource"
    CHALLENGE_OPEN_RESOURCE = "challenge_open_resource"
    AUTHORITY_UNTRUSTED = "authority_untrusted"
    RESOURCE_MISMATCH = "resource_mismatch"

    # unusable responses
    ANSWER_EMPTY = "answer_empty"
    ANSWER_NOT_JSON = "answer_not_json"
    TOKEN_MISSING = "token_missing"  # noqa: S105 - the name of a fault
    TOKEN_UNUSABLE = "token_unusable"  # noqa: S105 - the name of a fault
    KEY_MISSING = "key_missing"
    KID_MISSING = "kid_missing"
    KID_UNUSABLE = "kid_unusable"
    KTY_MISSING = "kty_missing"
    MODULUS_MISSING = "modulus_missing"
    MODULUS_UNUSABLE = "modulus_unusable"
    EXPONENT_MISSING = "exponent_missing"
    EXPONENT_UNUSABLE = "exponent_unusable"
    VALUE_MISSING = "value_missing"
    VALUE_UNUSABLE = "value_unusable"
    BYTES_DIFFER = "bytes_differ"
    KEY_UNSUPPORTED = "key_unsupported"

    # the credential and the configuration
    KEY_NAME_TOO_LONG = "key_name_too_long"
    SECRET_TOO_SHORT = "secret_too_short"  # noqa: S105 - the name of a fault
    SECRET_UNREADABLE = "secret_unreadable"  # noqa: S105 - the name of a fault
    SECRET_TIMEOUT = "secret_timeout", _TIMEOUT  # the file was still being read
    IDENTITY_UNAVAILABLE = "identity_unavailable"
    IDENTITY_KEY_UNREADABLE = "identity_key_unreadable"  # the file that Azure Arc names as its proof
    PFX_UNREADABLE = "pfx_unreadable"
    PFX_NO_CERTIFICATE = "pfx_no_certificate"
    PFX_NO_PRIVATE_KEY = "pfx_no_private_key"
    PFX_NOT_RSA = "pfx_not_rsa"
    PFX_KEY_UNUSABLE = "pfx_key_unusable"
    PFX_REQUEST = "pfx_request"
    PEM_NO_CERTIFICATE = "pem_no_certificate"
    PEM_NO_PRIVATE_KEY = "pem_no_private_key"
    PEM_NOT_RSA = "pem_not_rsa"
    PEM_KEY_UNUSABLE = "pem_key_unusable"
    PEM_REQUEST = "pem_request"

    # the exporter itself
    INTERNAL = "internal"


# A failure counts unless this host lost so much of the step's time that a healthy vault would have failed, too.
LEAST_LATE = 0.5  # seconds
MOST_LOST = 0.5  # of the step's time
# A pause of 0.1 s moves a healthy step of some tens of milliseconds into another bucket of its histogram.
LEAST_DISTURBANCE = 0.1  # seconds
DISTURBED = 0.1  # of the step's time


def is_discarded(fault: Fault, *, late: float, took: float) -> bool:
    """Return whether a failed step says nothing: it had no answer, and for most of its time the event loop was late.

    `late` seconds of the `took` seconds.
    """
    return fault.silence is not None and late >= LEAST_LATE and late > MOST_LOST * took


def is_disturbed(*, late: float, took: float) -> bool:
    """Return whether a step took longer because of this host: its duration is no measurement of the other side."""
    return late >= max(LEAST_DISTURBANCE, DISTURBED * took)

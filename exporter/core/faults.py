"""The faults of an exchange: what the adapter observed.

A reason is another thing: one fault (an HTTP status) has many, and a reason, once released, is public. `classify` gives a
fault the reason of its name, unless a row there names another.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from exporter.core.reasons import Reason as Reason  # noqa: PLC0414 - exported


class Fault(StrEnum):
    NONE = "none"

    # names and connections
    DNS_NOT_FOUND = "dns_not_found"
    DNS_TEMPORARY = "dns_temporary"
    DNS_TIMEOUT = "dns_timeout"
    NETWORK_DOWN = "network_down"  # ENETUNREACH, ENETDOWN
    CONNECT_REFUSED = "connect_refused"
    CONNECT_RESET = "connect_reset"
    CONNECT_TIMEOUT = "connect_timeout"
    CONNECT_UNREACHABLE = "connect_unreachable"
    CONNECT_FAILED = "connect_failed"

    # TLS
    TLS_UNTRUSTED = "tls_untrusted"
    TLS_EXPIRED = "tls_expired"
    TLS_NOT_YET_VALID = "tls_not_yet_valid"
    TLS_WRONG_NAME = "tls_wrong_name"
    TLS_NOT_TLS = "tls_not_tls"
    TLS_RESET = "tls_reset"
    TLS_TIMEOUT = "tls_timeout"
    TLS_FAILED = "tls_failed"

    # the proxy
    PROXY_UNRESOLVED = "proxy_unresolved"
    PROXY_UNREACHABLE = "proxy_unreachable"
    PROXY_TIMEOUT = "proxy_timeout"
    PROXY_INVALID = "proxy_invalid"  # its response to CONNECT is not HTTP, or the tunnel carries no TLS
    PROXY_STATUS = "proxy_status"  # with the status of its response to CONNECT

    # the exchange
    CONNECTION_RESET = "connection_reset"
    CONNECTION_CLOSED = "connection_closed"
    READ_TIMEOUT = "read_timeout"  # no headers in time
    NOT_HTTP = "not_http"
    BODY_TRUNCATED = "body_truncated"
    BODY_TIMEOUT = "body_timeout"
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
    SECRET_TIMEOUT = "secret_timeout"  # noqa: S105 - the name of a fault; the file was still being read
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


# No response in time: the result of a deadline, the target's or that of the scrape.
TIMEOUTS: frozenset[Fault] = frozenset(
    {
        Fault.DNS_TIMEOUT,
        Fault.CONNECT_TIMEOUT,
        Fault.TLS_TIMEOUT,
        Fault.PROXY_TIMEOUT,
        Fault.READ_TIMEOUT,
        Fault.BODY_TIMEOUT,
    }
)

# Read from a response of a vault, Entra ID or a proxy: valid even if the exporter was slow meanwhile.
ANSWERS: frozenset[Fault] = frozenset(
    {
        Fault.NOT_HTTP,
        Fault.PROXY_INVALID,
        Fault.BODY_TOO_LARGE,
        Fault.REDIRECT,
        Fault.HTTP_STATUS,
        Fault.PROXY_STATUS,
        Fault.NO_CHALLENGE,
        Fault.CHALLENGE_ABSENT,
        Fault.CHALLENGE_NO_AUTHORIZATION,
        Fault.CHALLENGE_OPEN_AUTHORIZATION,
        Fault.CHALLENGE_NO_TENANT,
        Fault.CHALLENGE_NO_RESOURCE,
        Fault.CHALLENGE_OPEN_RESOURCE,
        Fault.AUTHORITY_UNTRUSTED,
        Fault.RESOURCE_MISMATCH,
        Fault.ANSWER_EMPTY,
        Fault.ANSWER_NOT_JSON,
        Fault.TOKEN_MISSING,
        Fault.TOKEN_UNUSABLE,
        Fault.KEY_MISSING,
        Fault.KID_MISSING,
        Fault.KID_UNUSABLE,
        Fault.KTY_MISSING,
        Fault.MODULUS_MISSING,
        Fault.MODULUS_UNUSABLE,
        Fault.EXPONENT_MISSING,
        Fault.EXPONENT_UNUSABLE,
        Fault.VALUE_MISSING,
        Fault.VALUE_UNUSABLE,
        Fault.BYTES_DIFFER,
        Fault.KEY_UNSUPPORTED,
    }
)


def __getattr__(name: str) -> object:
    """Return `Reason`, which has moved to `exporter.core.reasons`."""
    if name != "Reason":
        raise AttributeError(name)
    from exporter.core.reasons import Reason  # noqa: PLC0415 - its rows import this module

    return Reason

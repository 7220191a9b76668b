"""The faults of an exchange: what the adapter observed.

A reason is another thing: one fault (an HTTP status) has many, and a reason, once released, is public. `classify` gives a
fault the reason of its name, unless a row there names another.
"""

from __future__ import annotations

from enum import Enum, StrEnum
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from exporter.core.reasons import Reason as Reason  # noqa: PLC0414 - exported


class FaultOrigin(Enum):
    """What a fault was observed from."""

    HERE = "here"
    TIMEOUT = "timeout"  # no response in time: the result of a deadline, the target's or that of the scrape
    RESPONSE = "response"  # of a vault, Entra ID or a proxy: valid even if the exporter was slow meanwhile


_TIMEOUT, _RESPONSE = FaultOrigin.TIMEOUT, FaultOrigin.RESPONSE


class Fault(StrEnum):
    """What a client observed. The value is the name."""

    origin: FaultOrigin

    def __new__(cls, value: str, origin: FaultOrigin = FaultOrigin.HERE) -> Self:
        member = str.__new__(cls, value)
        member._value_ = value
        member.origin = origin
        return member

    NONE = "none"

    # names and connections
    DNS_NOT_FOUND = "dns_not_found"
    DNS_TEMPORARY = "dns_temporary"
    DNS_TIMEOUT = "dns_timeout", _TIMEOUT
    NETWORK_DOWN = "network_down"  # ENETUNREACH, ENETDOWN
    CONNECT_REFUSED = "connect_refused"
    CONNECT_RESET = "connect_reset"
    CONNECT_TIMEOUT = "connect_timeout", _TIMEOUT
    CONNECT_UNREACHABLE = "connect_unreachable"
    CONNECT_FAILED = "connect_failed"

    # TLS
    TLS_UNTRUSTED = "tls_untrusted"
    TLS_EXPIRED = "tls_expired"
    TLS_NOT_YET_VALID = "tls_not_yet_valid"
    TLS_WRONG_NAME = "tls_wrong_name"
    TLS_NOT_TLS = "tls_not_tls"
    TLS_RESET = "tls_reset"
    TLS_TIMEOUT = "tls_timeout", _TIMEOUT
    TLS_FAILED = "tls_failed"

    # the proxy
    PROXY_UNRESOLVED = "proxy_unresolved"
    PROXY_UNREACHABLE = "proxy_unreachable"
    PROXY_TIMEOUT = "proxy_timeout", _TIMEOUT
    PROXY_INVALID = "proxy_invalid", _RESPONSE  # its response to CONNECT is not HTTP, or the tunnel carries no TLS
    PROXY_STATUS = "proxy_status", _RESPONSE  # with the status of its response to CONNECT

    # the exchange
    CONNECTION_RESET = "connection_reset"
    CONNECTION_CLOSED = "connection_closed"
    READ_TIMEOUT = "read_timeout", _TIMEOUT  # no headers in time
    NOT_HTTP = "not_http", _RESPONSE
    BODY_TRUNCATED = "body_truncated"
    BODY_TIMEOUT = "body_timeout", _TIMEOUT
    BODY_TOO_LARGE = "body_too_large", _RESPONSE
    REDIRECT = "redirect", _RESPONSE
    HTTP_STATUS = "http_status", _RESPONSE  # any response from 400 up, with its status

    # the challenge
    NO_CHALLENGE = "no_challenge", _RESPONSE  # 2xx without a request for a token
    CHALLENGE_ABSENT = "challenge_absent", _RESPONSE
    CHALLENGE_NO_AUTHORIZATION = "challenge_no_authorization", _RESPONSE
    CHALLENGE_OPEN_AUTHORIZATION = "challenge_open_authorization", _RESPONSE
    CHALLENGE_NO_TENANT = "challenge_no_tenant", _RESPONSE
    CHALLENGE_NO_RESOURCE = "challenge_no_resource", _RESPONSE
    CHALLENGE_OPEN_RESOURCE = "challenge_open_resource", _RESPONSE
    AUTHORITY_UNTRUSTED = "authority_untrusted", _RESPONSE
    RESOURCE_MISMATCH = "resource_mismatch", _RESPONSE

    # unusable responses
    ANSWER_EMPTY = "answer_empty", _RESPONSE
    ANSWER_NOT_JSON = "answer_not_json", _RESPONSE
    TOKEN_MISSING = "token_missing", _RESPONSE
    TOKEN_UNUSABLE = "token_unusable", _RESPONSE
    KEY_MISSING = "key_missing", _RESPONSE
    KID_MISSING = "kid_missing", _RESPONSE
    KID_UNUSABLE = "kid_unusable", _RESPONSE
    KTY_MISSING = "kty_missing", _RESPONSE
    MODULUS_MISSING = "modulus_missing", _RESPONSE
    MODULUS_UNUSABLE = "modulus_unusable", _RESPONSE
    EXPONENT_MISSING = "exponent_missing", _RESPONSE
    EXPONENT_UNUSABLE = "exponent_unusable", _RESPONSE
    VALUE_MISSING = "value_missing", _RESPONSE
    VALUE_UNUSABLE = "value_unusable", _RESPONSE
    BYTES_DIFFER = "bytes_differ", _RESPONSE
    KEY_UNSUPPORTED = "key_unsupported", _RESPONSE

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


def __getattr__(name: str) -> object:
    """Return `Reason`, which has moved to `exporter.core.reasons`."""
    if name != "Reason":
        raise AttributeError(name)
    from exporter.core.reasons import Reason  # noqa: PLC0415 - its rows import this module

    return Reason

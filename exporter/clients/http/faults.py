"""Turn an exception of an exchange into a fault.

Only this module handles the exceptions of the SDK, aiohttp and OpenSSL. The classes of the SDK are too general, so tables
search the chain of causes for a more specific exception. The phase decides what an error number means.
"""

from __future__ import annotations

import errno
import socket
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Any

import aiohttp
from azure.core.exceptions import ClientAuthenticationError
from azure.identity import CredentialUnavailableError

from exporter.clients.http.exchange import BodyTooLargeError, SecretTimeoutError
from exporter.config.settings import SecretUnreadableError
from exporter.core.faults import Fault
from exporter.core.model import Phase
from exporter.runtime.exception_tree import causes
from exporter.runtime.os_errors import numbers_of


class Stage(Enum):
    """The stage of an exchange at its failure."""

    CONNECT = 0
    TLS = 1
    WAIT = 2
    BODY = 3


STAGES: dict[Phase | None, Stage] = {
    None: Stage.CONNECT,
    Phase.DNS: Stage.CONNECT,
    Phase.CONNECT: Stage.CONNECT,
    Phase.TLS: Stage.TLS,
    Phase.WAIT: Stage.WAIT,
    Phase.TRANSFER: Stage.BODY,
}

# The fault of one kind of failure while connecting, in the handshake, before the headers, in the body.
_REFUSED = (Fault.CONNECT_REFUSED, Fault.TLS_RESET, Fault.CONNECTION_RESET, Fault.BODY_TRUNCATED)
_RESET = (Fault.CONNECT_RESET, Fault.TLS_RESET, Fault.CONNECTION_RESET, Fault.BODY_TRUNCATED)
_CLOSED = (Fault.CONNECT_RESET, Fault.TLS_RESET, Fault.CONNECTION_CLOSED, Fault.BODY_TRUNCATED)
_SLOW = (Fault.CONNECT_TIMEOUT, Fault.TLS_TIMEOUT, Fault.READ_TIMEOUT, Fault.BODY_TIMEOUT)
_UNREACHABLE = (Fault.CONNECT_UNREACHABLE, Fault.TLS_RESET, Fault.CONNECTION_RESET, Fault.BODY_TRUNCATED)
_DOWN = (Fault.NETWORK_DOWN, Fault.TLS_RESET, Fault.CONNECTION_RESET, Fault.BODY_TRUNCATED)
_BROKEN = (Fault.CONNECT_FAILED, Fault.TLS_FAILED, Fault.CONNECTION_RESET, Fault.BODY_TRUNCATED)

# If several addresses failed in different ways, the first of these decides.
_ERRNOS: dict[int, tuple[Fault, ...]] = {
    errno.ECONNREFUSED: _REFUSED,
    errno.ECONNRESET: _RESET,
    errno.EPIPE: _CLOSED,
    errno.ECONNABORTED: _CLOSED,
    errno.ETIMEDOUT: _SLOW,
    errno.EHOSTUNREACH: _UNREACHABLE,
    errno.EHOSTDOWN: _UNREACHABLE,
    errno.ENETUNREACH: _DOWN,
    errno.ENETDOWN: _DOWN,
}

_EAI: dict[int | None, Fault] = {
    getattr(socket, name, None): fault
    for name, fault in (
        ("EAI_NONAME", Fault.DNS_NOT_FOUND),
        ("EAI_NODATA", Fault.DNS_NOT_FOUND),
        ("EAI_ADDRFAMILY", Fault.DNS_NOT_FOUND),
        ("EAI_AGAIN", Fault.DNS_TEMPORARY),
        ("EAI_FAIL", Fault.DNS_TEMPORARY),
        ("EAI_SYSTEM", Fault.DNS_TEMPORARY),
    )
} | {11004: Fault.DNS_NOT_FOUND}  # WSANO_DATA: on Windows, EAI_NODATA is another number

# X509_V_ERR_*; any other number means that no trusted authority signed the certificate.
_VERIFY_CODES: dict[int, Fault] = {
    9: Fault.TLS_NOT_YET_VALID,
    10: Fault.TLS_EXPIRED,
    62: Fault.TLS_WRONG_NAME,
    64: Fault.TLS_WRONG_NAME,
}

# The reasons that OpenSSL reports if the peer does not use TLS.
_NOT_TLS = frozenset(
    {"WRONG_VERSION_NUMBER", "HTTP_REQUEST", "HTTPS_PROXY_REQUEST", "UNKNOWN_PROTOCOL", "PACKET_LENGTH_TOO_LONG",
     "RECORD_LAYER_FAILURE", "BAD_RECORD_TYPE", "INVALID_RECORD"}
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class FailureContext:
    """The circumstances that decide the fault of an exception."""

    stage: Stage
    via_proxy: bool

    def pick(self, faults: tuple[Fault, ...]) -> Fault:
        """Return the fault of this stage; a proxy fault while connecting to a proxy."""
        fault = faults[self.stage.value]
        if not self.via_proxy or self.stage is not Stage.CONNECT or faults is _DOWN:
            return fault
        return Fault.PROXY_TIMEOUT if faults is _SLOW else Fault.PROXY_UNREACHABLE


def _dns(error: aiohttp.ClientConnectorDNSError, context: FailureContext) -> Fault:
    fault = _EAI.get(error.os_error.errno, Fault.DNS_TEMPORARY)
    return Fault.PROXY_UNRESOLVED if context.via_proxy else fault


def _certificate(error: ssl.SSLCertVerificationError, _context: FailureContext) -> Fault:
    return _VERIFY_CODES.get(getattr(error, "verify_code", 0), Fault.TLS_UNTRUSTED)


def _tls(error: ssl.SSLError, context: FailureContext) -> Fault:
    if context.stage is Stage.BODY:
        return Fault.BODY_TRUNCATED
    if (error.reason or "").upper() not in _NOT_TLS:
        return Fault.TLS_FAILED
    return Fault.PROXY_INVALID if context.via_proxy else Fault.TLS_NOT_TLS


def _os_error(error: OSError, context: FailureContext) -> Fault:
    if error.filename is not None:  # a file that an identity needs, not a connection
        return Fault.IDENTITY_UNAVAILABLE
    numbers = numbers_of(error)
    faults = next((faults for number, faults in _ERRNOS.items() if number in numbers), None)
    if faults is None:
        faults = next((faults for kind, faults in _OS_ERRORS if isinstance(error, kind)), _BROKEN)
    return context.pick(faults)


# asyncio raises these classes without an error number.
_OS_ERRORS: tuple[tuple[type[OSError], tuple[Fault, ...]], ...] = (
    (ConnectionRefusedError, _REFUSED),
    (ConnectionResetError, _RESET),
    (ConnectionAbortedError, _SLOW),  # the handshake exceeded asyncio's own timeout
    (BrokenPipeError, _CLOSED),
    (TimeoutError, _SLOW),
)

Rule = Callable[[Any, FailureContext], Fault]


def _always(fault: Fault) -> Rule:
    return lambda _error, _context: fault


def _unless_proxy(fault: Fault) -> Rule:
    """Return a rule for a malformed response, which is the proxy's before the tunnel stands."""
    return lambda _error, context: Fault.PROXY_INVALID if context.via_proxy and context.stage is Stage.CONNECT else fault


def _stage_rule(faults: tuple[Fault, ...]) -> Rule:
    return lambda _error, context: context.pick(faults)


# The first class that occurs in the chain decides. If it occurs several times, the innermost exception decides.
RULES: tuple[tuple[type[BaseException], Rule], ...] = (
    (SecretUnreadableError, _always(Fault.SECRET_UNREADABLE)),
    (SecretTimeoutError, _always(Fault.SECRET_TIMEOUT)),
    (BodyTooLargeError, _unless_proxy(Fault.BODY_TOO_LARGE)),
    (aiohttp.ClientConnectorDNSError, _dns),
    (aiohttp.ClientHttpProxyError, _always(Fault.PROXY_STATUS)),
    (ssl.SSLCertVerificationError, _certificate),
    (ssl.SSLEOFError, _stage_rule(_CLOSED)),
    (ssl.SSLZeroReturnError, _stage_rule(_CLOSED)),
    (ssl.SSLError, _tls),
    (aiohttp.ClientPayloadError, _always(Fault.BODY_TRUNCATED)),
    (aiohttp.ClientResponseError, _unless_proxy(Fault.NOT_HTTP)),
    (aiohttp.ServerDisconnectedError, _stage_rule(_CLOSED)),
    (aiohttp.ServerTimeoutError, _stage_rule(_SLOW)),
    (OSError, _os_error),
    (aiohttp.ClientError, _stage_rule(_BROKEN)),
    (CredentialUnavailableError, _always(Fault.IDENTITY_UNAVAILABLE)),
    (ClientAuthenticationError, _always(Fault.IDENTITY_UNAVAILABLE)),
)


def fault_of(error: BaseException | None, context: FailureContext) -> tuple[Fault, BaseException]:
    """Return the fault of an exception, and the cause in its chain that decided.

    An exception without a rule is an internal error.
    """
    chain = tuple(causes(error))
    for kind, rule in RULES:
        for cause in reversed(chain):
            if isinstance(cause, kind):
                return rule(cause, context), cause
    return Fault.INTERNAL, chain[-1] if chain else RuntimeError("no response and no error")

"""Turn an exchange into facts: fault, status, details and phases.

Only this module handles the exceptions of the SDK, aiohttp and OpenSSL. The classes of the SDK are too general, so tables
search the chain of causes for a more specific exception. The phase decides what an error number means.
"""

from __future__ import annotations

import errno
import socket
import ssl
from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import Enum
from typing import Any

import aiohttp
from azure.core.exceptions import ClientAuthenticationError
from azure.identity import CredentialUnavailableError

from exporter.clients.http import headers
from exporter.clients.http.exchange import BodyTooLargeError, HttpExchange, SecretTimeoutError
from exporter.clients.http.response import RecordedResponse
from exporter.config.secret_source import SecretUnreadableError
from exporter.core.deadline import TIMEOUT_IN
from exporter.core.faults import Fault
from exporter.core.known_secrets import hide
from exporter.core.masking import mask
from exporter.core.model import Facts, PeerCertificate, Phase
from exporter.core.parsing.key_vault import ErrorBody, is_page, read_error
from exporter.runtime.exception_tree import causes
from exporter.runtime.os_errors import numbers_of


class Stage(Enum):
    """The stage of an exchange at its failure."""

    CONNECT = 0
    TLS = 1
    WAIT = 2
    BODY = 3


_STAGES: dict[Phase | None, Stage] = {
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
}

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


_REDIRECTS = frozenset({300, 301, 302, 303, 307, 308})  # not 304: "not modified" names no other place


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


def _by_stage(faults: tuple[Fault, ...]) -> Rule:
    return lambda _error, context: context.pick(faults)


# The first class that occurs in the chain decides. If it occurs several times, the innermost exception decides.
RULES: tuple[tuple[type[BaseException], Rule], ...] = (
    (SecretUnreadableError, _always(Fault.SECRET_UNREADABLE)),
    (SecretTimeoutError, _always(Fault.SECRET_TIMEOUT)),
    (BodyTooLargeError, _unless_proxy(Fault.BODY_TOO_LARGE)),
    (aiohttp.ClientConnectorDNSError, _dns),
    (aiohttp.ClientHttpProxyError, _always(Fault.PROXY_STATUS)),
    (ssl.SSLCertVerificationError, _certificate),
    (ssl.SSLEOFError, _by_stage(_CLOSED)),
    (ssl.SSLZeroReturnError, _by_stage(_CLOSED)),
    (ssl.SSLError, _tls),
    (aiohttp.ClientPayloadError, _always(Fault.BODY_TRUNCATED)),
    (aiohttp.ClientResponseError, _unless_proxy(Fault.NOT_HTTP)),
    (aiohttp.ServerDisconnectedError, _by_stage(_CLOSED)),
    (aiohttp.ServerTimeoutError, _by_stage(_SLOW)),
    (OSError, _os_error),
    (aiohttp.ClientError, _by_stage(_BROKEN)),
    (CredentialUnavailableError, _always(Fault.IDENTITY_UNAVAILABLE)),
    (ClientAuthenticationError, _always(Fault.IDENTITY_UNAVAILABLE)),
)


def facts_from(exchange: HttpExchange) -> Facts:
    """Return the facts of an exchange. Their texts hold no secret of this process."""
    answer = exchange.answer
    return replace(_facts_of_failure(exchange) if answer is None else _facts_of_answer(exchange, answer), proxy=exchange.proxy)


def _facts_of_failure(exchange: HttpExchange) -> Facts:
    reached = exchange.timer.reached
    status = name = unexplained = None
    if exchange.timed_out:
        on_the_way = exchange.via_proxy and reached in (Phase.DNS, Phase.CONNECT)
        fault = Fault.PROXY_TIMEOUT if on_the_way else TIMEOUT_IN[reached]
        detail = f"the deadline passed in phase {reached}" if reached is not None else "no time was left"
    else:
        fault, error = fault_of(exchange.error, FailureContext(_STAGES[reached], exchange.via_proxy))
        name, detail = type(error).__name__, mask(str(error))
        if fault is Fault.INTERNAL and not isinstance(error, OSError):  # an OSError needs no frames
            unexplained = exchange.raised_at
        status = error.status if isinstance(error, aiohttp.ClientHttpProxyError) else None
    return Facts(
        fault=fault,
        status=status,
        exception=name,
        detail=detail,
        raised_at=unexplained,
        phases=exchange.timer.phases(),
        phase_reached=reached,
        endpoint=exchange.endpoint,
        resent=exchange.resent,
        certificate=_certificate_shown(exchange),
    )


def _facts_of_answer(exchange: HttpExchange, answer: RecordedResponse) -> Facts:
    fault = _fault_of_answer(exchange, answer)
    body = read_error(answer.body) if fault is Fault.HTTP_STATUS else ErrorBody()
    return Facts(
        fault=fault,
        status=answer.status,
        service_code=body.service_code,
        inner_code="insufficient_claims" if headers.claims_required(answer.headers) else body.inner_code,
        aadsts=body.aadsts,
        akv=body.akv,
        retry_after_seconds=headers.retry_after(answer.headers),
        request_id=headers.request_id(answer.headers) or body.trace_id,
        detail="" if fault is Fault.NONE else _detail_of(exchange, answer, body),
        raised_at=exchange.raised_at if fault is Fault.INTERNAL else None,
        phases=exchange.timer.phases(),
        phase_reached=exchange.timer.reached,
        has_page=fault is Fault.HTTP_STATUS and answer.complete and is_page(answer.body),
        server_time=headers.server_time(answer.headers),
        endpoint=exchange.endpoint,
        resent=exchange.resent,
        vault=headers.vault_headers(answer.headers),
        certificate=_certificate_shown(exchange),
    )


def _fault_of_answer(exchange: HttpExchange, answer: RecordedResponse) -> Fault:
    """Return the fault of a response: by status first, as in the connector.

    A status from 400 up decides, even with an incomplete body.
    """
    if answer.status in _REDIRECTS:
        return Fault.REDIRECT
    if not 200 <= answer.status < 300:
        return Fault.HTTP_STATUS
    return fault_of_body(exchange, answer)


def fault_of_body(exchange: HttpExchange, answer: RecordedResponse) -> Fault:
    if answer.complete:
        return Fault.NONE
    return (
        Fault.BODY_TIMEOUT if exchange.timed_out else fault_of(exchange.error, FailureContext(Stage.BODY, exchange.via_proxy))[0]
    )


def _detail_of(exchange: HttpExchange, answer: RecordedResponse, body: ErrorBody) -> str:
    if body.message:
        return mask(body.message)
    if answer.body:
        return mask(answer.body[:4096].decode("utf-8", errors="replace"))
    return mask(str(exchange.error)) if exchange.error is not None and not answer.complete else ""


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


def _certificate_shown(exchange: HttpExchange) -> PeerCertificate | None:
    """Return the peer's certificate; its issuer, a metric label, is masked."""
    certificate = exchange.timer.certificate
    if certificate is None or (issuer := hide(certificate.issuer)) == certificate.issuer:
        return certificate
    return replace(certificate, issuer=issuer)

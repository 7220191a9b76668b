"""The facts of an exchange: fault, status, details and phases.

What is only shown holds no secret of this process. Codes are as the server sent them, for `classify`; `knowledge.verdict` follows.
Only this module handles the exceptions of the SDK, aiohttp and OpenSSL. The classes of the SDK are too general, so tables search the
chain of causes for a more specific exception. The phase decides what an error number means.
"""

from __future__ import annotations

import errno
import ipaddress
import re
import socket
import ssl
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC
from email.utils import parsedate_to_datetime
from enum import Enum
from functools import lru_cache
from typing import Any

import aiohttp
from azure.core.exceptions import ClientAuthenticationError
from azure.identity import CredentialUnavailableError

from exporter.clients.answers import unix_time
from exporter.clients.http.exchange import BodyTooLargeError, HttpExchange, RecordedResponse, SecretTimeoutError
from exporter.config.settings import SecretUnreadableError
from exporter.core.names import is_private
from exporter.core.secrets import hide, mask, reveals
from exporter.core.values import TIMEOUT_IN, Facts, Fault, PeerCertificate, Phase, VaultHeaders
from exporter.knowledge.answers import ErrorBody, is_foreign, object_id_in, read_error
from exporter.runtime.errors import causes, numbers_of

# Response headers. A malformed one is None, and so is a text with a known secret, because these texts are only shown.

LONGEST_RETRY_AFTER = 86400.0  # seconds; a larger value is reduced to it

_SECONDS = re.compile(r"[0-9]{1,32}(?:\.[0-9]{1,9})?")  # some services send a fraction
_ID = re.compile(r"[A-Za-z0-9._:-]{1,128}")
_REGION = re.compile(r"[A-Za-z][A-Za-z0-9 ]{0,63}")  # a label value: no address or id fits
_WORD = re.compile(r"[A-Za-z0-9][A-Za-z0-9 ._-]{0,63}")


def server_time(headers: Mapping[str, str]) -> float | None:
    """Return the Date header as Unix time."""
    return _http_date(headers.get("Date") or "")


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Return Retry-After in seconds from now, between 0 and one day. A date is compared with the server's clock."""
    text = headers.get("Retry-After", "").strip()
    if _SECONDS.fullmatch(text):
        return min(float(text), LONGEST_RETRY_AFTER)
    date = _http_date(text)
    if date is None:
        return None
    now = server_time(headers)
    return min(max(0.0, date - (time.time() if now is None else now)), LONGEST_RETRY_AFTER)


def request_id(headers: Mapping[str, str], trace_id: str | None = None) -> str | None:
    """Return the id of the header or of the body, for a support case."""
    return _matching(_ID, headers.get("x-ms-request-id")) or _matching(_ID, trace_id)


def claims_required(headers: Mapping[str, str]) -> bool:
    """Whether a 401 reports that continuous access evaluation revoked the token."""
    return 'error="insufficient_claims"' in (headers.get("WWW-Authenticate") or "")


def vault_headers(headers: Mapping[str, str]) -> VaultHeaders | None:
    """Return the vault's diagnostic headers; None if it sent none. Entra ID and Managed HSM send none."""
    region = _matching(_REGION, headers.get("x-ms-keyvault-region"))
    version = _matching(_WORD, headers.get("x-ms-keyvault-service-version"))
    connection = _connection(headers.get("x-ms-keyvault-network-info") or "")
    if region is None and version is None and connection is None:
        return None
    return _headers(region, version, connection)


@lru_cache(maxsize=256)
def _headers(region: str | None, version: str | None, connection: str | None) -> VaultHeaders:
    """Return one object for equal headers: a fleet keeps several of each target, and most are equal."""
    return VaultHeaders(region=region, service_version=version, connection=connection)


@lru_cache(maxsize=256)
def _connection(info: str) -> str | None:
    """Return `private` or `public`: the network path that the vault reports.

    It is `private` if the vault reports a private link or received a private client address.
    """
    fields = dict(field.partition("=")[::2] for field in info[:512].replace(" ", "").split(";"))
    if "private" in fields.get("conn_type", "").lower():
        return "private"
    private = is_private(fields.get("addr", ""))
    return None if private is None else "private" if private else "public"


@lru_cache(maxsize=256)
def _http_date(text: str) -> float | None:
    """Return the Unix time of an HTTP date; a date without a zone is in GMT."""
    try:
        date = parsedate_to_datetime(text) if len(text) <= 64 else None
        return None if date is None else unix_time((date if date.tzinfo is not None else date.replace(tzinfo=UTC)).timestamp())
    except (ValueError, TypeError, OverflowError, OSError):
        return None


def _matching(pattern: re.Pattern[str], text: str | None) -> str | None:
    return text if text is not None and pattern.fullmatch(text) and not reveals(text) else None


# The fault of an exception.


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


# The address of this host on the route to another one.

_PORT = 443  # any port: a socket for datagrams sends nothing when it connects


def local_address(destination: str) -> str | None:
    """Return the address from which this host reaches an IP address; None without a route. It sends nothing."""
    family = socket.AF_INET6 if ":" in destination else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.connect((destination, _PORT))
            address = str(probe.getsockname()[0]).partition("%")[0]
    except OSError:
        return None
    return None if ipaddress.ip_address(address).is_unspecified else address


_REDIRECTS = frozenset({300, 301, 302, 303, 307, 308})  # not 304: "not modified" names no other place


def facts_of_success(exchange: HttpExchange, response: RecordedResponse) -> Facts:
    """Return the facts of a complete response that is as expected: its body has no error to report."""
    return _facts_of_status(exchange, response, Fault.NONE, ErrorBody())


def facts_from(exchange: HttpExchange) -> Facts:
    response = exchange.response
    if response is None:
        return _facts_of_failure(exchange)
    fault = _fault_of_response(exchange, response)
    error = read_error(response.body) if fault is Fault.HTTP_STATUS else ErrorBody()
    return _facts_of_status(exchange, response, fault, error)


def _facts_of_failure(exchange: HttpExchange) -> Facts:
    reached = exchange.timer.reached
    status = name = unexplained = None
    if exchange.timed_out:
        is_at_proxy = exchange.via_proxy and reached in (Phase.DNS, Phase.CONNECT)
        fault = Fault.PROXY_TIMEOUT if is_at_proxy else TIMEOUT_IN[reached]
        detail = f"the deadline passed in phase {reached}" if reached is not None else "no time was left"
    else:
        fault, error = fault_of(exchange.error, FailureContext(STAGES[reached], exchange.via_proxy))
        name, detail = type(error).__name__, mask(str(error))
        if fault is Fault.INTERNAL and not isinstance(error, OSError):  # an OSError needs no frames
            unexplained = exchange.raised_at
        status = error.status if isinstance(error, aiohttp.ClientHttpProxyError) else None
    connection = exchange.timer.connection
    if exchange.via_proxy and reached is Phase.TLS and connection is not None and connection.has_body:
        # aiohttp reads it as the body of the response to CONNECT: the handshake then only ends or waits.
        fault, detail = Fault.PROXY_INVALID, "a page followed the proxy's response to CONNECT"
    return Facts(
        fault=fault,
        status=status,
        exception=name,
        detail=detail,
        raised_at=unexplained,
        phases=exchange.timer.phases(),
        phase_reached=reached,
        endpoint=exchange.endpoint,
        proxy=exchange.proxy,
        addresses=exchange.timer.addresses,
        local_address=next(map(local_address, exchange.timer.addresses), None),
        resent=exchange.resent,
        certificate=_certificate_shown(exchange),
        refused_issuer=None if exchange.timer.refused_issuer is None else mask(exchange.timer.refused_issuer),
    )


def _facts_of_status(exchange: HttpExchange, response: RecordedResponse, fault: Fault, body: ErrorBody) -> Facts:
    return Facts(
        fault=fault,
        status=response.status,
        service_code=body.service_code,
        inner_code="insufficient_claims" if claims_required(response.headers) else body.inner_code,
        aadsts=body.aadsts,
        akv=body.akv,
        client_address=body.client_address,
        retry_after_seconds=retry_after(response.headers),
        request_id=request_id(response.headers, body.trace_id),
        correlation_id=body.correlation_id,
        detail="" if fault is Fault.NONE else _detail_of(exchange, response, body),
        raised_at=exchange.raised_at if fault is Fault.INTERNAL else None,
        phases=exchange.timer.phases(),
        phase_reached=exchange.timer.reached,
        has_page=fault is Fault.HTTP_STATUS and response.complete and is_foreign(response.body),
        server_time=server_time(response.headers),
        endpoint=exchange.endpoint,
        proxy=exchange.proxy,
        resent=exchange.resent,
        vault=vault_headers(response.headers),
        certificate=_certificate_shown(exchange),
        object_id=object_id_in(body.message),
    )


def _fault_of_response(exchange: HttpExchange, response: RecordedResponse) -> Fault:
    """Return the fault of a response: by status first, as in the connector.

    A status from 400 up decides, even with an incomplete body.
    """
    if response.status in _REDIRECTS:
        return Fault.REDIRECT
    if not 200 <= response.status < 300:
        return Fault.HTTP_STATUS
    return fault_of_body(exchange, response)


def fault_of_body(exchange: HttpExchange, response: RecordedResponse) -> Fault:
    if response.complete:
        return Fault.NONE
    return (
        Fault.BODY_TIMEOUT if exchange.timed_out else fault_of(exchange.error, FailureContext(Stage.BODY, exchange.via_proxy))[0]
    )


def _detail_of(exchange: HttpExchange, response: RecordedResponse, body: ErrorBody) -> str:
    if body.message:
        return mask(body.message)
    if response.body:
        return mask(response.body[:4096].decode("utf-8", errors="replace"))
    return mask(str(exchange.error)) if exchange.error is not None and not response.complete else ""


def _certificate_shown(exchange: HttpExchange) -> PeerCertificate | None:
    """Return the peer's certificate; its issuer, a metric label, is masked."""
    certificate = exchange.timer.certificate
    if certificate is None or (issuer := hide(certificate.issuer)) == certificate.issuer:
        return certificate
    return replace(certificate, issuer=issuer)

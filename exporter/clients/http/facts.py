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
from datetime import UTC
from email.utils import parsedate_to_datetime
from functools import lru_cache
from itertools import chain
from typing import Any

import aiohttp
from azure.core.exceptions import ClientAuthenticationError
from azure.identity import CredentialUnavailableError
from msgspec.structs import replace

from exporter.clients.answers import unix_time
from exporter.clients.http.exchange import BodyTooLargeError, Exchange, Response, SecretTimeoutError
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


def vault_headers(headers: Mapping[str, str]) -> VaultHeaders | None:
    """Return the vault's diagnostic headers; None if it sent none. Entra ID and Managed HSM send none."""
    return _headers(
        _matching(_REGION, headers.get("x-ms-keyvault-region")),
        _matching(_WORD, headers.get("x-ms-keyvault-service-version")),
        _connection(headers.get("x-ms-keyvault-network-info") or ""),
    )


@lru_cache(maxsize=256)
def _headers(region: str | None, version: str | None, connection: str | None) -> VaultHeaders | None:
    """Return one object for equal headers: a fleet keeps several of each target, and most are equal."""
    known = any((region, version, connection))
    return VaultHeaders(region=region, service_version=version, connection=connection) if known else None


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

# The stage at which it was raised: while connecting, in the handshake, before the headers, in the body.
_CONNECT, _TLS, _WAIT, _BODY = range(4)
_STAGES: Mapping[Phase | None, int] = {
    None: _CONNECT,
    Phase.DNS: _CONNECT,
    Phase.CONNECT: _CONNECT,
    Phase.TLS: _TLS,
    Phase.WAIT: _WAIT,
    Phase.TRANSFER: _BODY,
}
# The fault of one kind of failure, by stage.
_REFUSED = (Fault.CONNECT_REFUSED, Fault.TLS_RESET, Fault.CONNECTION_RESET, Fault.BODY_TRUNCATED)
_RESET = (Fault.CONNECT_RESET, Fault.TLS_RESET, Fault.CONNECTION_RESET, Fault.BODY_TRUNCATED)
_CLOSED = (Fault.CONNECT_RESET, Fault.TLS_RESET, Fault.CONNECTION_CLOSED, Fault.BODY_TRUNCATED)
_SLOW = (Fault.CONNECT_TIMEOUT, Fault.TLS_TIMEOUT, Fault.READ_TIMEOUT, Fault.BODY_TIMEOUT)
_UNREACHABLE = (Fault.CONNECT_UNREACHABLE, Fault.TLS_RESET, Fault.CONNECTION_RESET, Fault.BODY_TRUNCATED)
_DOWN = (Fault.NETWORK_DOWN, Fault.TLS_RESET, Fault.CONNECTION_RESET, Fault.BODY_TRUNCATED)
_BROKEN = (Fault.CONNECT_FAILED, Fault.TLS_FAILED, Fault.CONNECTION_RESET, Fault.BODY_TRUNCATED)

# The faults of a host that are those of a proxy, if the request goes through one: at any stage, and before the tunnel stands.
_OF_PROXY: Mapping[Fault, Fault] = {
    Fault.DNS_NOT_FOUND: Fault.PROXY_UNRESOLVED,
    Fault.DNS_TEMPORARY: Fault.PROXY_UNRESOLVED,
    Fault.DNS_TIMEOUT: Fault.PROXY_TIMEOUT,
    Fault.CONNECT_REFUSED: Fault.PROXY_UNREACHABLE,
    Fault.CONNECT_RESET: Fault.PROXY_UNREACHABLE,
    Fault.CONNECT_UNREACHABLE: Fault.PROXY_UNREACHABLE,
    Fault.CONNECT_FAILED: Fault.PROXY_UNREACHABLE,
    Fault.CONNECT_TIMEOUT: Fault.PROXY_TIMEOUT,
    Fault.TLS_NOT_TLS: Fault.PROXY_INVALID,
}
_OF_PROXY_BEFORE_THE_TUNNEL = frozenset({Fault.NOT_HTTP, Fault.BODY_TOO_LARGE})

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


# A rule: the fault, the fault by stage, or what tells either from the exception and the stage.
_Faults = Fault | tuple[Fault, ...]
Rule = _Faults | Callable[[Any, int], _Faults]


def _tls(error: ssl.SSLError, stage: int) -> _Faults:
    if stage == _BODY:
        return Fault.BODY_TRUNCATED
    return Fault.TLS_NOT_TLS if (error.reason or "").upper() in _NOT_TLS else Fault.TLS_FAILED


def _os_error(error: OSError, _stage: int) -> _Faults:
    if error.filename is not None:  # a file that an identity needs, not a connection
        return Fault.IDENTITY_UNAVAILABLE
    numbers = numbers_of(error)
    by_number = (faults for number, faults in _ERRNOS.items() if number in numbers)
    return next(chain(by_number, (faults for kind, faults in _OS_ERRORS if isinstance(error, kind))), _BROKEN)


# asyncio raises these classes without an error number.
_OS_ERRORS: tuple[tuple[type[OSError], tuple[Fault, ...]], ...] = (
    (ConnectionRefusedError, _REFUSED),
    (ConnectionResetError, _RESET),
    (ConnectionAbortedError, _SLOW),  # the handshake exceeded asyncio's own timeout
    (BrokenPipeError, _CLOSED),
    (TimeoutError, _SLOW),
)

# The first class that occurs in the chain decides. If it occurs several times, the innermost exception decides.
RULES: tuple[tuple[type[BaseException], Rule], ...] = (
    (SecretUnreadableError, Fault.SECRET_UNREADABLE),
    (SecretTimeoutError, Fault.SECRET_TIMEOUT),
    (BodyTooLargeError, Fault.BODY_TOO_LARGE),
    (aiohttp.ClientConnectorDNSError, lambda error, _: _EAI.get(error.os_error.errno, Fault.DNS_TEMPORARY)),
    (aiohttp.ClientHttpProxyError, Fault.PROXY_STATUS),
    (ssl.SSLCertVerificationError, lambda error, _: _VERIFY_CODES.get(getattr(error, "verify_code", 0), Fault.TLS_UNTRUSTED)),
    (ssl.SSLEOFError, _CLOSED),
    (ssl.SSLZeroReturnError, _CLOSED),
    (ssl.SSLError, _tls),
    (aiohttp.ClientPayloadError, Fault.BODY_TRUNCATED),
    (aiohttp.ClientResponseError, Fault.NOT_HTTP),
    (aiohttp.ServerDisconnectedError, _CLOSED),
    (aiohttp.ServerTimeoutError, _SLOW),
    (OSError, _os_error),
    (aiohttp.ClientError, _BROKEN),
    (CredentialUnavailableError, Fault.IDENTITY_UNAVAILABLE),
    (ClientAuthenticationError, Fault.IDENTITY_UNAVAILABLE),
)


def fault_of(error: BaseException | None, reached: Phase | None, *, via_proxy: bool) -> tuple[Fault, BaseException]:
    """Return the fault of an exception in that phase, and the cause in its chain that decided.

    An exception without a rule is an internal error.
    """
    known = tuple(causes(error)) or (RuntimeError("no response and no error"),)
    matching = ((rule, cause) for kind, rule in RULES for cause in reversed(known) if isinstance(cause, kind))
    rule, cause = next(matching, (Fault.INTERNAL, known[-1]))
    stage = _STAGES[reached]
    found = rule(cause, stage) if callable(rule) else rule
    fault = found[stage] if isinstance(found, tuple) else found
    if via_proxy:
        is_invalid = stage == _CONNECT and fault in _OF_PROXY_BEFORE_THE_TUNNEL
        fault = Fault.PROXY_INVALID if is_invalid else _OF_PROXY.get(fault, fault)
    return fault, cause


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


def fault_of_body(exchange: Exchange, response: Response) -> Fault:
    if response.complete:
        return Fault.NONE
    if exchange.timed_out:
        return Fault.BODY_TIMEOUT
    return fault_of(exchange.error, Phase.TRANSFER, via_proxy=exchange.proxy is not None)[0]


def facts_of_failure(exchange: Exchange) -> Facts:
    """Return the facts of an exchange whose response, if there is one, does not count."""
    reached, via_proxy = exchange.reached, exchange.proxy is not None
    status = name = unexplained = None
    if exchange.timed_out:
        fault = _OF_PROXY.get(TIMEOUT_IN[reached], TIMEOUT_IN[reached]) if via_proxy else TIMEOUT_IN[reached]
        detail = f"the deadline passed in phase {reached}" if reached is not None else "no time was left"
    else:
        fault, error = fault_of(exchange.error, reached, via_proxy=via_proxy)
        name, detail = type(error).__name__, mask(str(error))
        if fault is Fault.INTERNAL and not isinstance(error, OSError):  # an OSError needs no frames
            unexplained = exchange.raised_at
        status = error.status if isinstance(error, aiohttp.ClientHttpProxyError) else None
    if via_proxy and reached is Phase.TLS and exchange.traffic is not None and exchange.traffic.has_body:
        # aiohttp reads it as the body of the response to CONNECT: the handshake then only ends or waits.
        fault, detail = Fault.PROXY_INVALID, "a page followed the proxy's response to CONNECT"
    return Facts(
        fault=fault,
        status=status,
        exception=name,
        detail=detail,
        raised_at=unexplained,
        phases=exchange.phases(),
        phase_reached=reached,
        endpoint=exchange.endpoint,
        proxy=exchange.proxy,
        addresses=exchange.addresses,
        local_address=next(map(local_address, exchange.addresses), None),
        resent=exchange.resent,
        certificate=_certificate_shown(exchange),
        refused_issuer=None if exchange.refused_issuer is None else mask(exchange.refused_issuer),
    )


_NO_ERROR = ErrorBody()


def facts_from(exchange: Exchange, *, expected: int | None = None) -> Facts:
    """Return the facts of an exchange. A response with the status `expected`, other than 2xx, has no fault and no error to report."""
    response = exchange.response
    if response is None:
        return facts_of_failure(exchange)
    status, headers, fault, body = response.status_code, response.headers, Fault.NONE, _NO_ERROR
    if status in _REDIRECTS:  # the status decides first, as in the connector, even with an incomplete body
        fault = Fault.REDIRECT
    elif 200 <= status < 300:
        fault = fault_of_body(exchange, response)
    elif status != expected:
        fault, body = Fault.HTTP_STATUS, read_error(response.content)
    detail = ""
    if fault is not Fault.NONE:
        why = "" if response.complete or exchange.error is None else str(exchange.error)
        detail = mask(body.message or response.content[:4096].decode("utf-8", errors="replace") or why)
    # Continuous access evaluation revoked the token.
    is_revoked = 'error="insufficient_claims"' in (headers.get("WWW-Authenticate") or "")
    return Facts(
        fault=fault,
        status=status,
        service_code=body.service_code,
        inner_code="insufficient_claims" if is_revoked else body.inner_code,
        aadsts=body.aadsts,
        akv=body.akv,
        client_address=body.client_address,
        retry_after_seconds=retry_after(headers),
        request_id=request_id(headers, body.trace_id),
        correlation_id=body.correlation_id,
        detail=detail,
        raised_at=exchange.raised_at if fault is Fault.INTERNAL else None,
        phases=exchange.phases(),
        phase_reached=exchange.reached,
        has_page=fault is Fault.HTTP_STATUS and response.complete and is_foreign(response.content),
        server_time=server_time(headers),
        endpoint=exchange.endpoint,
        proxy=exchange.proxy,
        resent=exchange.resent,
        vault=vault_headers(headers),
        certificate=_certificate_shown(exchange),
        object_id=object_id_in(body.message),
    )


def _certificate_shown(exchange: Exchange) -> PeerCertificate | None:
    """Return the peer's certificate; its issuer, a metric label, is masked."""
    certificate = exchange.certificate
    if certificate is None or (issuer := hide(certificate.issuer)) == certificate.issuer:
        return certificate
    return replace(certificate, issuer=issuer)

"""The facts of an exchange: fault, status, details and phases.

What is only shown holds no secret of this process. Codes are as the server sent them, for `classify`; `core.redaction` follows.
"""

from __future__ import annotations

from dataclasses import replace

import aiohttp

from exporter.clients.http import headers
from exporter.clients.http.exchange import HttpExchange
from exporter.clients.http.faults import STAGES, FailureContext, Stage, fault_of
from exporter.clients.http.local_address import local_address
from exporter.clients.http.response import RecordedResponse
from exporter.core.deadline import TIMEOUT_IN
from exporter.core.faults import Fault
from exporter.core.known_secrets import hide
from exporter.core.masking import mask
from exporter.core.model import Facts, PeerCertificate, Phase
from exporter.core.parsing.error_body import ErrorBody, is_foreign, read_error
from exporter.core.parsing.principal import object_id_in

_REDIRECTS = frozenset({300, 301, 302, 303, 307, 308})  # not 304: "not modified" names no other place


def facts_of_success(exchange: HttpExchange, response: RecordedResponse) -> Facts:
    """Return the facts of a complete response that is as expected: its body has no error to report."""
    return _facts_of_status(exchange, response, Fault.NONE, ErrorBody())


def facts_from(exchange: HttpExchange) -> Facts:
    """Return the facts of an exchange."""
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
        inner_code="insufficient_claims" if headers.claims_required(response.headers) else body.inner_code,
        aadsts=body.aadsts,
        akv=body.akv,
        client_address=body.client_address,
        retry_after_seconds=headers.retry_after(response.headers),
        request_id=headers.request_id(response.headers, body.trace_id),
        correlation_id=body.correlation_id,
        detail="" if fault is Fault.NONE else _detail_of(exchange, response, body),
        raised_at=exchange.raised_at if fault is Fault.INTERNAL else None,
        phases=exchange.timer.phases(),
        phase_reached=exchange.timer.reached,
        has_page=fault is Fault.HTTP_STATUS and response.complete and is_foreign(response.body),
        server_time=headers.server_time(response.headers),
        endpoint=exchange.endpoint,
        proxy=exchange.proxy,
        resent=exchange.resent,
        vault=headers.vault_headers(response.headers),
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

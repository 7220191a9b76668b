"""Microsoft Graph: the expiry of an application's secrets and certificates.

The paths are `/v1.0/applications(appId='…')` and `/v1.0/servicePrincipals(appId='…')`, for callers with the right to read
them. Graph shows only the first three characters of a secret.
"""

from __future__ import annotations

import base64
import hashlib
import re
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from uuid import NAMESPACE_URL, UUID, uuid4, uuid5

from cryptography import x509

from exporter.simulator.error_responses import graph_error
from exporter.simulator.model import FAR_FUTURE, Application, ClientSecret, Tenant
from exporter.simulator.request import Exchange
from exporter.simulator.response import SimulatedResponse
from exporter.simulator.tokens import TokenClaims, TokenMint

_PATH = re.compile(r"/v1\.0/(applications|servicePrincipals)\(appId='([^']*)'\)", re.IGNORECASE)
_HINT = 3  # characters of a secret that Graph shows


class GraphService:
    """Turns one request to Microsoft Graph into one response.

    `tenant_of` returns a tenant by its id, with the active faults applied.
    """

    def __init__(
        self, mint: TokenMint, tenant_of: Callable[[str], Tenant | None], clock: Callable[[], float] = time.time
    ) -> None:
        self._mint = mint
        self._tenant_of = tenant_of
        self._clock = clock

    def respond(self, exchange: Exchange) -> SimulatedResponse:
        """Return Graph's response with its diagnostic headers."""
        request = exchange.headers.get("client-request-id", str(uuid4()))
        return self._respond(exchange).with_header("request-id", str(uuid4())).with_header("client-request-id", request)

    def _respond(self, exchange: Exchange) -> SimulatedResponse:
        caller = self._mint.read(exchange.bearer) if exchange.bearer else None
        if exchange.bearer is None:
            return _unauthorized("token_missing")
        if caller is None or caller.expires <= self._clock() or caller.audience != f"https://{exchange.host}":
            return _unauthorized("token_refused")
        matched = _PATH.fullmatch(exchange.path)
        if exchange.method != "GET" or matched is None:
            return graph_error("no_such_path")
        return self._read(caller, exchange, matched[1], matched[2].lower())

    def _read(self, caller: TokenClaims, exchange: Exchange, collection: str, client_id: str) -> SimulatedResponse:
        tenant = self._tenant_of(caller.tenant_id)
        reader = None if tenant is None else tenant.applications.get(caller.client_id)
        if tenant is None or reader is None or not reader.graph_reader:
            return graph_error("denied")
        application = tenant.applications.get(client_id)
        if application is None:
            return graph_error("not_found")
        return _selected(_document(application, collection.lower() == "serviceprincipals"), exchange, collection)


def _unauthorized(name: str) -> SimulatedResponse:
    """Return a 401 with a challenge."""
    challenge = 'Bearer realm="", authorization_uri="https://login.microsoftonline.com/common/oauth2/authorize"'
    return graph_error(name).with_header("WWW-Authenticate", challenge)


def _selected(document: Mapping[str, object], exchange: Exchange, collection: str) -> SimulatedResponse:
    """Return the members that `$select` names, or all members without `$select`."""
    wanted = [name.strip() for name in exchange.query.get("$select", "").split(",") if name.strip()]
    if not set(wanted) <= set(document):
        return graph_error("no_such_property")
    selection = f"({','.join(wanted)})" if wanted else ""
    context = {"@odata.context": f"https://{exchange.host}/v1.0/$metadata#{collection}{selection}/$entity"}
    return SimulatedResponse().with_document({**context, **{name: document[name] for name in wanted or document}})


def _document(application: Application, of_principal: bool) -> dict[str, object]:
    """Return an application, or its service principal, as Graph shows it.

    A service principal has an id of its own.
    """
    secrets = [_secret(secret) for secret in application.secrets if secret.of_principal == of_principal]
    certificates = [] if of_principal else [_certificate(der) for der in application.certificates]
    own_id = application.object_id if of_principal else str(uuid5(NAMESPACE_URL, application.client_id))
    return {
        "id": own_id,
        "appId": application.client_id,
        "displayName": application.names[0] if application.names else application.client_id,
        "passwordCredentials": secrets,
        "keyCredentials": certificates,
    }


def _secret(secret: ClientSecret) -> dict[str, object]:
    """Return a secret as Graph shows it."""
    return {
        "customKeyIdentifier": None,
        "displayName": secret.display_name,
        "endDateTime": _date(FAR_FUTURE if secret.expires is None else secret.expires),
        "hint": secret.value[:_HINT],
        "keyId": secret.key_id,
        "secretText": None,
        "startDateTime": _date(secret.created),
    }


def _certificate(der: bytes) -> dict[str, object]:
    """Return a certificate as Graph shows it.

    The identifier is the SHA-1 thumbprint, which the portal shows too.
    """
    certificate = x509.load_der_x509_certificate(der)
    return {
        "customKeyIdentifier": base64.b64encode(hashlib.sha1(der, usedforsecurity=False).digest()).decode(),
        "displayName": certificate.subject.rfc4514_string(),
        "endDateTime": _date(certificate.not_valid_after_utc.timestamp()),
        "key": None,
        "keyId": str(UUID(bytes=hashlib.sha256(der).digest()[:16])),
        "startDateTime": _date(certificate.not_valid_before_utc.timestamp()),
        "type": "AsymmetricX509Cert",
        "usage": "Verify",
    }


def _date(moment: float) -> str:
    """Format a Unix time as Graph does."""
    return f"{datetime.fromtimestamp(moment, UTC):%Y-%m-%dT%H:%M:%SZ}"

"""Entra ID: the token endpoints v1 and v2, and tokens of managed identities.

Client credentials are secrets, signed assertions or tokens of service accounts. A managed identity has none of them.
The faults on top of a response are in `state`.
"""

from __future__ import annotations

import hmac
import re
import time
from collections.abc import Callable
from uuid import uuid4

from exporter.simulator import client_assertion
from exporter.simulator.error_responses import entra_error
from exporter.simulator.managed_identity import IdentityRequest, identity_not_found, token_document
from exporter.simulator.model import TOKEN_LIFETIME, Application, Tenant
from exporter.simulator.request import Exchange
from exporter.simulator.response import SimulatedResponse
from exporter.simulator.service_accounts import ServiceAccounts, is_federated
from exporter.simulator.tokens import TokenClaims, TokenMint

_TENANT = re.compile(r"[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}|[a-z0-9-]+(?:\.[a-z0-9-]+)+")
V1, V2 = ("oauth2", "token"), ("oauth2", "v2.0", "token")


class EntraService:
    """Turns one token request into one response."""

    def __init__(self, mint: TokenMint, service_accounts: ServiceAccounts, clock: Callable[[], float] = time.time) -> None:
        self._mint = mint
        self._service_accounts = service_accounts
        self._clock = clock

    def respond(self, tenant: Tenant | None, resources: frozenset[str], exchange: Exchange) -> SimulatedResponse:
        """Return Entra's response.

        `tenant` is the one that the path names, None if the environment has no tenant of that name.
        """
        name, path = tenant_name(exchange), tuple(part.lower() for part in exchange.parts[1:])
        if exchange.method != "POST" or path not in (V1, V2):
            response = SimulatedResponse(status=404)
        elif not _TENANT.fullmatch(name):
            response = entra_error("tenant_malformed")
        elif tenant is None:
            response = entra_error("tenant_unknown")
        elif exchange.form.get("grant_type") != "client_credentials":
            response = entra_error("grant_unsupported")
        else:
            response = self._grant_token(tenant, resources, exchange, first_version=path == V1)
        return response.with_header("x-ms-request-id", str(uuid4())).with_header("Cache-Control", "no-store, no-cache")

    def _grant_token(
        self, tenant: Tenant, resources: frozenset[str], exchange: Exchange, *, first_version: bool
    ) -> SimulatedResponse:
        """Return a token, or the first refusal: application, credential, resource."""
        application = tenant.applications.get(client_id(exchange))
        scope = exchange.form.get("resource", "") if first_version else exchange.form.get("scope", "").removesuffix("/.default")
        audience = scope.rstrip("/")
        if application is None:
            return entra_error("application_unknown")
        refusal = self._refusal(application, exchange)
        if refusal is not None:
            return entra_error(refusal)
        if audience not in resources:
            return entra_error("resource_principal_missing")
        return self._token(tenant, application, audience, first_version=first_version)

    def _refusal(self, application: Application, exchange: Exchange) -> str | None:
        """Return the name of the refusal of the application's credential, if there is one."""
        if exchange.form.get("client_assertion_type") == client_assertion.BEARER:
            text, audience = exchange.form.get("client_assertion", ""), f"https://{exchange.host}{exchange.path}"
            if is_federated(text):
                return self._service_accounts.refusal(application, text)
            return client_assertion.refusal(application, text, audience, self._clock())
        return self._secret_refusal(application, exchange.form.get("client_secret", ""))

    def _secret_refusal(self, application: Application, offered: str) -> str | None:
        """Return the name of the refusal of a client secret, if there is one."""
        secret = next((one for one in application.secrets if hmac.compare_digest(one.value.encode(), offered.encode())), None)
        if secret is None:
            return "secret_wrong"
        return "secret_expired" if secret.expires is not None and secret.expires <= self._clock() else None

    def respond_as_host(self, tenant: Tenant | None, request: IdentityRequest, client_id: str) -> SimulatedResponse:
        """Return the response of one of the host's identity services.

        `tenant` is the tenant of the identity, None if the host has no such identity.
        """
        application = None if tenant is None else tenant.applications.get(client_id)
        if tenant is None or application is None:
            return identity_not_found(request.service)
        response = self._token(tenant, application, request.audience, first_version=True)
        return response.with_document(token_document(request.service, response.document(), application.client_id))

    def _token(self, tenant: Tenant, application: Application, audience: str, *, first_version: bool) -> SimulatedResponse:
        """Return a token response in the form of the endpoint's version."""
        now = int(self._clock())
        claims = TokenClaims(
            tenant_id=application.token_tenant or tenant.tenant_id,
            client_id=application.client_id,
            object_id=application.object_id,
            audience=application.token_audience or audience,
            expires=now + application.token_lifetime,
        )
        body: dict[str, object] = {"token_type": "Bearer", "expires_in": TOKEN_LIFETIME, "ext_expires_in": TOKEN_LIFETIME}
        if first_version:  # v1 sends numbers as text and repeats the audience
            body = {name: str(value) for name, value in body.items()}
            body |= {"expires_on": str(now + TOKEN_LIFETIME), "not_before": str(now), "resource": audience}
        return SimulatedResponse().with_document({**body, "access_token": self._mint.issue(claims)})


def tenant_name(exchange: Exchange) -> str:
    """Return the tenant that the path names, in lower case."""
    return exchange.parts[0].lower() if exchange.parts else ""


def client_id(exchange: Exchange) -> str:
    """Return the client id of a token request, in lower case."""
    return exchange.form.get("client_id", "").lower()

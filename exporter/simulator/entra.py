"""Entra's token endpoints, v1 and v2, and what stands behind the identity services of a host: who signs in, and the token for it.

For: one token request to one answer. Client credentials are secrets, signed assertions or tokens of service accounts; a managed identity has neither.
Not for: vaults, faults on top of the answer (see `state`), or the wire.
"""

from __future__ import annotations

import hmac
import re
import time
from collections.abc import Callable
from uuid import uuid4

from exporter.simulator import client_assertion
from exporter.simulator.error_responses import entra_answer
from exporter.simulator.managed_identity import Asked, in_form_of, not_assigned
from exporter.simulator.model import TOKEN_LIFETIME, Application, Tenant
from exporter.simulator.request import Exchange
from exporter.simulator.response import SimulatedResponse
from exporter.simulator.service_accounts import ServiceAccounts, is_federated
from exporter.simulator.tokens import Grant, TokenMint

_TENANT = re.compile(r"[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}|[a-z0-9-]+(?:\.[a-z0-9-]+)+")
V1, V2 = ("oauth2", "token"), ("oauth2", "v2.0", "token")


class EntraService:
    def __init__(self, mint: TokenMint, service_accounts: ServiceAccounts, clock: Callable[[], float] = time.time) -> None:
        self._mint = mint
        self._service_accounts = service_accounts
        self._clock = clock

    def answer(self, tenant: Tenant | None, resources: frozenset[str], exchange: Exchange) -> SimulatedResponse:
        """What Entra answers; `tenant` is the one the path names, None where the estate has none of that name."""
        name, path = tenant_name(exchange), tuple(part.lower() for part in exchange.parts[1:])
        if exchange.method != "POST" or path not in (V1, V2):
            answer = SimulatedResponse(status=404)
        elif not _TENANT.fullmatch(name):
            answer = entra_answer("tenant_malformed")
        elif tenant is None:
            answer = entra_answer("tenant_unknown")
        elif exchange.form.get("grant_type") != "client_credentials":
            answer = entra_answer("grant_unsupported")
        else:
            answer = self._grant(tenant, resources, exchange, first_version=path == V1)
        return answer.with_header("x-ms-request-id", str(uuid4())).with_header("Cache-Control", "no-store, no-cache")

    def _grant(self, tenant: Tenant, resources: frozenset[str], exchange: Exchange, *, first_version: bool) -> SimulatedResponse:
        application = tenant.applications.get(client_id(exchange))
        asked = exchange.form.get("resource", "") if first_version else exchange.form.get("scope", "").removesuffix("/.default")
        audience = asked.rstrip("/")
        if application is None:
            return entra_answer("application_unknown")
        refusal = self._refused(application, exchange)
        if refusal is not None:
            return entra_answer(refusal)
        if audience not in resources:
            return entra_answer("resource_principal_missing")
        return self._token(tenant, application, audience, first_version=first_version)

    def _refused(self, application: Application, exchange: Exchange) -> str | None:
        if exchange.form.get("client_assertion_type") == client_assertion.BEARER:
            text, audience = exchange.form.get("client_assertion", ""), f"https://{exchange.host}{exchange.path}"
            if is_federated(text):
                return self._service_accounts.refusal(application, text)
            return client_assertion.refusal(application, text, audience, self._clock())
        return self._secret_refused(application, exchange.form.get("client_secret", ""))

    def _secret_refused(self, application: Application, offered: str) -> str | None:
        secret = next((one for one in application.secrets if hmac.compare_digest(one.value.encode(), offered.encode())), None)
        if secret is None:
            return "secret_wrong"
        return "secret_expired" if secret.expires is not None and secret.expires <= self._clock() else None

    def identity(self, tenant: Tenant | None, asked: Asked, client_id: str) -> SimulatedResponse:
        """What an identity service of a host answers; `tenant` is the identity's, None where the host has no such identity."""
        application = None if tenant is None else tenant.applications.get(client_id)
        if tenant is None or application is None:
            return not_assigned(asked.service)
        answer = self._token(tenant, application, asked.audience, first_version=True)
        return answer.with_document(in_form_of(asked.service, answer.document(), application.client_id))

    def _token(self, tenant: Tenant, application: Application, audience: str, *, first_version: bool) -> SimulatedResponse:
        now = int(self._clock())
        grant = Grant(
            tenant_id=application.token_tenant or tenant.tenant_id,
            client_id=application.client_id,
            object_id=application.object_id,
            audience=application.token_audience or audience,
            expires=now + application.token_lifetime,
        )
        body: dict[str, object] = {"token_type": "Bearer", "expires_in": TOKEN_LIFETIME, "ext_expires_in": TOKEN_LIFETIME}
        if first_version:  # numbers as text, and the audience again
            body = {name: str(value) for name, value in body.items()}
            body |= {"expires_on": str(now + TOKEN_LIFETIME), "not_before": str(now), "resource": audience}
        return SimulatedResponse().with_document({**body, "access_token": self._mint.issue(grant)})


def tenant_name(exchange: Exchange) -> str:
    """The tenant that the path names, in lower case."""
    return exchange.parts[0].lower() if exchange.parts else ""


def client_id(exchange: Exchange) -> str:
    return exchange.form.get("client_id", "").lower()

"""Request a token for a vault, with a new azure-identity credential each time, and list an application's credentials in Microsoft Graph.

The recorded response decides the result. The SDK's exception decides only
without a response. azure-identity rejects a tenant with invalid characters. If the challenge named that tenant, the challenge
is at fault; otherwise the identity is unavailable.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from contextvars import Context
from dataclasses import replace
from functools import partial
from typing import Any
from urllib.parse import quote

from azure.core.credentials import AccessToken
from azure.core.exceptions import AzureError
from azure.core.pipeline import PipelineRequest, PipelineResponse
from azure.core.pipeline.policies import AsyncHTTPPolicy, ContentDecodePolicy
from azure.core.rest import AsyncHttpResponse, HttpRequest
from azure.identity import CredentialUnavailableError
from azure.identity.aio import (
    ClientAssertionCredential,
    ClientSecretCredential,
    DefaultAzureCredential,
    ManagedIdentityCredential,
    WorkloadIdentityCredential,
)
from msgspec import structs

from exporter.clients.answers import check_token, read_application, read_token, unix_time
from exporter.clients.certificates import ClientCertificate, make_assertion
from exporter.clients.http.exchange import CURRENT, TRANSPORT, Exchange, SecretTimeoutError
from exporter.clients.http.facts import facts_from, facts_of_failure
from exporter.clients.http.network import Network, split_url
from exporter.clients.key_vault import HostSession
from exporter.config.settings import Credential
from exporter.core.connector import CLIENT_ID_DIGITS, split_connector_secret
from exporter.core.json import read_object
from exporter.core.names import is_trusted_authority
from exporter.core.secrets import mask, remember_token
from exporter.core.values import HOST_IDENTITIES, Challenge, CredentialKind, Facts, Fault, TokenResult
from exporter.knowledge.answers import unexpected_text
from exporter.knowledge.expiry import AppCredentials
from exporter.runtime.tasks import PoolExhausted

# What replaces azure-identity's pipeline and token cache for one request to Entra ID.
#
# The default policies take as long as the request, and a cache serves no second request: each request has its own credential object.
# A release of azure-identity that ignores both still works.


class TokenPolicy(AsyncHTTPPolicy[HttpRequest, AsyncHttpResponse]):
    """The only policy of a token request: it gives the SDK the JSON object of the response.

    The SDK decodes any other response by itself.
    """

    async def send(self, request: PipelineRequest[HttpRequest]) -> PipelineResponse[HttpRequest, AsyncHttpResponse]:
        """Send the request, without a repeat or redirect."""
        response = await self.next.send(request)
        response.context[ContentDecodePolicy.CONTEXT_NAME] = read_object(response.http_response.content)
        return response


class NoTokenCache:
    """A token cache for azure-identity that keeps nothing."""

    def search(self, *_: object, **__: object) -> Iterator[dict[str, Any]]:
        """Find no token: the credential object is new."""
        return iter(())

    def add(self, *_: object, **__: object) -> None:
        """Keep no token: `probing.tokens` does."""


NO_TOKEN_CACHE = NoTokenCache()


class _UnusableError(Exception):
    """The credential cannot be used; the facts have the cause."""

    def __init__(self, facts: Facts) -> None:
        super().__init__(facts)
        self.facts = facts


def _identity(
    credential: Credential, proof: str | ClientCertificate | None, tenant: str, authority: str, options: Mapping[str, Any]
) -> Any:
    """Return a new credential object of azure-identity. Raises _UnusableError."""
    client_id, secret = credential.client_id or "", proof if isinstance(proof, str) else ""
    try:
        match credential.kind:
            case CredentialKind.CLIENT_SECRET:
                return ClientSecretCredential(tenant, client_id, secret, **options)
            case CredentialKind.CONNECTOR_SECRET:
                if len(secret) <= CLIENT_ID_DIGITS:
                    short = f"needs more than {CLIENT_ID_DIGITS} characters"
                    raise _UnusableError(Facts(fault=Fault.SECRET_TOO_SHORT, detail=short))
                parts = split_connector_secret(secret)
                # An invalid client id is sent as it is, and Entra ID rejects it.
                client_id = secret[:CLIENT_ID_DIGITS] if parts is None else parts.client_id
                return ClientSecretCredential(tenant, client_id, secret[CLIENT_ID_DIGITS:], **options)
            case CredentialKind.CLIENT_CERTIFICATE:
                loaded = proof if isinstance(proof, ClientCertificate) else ClientCertificate(Fault.SECRET_UNREADABLE)
                if loaded.key is None or loaded.certificate is None:
                    raise _UnusableError(Facts(fault=loaded.fault, detail=mask(loaded.detail)))
                sign = partial(
                    make_assertion, loaded.key, loaded.certificate, authority=authority, tenant=tenant, client_id=client_id
                )
                return ClientAssertionCredential(tenant, client_id, sign, **options)
            case CredentialKind.MANAGED_IDENTITY:
                return ManagedIdentityCredential(client_id=client_id or None, **options)
            case CredentialKind.WORKLOAD_IDENTITY:
                return WorkloadIdentityCredential(tenant_id=tenant, client_id=client_id or None, **options)
            case CredentialKind.DEFAULT:
                return DefaultAzureCredential(managed_identity_client_id=client_id or None, **options)
    except (ValueError, TypeError, OSError) as error:
        from_challenge = credential.tenant_id is None and "tenant" in str(error).lower()
        fault = Fault.CHALLENGE_NO_TENANT if from_challenge else Fault.IDENTITY_UNAVAILABLE
        raise _UnusableError(Facts(fault=fault, exception=type(error).__name__, detail=mask(str(error)))) from None


async def fetch_token(
    network: Network, credential: Credential, proof: str | ClientCertificate | None, challenge: Challenge, *, deadline: float
) -> TokenResult:
    """Request one token.

    `proof` is the client secret, the connector's string or the certificate with its key. `deadline` is in loop time. Raises
    CancelledError, and PoolExhausted if the deadline passed while the request waited for a thread or a handshake slot.
    """
    authority = network.module.authority_host or challenge.authority
    if not is_trusted_authority(authority, network.module.authority_host):
        return TokenResult(facts=Facts(fault=Fault.AUTHORITY_UNTRUSTED))
    if credential.has_own_secret and not proof:
        return TokenResult(facts=Facts(fault=Fault.SECRET_UNREADABLE, detail="the secret cannot be read"))
    host, port = split_url(authority)
    connection = network.connection(host, port)
    options: dict[str, Any] = {"transport": TRANSPORT, "authority": authority, "retry_total": 0}
    is_ambient = credential.kind in HOST_IDENTITIES
    if not is_ambient:  # the identity services of a host need the SDK's policies
        options |= {"policies": [TokenPolicy()], "cache": NO_TOKEN_CACHE}

    async def get_token() -> AccessToken:
        identity = _identity(credential, proof, credential.tenant_id or challenge.tenant, authority, options)
        granted: AccessToken = await identity.get_token(f"{challenge.resource.rstrip('/')}/.default")
        return granted

    try:
        exchange = await connection.exchange(get_token, deadline=deadline)
    finally:
        await connection.close()
    if isinstance(exchange.error, _UnusableError):
        response = TokenResult(facts=exchange.error.facts)
    else:
        response = _assess(exchange, entra=f"{host}:{port}", is_ambient=is_ambient)
    parts = (
        split_connector_secret(proof) if credential.kind is CredentialKind.CONNECTOR_SECRET and isinstance(proof, str) else None
    )
    client_id = credential.client_id if parts is None else parts.client_id
    facts = structs.replace(response.facts, client_id=client_id, credential_kind=credential.kind)
    return structs.replace(response, facts=facts)


def _assess(exchange: Exchange, *, entra: str, is_ambient: bool) -> TokenResult:
    granted = exchange.result if isinstance(exchange.result, AccessToken) else None
    if granted is not None and isinstance(granted.token, str):  # the SDK accepts a token of any type
        remember_token(granted.token)
    expires_at = None if granted is None else unix_time(granted.expires_on)
    facts = facts_from(exchange)
    if is_ambient and granted is not None:  # the last response may be that of an identity that had no token
        fault, token = check_token(granted.token)
        return TokenResult(facts=structs.replace(facts, fault=fault), token=token, expires_at=expires_at)
    # Throttling by the identity endpoint of the host counts as a response of Entra ID.
    lacking = facts.fault is not Fault.HTTP_STATUS or (facts.endpoint != entra and facts.status != 429)
    if is_ambient and (lacking or isinstance(exchange.error, CredentialUnavailableError)):
        endpoint = None if exchange.reached is None else exchange.endpoint  # without a request, that of Entra
        facts = structs.replace(facts, endpoint=endpoint, detail=_identity_detail(exchange, facts))
        # Azure Arc responds to the first request with the path of a key file. Without a further response, the file was not read.
        headers = {} if exchange.response is None or exchange.response.status_code != 401 else exchange.response.headers
        is_proof = headers.get("WWW-Authenticate", "").lower().startswith("basic realm=")
        return TokenResult(
            facts=_identity_unavailable(facts, Fault.IDENTITY_KEY_UNREADABLE if is_proof else Fault.IDENTITY_UNAVAILABLE)
        )
    if facts.fault is not Fault.NONE or exchange.response is None:
        return TokenResult(facts=facts)
    fault, token = read_token(exchange.response.content)
    if token is None:
        facts = structs.replace(facts, fault=fault, detail=mask(unexpected_text(fault, exchange.response.content)))
    elif granted is None:
        remember_token(token)
    return TokenResult(facts=facts, token=token, expires_at=expires_at)


def _identity_detail(exchange: Exchange, facts: Facts) -> str:
    """Return the masked sentence of the SDK, or the response if the SDK cannot read it."""
    if exchange.error is None or exchange.timed_out:
        return facts.detail
    if isinstance(exchange.error, AzureError) or facts.status is None:
        return mask(str(exchange.error))
    return f"status {facts.status}, not a token response" + (
        f": {facts.detail}" if facts.fault is Fault.HTTP_STATUS and facts.detail else ""
    )


def _identity_unavailable(facts: Facts, fault: Fault = Fault.IDENTITY_UNAVAILABLE) -> Facts:
    """Return the facts of an identity endpoint that provided no token.

    The masked detail begins with the name of that endpoint.
    """
    detail = facts.detail if facts.endpoint is None else f"{facts.endpoint}: {facts.detail}"
    return structs.replace(facts, fault=fault, detail=detail[:256])


def quiet_sdk_loggers() -> None:
    """Silence the SDK's loggers: they print responses, tenants and addresses."""
    for name in ("azure", "msal"):
        logger = logging.getLogger(name)
        logger.setLevel(logging.CRITICAL + 1)
        logger.propagate = False


def pending_facts(context: Context, network: Network, authority: str) -> Facts:
    """Return the facts of the token request under way in this context.

    It goes to `authority` or to an identity endpoint. Raises PoolExhausted if the request still waits for a thread or a
    handshake slot.
    """
    exchange = context.get(CURRENT)
    if exchange is None:
        return Facts(fault=Fault.READ_TIMEOUT, detail="no time was left")
    if exchange.is_pool_exhaustion:
        raise PoolExhausted("time ran out before a thread or a handshake slot was free")
    if exchange.reached is None:
        return Facts(fault=Fault.SECRET_TIMEOUT, detail=str(SecretTimeoutError()))
    facts = structs.replace(facts_of_failure(replace(exchange, timed_out=True)), certificate=None)
    host, port = split_url(network.module.authority_host or authority)
    return facts if exchange.endpoint == f"{host}:{port}" else _identity_unavailable(facts)


# Microsoft Graph: only two kinds of GET requests. No request or response contains a secret: Graph lists dates, hints and thumbprints.

_SELECT = "id,appId,passwordCredentials,keyCredentials"
HOLDERS = ("applications", "servicePrincipals")  # of secrets and certificates


class GraphSession(HostSession):
    """A session with Microsoft Graph, as an async context manager."""

    request_id_header = "client-request-id"

    async def list_credentials(
        self, token: str, holder: str, client_id: str, *, deadline: float
    ) -> tuple[Facts, AppCredentials | None]:
        """Return the secrets and certificates of the application with that client id, by one of the `HOLDERS`.

        The facts have status 404 if the tenant has no such application.
        """
        path = f"/v1.0/{holder}(appId='{quote(client_id, safe='')}')?$select={_SELECT}"
        return await self.request(path, token, read_application, deadline=deadline)

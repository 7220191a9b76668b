"""Entra ID: the token endpoints v1 and v2, and tokens of managed identities.

Client credentials are secrets, signed assertions or tokens of service accounts. A managed identity has none of them.
The faults on top of a response are in `state`.
"""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import re
import secrets
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any
from uuid import uuid4

import jwt
import msgspec
from aiohttp import web
from cryptography import x509

from exporter.clients.answers import encode
from exporter.core import first_true
from exporter.core.json import read_object
from exporter.knowledge.answers import payload_of
from exporter.simulator.environment import TOKEN_LIFETIME, Application, Tenant
from exporter.simulator.errors import entra_error
from exporter.simulator.http import APP_SERVICE, ARC, IMDS, Exchange, SimulatedResponse

_JWS = jwt.PyJWS()  # the times are checked here: they are those of the simulator's clock
_SKEW = 300.0  # seconds by which clocks may differ


def _signed(token: str, key: Any, *algorithms: str) -> dict[str, Any] | None:
    """Return the payload of a token that this key signed, None for any other text."""
    try:
        return read_object(_JWS.decode(token, key, algorithms))
    except jwt.InvalidTokenError:
        return None


def _is_in_time(payload: Mapping[str, Any], now: float) -> bool:
    starts, ends = payload.get("nbf", now), payload.get("exp")
    return isinstance(starts, int | float) and isinstance(ends, int | float) and starts - _SKEW <= now < ends + _SKEW


# The client assertion that an application signs in with: signature by a registered certificate (RS256 or PS256),
# audience, issuer and times.

BEARER = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"


def _assertion_refusal(application: Application, assertion: str, audience: str, now: float) -> str | None:
    """Return the name of Entra's refusal, None if the assertion is good.

    `audience` is the address that received the assertion. `now` is a Unix time.
    """
    certificate = _certificate(application, assertion)
    payload = _signed(assertion, certificate.public_key(), "RS256", "PS256") if certificate is not None else None
    if certificate is None or not payload:
        return "certificate_unknown"
    starts, ends = certificate.not_valid_before_utc.timestamp(), certificate.not_valid_after_utc.timestamp()
    return first_true(
        ({payload.get("iss"), payload.get("sub")} != {application.client_id}, "assertion_application"),
        (payload.get("aud") != audience, "assertion_audience"),
        (not _is_in_time(payload, now), "assertion_outside_validity"),
        (not starts <= now < ends, "certificate_expired"),
        default=None,
    )


def _certificate(application: Application, assertion: str) -> x509.Certificate | None:
    """Return the registered certificate that the assertion's header names by either thumbprint."""
    try:
        header = _JWS.get_unverified_header(assertion)
    except jwt.InvalidTokenError:
        return None
    named = {str(header.get(member)).rstrip("=") for member in ("x5t#S256", "x5t")}
    for der in application.certificates:
        # SHA-1 only identifies the certificate, as older clients name it (RFC 7515, 4.1.7)
        digests = (hashlib.sha256(der), hashlib.sha1(der, usedforsecurity=False))
        if named & {encode(one.digest()) for one in digests}:
            return x509.load_der_x509_certificate(der)
    return None


# Signed tokens. The keys exist in memory only, so that tokens end with the run.


class TokenClaims(msgspec.Struct, frozen=True, kw_only=True):
    """The claims of an access token, under Entra's names: tenant, client id, object id, audience, and the Unix time of its end."""

    tid: str
    appid: str
    oid: str
    aud: str
    exp: int


# Tokens of Kubernetes service accounts, and Entra's checks of them. Entra would fetch a cluster's keys; the simulator accepts
# only its own signature.

AUDIENCE = "api://AzureADTokenExchange"
LIFETIME = 86400  # seconds: the longest that AKS gives


class ServiceAccounts:
    """Issues and checks tokens of service accounts."""

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._key = secrets.token_bytes(32)
        self._clock = clock

    def issue(self, issuer: str, subject: str, *, audience: str = AUDIENCE, lifetime: float = LIFETIME) -> str:
        """Return a token as a cluster writes it to a pod's token file.

        `lifetime` is in seconds; a negative one gives a token that expired that long ago.
        """
        now = int(self._clock())
        starts, ends = min(now, now + int(lifetime)), now + int(lifetime)
        return jwt.encode(
            {"iss": issuer, "sub": subject, "aud": [audience], "iat": starts, "nbf": starts, "exp": ends}, self._key
        )

    def refusal(self, application: Application, token: str) -> str | None:
        """Return the name of Entra's refusal, None if the token signs the application in."""
        payload = _signed(token, self._key, "HS256")
        if payload is None:
            return "assertion_signature"
        return first_true(
            (payload["iss"] not in dict(application.federated), "federation_issuer"),
            ((payload["iss"], payload["sub"]) not in application.federated, "federation_subject"),
            (AUDIENCE not in payload["aud"], "federation_audience"),
            (not _is_in_time(payload, self._clock()), "assertion_outside_validity"),
            default=None,
        )


# The host's identity services: App Service, Azure VM and Azure Arc.
#
#     App Service   IDENTITY_ENDPOINT and IDENTITY_HEADER are set
#     Azure VM      AZURE_POD_IDENTITY_AUTHORITY_HOST replaces the fixed address of a real machine
#     Azure Arc     IDENTITY_ENDPOINT and IMDS_ENDPOINT are set; a second request proves that its sender can read a file

# The fields of a token response. Numbers are texts in all of them.
_FEW_FIELDS = frozenset({"access_token", "expires_on", "resource", "token_type", "client_id"})
_TOKEN_FIELDS: Mapping[str, frozenset[str]] = {
    APP_SERVICE: _FEW_FIELDS,
    IMDS: _FEW_FIELDS | {"expires_in", "ext_expires_in", "not_before"},
    ARC: _FEW_FIELDS | {"expires_in", "ext_expires_in", "not_before"},
}
_CHALLENGES = 16  # key files that may remain unused


class IdentityRequests:
    """The rules for a valid request of an identity service.

    Azure Arc's agent serves only clients that can read a file with a key, valid for one request: programs of its own host.
    """

    def __init__(self, arc_folder: Path | None) -> None:
        self._folder = arc_folder
        self._keys: dict[Path, str] = {}

    def check_folder(self) -> None:
        """Raises NotADirectoryError if Azure Arc's folder is missing."""
        if self._folder is not None and not self._folder.is_dir():
            raise NotADirectoryError(f"no folder for the keys of Azure Arc: {self._folder}")

    def refusal(self, service: str, request: web.Request) -> SimulatedResponse | None:
        """Return the error for an invalid request, None for a valid one. May make or use up a key file. Raises OSError."""
        if service == APP_SERVICE:
            complete = "X-IDENTITY-HEADER" in request.headers and _audience(request.query)
            return None if complete else _app_service_error("Send X-IDENTITY-HEADER and a resource.")
        if service == ARC and self._folder is None:
            text = "The simulator has no folder for the keys of Azure Arc: set --sim.arc-token-folder."
            return _oauth_error(404, "not_found", text)
        if request.headers.get("Metadata", "").lower() != "true":
            return _oauth_error(400, "invalid_request", "Required metadata header not specified")
        for name in ("api-version", "resource"):
            if not request.query.get(name):
                return _oauth_error(400, "invalid_request", f"Required query variable '{name}' is missing")
        if service != ARC or self._folder is None or self._is_proven(request.headers.get("Authorization", "")):
            return None
        response = _oauth_error(401, "unauthorized_client", "Send the content of the file that WWW-Authenticate names.")
        return response.with_header("WWW-Authenticate", f"Basic realm={self._new_key(self._folder)}")

    def _new_key(self, folder: Path) -> Path:
        """Write a key that only its owner can read, and return its path."""
        path, key = folder / f"{uuid4()}.key", secrets.token_urlsafe(48)
        path.touch(mode=0o600)
        path.write_text(key)
        self._keys[path] = key
        self._remove(tuple(self._keys)[:-_CHALLENGES])
        return path

    def _is_proven(self, authorization: str) -> bool:
        """Return whether the header contains one of the keys, and remove that key."""
        scheme, _, offered = authorization.partition(" ")
        found = [path for path, key in self._keys.items() if hmac.compare_digest(key.encode(), offered.encode())]
        self._remove(found)
        return scheme.lower() == "basic" and bool(found)

    def close(self) -> None:
        """Remove the unused key files."""
        self._remove(tuple(self._keys))

    def _remove(self, paths: Iterable[Path]) -> None:
        for path in paths:
            del self._keys[path]
            with contextlib.suppress(OSError):  # the client removed it
                path.unlink()


def _audience(query: Mapping[str, str]) -> str:
    """Return the audience that an identity service is asked for, without its final slash."""
    return query.get("resource", "").rstrip("/")


def _oauth_error(status: int, error: str, description: str) -> SimulatedResponse:
    return SimulatedResponse().with_document({"error": error, "error_description": description}, status=status)


def _app_service_error(message: str) -> SimulatedResponse:
    return SimulatedResponse().with_document({"statusCode": 400, "message": message, "correlationId": str(uuid4())}, status=400)


# The token endpoints.

_TENANT = re.compile(r"[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}|[a-z0-9-]+(?:\.[a-z0-9-]+)+")
V1, V2 = ("oauth2", "token"), ("oauth2", "v2.0", "token")


class EntraService:
    """Turns one token request into one response, and reads the tokens."""

    def __init__(self, service_accounts: ServiceAccounts, clock: Callable[[], float] = time.time) -> None:
        self._service_accounts, self._clock = service_accounts, clock
        self._key = secrets.token_bytes(32)

    def read(self, token: str | None) -> TokenClaims | None:
        """Return the claims of a token of this run until its end, None for any other text."""
        payload = None if token is None else _signed(token, self._key, "HS256")
        return None if payload is None or payload["exp"] <= self._clock() else msgspec.convert(payload, TokenClaims)

    def respond(self, tenant: Tenant | None, resources: frozenset[str], exchange: Exchange) -> SimulatedResponse:
        """Return Entra's response: a token, or the first refusal.

        `tenant` is the one that the path names, None if the environment has no tenant of that name.
        """
        path, form = tuple(part.lower() for part in exchange.parts[1:]), exchange.form
        audience = (form.get("resource", "") if path == V1 else form.get("scope", "").removesuffix("/.default")).rstrip("/")
        application = None if tenant is None else tenant.applications.get(client_id(exchange))
        if exchange.method != "POST" or path not in (V1, V2):
            response = SimulatedResponse(status=404)
        elif not _TENANT.fullmatch(tenant_name(exchange)):
            response = entra_error("tenant_malformed")
        elif tenant is None:
            response = entra_error("tenant_unknown")
        elif form.get("grant_type") != "client_credentials":
            response = entra_error("grant_unsupported")
        elif application is None:
            response = entra_error("application_unknown")
        elif (refusal := self._refusal(application, exchange)) is not None:
            response = entra_error(refusal)
        elif audience not in resources:
            response = entra_error("resource_principal_missing")
        else:
            response = self._token(tenant, application, audience, first_version=path == V1)
        return response.with_header("x-ms-request-id", str(uuid4())).with_header("Cache-Control", "no-store, no-cache")

    def _refusal(self, application: Application, exchange: Exchange) -> str | None:
        """Return the name of the refusal of the application's credential, if there is one."""
        now, form = self._clock(), exchange.form
        if form.get("client_assertion_type") == BEARER:
            text = form.get("client_assertion", "")
            # the issuer of an application's own assertion is its client id
            if str((payload_of(text) or {}).get("iss", "")).startswith("https://"):
                return self._service_accounts.refusal(application, text)
            return _assertion_refusal(application, text, f"https://{exchange.host}{exchange.path}", now)
        offered = form.get("client_secret", "").encode()
        secret = next((one for one in application.secrets if hmac.compare_digest(one.value.encode(), offered)), None)
        if secret is None:
            return "secret_wrong"
        return "secret_expired" if secret.expires is not None and secret.expires <= now else None

    def respond_as_host(self, tenant: Tenant | None, service: str, query: Mapping[str, str], client_id: str) -> SimulatedResponse:
        """Return the response of one of the host's identity services.

        `tenant` is the tenant of the identity, None if the host has no such identity.
        """
        if tenant is None and service == APP_SERVICE:
            return _app_service_error(
                "No User Assigned or Delegated Managed Identity found for specified ClientId/ResourceId/PrincipalId."
            )
        if tenant is None:
            return _oauth_error(400, "invalid_request", "Identity not found")
        response = self._token(tenant, tenant.applications[client_id], _audience(query), first_version=True)
        fields = {**response.document(), "client_id": client_id}
        return response.with_document({name: value for name, value in fields.items() if name in _TOKEN_FIELDS[service]})

    def _token(self, tenant: Tenant, application: Application, audience: str, *, first_version: bool) -> SimulatedResponse:
        """Return a token response in the form of the endpoint's version."""
        now = int(self._clock())
        tid = application.token_tenant or tenant.tenant_id
        claims = TokenClaims(
            tid=tid,
            appid=application.client_id,
            oid=application.object_id,
            aud=application.token_audience or audience,
            exp=now + application.token_lifetime,
        )
        token = jwt.encode({**msgspec.structs.asdict(claims), "iss": f"https://sts.windows.net/{tid}/"}, self._key)
        body: dict[str, object] = {"token_type": "Bearer", "expires_in": TOKEN_LIFETIME, "ext_expires_in": TOKEN_LIFETIME}
        if first_version:  # v1 sends numbers as text and repeats the audience
            body = {name: str(value) for name, value in body.items()}
            body |= {"expires_on": str(now + TOKEN_LIFETIME), "not_before": str(now), "resource": audience}
        return SimulatedResponse().with_document({**body, "access_token": token})


def tenant_name(exchange: Exchange) -> str:
    """Return the tenant that the path names, in lower case."""
    return exchange.parts[0].lower() if exchange.parts else ""


def client_id(exchange: Exchange) -> str:
    """Return the client id of a token request, in lower case."""
    return exchange.form.get("client_id", "").lower()

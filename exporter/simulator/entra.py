"""Entra ID: the token endpoints v1 and v2, and tokens of managed identities.

Client credentials are secrets, signed assertions or tokens of service accounts. A managed identity has none of them.
The faults on top of a response are in `state`.
"""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import json
import re
import secrets
import time
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple
from uuid import uuid4

import jwt
from aiohttp import web
from cryptography import x509

from exporter.clients.answers import encode
from exporter.core.json import read_object
from exporter.knowledge.answers import payload_of
from exporter.simulator.environment import TOKEN_LIFETIME, Application, Tenant
from exporter.simulator.errors import entra_error
from exporter.simulator.http import APP_SERVICE, ARC, IMDS, PATHS, Exchange, SimulatedResponse, deliver

# The client assertion that an application signs in with: signature by a registered certificate (RS256 or PS256),
# audience, issuer and times.

BEARER = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
_SKEW = 300.0  # seconds by which clocks may differ
_JWS = jwt.PyJWS()  # the times are checked here: they are those of the simulator's clock


def refusal(application: Application, assertion: str, audience: str, now: float) -> str | None:
    """Return the name of Entra's refusal, None if the assertion is good.

    `audience` is the address that received the assertion. `now` is a Unix time.
    """
    certificate = _certificate(application, assertion)
    payload = _signed(assertion, certificate.public_key(), "RS256", "PS256") if certificate is not None else None
    if certificate is None or not payload:
        return "certificate_unknown"
    if {payload.get("iss"), payload.get("sub")} != {application.client_id}:
        return "assertion_application"
    if payload.get("aud") != audience:
        return "assertion_audience"
    starts, ends = payload.get("nbf", now), payload.get("exp")
    if not isinstance(starts, int | float) or not isinstance(ends, int | float) or not starts - _SKEW <= now < ends + _SKEW:
        return "assertion_outside_validity"
    valid = certificate.not_valid_before_utc.timestamp() <= now < certificate.not_valid_after_utc.timestamp()
    return None if valid else "certificate_expired"


def _signed(token: str, key: Any, *algorithms: str) -> dict[str, Any] | None:
    """Return the payload of a token that this key signed, None for any other text."""
    try:
        return read_object(_JWS.decode(token, key, algorithms))
    except jwt.InvalidTokenError:
        return None


def _certificate(application: Application, assertion: str) -> x509.Certificate | None:
    """Return the registered certificate that the assertion's header names by either thumbprint."""
    try:
        header = _JWS.get_unverified_header(assertion)
    except jwt.InvalidTokenError:
        return None
    for der in application.certificates:
        # SHA-1 only identifies the certificate, as older clients name it (RFC 7515, 4.1.7)
        sha256, sha1 = hashlib.sha256(der).digest(), hashlib.sha1(der, usedforsecurity=False).digest()
        if _names(header, "x5t#S256", sha256) or _names(header, "x5t", sha1):
            return x509.load_der_x509_certificate(der)
    return None


def _names(header: dict[str, Any], member: str, digest: bytes) -> bool:
    """Return whether a member of the header is this digest."""
    return str(header.get(member, "")).rstrip("=") == encode(digest)


# Signed tokens. The keys exist in memory only, so that tokens end with the run.


class TokenClaims(NamedTuple):
    """The claims of an access token, under Entra's names: tenant, client id, object id, audience, and the Unix time of its end."""

    tid: str
    appid: str
    oid: str
    aud: str
    exp: int


def _sign(payload: Mapping[str, object], key: bytes) -> str:
    return _JWS.encode(json.dumps(payload).encode(), key, "HS256")


class TokenMint:
    """Issues and reads access tokens."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._key = secrets.token_bytes(32)
        self._clock = clock

    def issue(self, claims: TokenClaims) -> str:
        return _sign({**claims._asdict(), "iss": f"https://sts.windows.net/{claims.tid}/"}, self._key)

    def read(self, token: str | None) -> TokenClaims | None:
        """Return the claims of a token of this run until its end, None for any other text."""
        payload = _signed(token or "", self._key, "HS256")
        living = payload is not None and payload["exp"] > self._clock()
        return TokenClaims(**{name: payload[name] for name in TokenClaims._fields}) if payload is not None and living else None


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
        starts = min(now, now + int(lifetime))
        payload = {"iss": issuer, "sub": subject, "aud": [audience], "iat": starts, "nbf": starts, "exp": now + int(lifetime)}
        return _sign(payload, self._key)

    def refusal(self, application: Application, token: str) -> str | None:
        """Return the name of Entra's refusal, None if the token signs the application in."""
        payload = _signed(token, self._key, "HS256")
        if payload is None:
            return "assertion_signature"
        issuer, subject, audience = payload.get("iss"), payload.get("sub"), payload.get("aud")
        if issuer not in {one for one, _ in application.federated}:
            return "federation_issuer"
        if (issuer, subject) not in application.federated:
            return "federation_subject"
        if AUDIENCE not in (audience if isinstance(audience, list) else [audience]):
            return "federation_audience"
        in_time = payload["nbf"] - _SKEW <= self._clock() < payload["exp"] + _SKEW
        return None if in_time else "assertion_outside_validity"


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


class IdentityServices:
    """The three services and their rules for a valid request.

    `issue` turns a valid request into v1's response, with status 400 for an unknown identity.
    """

    def __init__(
        self,
        issue: Callable[[str, web.Request], SimulatedResponse],
        count: Callable[[str, SimulatedResponse], None],
        arc_folder: Path | None,
    ) -> None:
        self._issue = issue
        self._count = count
        self._arc = None if arc_folder is None else _KeyFiles(arc_folder)

    def add_to(self, app: web.Application) -> None:
        """Add the three paths. Raises NotADirectoryError if Azure Arc's folder is missing."""
        if self._arc is not None and not self._arc.folder.is_dir():
            raise NotADirectoryError(f"no folder for the keys of Azure Arc: {self._arc.folder}")
        for service, path in PATHS.items():
            app.router.add_get(path, self._handler(service))

    def close(self) -> None:
        """Remove the unused key files."""
        if self._arc is not None:
            self._arc.clear()

    def _handler(self, service: str) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        async def handle(request: web.Request) -> web.StreamResponse:
            refusal = (
                self._arc_refusal(request) if service == ARC else _refusal(service, request)
            )  # may make or use up a key file
            response = refusal or self._issue(service, request)
            self._count(service, response)
            return await deliver(request, response)

        return handle

    def _arc_refusal(self, request: web.Request) -> SimulatedResponse | None:
        if self._arc is None:
            return _oauth_error(
                404, "not_found", "The simulator has no folder for the keys of Azure Arc: set --sim.arc-token-folder."
            )
        refusal = _refusal(ARC, request)
        if refusal is not None or self._arc.use(request.headers.get("Authorization", "")):
            return refusal
        response = _oauth_error(401, "unauthorized_client", "Send the content of the file that WWW-Authenticate names.")
        return response.with_header("WWW-Authenticate", f"Basic realm={self._arc.make()}")


def _identity_not_found(service: str) -> SimulatedResponse:
    """Return the error for an identity that the host does not have."""
    if service == APP_SERVICE:
        return _app_service_error(
            "No User Assigned or Delegated Managed Identity found for specified ClientId/ResourceId/PrincipalId."
        )
    return _oauth_error(400, "invalid_request", "Identity not found")


def _audience(query: Mapping[str, str]) -> str:
    """Return the audience that an identity service is asked for, without its final slash."""
    return query.get("resource", "").rstrip("/")


def _refusal(service: str, request: web.Request) -> SimulatedResponse | None:
    """Return the error for an invalid request, None for a valid one."""
    if service == APP_SERVICE:
        complete = "X-IDENTITY-HEADER" in request.headers and _audience(request.query)
        return None if complete else _app_service_error("Send X-IDENTITY-HEADER and a resource.")
    if request.headers.get("Metadata", "").lower() != "true":
        return _oauth_error(400, "invalid_request", "Required metadata header not specified")
    for name in ("api-version", "resource"):
        if not request.query.get(name):
            return _oauth_error(400, "invalid_request", f"Required query variable '{name}' is missing")
    return None


def _oauth_error(status: int, error: str, description: str) -> SimulatedResponse:
    return SimulatedResponse().with_document({"error": error, "error_description": description}, status=status)


def _app_service_error(message: str) -> SimulatedResponse:
    return SimulatedResponse().with_document({"statusCode": 400, "message": message, "correlationId": str(uuid4())}, status=400)


class _KeyFiles:
    """The key files of Azure Arc's agent, each valid for one request.

    The agent serves only clients that can read its files: programs of its own host.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._keys: dict[Path, str] = {}

    def make(self) -> Path:
        """Write a key that only its owner can read, and return its path. Raises OSError."""
        path, key = self.folder / f"{uuid4()}.key", secrets.token_urlsafe(48)
        path.touch(mode=0o600)
        path.write_text(key)
        self._keys[path] = key
        while len(self._keys) > _CHALLENGES:
            self._remove(next(iter(self._keys)))
        return path

    def use(self, authorization: str) -> bool:
        """Return whether the header contains one of the keys, and remove that key."""
        scheme, _, offered = authorization.partition(" ")
        found = [path for path, key in self._keys.items() if hmac.compare_digest(key.encode(), offered.encode())]
        for path in found:
            self._remove(path)
        return scheme.lower() == "basic" and bool(found)

    def clear(self) -> None:
        for path in tuple(self._keys):
            self._remove(path)

    def _remove(self, path: Path) -> None:
        del self._keys[path]
        with contextlib.suppress(OSError):  # the client removed it
            path.unlink()


# The token endpoints.

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
        if exchange.form.get("client_assertion_type") == BEARER:
            text, audience = exchange.form.get("client_assertion", ""), f"https://{exchange.host}{exchange.path}"
            # the issuer of an application's own assertion is its client id
            if str((payload_of(text) or {}).get("iss", "")).startswith("https://"):
                return self._service_accounts.refusal(application, text)
            return refusal(application, text, audience, self._clock())
        return self._secret_refusal(application, exchange.form.get("client_secret", ""))

    def _secret_refusal(self, application: Application, offered: str) -> str | None:
        secret = next((one for one in application.secrets if hmac.compare_digest(one.value.encode(), offered.encode())), None)
        if secret is None:
            return "secret_wrong"
        return "secret_expired" if secret.expires is not None and secret.expires <= self._clock() else None

    def respond_as_host(self, tenant: Tenant | None, service: str, query: Mapping[str, str], client_id: str) -> SimulatedResponse:
        """Return the response of one of the host's identity services.

        `tenant` is the tenant of the identity, None if the host has no such identity.
        """
        application = None if tenant is None else tenant.applications.get(client_id)
        if tenant is None or application is None:
            return _identity_not_found(service)
        response = self._token(tenant, application, _audience(query), first_version=True)
        fields, known = {**response.document(), "client_id": application.client_id}, _TOKEN_FIELDS[service]
        return response.with_document({name: value for name, value in fields.items() if name in known})

    def _token(self, tenant: Tenant, application: Application, audience: str, *, first_version: bool) -> SimulatedResponse:
        """Return a token response in the form of the endpoint's version."""
        now = int(self._clock())
        claims = TokenClaims(
            tid=application.token_tenant or tenant.tenant_id,
            appid=application.client_id,
            oid=application.object_id,
            aud=application.token_audience or audience,
            exp=now + application.token_lifetime,
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

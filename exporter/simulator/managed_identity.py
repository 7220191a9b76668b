"""The host's identity services: App Service, Azure VM and Azure Arc.

    App Service   IDENTITY_ENDPOINT and IDENTITY_HEADER are set
    Azure VM      AZURE_POD_IDENTITY_AUTHORITY_HOST replaces the fixed address of a real machine
    Azure Arc     IDENTITY_ENDPOINT and IMDS_ENDPOINT are set; a second request proves that its sender can read a file

`entra` makes the tokens, and `server` finds the identity.
"""

from __future__ import annotations

import contextlib
import hmac
import secrets
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

from aiohttp import web

from exporter.simulator.response import SimulatedResponse
from exporter.simulator.wire_response import deliver

APP_SERVICE, IMDS, ARC = "app_service", "imds", "arc"
PATHS: Mapping[str, str] = {
    APP_SERVICE: "/identity/token",
    IMDS: "/metadata/identity/oauth2/token",
    ARC: "/arc/metadata/identity/oauth2/token",
}
# The fields of a token response except the token. Numbers are texts in all of them.
_TOKEN_FIELDS: Mapping[str, frozenset[str]] = {
    APP_SERVICE: frozenset({"expires_on", "resource", "token_type", "client_id"}),
    IMDS: frozenset({"expires_in", "ext_expires_in", "expires_on", "not_before", "resource", "token_type", "client_id"}),
    ARC: frozenset({"expires_in", "ext_expires_in", "expires_on", "not_before", "resource", "token_type", "client_id"}),
}
_CHALLENGES = 16  # key files that may remain unused


@dataclass(frozen=True, slots=True)
class IdentityRequest:
    """One request to an identity service.

    `client_id` is empty for the identity of the host itself.
    """

    service: str
    headers: Mapping[str, str]  # a case-insensitive mapping
    query: Mapping[str, str]

    @property
    def client_id(self) -> str:
        """Return the requested client id, or an empty string."""
        return self.query.get("client_id", "")

    @property
    def audience(self) -> str:
        """Return the requested audience without its final slash."""
        return self.query.get("resource", "").rstrip("/")


class IdentityServices:
    """The three services and their rules for a valid request.

    `issue` turns a valid request into v1's response, with status 400 for an unknown identity.
    """

    def __init__(
        self,
        issue: Callable[[IdentityRequest], SimulatedResponse],
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
        async def handle(received: web.Request) -> web.StreamResponse:
            response = self.respond(IdentityRequest(service, received.headers, received.query))
            self._count(service, response)
            return await deliver(received, response)

        return handle

    def respond(self, request: IdentityRequest) -> SimulatedResponse:
        """Return the service's response; this can create or use up a key file."""
        refusal = self._arc_refusal(request) if request.service == ARC else _refusal(request)
        return refusal if refusal is not None else self._issue(request)

    def _arc_refusal(self, request: IdentityRequest) -> SimulatedResponse | None:
        if self._arc is None:
            return _oauth_error(
                404, "not_found", "The simulator has no folder for the keys of Azure Arc: set --sim.arc-token-folder."
            )
        refusal = _refusal(request)
        if refusal is not None or self._arc.use(request.headers.get("Authorization", "")):
            return refusal
        response = _oauth_error(401, "unauthorized_client", "Send the content of the file that WWW-Authenticate names.")
        return response.with_header("WWW-Authenticate", f"Basic realm={self._arc.make()}")


def token_document(service: str, document: Mapping[str, object], client_id: str) -> dict[str, object]:
    """Convert a token response of Entra v1 to the form of that service."""
    fields = {**document, "client_id": client_id}
    return {name: value for name, value in fields.items() if name == "access_token" or name in _TOKEN_FIELDS[service]}


def identity_not_found(service: str) -> SimulatedResponse:
    """Return the error for an identity that the host does not have."""
    if service == APP_SERVICE:
        return _app_service_error(
            "No User Assigned or Delegated Managed Identity found for specified ClientId/ResourceId/PrincipalId."
        )
    return _oauth_error(400, "invalid_request", "Identity not found")


def _refusal(request: IdentityRequest) -> SimulatedResponse | None:
    """Return the error for an invalid request, None for a valid one."""
    if request.service == APP_SERVICE:
        complete = "X-IDENTITY-HEADER" in request.headers and request.audience
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
        """Remove all key files."""
        for path in tuple(self._keys):
            self._remove(path)

    def _remove(self, path: Path) -> None:
        del self._keys[path]
        with contextlib.suppress(OSError):  # the client removed it
            path.unlink()

"""The services of a host that a managed identity is asked of: App Service's, an Azure virtual machine's, Azure Arc's.

For: who may ask, in the words of each of the three, and the token in the form that each gives it.
Not for: making tokens (see `entra`), finding who is asked for (see `server`), or a network: only the host itself asks.

    App Service   IDENTITY_ENDPOINT and IDENTITY_HEADER are set
    Azure VM      AZURE_POD_IDENTITY_AUTHORITY_HOST is set, where the fixed address of a real machine is not to be had
    Azure Arc     IDENTITY_ENDPOINT and IMDS_ENDPOINT are set; a second request proves that the first one's sender reads a file
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
# What a token's answer says beside the token itself. Numbers are texts in all of them.
_SAID: Mapping[str, frozenset[str]] = {
    APP_SERVICE: frozenset({"expires_on", "resource", "token_type", "client_id"}),
    IMDS: frozenset({"expires_in", "ext_expires_in", "expires_on", "not_before", "resource", "token_type", "client_id"}),
    ARC: frozenset({"expires_in", "ext_expires_in", "expires_on", "not_before", "resource", "token_type", "client_id"}),
}
_CHALLENGES = 16  # key files that may lie about unused


@dataclass(frozen=True, slots=True)
class Asked:
    """One request to an identity service. `client_id` is empty for the identity that the host itself has."""

    service: str
    headers: Mapping[str, str]  # a case-insensitive mapping
    query: Mapping[str, str]

    @property
    def client_id(self) -> str:
        return self.query.get("client_id", "")

    @property
    def audience(self) -> str:
        return self.query.get("resource", "").rstrip("/")


class Identities:
    """`grant` takes a request that may have a token and gives v1's answer, status 400 for an identity that the host has not."""

    def __init__(
        self,
        grant: Callable[[Asked], SimulatedResponse],
        count: Callable[[str, SimulatedResponse], None],
        arc_folder: Path | None,
    ) -> None:
        self._grant = grant
        self._count = count
        self._arc = None if arc_folder is None else _KeyFiles(arc_folder)

    def add_to(self, app: web.Application) -> None:
        """Adds the three paths. Raises NotADirectoryError where the folder for Azure Arc is none."""
        if self._arc is not None and not self._arc.folder.is_dir():
            raise NotADirectoryError(f"no folder for the keys of Azure Arc: {self._arc.folder}")
        for service, path in PATHS.items():
            app.router.add_get(path, self._handler(service))

    def close(self) -> None:
        """Takes away the key files that were not used."""
        if self._arc is not None:
            self._arc.clear()

    def _handler(self, service: str) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        async def handle(request: web.Request) -> web.StreamResponse:
            answer = self.answer(Asked(service, request.headers, request.query))
            self._count(service, answer)
            return await deliver(request, answer)

        return handle

    def answer(self, asked: Asked) -> SimulatedResponse:
        """What the service answers, key files made and used up included."""
        refusal = self._arc_refusal(asked) if asked.service == ARC else _refusal(asked)
        return refusal if refusal is not None else self._grant(asked)

    def _arc_refusal(self, asked: Asked) -> SimulatedResponse | None:
        if self._arc is None:
            return _oauth_error(404, "not_found", "The simulator was given no folder for the keys of Azure Arc.")
        refusal = _refusal(asked)
        if refusal is not None or self._arc.use(asked.headers.get("Authorization", "")):
            return refusal
        answer = _oauth_error(401, "unauthorized_client", "Show that you can read the file that is named.")
        return answer.with_header("WWW-Authenticate", f"Basic realm={self._arc.make()}")


def in_form_of(service: str, document: Mapping[str, object], client_id: str) -> dict[str, object]:
    """A token's answer, given as Entra's first version gives it, in the form of that service."""
    said = {**document, "client_id": client_id}
    return {name: value for name, value in said.items() if name == "access_token" or name in _SAID[service]}


def not_assigned(service: str) -> SimulatedResponse:
    """The host has no such identity."""
    if service == APP_SERVICE:
        return _app_service_error(
            "No User Assigned or Delegated Managed Identity found for specified ClientId/ResourceId/PrincipalId."
        )
    return _oauth_error(400, "invalid_request", "Identity not found")


def _refusal(asked: Asked) -> SimulatedResponse | None:
    if asked.service == APP_SERVICE:
        complete = "X-IDENTITY-HEADER" in asked.headers and asked.audience
        return None if complete else _app_service_error("Send X-IDENTITY-HEADER and a resource.")
    if asked.headers.get("Metadata", "").lower() != "true":
        return _oauth_error(400, "invalid_request", "Required metadata header not specified")
    for name in ("api-version", "resource"):
        if not asked.query.get(name):
            return _oauth_error(400, "invalid_request", f"Required query variable '{name}' is missing")
    return None


def _oauth_error(status: int, error: str, description: str) -> SimulatedResponse:
    return SimulatedResponse().with_document({"error": error, "error_description": description}, status=status)


def _app_service_error(message: str) -> SimulatedResponse:
    return SimulatedResponse().with_document({"statusCode": 400, "message": message, "correlationId": str(uuid4())}, status=400)


class _KeyFiles:
    """The files by which the agent of Azure Arc tells its own host's programs from others: each is good for one request."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._keys: dict[Path, str] = {}

    def make(self) -> Path:
        """Writes a key that its owner alone may read. Raises OSError."""
        path, key = self.folder / f"{uuid4()}.key", secrets.token_urlsafe(48)
        path.touch(mode=0o600)
        path.write_text(key)
        self._keys[path] = key
        while len(self._keys) > _CHALLENGES:
            self._remove(next(iter(self._keys)))
        return path

    def use(self, authorization: str) -> bool:
        """Whether the header carries the content of one of the files, which is then used up."""
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
        with contextlib.suppress(OSError):  # somebody else was faster
            path.unlink()
